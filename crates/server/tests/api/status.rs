//! Status pages, probes, own metrics, and the empty answers that clients need to start.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;
use server::{Config, ServeError, Server};
use tower::ServiceExt;

use crate::stand::{Stand, base};

#[tokio::test(flavor = "multi_thread")]
async fn a_data_source_starts() {
    let stand = Stand::start().await;
    for prefix in ["", &base("acme")] {
        for (path, expect) in [
            ("/api/v1/rules?exclude_alerts=true&rule_name[]=x", json!({"groups": []})),
            ("/api/v1/alerts", json!({"alerts": []})),
            ("/api/v1/query_exemplars?query=test&start=1795310698000&end=1795310699000", json!([])),
            ("/api/v1/query_exemplars?query=1%2B1", json!([])),
            ("/api/v1/metadata?limit=40000", json!({})),
            ("/api/v1/query?query=1%2B1&time=4", json!({"resultType": "scalar", "result": [4, "2"]})),
        ] {
            let path = format!("{prefix}{path}");
            assert_eq!(stand.get(&path, &stand.tokens.acme).await.data(), expect, "GET {path}");
            assert_eq!(stand.post(&path, &stand.tokens.acme, "").await.data(), expect, "POST {path}");
        }
        let info = stand.get(&format!("{prefix}/api/v1/status/buildinfo"), &stand.tokens.acme).await.data();
        let info = info.as_object().unwrap();
        assert!(info["version"].as_str().unwrap().starts_with("3."), "{info:?}");
        assert!(!info.contains_key("features"), "Grafana would take the server for Mimir: {info:?}");
        assert!(info.values().all(serde_json::Value::is_string), "{info:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_need_no_token() {
    let stand = Stand::start().await;
    for (path, expect) in [("/-/healthy", "Healthy"), ("/-/ready", "Ready"), ("/", "Promenade")] {
        let answer = stand.get(path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.body.contains(expect), "{path}: {}", answer.body);
    }
    let below = stand.get(&format!("{}/-/ready", base("acme")), "").await;
    assert_eq!(below.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_the_head() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    assert_eq!(stand.write(&stand.tokens.acme, &[("m", &[], &[(now, 1.0)])]).await.status, 204);
    let tsdb = stand.get("/api/v1/status/tsdb", &stand.tokens.operator).await.data();
    assert_eq!(tsdb["headStats"]["numSeries"], 1, "{tsdb}");
    assert_eq!(tsdb["headStats"]["maxTime"], now, "{tsdb}");
    let replay = stand.get("/api/v1/status/walreplay", &stand.tokens.operator).await.data();
    assert_eq!(replay["state"], "done", "{replay}");
    assert_eq!(replay["current"], replay["max"], "{replay}");
    let runtime = stand.get("/api/v1/status/runtimeinfo", &stand.tokens.operator).await.data();
    assert_eq!(runtime["storageRetention"], "7776000s");
}

/// Reads the text format: each family has its help and type before its samples, and no sample comes twice.
fn samples(text: &str) -> std::collections::BTreeMap<&str, f64> {
    let mut types = std::collections::BTreeMap::new();
    let mut samples = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} is typed twice");
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let name = series.split('{').next().unwrap();
            let family = ["_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
            assert!(types.contains_key(name) || types.contains_key(family), "{name} has no type");
            assert!(samples.insert(series, value.parse().unwrap()).is_none(), "{series} comes twice");
        }
    }
    samples
}

#[tokio::test(flavor = "multi_thread")]
async fn own_metrics_count_what_happened() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let series = [("m", &[][..], &[(now, 1.0), (now + 3_600_000, 1.0)][..])];
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 400);
    stand.get("/api/v1/query?query=m", &stand.tokens.acme).await.data();
    stand.get("/api/v1/query?query=m(", &stand.tokens.acme).await.refused(400, "bad_data", "parse");
    let answer = stand.get("/metrics", &stand.tokens.operator_read_only).await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let samples = samples(&answer.body);
    for (series, value) in [
        ("promenade_ingest_samples_total", 1.0),
        ("promenade_ingest_refused_samples_total{reason=\"too_far_in_future\"}", 1.0),
        ("promenade_head_series", 1.0),
        ("promenade_http_requests_total{handler=\"/api/v1/query\",code=\"200\"}", 1.0),
        ("promenade_http_requests_total{handler=\"/api/v1/query\",code=\"400\"}", 1.0),
        ("promenade_http_requests_total{handler=\"/api/v1/write\",code=\"400\"}", 1.0),
        ("promenade_http_request_duration_seconds_count{handler=\"/api/v1/query\"}", 2.0),
        ("promenade_blocks", 0.0),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}\n{}", answer.body);
    }
    for series in [
        "promenade_http_request_duration_seconds{handler=\"/api/v1/query\",quantile=\"0.99\"}",
        "promenade_wal_syncs_total",
        "promenade_wal_bytes_total",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
    ] {
        assert!(samples.get(series).is_some_and(|value| *value > 0.0), "{series}\n{}", answer.body);
    }
    for token in [&stand.tokens.acme, &stand.tokens.operator] {
        assert!(!answer.body.contains(token.as_str()), "no secret in metrics");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_log_is_replayed_clients_are_asked_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::new(dir.path(), "127.0.0.1:0".parse().unwrap());
    config.insecure_no_auth = true;
    // Bound and not running: as far as the log is concerned, the first moment of a start.
    let router = Server::bind(config).await.unwrap().router();
    for (method, path, status) in [
        ("GET", "/-/healthy", 200),
        ("GET", "/-/ready", 503),
        ("GET", "/metrics", 200),
        ("GET", "/api/v1/query?query=up", 503),
        ("GET", "/api/v1/labels", 503),
        ("POST", "/api/v1/write", 503),
        ("GET", "/api/v1/status/walreplay", 200),
        ("POST", "/api/v1/admin/tsdb/flush", 503),
        ("GET", "/api/v1/status/buildinfo", 200),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        let asks_back = response.headers().contains_key("retry-after");
        assert_eq!(asks_back, status == 503, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_serves_one_server() {
    let stand = Stand::start().await;
    let config = Config::new(stand.data_dir(), "127.0.0.1:0".parse().unwrap());
    let refused = server::serve(config, std::future::pending()).await.unwrap_err();
    assert!(matches!(refused, ServeError::Store(_)), "{refused:?}");
}
