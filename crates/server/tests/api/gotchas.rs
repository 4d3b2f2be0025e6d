//! What breaks clients, by the numbers of the list that was made of it. Here are those that no other test shows:
//! 1 is `query::parameters_come_from_url_and_body_whatever_the_type`, 3 `query::gzip_when_listed_and_nothing_else`,
//! 4, 5 and 7 `status::a_data_source_starts`, 8 also `reader`, which every answer passes, and `bounds`.

use model::MetricKind;
use serde_json::json;
use server::{Need, routes};

use crate::answer::Answer;
use crate::remote_write::sent::{Version, named};
use crate::stand::{Stand, base, body};

/// 1: and forms whose fields are parts, as `curl -F` sends them.
#[tokio::test(flavor = "multi_thread")]
async fn forms_may_come_in_parts() {
    let stand = Stand::start().await;
    let field = |name: &str, value: &str| {
        format!("--xx--y\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let form = field("query", "vector(1 + 2)\r\n") + &field("time", "7") + "--xx--y--\r\n";
    for kind in ["multipart/form-data; boundary=xx--y", "multipart/form-data; charset=utf-8; boundary=\"xx--y\""] {
        let request = stand.request("POST", "/api/v1/query?query=1&time=3", &stand.tokens.acme);
        let answer = Answer::of(request.header("content-type", kind).body(form.clone())).await;
        assert_eq!(answer.lines(), ["{} 3@7"], "{kind}");
    }
    let broken = stand.request("POST", "/api/v1/query", &stand.tokens.acme).body("--xx--y\r\nname=");
    let broken = broken.header("content-type", "multipart/form-data; boundary=xx--y");
    Answer::of(broken).await.refused(400, "bad_data", "\"query\"");
}

/// 2: clients post to whatever reads, even with an empty body and everything in the URL.
#[tokio::test(flavor = "multi_thread")]
async fn reading_endpoints_take_posts() {
    let stand = Stand::start().await;
    let only_get = ["/api/v1/openapi.yaml", "/api/v1/notifications/live"];
    let mut checked = 0;
    for route in routes() {
        let reads = route.path.starts_with("/api/v1/") && route.methods.contains(&"GET");
        if !reads || route.need == Need::Nothing || only_get.contains(&route.path) {
            continue;
        }
        let ask = "query=1&match[]=up&start=0&end=1&step=1&label=a";
        let path = format!("{}?{ask}", route.path.replace("{name}", "job"));
        let (get, post) =
            (stand.get(&path, &stand.tokens.operator).await, stand.post(&path, &stand.tokens.operator, "").await);
        assert_eq!((get.status, post.status), (200, 200), "{path}: {} {}", get.body, post.body);
        checked += 1;
    }
    assert!(checked > 25, "{checked}");
}

/// 6: the reader of families takes the first description of each and its type as lower-case text.
#[tokio::test(flavor = "multi_thread")]
async fn metadata_are_lists_that_are_never_empty() {
    let stand = Stand::start().await;
    let kinds = ["counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown"];
    let now = server::now_ms();
    let series: Vec<_> = kinds
        .iter()
        .map(|kind| named(&format!("{kind}_x")).sample(now, 1.0).metadata(MetricKind::parse(kind), "", ""))
        .collect();
    let body = Version::V1.body(&series);
    assert_eq!(stand.write_body("/api/v1/write", &stand.tokens.acme, body).await.status, 204);
    let families = stand.get("/api/v1/metadata?limit_per_metric=1", &stand.tokens.acme).await.data();
    for kind in kinds {
        assert_eq!(families[format!("{kind}_x")], json!([{"type": kind, "help": "", "unit": ""}]));
    }
}

/// 8: no data is `null`, and what is refused is refused in a way that is read.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_an_empty_list() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    for (query, expect) in [
        ("query?query=nothing", json!({"resultType": "vector", "result": []})),
        ("query?query=nothing[5m]", json!({"resultType": "matrix", "result": []})),
        ("query_range?query=nothing&start=0&end=1&step=1", json!({"resultType": "matrix", "result": []})),
        ("query_exemplars?query=nothing", json!([])),
        ("series?match[]=nothing", json!([])),
        ("labels?match[]=nothing", json!([])),
        ("label/nothing/values", json!([])),
        ("metadata?metric=nothing", json!({})),
    ] {
        assert_eq!(stand.get(&format!("/api/v1/{query}"), token).await.data(), expect, "{query}");
    }
}

/// 9: whatever else a client builds from a base URL.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_below_a_projects_path_too() {
    let stand = Stand::start().await;
    let base = base("acme");
    for path in ["", "/", "/-/healthy", "/-/ready", "/federate?match[]=up", "/version", "/api/v1/status/buildinfo"] {
        let answer = stand.get(&format!("{base}{path}"), &stand.tokens.acme).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    }
    let samples = [(server::now_ms(), 1.0)];
    let path = format!("{base}/api/v1/write");
    let written = stand.write_body(&path, &stand.tokens.acme, body(&[("m", &[], &samples)])).await;
    assert_eq!(written.status, 204);
    for path in ["//api/v1/query?query=m", "/api/v1/query/?query=m"] {
        assert_eq!(stand.get(&format!("{base}{path}"), &stand.tokens.acme).await.lines().len(), 1, "{path}");
    }
}

/// 10: numbers as Go writes them.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_have_exponents_of_two_digits() {
    let stand = Stand::start().await;
    for (query, text) in [
        ("0.0000001", "1e-07"),
        ("0.000001", "0.000001"),
        ("1e21", "1e+21"),
        ("1e20", "100000000000000000000"),
        ("0/0", "NaN"),
        ("1/0", "+Inf"),
        ("-1/0", "-Inf"),
        ("-1*0", "-0"),
        ("1.5", "1.5"),
    ] {
        let answer = stand.get(&format!("/api/v1/query?query={query}&time=1.5"), &stand.tokens.acme).await;
        assert!(answer.body.contains(&format!("\"result\":[1.500,\"{text}\"]")), "{query}: {}", answer.body);
    }
}

/// 11: expressions as dashboards and libraries have them.
#[tokio::test(flavor = "multi_thread")]
async fn expressions_of_real_dashboards_are_answered() {
    let stand = Stand::start().await;
    let now = server::now_ms() / 1000;
    let at = |t: i64, v: f64| [((t - 30) * 1000, v), (t * 1000, v + 1.0)];
    let samples = at(now, 1.0);
    let series = [
        ("vllm:ttft_seconds_bucket", &[("le", "1.0")][..], &samples[..]),
        ("vllm:num_requests_running", &[("model_name", "m")], &samples),
        ("up", &[("job", "a")], &samples),
    ];
    assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    for query in [
        "sum(\r\n  rate(vllm:ttft_seconds_bucket{le=\"1.0\"}[1m])\r\n)\r\n",
        "vllm:num_requests_running",
        "up{job='a'}",
        "up[60s]",
        "delta(up[1w])",
        "rate(up[1m0s])",
        "sum by (le) (rate(vllm:ttft_seconds_bucket[1h0m0s]))",
        "max_over_time(up[300s])",
    ] {
        let form = format!(
            "time={now}.9294946&query={}",
            percent_encoding::percent_encode(query.as_bytes(), percent_encoding::NON_ALPHANUMERIC)
        );
        let answer = stand.post("/api/v1/query", &stand.tokens.acme, &form).await;
        assert_eq!(answer.lines().len(), 1, "{query}: {}", answer.body);
    }
}

/// 12: a data source whose kind is not set writes recorded series elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn recorded_series_are_taken_at_push_as_well() {
    let stand = Stand::start().await;
    let samples = [(server::now_ms(), 1.0)];
    for (path, name) in [("/api/v1/push", "a"), (&format!("{}/api/v1/write", base("acme")), "b")] {
        let written = stand.write_body(path, &stand.tokens.acme, body(&[(name, &[], &samples)])).await;
        assert_eq!(written.status, 204, "{path}: {}", written.body);
        assert_eq!(stand.get(&format!("/api/v1/query?query={name}"), &stand.tokens.acme).await.lines().len(), 1);
    }
    let get = Answer::of(stand.request("GET", "/api/v1/push", &stand.tokens.acme)).await;
    assert_eq!(get.status, 405);
}
