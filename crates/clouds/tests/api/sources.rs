//! Alternates: the first that has data answers, for each endpoint by itself, and the answer says which.

use clouds::tensorone::{self, MetricsAsk};
use clouds::{Catalog, Subject};
use model::Labels;
use promqltest::MemoryStore;

use crate::answers::{metrics, pairs, with_batch};
use crate::fleet::{END, Fleet, MINUTE_MS};

#[test]
fn the_answer_says_where_it_comes_from() {
    let answer = metrics(&Fleet::new(1.0).store(), "debug=sources");
    let sources = answer["sources"].as_object().unwrap();
    for (family, source) in [
        ("requests", "inference_requests_total"),
        ("latency_quantiles", "inference_request_duration_seconds"),
        ("gpu_memory", "DCGM_FI_DEV_FB_USED"),
        ("endpoint_cpu", "container_cpu_usage_seconds_total"),
        ("gpu_model", "DCGM_FI_DEV_GPU_UTIL"),
    ] {
        assert_eq!(sources[family], source);
    }
    assert!(!sources.contains_key("gpu_flops"), "nothing measures that here");
    assert!(metrics(&Fleet::new(1.0).store(), "").get("sources").is_none());
}

/// A counter of one request a minute for an hour.
fn push(store: &mut MemoryStore, name: &str, pairs: &[(&str, &str)], each: f64) {
    let labels = Labels::from_pairs(pairs.iter().copied().chain([("__name__", name)]));
    for minute in 0..=60 {
        store.push_float(&labels, END - (60 - minute) * MINUTE_MS, each * minute as f64).unwrap();
    }
}

#[test]
fn endpoints_of_one_batch_may_have_different_sources() {
    let mut store = MemoryStore::default();
    push(&mut store, "inference_requests_total", &[("endpoint_id", "a"), ("status_code", "200")], 3.0);
    // The engine's own counter is there too, and must not be added.
    push(&mut store, "vllm:request_success_total", &[("endpoint_id", "a"), ("finished_reason", "stop")], 2.0);
    push(&mut store, "vllm:request_success_total", &[("endpoint_id", "b"), ("finished_reason", "stop")], 4.0);
    push(&mut store, "vllm:request_success_total", &[("endpoint_id", "b"), ("finished_reason", "abort")], 1.0);
    push(
        &mut store,
        "istio_request_duration_milliseconds_sum",
        &[("endpoint_id", "b"), ("reporter", "destination")],
        2500.0,
    );
    push(
        &mut store,
        "istio_request_duration_milliseconds_count",
        &[("endpoint_id", "b"), ("reporter", "destination")],
        5.0,
    );
    for (le, each) in [("500", 3.0), ("1000", 5.0), ("+Inf", 5.0)] {
        let pairs = [("endpoint_id", "b"), ("reporter", "destination"), ("le", le)];
        push(&mut store, "istio_request_duration_milliseconds_bucket", &pairs, each);
    }
    let ask = MetricsAsk::parse(&pairs("timeframe=1h&granularity=1m&metrics=performance&debug=sources"), END).unwrap();
    let subject = Subject::members("endpoint_id", vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]);
    with_batch(&store, |batch| {
        let found = batch.run(&subject, &tensorone::needs(&ask)).unwrap();
        let total = |id: &str| found.member(id).rows("requests").iter().filter_map(clouds::Row::last).sum::<f64>();
        assert_eq!([total("a"), total("b"), total("c")], [180.0, 300.0, 0.0]);
        let source = |id: &'static str| found.member(id).source(clouds::Family::Requests);
        assert_eq!(source("a"), Some("inference_requests_total"));
        assert_eq!(source("b"), Some("vllm:request_success_total"));
        assert_eq!(source("c"), None);
        let seconds = found.member("b").value("latency.sum").unwrap();
        assert!((seconds - 150.0).abs() < 1e-9, "milliseconds become seconds: {seconds}");
        let bounds: Vec<&str> =
            found.member("b").rows("latency.buckets.each").iter().map(|row| row.label("le")).collect();
        assert_eq!(bounds.len(), 3);
        assert!(bounds.contains(&"0.5") && bounds.contains(&"1") && bounds.contains(&"+Inf"), "{bounds:?}");
    });
}

#[test]
fn a_catalog_may_be_replaced() {
    let families: String = clouds::Family::ALL.iter().map(|family| format!("  {}: []\n", family.as_str())).collect();
    let mine = families.replace(
        "  requests: []\n",
        "  requests:\n    - source: mine\n      expr: sum by ($group) (increase(mine{$sel}[$window] anchored))\n      scale: 10\n",
    );
    let catalog = Catalog::parse(&format!("families:\n{mine}")).unwrap();
    let mut store = MemoryStore::default();
    push(&mut store, "mine", &[("endpoint_id", "a")], 1.0);
    let budget = model::Budget::unlimited();
    let ctx = promql::Context { store: &store, budget: &budget, lookback_ms: 300_000 };
    let needs = [clouds::Need::at("n", clouds::Family::Requests, END, 30 * MINUTE_MS)];
    let subject = Subject::members("endpoint_id", vec!["a".to_owned()]);
    let found = clouds::Batch::new(&catalog, &ctx).run(&subject, &needs).unwrap();
    assert_eq!(found.member("a").value("n"), Some(300.0));
    assert_eq!(found.member("a").source(clouds::Family::Requests), Some("mine"));
}

#[test]
fn cold_starts_are_seen_in_what_kubernetes_tells() {
    let mut store = MemoryStore::default();
    let start_s = (END / 1000 - 3600) as f64;
    // One pod was there before the hour; two became ready in it, 30 and 50 seconds after they were made.
    for (pod, ready, created) in [("old", -500.0, -560.0), ("a", 600.0, 570.0), ("b", 1200.0, 1150.0)] {
        for (name, value) in [("kube_pod_status_ready_time", ready), ("kube_pod_created", created)] {
            let pairs = [("__name__", name), ("endpoint_id", "a"), ("namespace", "n"), ("pod", pod)];
            let labels = Labels::from_pairs(pairs);
            for minute in 30..=60 {
                store.push_float(&labels, END - (60 - minute) * MINUTE_MS, start_s + value).unwrap();
            }
        }
    }
    let ask = MetricsAsk::parse(&pairs("timeframe=1h&metrics=performance"), END).unwrap();
    let subject = Subject::members("endpoint_id", vec!["a".to_owned()]);
    with_batch(&store, |batch| {
        let found = batch.run(&subject, &tensorone::needs(&ask)).unwrap();
        let view = found.member("a");
        assert_eq!(view.value("cold_starts"), Some(2.0));
        assert_eq!((view.value("cold.sum"), view.value("cold.count")), (Some(80.0), Some(2.0)));
    });
}
