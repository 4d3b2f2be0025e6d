//! Ten minutes of two replicas with known totals, over restarts.

use control::{Control, Endpoint, Endpoints};
use model::{Point, Value};
use promql::{Context, Query, TextLimits};

use super::*;
use crate::Config;

/// 2026-01-01.
const START: i64 = 1_767_225_600_000;
const SECOND_MS: i64 = 1000;
/// A marker of staleness. Source: Prometheus `model/value/value.go`.
const STALE: u64 = 0x7ff0_0000_0000_0002;

const CARD: &str = "
gpus: [{model: H100, usd_hour: 12, memory_gb: 80}]
items:
  - category: network
    detail: egress
    usd: 0.5
    per: unit
    usage: sum by (project_id, endpoint_id) (increase(inference_response_bytes_total[1m] anchored)) / 1e9
  - category: storage
    detail: models
    usd: 73
    per: month
    usage: max by (project_id, endpoint_id) (pod_pvc_allocation) / 1e9
";

struct Fixture {
    store: Store,
    endpoints: Endpoints,
    _dir: tempfile::TempDir,
}

type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], f64);

impl Fixture {
    /// A store and a registry with one endpoint whose replicas have 4 GPUs.
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.db");
        let (control, project) = (Control::open(&path).unwrap(), ProjectId::parse("acme").unwrap());
        control.create_project("acme", Some(project.clone()), 0).unwrap();
        let registered = Endpoint {
            gpu_model: Some("h100".to_owned()),
            gpu_count: Some(4),
            ..Endpoint::new(project, "ep_1", "acme", "chat")
        };
        control.set_endpoint(&registered).unwrap();
        let store = Store::new();
        store.open(&Config::new(dir.path(), "127.0.0.1:0".parse().unwrap()), tsdb::Quotas::default()).unwrap();
        Fixture { store, endpoints: Endpoints::open(&path).unwrap(), _dir: dir }
    }

    fn write(&self, second: i64, replica: &str, rows: &[Row<'_>]) {
        let writer = self.store.writer(&Authority::server_grant()).unwrap();
        let (mut appender, t) = (writer.appender(), START + second * SECOND_MS);
        for (name, labels, v) in rows {
            let identity =
                [("project_id", "acme"), ("endpoint_id", "ep_1"), ("replica_id", replica), ("__name__", name)];
            let labels = Labels::from_pairs(labels.iter().copied().chain(identity));
            let handle = appender.follower(&labels);
            appender.sample(&handle, Sample { t, v: *v });
        }
        assert_eq!(appender.commit(t).unwrap().refused_total(), 0);
    }

    /// Both replicas up to `second`, every 15 s: `a` serves all the time; `b` starts for two minutes, idles, and ends
    /// after five.
    fn serve(&self, from: i64, to: i64) {
        for second in (from..=to).step_by(15) {
            #[expect(clippy::cast_precision_loss, reason = "some hundred")]
            let (t, minutes) = (second as f64, (second / 60) as f64);
            self.write(
                second,
                "a",
                &[
                    ("inference_requests_total", &[("status_code", "200")], 1000.0 + t),
                    ("inference_requests_total", &[("status_code", "504")], minutes),
                    ("inference_request_duration_seconds_bucket", &[("le", "0.5")], t / 5.0),
                    ("inference_request_duration_seconds_bucket", &[("le", "0.75")], t / 4.0),
                    ("inference_request_duration_seconds_bucket", &[("le", "1")], t / 2.0),
                    ("inference_request_duration_seconds_bucket", &[("le", "+Inf")], t),
                    ("inference_request_duration_seconds_sum", &[], 2.0 * t),
                    ("inference_request_duration_seconds_count", &[], t),
                    ("inference_replica_gpus", &[], 8.0),
                    ("inference_replica_info", &[("gpu_model", "NVIDIA H100 80GB HBM3")], 1.0),
                    ("inference_replica_state", &[("state", "running")], 1.0),
                    ("inference_requests_in_flight", &[], 3.0),
                    ("inference_response_bytes_total", &[], 1e9 * t),
                    ("pod_pvc_allocation", &[], 60e9),
                    ("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "0")], 40.0),
                    ("crusoe_inference_histogram_first_token_latency_bucket", &[("model_name", "m"), ("le", "0.1")], t),
                    (
                        "crusoe_inference_histogram_first_token_latency_bucket",
                        &[("model_name", "m"), ("le", "+Inf")],
                        2.0 * t,
                    ),
                ],
            );
            let (state, requests) = if second <= 120 { ("initializing", 0.0) } else { ("running", t - 120.0) };
            let alive = |v: f64| if second <= 300 { v } else { f64::from_bits(STALE) };
            if second <= 315 {
                let other = if state == "running" { "initializing" } else { "running" };
                self.write(
                    second,
                    "b",
                    &[
                        ("inference_requests_total", &[("status_code", "200")], alive(requests)),
                        ("inference_replica_state", &[("state", state)], alive(1.0)),
                        ("inference_replica_state", &[("state", other)], alive(0.0)),
                        ("inference_requests_in_flight", &[], alive(0.0)),
                    ],
                );
            }
        }
    }

    fn recorder(&self) -> Recorder {
        Recorder::new(Some(Arc::new(RateCard::parse(CARD).unwrap())), 30 * SECOND_MS, 7)
    }

    /// Records what is due in one go.
    fn step(&self, recorder: &mut Recorder, second: i64) -> usize {
        let now = START + second * SECOND_MS;
        recorder.advance(&self.store, &self.endpoints.view(), now, &Budget::unlimited()).unwrap()
    }

    /// Records all that is due.
    fn advance(&self, recorder: &mut Recorder, second: i64) -> usize {
        std::iter::from_fn(|| Some(self.step(recorder, second)).filter(|n| *n > 0)).sum()
    }

    /// What a query says at `second`, by the labels of its rows.
    fn ask(&self, text: &str, second: i64) -> BTreeMap<String, f64> {
        let reader = self.store.reader(&Authority::server_grant()).unwrap();
        let (querier, budget) = (reader.querier(), Budget::unlimited());
        let ctx = Context { store: &querier, budget: &budget, lookback_ms: 1 };
        let query = Query::parse(text, &TextLimits::default()).unwrap();
        let Value::Vector(rows) = query.instant(START + second * SECOND_MS, &ctx).unwrap().value else {
            panic!("{text}")
        };
        let value = |point| if let Point::Float(v) = point { v } else { f64::NAN };
        rows.into_iter().map(|row| (row.labels.to_string(), value(row.point))).collect()
    }
}

#[track_caller]
fn check(found: &BTreeMap<String, f64>, expect: &[(&str, f64)]) {
    let keys: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, expect.iter().map(|(labels, _)| *labels).collect::<Vec<_>>(), "{found:?}");
    for (labels, v) in expect {
        assert!((found[*labels] - v).abs() <= 1e-9 * v.abs(), "{labels}: {} is not {v}", found[*labels]);
    }
}

const ALL: &str = "{__name__=~\"tensorone_.*|inference_cost_usd_total|crusoe_inference_first_token_latency\"}";

/// A USD per GPU-minute, times GPUs and minutes.
const USD: f64 = 12.0 / 60.0;

#[test]
fn ten_minutes_are_recorded_to_the_cent() {
    let fixture = Fixture::new();
    let mut recorder = fixture.recorder();
    fixture.serve(0, 600);
    assert_eq!(fixture.advance(&mut recorder, 89), 0, "there is nothing before the first sample");
    assert_eq!(fixture.advance(&mut recorder, 90), 1);
    assert_eq!(fixture.advance(&mut recorder, 90), 0, "once");
    assert_eq!(fixture.advance(&mut recorder, 600 + 30), 9);
    // A state is looked at when its minute ends: of `b`, two minutes of the start and three of idling.
    check(
        &fixture.ask(ALL, 600),
        &[
            (r#"crusoe_inference_first_token_latency{model_name="m", project_id="acme"}"#, 0.1),
            (
                r#"inference_cost_usd_total{category="compute", detail="gpu", endpoint_id="ep_1", phase="cold_start", project_id="acme"}"#,
                4.0 * 2.0 * USD,
            ),
            (
                r#"inference_cost_usd_total{category="compute", detail="gpu", endpoint_id="ep_1", phase="idle", project_id="acme"}"#,
                4.0 * 3.0 * USD,
            ),
            (
                r#"inference_cost_usd_total{category="compute", detail="gpu", endpoint_id="ep_1", phase="inference", project_id="acme"}"#,
                8.0 * 10.0 * USD,
            ),
            (
                r#"inference_cost_usd_total{category="network", detail="egress", endpoint_id="ep_1", project_id="acme"}"#,
                600.0 * 0.5,
            ),
            (
                r#"inference_cost_usd_total{category="storage", detail="models", endpoint_id="ep_1", project_id="acme"}"#,
                1.0,
            ),
            (
                r#"tensorone_endpoint_cost_total{category="compute", endpoint_id="ep_1", project_id="acme"}"#,
                (8.0 + 12.0 + 80.0) * USD,
            ),
            (r#"tensorone_endpoint_cost_total{category="network", endpoint_id="ep_1", project_id="acme"}"#, 300.0),
            (r#"tensorone_endpoint_cost_total{category="storage", endpoint_id="ep_1", project_id="acme"}"#, 1.0),
            (r#"tensorone_endpoint_gpu_utilization{endpoint_id="ep_1", project_id="acme"}"#, 40.0),
            (r#"tensorone_endpoint_latency_seconds_bucket{endpoint_id="ep_1", le="+Inf", project_id="acme"}"#, 600.0),
            (r#"tensorone_endpoint_latency_seconds_bucket{endpoint_id="ep_1", le="0.5", project_id="acme"}"#, 120.0),
            (r#"tensorone_endpoint_latency_seconds_bucket{endpoint_id="ep_1", le="1.0", project_id="acme"}"#, 300.0),
            (r#"tensorone_endpoint_latency_seconds_count{endpoint_id="ep_1", project_id="acme"}"#, 600.0),
            (r#"tensorone_endpoint_latency_seconds_sum{endpoint_id="ep_1", project_id="acme"}"#, 1200.0),
            (r#"tensorone_endpoint_requests_total{endpoint_id="ep_1", project_id="acme", status="error"}"#, 10.0),
            (r#"tensorone_endpoint_requests_total{endpoint_id="ep_1", project_id="acme", status="success"}"#, 780.0),
        ],
    );
}

/// A server that was away goes on where it ended: no minute twice, none left out, and no counter falls.
#[test]
fn counters_go_on_after_a_restart() {
    let fixture = Fixture::new();
    fixture.serve(0, 900);
    let mut first = fixture.recorder();
    fixture.advance(&mut first, 90);
    fixture.advance(&mut first, 330);
    let before = fixture.ask(ALL, 300);
    let mut second = fixture.recorder();
    assert_eq!(fixture.advance(&mut second, 331), 0, "the newest minute in the store is the last one recorded");
    assert_eq!(fixture.advance(&mut second, 930), 10);
    let all_at_once = Fixture::new();
    all_at_once.serve(0, 900);
    let mut whole = all_at_once.recorder();
    all_at_once.advance(&mut whole, 90);
    all_at_once.advance(&mut whole, 930);
    let (after, expect) = (fixture.ask(ALL, 900), all_at_once.ask(ALL, 900));
    assert_eq!(after, expect);
    let fallen = before.iter().find(|(labels, v)| !labels.contains("utilization") && after[*labels] < **v);
    assert_eq!(fallen, None);
}

#[test]
fn without_a_rate_card_usage_is_recorded_and_cost_is_not() {
    let fixture = Fixture::new();
    fixture.serve(0, 120);
    let mut recorder = Recorder::new(None, 0, 7);
    fixture.advance(&mut recorder, 120);
    assert!(fixture.ask("{__name__=~\".*cost.*\"}", 120).is_empty());
    assert_eq!(fixture.ask("tensorone_endpoint_requests_total", 120).len(), 2);
}

#[test]
fn a_long_stop_leaves_a_gap_and_is_made_up_for_in_steps() {
    let fixture = Fixture::new();
    fixture.serve(0, 120);
    let mut recorder = Recorder::new(None, 0, 7);
    fixture.advance(&mut recorder, 120);
    let week = 7 * 24 * 3600;
    assert_eq!(fixture.step(&mut recorder, week), MINUTES_AT_ONCE);
    assert_eq!(recorder.until(), Some(START + week * SECOND_MS - CATCH_UP_MS + 30 * MINUTE_MS));
}
