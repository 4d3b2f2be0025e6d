//! Hugging Face's API over two replicas with known totals, its text read by our own strict reader.

use model::LabelsBuilder;
use serde_json::json;
use wire::exposition::{Entry, ExpositionFormat, ExpositionReader};
use wire::remote_write::LabelLimits;

use crate::answer::Answer;
use crate::stand::{Series, Stand};

/// A series with one sample: its name, labels, time and value.
type Row = (&'static str, Vec<(&'static str, &'static str)>, [(i64, f64); 1]);

const PATH: &str = "/v2/endpoint/acme/chat";

/// Ten minutes of two replicas up to `now`, sampled each minute.
async fn fill(stand: &Stand, now: i64) {
    for minute in 0..=10i64 {
        let t = now - (10 - minute) * 60_000;
        #[expect(clippy::cast_precision_loss, reason = "ten")]
        let m = minute as f64;
        for (replica, weight) in [("a-1", 1.0), ("b-2", 3.0)] {
            let identity = [("endpoint_id", "ep_1"), ("endpoint", "chat"), ("replica_id", replica)];
            let with = |more: &[(&'static str, &'static str)]| [&identity[..], more].concat();
            let one = |v: f64| [(t, v)];
            let rows: Vec<Row> = vec![
                ("inference_requests_total", with(&[("status_code", "200")]), one(weight * 60.0 * m)),
                ("inference_requests_total", with(&[("status_code", "503")]), one(weight * 2.0 * m)),
                ("inference_request_duration_seconds_bucket", with(&[("le", "0.5")]), one(weight * 30.0 * m)),
                ("inference_request_duration_seconds_bucket", with(&[("le", "1")]), one(weight * 60.0 * m)),
                ("inference_request_duration_seconds_bucket", with(&[("le", "+Inf")]), one(weight * 60.0 * m)),
                ("inference_request_duration_seconds_sum", with(&[]), one(weight * 24.0 * m)),
                ("inference_request_duration_seconds_count", with(&[]), one(weight * 60.0 * m)),
                ("inference_requests_in_flight", with(&[]), one(2.0)),
                ("inference_requests_queued", with(&[]), one(1.0)),
                ("inference_replica_state", with(&[("state", "running")]), one(1.0)),
                ("inference_replicas_target", identity[..2].to_vec(), one(2.0)),
                ("container_cpu_usage_seconds_total", with(&[("container", "engine")]), one(weight * 60.0 * m)),
                ("kube_pod_container_resource_limits", with(&[("resource", "cpu")]), one(8.0)),
                ("container_memory_working_set_bytes", with(&[("container", "engine")]), one(weight * 1e9)),
                ("kube_pod_container_resource_limits", with(&[("resource", "memory")]), one(8e9)),
                ("DCGM_FI_DEV_GPU_UTIL", with(&[("gpu", "0")]), one(10.0 * weight)),
                ("DCGM_FI_DEV_GPU_UTIL", with(&[("gpu", "1")]), one(20.0 * weight)),
                ("DCGM_FI_DEV_FB_USED", with(&[("gpu", "0")]), one(30_000.0)),
                ("DCGM_FI_DEV_FB_FREE", with(&[("gpu", "0")]), one(10_000.0)),
            ];
            let series: Vec<Series<'_>> =
                rows.iter().map(|(name, labels, samples)| (*name, labels.as_slice(), samples.as_slice())).collect();
            let answer = stand.write(&stand.tokens.acme, &series).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
    }
}

/// Every sample as `labels value`, read strictly.
fn samples(text: &str, format: ExpositionFormat) -> Vec<(String, f64)> {
    let mut reader = ExpositionReader::new(text.as_bytes(), format);
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        if let Entry::Sample(line) = entry {
            let mut labels = LabelsBuilder::default();
            line.labels(&LabelLimits::default(), &mut labels).unwrap();
            all.push((labels.build().to_string(), line.v));
        }
    }
    all
}

#[track_caller]
fn check(found: &[(String, f64)], expect: &[(&str, f64)]) {
    let names: Vec<_> = found.iter().map(|(labels, _)| labels.as_str()).collect();
    assert_eq!(names, expect.iter().map(|(labels, _)| *labels).collect::<Vec<_>>());
    for ((labels, found), (_, expect)) in found.iter().zip(expect) {
        assert!((found - expect).abs() <= 1e-9 * expect.abs(), "{labels}: {found} is not {expect}");
    }
}

/// What both texts hold, the counters by the name that tells them apart.
fn expected(requests: &str) -> Vec<(String, f64)> {
    let counter = |replica: &str, code: &str, n: f64| {
        (format!("{requests}{{replica_id=\"{replica}\", status_code=\"{code}\"}}"), n)
    };
    let mut all = vec![
        ("latency_distribution{quantile=\"0.5\"}".to_owned(), 0.5),
        ("latency_distribution{quantile=\"0.9\"}".to_owned(), 0.9),
        ("latency_distribution{quantile=\"0.95\"}".to_owned(), 0.95),
        ("latency_distribution{quantile=\"0.99\"}".to_owned(), 0.99),
        ("latency_distribution_count".to_owned(), 2400.0),
        ("latency_distribution_sum".to_owned(), 960.0),
        counter("a-1", "200", 600.0),
        counter("a-1", "503", 20.0),
        counter("b-2", "200", 1800.0),
        counter("b-2", "503", 60.0),
    ];
    for (name, a, b) in [
        ("cpu_usage_percent", 12.5, 37.5),
        ("memory_usage_percent", 12.5, 37.5),
        ("gpu_usage_percent", 15.0, 45.0),
        ("gpu_memory_usage_percent", 75.0, 75.0),
    ] {
        all.push((format!("{name}{{replica_id=\"a-1\"}}"), a));
        all.push((format!("{name}{{replica_id=\"b-2\"}}"), b));
    }
    for (name, v) in [("pending_requests", 6.0), ("running_replicas", 2.0), ("target_replicas", 2.0)] {
        all.push((name.to_owned(), v));
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_text_and_strict_openmetrics_hold_the_same() {
    let stand = Stand::start().await;
    fill(&stand, server::now_ms()).await;
    let path = format!("{PATH}/open-metrics");
    let documented = stand.get(&path, &stand.tokens.acme).await;
    assert_eq!(documented.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let head = "# HELP latency_distribution Latency distribution\n# TYPE latency_distribution summary\n\
                latency_distribution{quantile=\"0.5\"} ";
    assert!(documented.body.starts_with(head), "{}", documented.body);
    let unit =
        "# HELP cpu_usage_percent CPU percent\n# TYPE cpu_usage_percent gauge\n# UNIT cpu_usage_percent percent\n";
    assert!(documented.body.contains(unit), "{}", documented.body);
    assert!(documented.body.contains("# HELP http_requests HTTP requests by code and replicas\n# TYPE http_requests counter\nhttp_requests{replica_id=\"a-1\",status_code=\"200\"} 600\n"));
    let expect = expected("http_requests");
    let expect: Vec<_> = expect.iter().map(|(labels, v)| (labels.as_str(), *v)).collect();
    check(&samples(&documented.body, ExpositionFormat::Prometheus), &expect);

    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2";
    let strict = Answer::of(stand.request("GET", &path, &stand.tokens.acme).header("accept", accept)).await;
    assert_eq!(strict.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(strict.body.ends_with("\n# EOF\n"), "{}", strict.body);
    let expect = expected("http_requests_total");
    let expect: Vec<_> = expect.iter().map(|(labels, v)| (labels.as_str(), *v)).collect();
    check(&samples(&strict.body, ExpositionFormat::OpenMetrics), &expect);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_is_a_line_over_time() {
    let stand = Stand::start().await;
    let now = server::now_ms() / 60_000 * 60_000;
    fill(&stand, now).await;
    let (from, to) = (now / 1000 - 120, now / 1000);
    for (metric, unit, expect) in [
        ("pending-requests", "requests", 6.0),
        ("request-count", "requests", 248.0),
        ("median-latency", "seconds", 0.5),
        ("p95-latency", "seconds", 0.95),
        ("average-latency", "seconds", 0.4),
        ("success-throughput", "requests/second", 4.0),
        ("bad-request-throughput", "requests/second", 0.0),
        ("server-error-throughput", "requests/second", 8.0 / 60.0),
        ("success-rate", "percent", 24_000.0 / 248.0),
        ("bad-request-rate", "percent", 0.0),
        ("server-error-rate", "percent", 800.0 / 248.0),
        ("cpu-usage", "percent", 25.0),
        ("memory-usage", "percent", 25.0),
        ("gpu-usage", "percent", 30.0),
        ("gpu-memory-usage", "percent", 75.0),
        ("ready-replicas", "replicas", 2.0),
        ("running-replicas", "replicas", 2.0),
        ("target-replicas", "replicas", 2.0),
    ] {
        let body = json!({"from": from, "to": to, "step": 60}).to_string();
        let request = stand.request("POST", &format!("{PATH}/metrics/{metric}"), &stand.tokens.acme).body(body);
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{metric}: {}", answer.body);
        let json = answer.json();
        assert_eq!((&json["metric"], &json["unit"]), (&json!(metric), &json!(unit)));
        assert_eq!((&json["from"], &json["to"], &json["step"]), (&json!(from), &json!(to), &json!(60)));
        let points = json["values"].as_array().unwrap();
        assert_eq!(points.iter().map(|p| p[0].as_i64().unwrap()).collect::<Vec<_>>(), [from, from + 60, to]);
        for point in points {
            let v = point[1].as_f64().unwrap_or_else(|| panic!("{metric}: {json}"));
            assert!((v - expect).abs() <= 1e-9 * expect.abs(), "{metric}: {v} is not {expect}");
        }
    }
    for metric in ["neuron-usage", "neuron-memory-usage"] {
        let request = stand.request("POST", &format!("{PATH}/metrics/{metric}"), &stand.tokens.acme);
        let json = Answer::of(request).await.json();
        assert!(json["values"].as_array().unwrap().iter().all(|point| point[1].is_null()), "never invented: {json}");
    }
    let all = stand.get(&format!("{PATH}/metrics?start={from}&stop={to}&step=60"), &stand.tokens.acme).await.json();
    assert_eq!(all["metrics"].as_array().unwrap().len(), 20);
    assert_eq!(all["metrics"][1]["values"][2], json!([to, 248.0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let stand = Stand::start().await;
    fill(&stand, server::now_ms()).await;
    for (metric, body, expect) in [
        ("p50-latency", "{}", "allowed are pending-requests, request-count, median-latency"),
        ("cpu-usage", "{", "body is no"),
        ("cpu-usage", r#"{"from":"yesterday"}"#, "body is no"),
        ("cpu-usage", r#"{"from":1,"until":2}"#, "unknown field `until`"),
        ("cpu-usage", r#"{"from":10,"to":5}"#, "Invalid to specified"),
        ("cpu-usage", r#"{"from":0,"to":1000000000,"step":1}"#, "more than 11000 points"),
        ("cpu-usage", r#"{"from":0,"to":100,"step":0}"#, "Invalid step specified"),
        ("cpu-usage", r#"{"from":-9223372036854775808,"to":9223372036854775807}"#, "Invalid to specified"),
    ] {
        let request = stand.request("POST", &format!("{PATH}/metrics/{metric}"), &stand.tokens.acme);
        let answer = Answer::of(request.body(body.to_owned())).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        let json = answer.json();
        assert_eq!(json.as_object().unwrap().keys().collect::<Vec<_>>(), ["error"]);
        assert!(json["error"].as_str().unwrap().contains(expect), "{body}: {json}");
    }
    for query in ["start=x", "start=5&stop=4", "step=-1", "start=0&stop=99999999999999"] {
        let answer = stand.get(&format!("{PATH}/metrics?{query}"), &stand.tokens.acme).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.body);
    }
    let request = stand.request("POST", "/v2/endpoint/acme/nobody/metrics/cpu-usage", &stand.tokens.acme);
    assert_eq!(Answer::of(request).await.json(), json!({"error": "no such endpoint"}));
}
