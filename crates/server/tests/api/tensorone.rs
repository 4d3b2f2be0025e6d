//! TensorOne's routes: what exists and for whom, every bad parameter in the vendor's words, formats, and the cache.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::stand::Stand;

/// A series: its name, labels, and samples.
type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// A stand with one endpoint of `acme` that has had one request a second for an hour, up to now.
async fn with_endpoint() -> Stand {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let samples = |each: f64| -> Vec<(i64, f64)> {
        (0..=60_u8).map(|minute| (now - i64::from(60 - minute) * 60_000, each * f64::from(minute))).collect()
    };
    let flat = |v: f64| -> Vec<(i64, f64)> { samples(0.0).into_iter().map(|(t, _)| (t, v)).collect() };
    let labels = |pairs: &[(&'static str, &'static str)]| {
        let identity = [("endpoint_id", "ep_1"), ("replica_id", "r"), ("region", "us-east-1"), ("cluster_id", "c1")];
        [&identity[..], pairs].concat()
    };
    let (ok, bad, up, gpu) = (samples(57.0), samples(3.0), flat(1.0), flat(95.0));
    let (sum, cost) = (samples(30.0), samples(0.01));
    let buckets = [("0.5", samples(30.0)), ("1.0", samples(60.0)), ("+Inf", samples(60.0))];
    let (code_ok, code_bad) = (labels(&[("status_code", "200")]), labels(&[("status_code", "500")]));
    let (plain, running) = (labels(&[]), labels(&[("state", "running")]));
    let compute = labels(&[("category", "compute"), ("phase", "inference")]);
    let mut series: Vec<Row<'_>> = vec![
        ("inference_requests_total", &code_ok, &ok),
        ("inference_requests_total", &code_bad, &bad),
        ("inference_request_duration_seconds_sum", &plain, &sum),
        ("inference_request_duration_seconds_count", &plain, &buckets[2].1),
        ("inference_replica_state", &running, &up),
        ("DCGM_FI_DEV_GPU_UTIL", &plain, &gpu),
        ("inference_cost_usd_total", &compute, &cost),
    ];
    let with_le: Vec<_> = buckets.iter().map(|(le, _)| labels(&[("le", le)])).collect();
    for (labels, (_, samples)) in with_le.iter().zip(&buckets) {
        series.push(("inference_request_duration_seconds_bucket", labels, samples));
    }
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    stand
}

const METRICS: &str = "/v2/endpoints/ep_1/metrics";

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_there_for_its_project_alone() {
    let stand = with_endpoint().await;
    let mine = stand.get(METRICS, &stand.tokens.acme).await;
    assert_eq!(mine.status, 200);
    let foreign = stand.get(METRICS, &stand.tokens.other).await;
    let unknown = stand.get("/v2/endpoints/ep_2/metrics", &stand.tokens.acme).await;
    assert_eq!((foreign.status, unknown.status), (404, 404));
    let envelope = |id: &str| json!({"error": "ENDPOINT_NOT_FOUND", "message": "No endpoint with this id", "details": {"endpointId": id}});
    assert_eq!((foreign.json(), unknown.json()), (envelope("ep_1"), envelope("ep_2")));
    let operator = stand.get(METRICS, &stand.tokens.operator).await;
    assert_eq!(operator.json()["summary"]["totalExecutions"], mine.json()["summary"]["totalExecutions"]);
    for (path, token, status) in [
        (METRICS, &stand.tokens.acme_write_only, 403),
        (METRICS, &stand.tokens.expired, 401),
        (METRICS, &String::new(), 401),
    ] {
        assert_eq!(stand.get(path, token).await.status, status, "{path}");
    }
    let nothing = stand.get("/v2/monitoring/performance", &stand.tokens.other).await.json();
    assert_eq!((&nothing["resources"], &nothing["alerts"]), (&json!([]), &json!([])));
    assert_eq!(nothing["overall"]["totalThroughput"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_hold_what_was_written() {
    let stand = with_endpoint().await;
    let token = &stand.tokens.acme;
    let answer = stand.get(&format!("{METRICS}?timeframe=1h&granularity=1m"), token).await.json();
    // The last minute may have begun after the last full one.
    let total = answer["summary"]["totalExecutions"].as_i64().unwrap();
    assert!((3480..=3600).contains(&total), "{total}");
    assert_eq!(answer["summary"]["successRate"], 95.0);
    assert_eq!(answer["summary"]["averageLatency"], 0.5);
    assert_eq!(answer["performance"]["latency"]["timeSeries"].as_array().unwrap().len(), 60);
    let basic = stand.get(&format!("{METRICS}?timeframe=1h&view=basic"), token).await.json();
    assert_eq!(
        (&basic["averageResponseTime"], &basic["errorRate"], &basic["activeWorkers"]),
        (&json!(500.0), &json!(5.0), &json!(1))
    );
    assert_eq!(basic.as_object().unwrap().len(), 4);

    let text = stand.get(&format!("{METRICS}?format=prometheus"), token).await;
    assert_eq!(text.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# TYPE tensorone_endpoint_requests_total counter\n",
        "tensorone_endpoint_requests_total{endpoint_id=\"ep_1\",status=\"success\"} 3",
        "# TYPE tensorone_endpoint_latency_seconds histogram\n",
        "tensorone_endpoint_latency_seconds_bucket{endpoint_id=\"ep_1\",le=\"1.0\"} 3",
        "tensorone_endpoint_latency_seconds_bucket{endpoint_id=\"ep_1\",le=\"+Inf\"} 3",
        "tensorone_endpoint_gpu_utilization{endpoint_id=\"ep_1\"} 95\n",
        "tensorone_endpoint_cost_total{endpoint_id=\"ep_1\",category=\"compute\"} 0.",
    ] {
        assert!(text.body.contains(line), "{line}\n{}", text.body);
    }
    let csv = stand.get(&format!("{METRICS}?format=csv&timeframe=1h&granularity=5m"), token).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = csv.body.lines().collect();
    // The hour that starts among them has a line of its own unless it is a bucket's start.
    let minute: usize = lines[1][14..16].parse().unwrap();
    let expected = 1 + 12 + usize::from(!minute.is_multiple_of(5));
    assert_eq!(lines.len(), expected, "a header, twelve buckets, and the hour\n{}", csv.body);
    assert!(lines[0].starts_with("timestamp,costs.computeCost,costs.cost,"), "{}", lines[0]);

    let performance = stand.get("/v2/monitoring/performance?resource=endpoints&timeRange=5m", token).await.json();
    let alerts: Vec<&str> =
        performance["alerts"].as_array().unwrap().iter().map(|alert| alert["metric"].as_str().unwrap()).collect();
    assert_eq!(alerts, ["gpu_utilization"], "95 % are above 90");
    let better = stand.get("/v2/monitoring/performance/optimization?timeRange=1h", token).await.json();
    let endpoint = better["resources"].as_array().unwrap().iter().find(|one| one["resourceId"] == "ep_1").unwrap();
    assert_eq!(endpoint["bottlenecks"][0]["component"], "gpu");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_each_endpoint_once() {
    let stand = with_endpoint().await;
    let body = json!({"endpointIds": ["ep_1", "ep_9", "ep_1"], "timeframe": "1h", "metrics": ["performance", "costs"]});
    let request = stand.request("POST", "/v2/endpoints/metrics/batch", &stand.tokens.acme).body(body.to_string());
    let answer = crate::answer::Answer::of(request).await;
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer["endpoints"].as_array().unwrap().len(), 1);
    assert_eq!(answer["endpoints"][0]["endpointId"], "ep_1");
    assert_eq!(answer["errors"][0]["error"], "ENDPOINT_NOT_FOUND");
    assert_eq!(answer["aggregated"]["method"], "avg");
    let total = |summary: &Value| summary["totalExecutions"].as_f64().unwrap();
    assert_eq!(total(&answer["aggregated"]["summary"]), total(&answer["endpoints"][0]["summary"]));
}

/// Twenty endpoints together have far more samples than one query may read, and each alone has fewer: the batch is asked
/// in parts. An endpoint that has too many by itself is refused as it is when it is asked for alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_works_if_each_of_its_endpoints_does() {
    let stand = Stand::start_with(|config| config.limits.query_samples_max = 1_500).await;
    let now = server::now_ms();
    let samples = |n: u32, step_ms: i64| -> Vec<(i64, f64)> {
        (0..n).map(|at| (now - i64::from(n - 1 - at) * step_ms, f64::from(at))).collect()
    };
    let (few, many) = (samples(1_000, 3_000), samples(2_000, 1_500));
    let ids: Vec<String> = (0..20).map(|n| format!("ep_{n}")).collect();
    for id in &ids {
        let labels = [("endpoint_id", id.as_str()), ("status_code", "200")];
        assert_eq!(stand.write(&stand.tokens.acme, &[("inference_requests_total", &labels, &few)]).await.status, 204);
    }
    let labels = [("endpoint_id", "ep_big"), ("status_code", "200")];
    assert_eq!(stand.write(&stand.tokens.acme, &[("inference_requests_total", &labels, &many)]).await.status, 204);
    let ask = async |ids: &[String]| {
        let body = json!({"endpointIds": ids, "timeframe": "1h", "granularity": "1m", "metrics": ["costs"]});
        let request = stand.request("POST", "/v2/endpoints/metrics/batch", &stand.tokens.acme).body(body.to_string());
        crate::answer::Answer::of(request).await
    };
    let whole = ask(&ids).await;
    assert_eq!(whole.status, 200, "{}", whole.body);
    let found: Vec<Value> =
        whole.json()["endpoints"].as_array().unwrap().iter().map(|one| one["endpointId"].clone()).collect();
    assert_eq!(found, ids, "each once, in the order asked for");
    let with_big = ask(&[&ids[..3], &["ep_big".to_owned()]].concat()).await;
    let alone = stand.get("/v2/endpoints/ep_big/metrics?timeframe=1h&granularity=1m&metrics=costs", &stand.tokens.acme);
    let alone = alone.await;
    assert_eq!((with_big.status, alone.status), (422, 422), "{} {}", with_big.body, alone.body);
    assert_eq!(with_big.json(), alone.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_would_have_been_right() {
    let stand = with_endpoint().await;
    let refused = stand.get(&format!("{METRICS}?timeframe=2y"), &stand.tokens.acme).await;
    assert_eq!((refused.status, refused.header("content-type")), (400, "application/json"));
    assert_eq!(
        refused.json(),
        json!({
            "error": "INVALID_PARAMETERS",
            "message": "Invalid timeframe specified",
            "details": {"parameter": "timeframe", "value": "2y", "allowedValues": ["1h", "6h", "24h", "7d", "30d"]}
        })
    );
    for (query, parameter) in [
        ("granularity=2m", "granularity"),
        ("timeframe=7d&granularity=1m", "granularity"),
        ("metrics[]=performance&metrics[]=moon", "metrics"),
        ("format=yaml", "format"),
        ("aggregation=p50", "aggregation"),
        ("start=yesterday", "start"),
        ("start=2024-01-02T00:00:00Z&end=2024-01-01T00:00:00Z", "end"),
        ("view=wide", "view"),
        ("costDetail=some", "costDetail"),
        ("debug=everything", "debug"),
    ] {
        let refused = stand.get(&format!("{METRICS}?{query}"), &stand.tokens.acme).await;
        assert_eq!(refused.status, 400, "{query}");
        assert_eq!(refused.json()["details"]["parameter"], parameter, "{query}");
    }
    for (query, parameter) in [
        ("timeRange=2h", "timeRange"),
        ("resource=x", "resource"),
        ("granularity=1s", "granularity"),
        ("metrics=x", "metrics"),
    ] {
        let refused = stand.get(&format!("/v2/monitoring/performance?{query}"), &stand.tokens.acme).await;
        assert_eq!((refused.status, &refused.json()["details"]["parameter"]), (400, &json!(parameter)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn coarse_answers_are_given_again_and_fine_ones_are_not() {
    let stand = with_endpoint().await;
    let token = &stand.tokens.acme;
    let (coarse, fine) = (format!("{METRICS}?timeframe=1h"), format!("{METRICS}?timeframe=1h&granularity=5m"));
    let before = [stand.get(&coarse, token).await.json(), stand.get(&fine, token).await.json()];
    // A project's cached answer is its own.
    assert_eq!(stand.get(&coarse, &stand.tokens.other).await.status, 404);
    let now = server::now_ms();
    let labels = [("endpoint_id", "ep_1"), ("status_code", "404"), ("replica_id", "new")];
    let samples = [(now - 1_800_000, 0.0), (now - 1_740_000, 1_000_000.0)];
    assert_eq!(stand.write(token, &[("inference_requests_total", &labels, &samples)]).await.status, 204);
    let after = [stand.get(&coarse, token).await.json(), stand.get(&fine, token).await.json()];
    let total = |answer: &Value| answer["summary"]["totalExecutions"].as_i64().unwrap();
    assert!(total(&after[1]) > total(&before[1]) + 900_000, "5m asks for the latest");
    // Unless the slot of five minutes has just ended, the coarse one is the same, and says when it was made.
    if after[0]["generatedAt"] == before[0]["generatedAt"] {
        assert_eq!(after[0], before[0]);
    } else {
        assert!(total(&after[0]) > total(&before[0]) + 900_000, "made anew, it is of now");
    }
}

const REQUESTS: usize = 10_000;

const PATHS: &[&str] = &[
    "/v2/endpoints/ep_1/metrics",
    "/v2/endpoints/ep_2/metrics",
    "/v2/endpoints/%22%7D%20or%20up%7B/metrics",
    "/v2/endpoints/%ff/metrics",
    "/v2/endpoints/%00/metrics",
    "/v2/endpoints/.%2A/metrics",
    "/v2/monitoring/performance",
    "/v2/monitoring/performance/optimization",
];
const NAMES: &[&str] = &[
    "timeframe",
    "timeRange",
    "granularity",
    "metrics",
    "metrics[]",
    "format",
    "aggregation",
    "start",
    "end",
    "view",
    "costDetail",
    "debug",
    "resource",
    "resourceIds",
    "resourceIds[]",
    "regions",
    "analyzeBottlenecks",
    "x",
];
/// One of these is in most requests, so that few cost a whole answer.
const BAD: &[&str] = &[
    "timeframe=2y",
    "timeRange=2y",
    "granularity=2m",
    "granularity=1s",
    "metrics=moon",
    "format=xml",
    "aggregation=p50",
    "view=wide",
    "costDetail=some",
    "debug=all",
    "resource=moon",
    "start=tomorrow",
    "start=2&end=1",
    "analyzeBottlenecks=perhaps",
    "includeRecommendations=2",
];
const VALUES: &[&str] = &[
    "",
    "1h",
    "6h",
    "5m",
    "1m",
    "15m",
    "1d",
    "10s",
    "2y",
    "-1",
    "0",
    "1e99",
    "9223372036854775807",
    "NaN",
    "json",
    "csv",
    "prometheus",
    "avg",
    "p95",
    "p99",
    "performance",
    "costs,usage",
    "errors",
    "resources",
    "basic",
    "full",
    "sources",
    "all",
    "endpoints",
    "clusters",
    "storage",
    "cpu_utilization",
    "queue_depth,disk_io,network_io",
    "%22%7D",
    "a%00b",
    "%ff",
    "2024-01-15T00:00:00Z",
    "1705276800",
    "us-east-1",
    "ep_1",
    "ep_1,ep_2",
    "(((",
    "%5C",
    "true",
    "c1",
];

/// A body that may be one of a batch.
fn body(rng: &mut StdRng) -> Vec<u8> {
    let mut text = json!({"endpointIds": ["ep_1"], "timeframe": "1h", "metrics": ["usage"], "aggregation": "max"})
        .to_string()
        .into_bytes();
    for _ in 0..rng.random_range(0..9) {
        let at = rng.random_range(0..text.len());
        match rng.random_range(0..4) {
            0 => text.truncate(at + 1),
            1 => text[at] = rng.random(),
            2 => text.insert(at, b'['),
            _ => drop(text.remove(at)),
        }
        if text.is_empty() {
            text.push(b'{');
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_bad_requests_are_no_failures_of_ours() {
    let stand = with_endpoint().await;
    let mut rng = StdRng::seed_from_u64(7);
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    for n in 0..REQUESTS {
        let authorization = format!("Bearer {}", stand.tokens.acme);
        let (request, shown) = if rng.random_ratio(1, 4) {
            let body = body(&mut rng);
            let request = Request::post("/v2/endpoints/metrics/batch").header("authorization", authorization);
            (request.body(Body::from(body.clone())).unwrap(), String::from_utf8_lossy(&body).into_owned())
        } else {
            let mut uri = format!("{}?", PATHS[rng.random_range(0..PATHS.len())]);
            for _ in 0..rng.random_range(1..6) {
                let name = NAMES[rng.random_range(0..NAMES.len())];
                uri.push_str(&format!("{name}={}&", VALUES[rng.random_range(0..VALUES.len())]));
            }
            if rng.random_ratio(14, 15) {
                uri.push_str(BAD[rng.random_range(0..BAD.len())]);
            }
            let request = Request::get(&uri).header("authorization", authorization);
            (request.body(Body::empty()).unwrap(), uri)
        };
        let response = stand.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status < 500, "request {n}: {status} {body:?}: {shown}");
        *statuses.entry(status).or_default() += 1;
    }
    let n = |status: u16| statuses.get(&status).copied().unwrap_or(0);
    assert!(n(200) > REQUESTS / 200 && n(400) > REQUESTS / 4 && n(404) > REQUESTS / 200, "{statuses:?}");
}
