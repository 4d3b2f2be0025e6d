//! The text of Hugging Face's `open-metrics` as others read it: a real Prometheus, and Python's parsers.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::{Labels, Sample};
use wire::remote_write::{WriteMessage, WriteRequestEncoder};

use crate::http::Http;
use crate::peers::{self, Running, free_port, wait_for};
use crate::promenade::Promenade;

const PATH: &str = "/v2/endpoint/inference/chat/open-metrics";

/// Writes six minutes of two replicas of one endpoint, up to now; nothing changes afterwards.
fn fill(http: &Http) {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let mut request = WriteRequestEncoder::new();
    for (replica, weight) in [("fqwg7eri-hskoj", 1.0), ("q9cv26ut-3vo4s", 3.0)] {
        let mut push = |name: &str, more: &[(&str, &str)], value: &dyn Fn(f64) -> f64| {
            let identity = [("__name__", name), ("endpoint_id", "ep_1"), ("endpoint", "chat"), ("replica_id", replica)];
            let samples: Vec<Sample> = (0..=6u8)
                .map(|m| Sample { t: now - i64::from(6 - m) * 60_000, v: value(f64::from(m) * weight) })
                .collect();
            request.push(Labels::from_pairs(identity.into_iter().chain(more.iter().copied())).iter(), &samples);
        };
        push("inference_requests_total", &[("status_code", "200")], &|m| 60.0 * m);
        push("inference_requests_total", &[("status_code", "503")], &|m| 2.0 * m);
        for (le, share) in [("0.5", 30.0), ("1", 57.0), ("+Inf", 60.0)] {
            push("inference_request_duration_seconds_bucket", &[("le", le)], &|m| share * m);
        }
        push("inference_request_duration_seconds_sum", &[], &|m| 25.5 * m);
        push("inference_request_duration_seconds_count", &[], &|m| 60.0 * m);
        push("inference_requests_in_flight", &[], &|_| 2.0);
        push("inference_replica_state", &[("state", "running")], &|_| 1.0);
        push("DCGM_FI_DEV_GPU_UTIL", &[("gpu", "0")], &|_| 42.5);
        push("DCGM_FI_DEV_FB_USED", &[("gpu", "0")], &|_| 30_000.0);
        push("DCGM_FI_DEV_FB_FREE", &[("gpu", "0")], &|_| 10_000.0);
        push("container_memory_working_set_bytes", &[("container", "engine")], &|_| 2e9);
        push("kube_pod_container_resource_limits", &[("resource", "memory")], &|_| 8e9);
    }
    let answer = http.write(WriteMessage::V1, request.finish_compressed().unwrap()).unwrap();
    assert_eq!(answer.status, 204, "{}", answer.text);
}

/// What both texts must hold, by name and labels; quantiles move with time and are looked at by themselves.
fn expected(counter: &str) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::from([
        ("latency_distribution_count{}".to_owned(), 1440.0),
        ("latency_distribution_sum{}".to_owned(), 612.0),
        ("pending_requests{}".to_owned(), 4.0),
        ("running_replicas{}".to_owned(), 2.0),
    ]);
    for (replica, weight) in [("fqwg7eri-hskoj", 1.0), ("q9cv26ut-3vo4s", 3.0)] {
        for (code, n) in [("200", 360.0), ("503", 12.0)] {
            all.insert(format!("{counter}{{replica_id={replica},status_code={code}}}"), n * weight);
        }
        for (name, v) in
            [("gpu_usage_percent", 42.5), ("gpu_memory_usage_percent", 75.0), ("memory_usage_percent", 25.0)]
        {
            all.insert(format!("{name}{{replica_id={replica}}}"), v);
        }
    }
    all
}

fn prometheus(binary: &Path, dir: &Path, promenade: &Promenade, token: &str) -> (Running, Http) {
    let job = |name: &str, protocol: &str| {
        format!(
            "- job_name: {name}\n  scrape_protocols: [{protocol}]\n  metrics_path: {PATH}\n  authorization:\n    \
             credentials: {token}\n  static_configs:\n  - targets: ['{}']\n",
            promenade.url.trim_start_matches("http://")
        )
    };
    let config = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n{}{}",
        job("strict", "OpenMetricsText1.0.0"),
        job("documented", "PrometheusText0.0.4")
    );
    let (file, port) = (dir.join("prometheus.yml"), free_port());
    std::fs::write(&file, config).unwrap();
    let arguments = [
        format!("--config.file={}", file.display()),
        format!("--storage.tsdb.path={}", dir.join("prometheus-data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--log.level=debug".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let running = Running::start(binary, &arguments, &dir.join("prometheus.log"));
    (running, Http::new(&format!("http://127.0.0.1:{port}"), None))
}

#[test]
fn a_real_prometheus_scrapes_both_texts_without_an_error() {
    let Some([binary]) = peers::all(["prometheus"]) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let token = promenade.project("inference");
    fill(&Http::new(&promenade.url, Some(&token)));
    let (running, http) = prometheus(&binary, tmp.path(), &promenade, &token);
    let now = || format!("{:.3}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64());
    wait_for("both jobs are up", Duration::from_secs(30), || {
        let (status, _) = http.get("/-/ready", &[])?;
        let up = (status == 200).then(|| http.vector("up == 1", &now(), &["instance", "__name__"]))?;
        (up.len() == 2).then_some(())
    });
    for (job, counter) in [("strict", "http_requests_total"), ("documented", "http_requests")] {
        let all = http.vector(&format!("{{job=\"{job}\",__name__!~\"up|scrape_.*\"}}"), &now(), &["instance", "job"]);
        let found: BTreeMap<String, f64> = all
            .into_iter()
            .map(|(labels, v)| {
                let labels = labels.replace('"', "");
                let mut labels: Vec<&str> = labels.split(',').collect();
                let name = labels.iter().position(|label| label.starts_with("__name__=")).unwrap();
                let name = labels.remove(name).trim_start_matches("__name__=").to_owned();
                (format!("{name}{{{}}}", labels.join(",")), v)
            })
            .collect();
        check(job, found, &expected(counter));
    }
    let log = running.log();
    for complaint in ["Append failed", "invalid", "unsupported Content-Type", "level=WARN", "level=ERROR"] {
        let line = log.lines().find(|line| line.contains(complaint));
        assert_eq!(line, None, "Prometheus complains");
    }
    let types = http.data("/api/v1/metadata", &[("metric", "latency_distribution")]);
    assert_eq!(types["latency_distribution"][0]["type"], "summary", "{types}");
}

#[test]
fn pythons_parsers_read_both_texts() {
    let Some(python) = std::env::var_os("PYTHON_CLIENTS").filter(|path| !path.is_empty()) else {
        return peers::say_skipped("PYTHON_CLIENTS names no Python; tests/clients/venv.sh makes one");
    };
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let token = promenade.project("inference");
    let http = Http::new(&promenade.url, Some(&token));
    fill(&http);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients/parse.py");
    for (parser, accept, counter) in [
        ("openmetrics", "application/openmetrics-text; version=1.0.0", "http_requests_total"),
        // This parser calls every counter a total, as OpenMetrics does.
        ("prometheus", "text/plain", "http_requests_total"),
        ("prometheus", "application/openmetrics-text", "http_requests_total"),
    ] {
        let (status, text) = http.get_as(PATH, accept).unwrap();
        assert_eq!(status, 200, "{text}");
        let mut child = Command::new(&python)
            .arg(&script)
            .arg(parser)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{parser}: {}\n{text}", String::from_utf8_lossy(&output.stderr));
        let lines = String::from_utf8(output.stdout).unwrap();
        let found = lines.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            (row[0].as_str().unwrap().to_owned(), row[2].as_f64().unwrap())
        });
        check(parser, found.collect(), &expected(counter));
    }
}

/// Every expected sample is there, and nothing else but quantiles between their bounds.
#[track_caller]
fn check(what: &str, mut found: BTreeMap<String, f64>, expect: &BTreeMap<String, f64>) {
    for quantile in ["0.5", "0.9", "0.95", "0.99"] {
        let v = found.remove(&format!("latency_distribution{{quantile={quantile}}}"));
        assert!(v.is_some_and(|v| (0.4..=1.0).contains(&v)), "{what}: quantile {quantile} is {v:?} in {found:?}");
    }
    assert_eq!(&found, expect, "{what}");
}
