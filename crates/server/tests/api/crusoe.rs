//! Crusoe's API: the documented queries as users type them, an agent's batches, and Grafana's data source on the path.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::Answer;
use crate::stand::{Series, Stand, base, body};

const MODEL: &str = "meta-llama/Llama-3.3-70B-Instruct";

/// The five queries of Crusoe's documents, braces to be filled in as there, and what the data below makes of them.
const QUERIES: [(&str, f64); 5] = [
    (
        r#"sum by (model_name) ( rate( crusoe_inference_request_count{project_id="{project_id}", model_name="{model_name}"}[300s] ) )"#,
        2.0,
    ),
    (
        r#"sum by (model_name) ( rate( crusoe_inference_input_token_count{project_id="{project_id}", model_name="{model_name}"}[300s] ) )"#,
        20.0,
    ),
    (
        r#"sum by (model_name) ( rate( crusoe_inference_output_token_count{project_id="{project_id}", model_name="{model_name}"}[300s] ) )"#,
        40.0,
    ),
    (
        r#"histogram_quantile( 0.5, sum by (model_name, le) ( irate( crusoe_inference_histogram_first_token_latency_bucket{project_id="{project_id}", model_name="{model_name}"}[300s] ) ) )"#,
        0.25,
    ),
    (
        r#"histogram_quantile( 0.5, sum by (model_name, le) ( irate( crusoe_inference_histogram_output_token_latency_bucket{project_id="{project_id}", model_name="{model_name}"}[300s] ) ) )"#,
        0.025,
    ),
];

fn filled(query: &str) -> String {
    query.replace("{project_id}", "acme").replace("{model_name}", MODEL)
}

/// Ten minutes of two tiers, sampled each minute as Crusoe does.
async fn fill(stand: &Stand, now: i64) {
    let times: Vec<i64> = (0..=10).map(|minute| now - (10 - minute) * 60_000).collect();
    #[expect(clippy::cast_precision_loss, reason = "some hundred seconds")]
    let counter = |per_second: f64| -> Vec<(i64, f64)> {
        times.iter().map(|t| (*t, per_second * (*t - times[0]) as f64 / 1000.0)).collect()
    };
    for tier in ["on_demand", "pt"] {
        let labels = [("model_name", MODEL), ("service_tier", tier)];
        let with_le = |le: &'static str| [labels[0], labels[1], ("le", le)];
        let samples = [1.0, 10.0, 20.0, 0.5, 1.0].map(counter);
        let les = [with_le("0.25"), with_le("+Inf"), with_le("0.025")];
        let series: [Series<'_>; 7] = [
            ("crusoe_inference_request_count", &labels, &samples[0]),
            ("crusoe_inference_input_token_count", &labels, &samples[1]),
            ("crusoe_inference_output_token_count", &labels, &samples[2]),
            ("crusoe_inference_histogram_first_token_latency_bucket", &les[0], &samples[3]),
            ("crusoe_inference_histogram_first_token_latency_bucket", &les[1], &samples[4]),
            ("crusoe_inference_histogram_output_token_latency_bucket", &les[2], &samples[3]),
            ("crusoe_inference_histogram_output_token_latency_bucket", &les[1], &samples[4]),
        ];
        assert_eq!(stand.write(&stand.tokens.acme, &series).await.status, 204);
    }
}

#[track_caller]
fn values(answer: &Answer) -> Vec<f64> {
    let data = answer.data();
    let series = data["result"].as_array().unwrap();
    assert_eq!(series.len(), 1, "{}", answer.body);
    assert_eq!(series[0]["metric"], serde_json::json!({"model_name": MODEL}));
    let pairs = series[0]["values"].as_array().cloned().unwrap_or_else(|| vec![series[0]["value"].clone()]);
    pairs.iter().map(|pair| pair[1].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_queries_run_unchanged() {
    let stand = Stand::start().await;
    let now = server::now_ms() / 60_000 * 60_000;
    fill(&stand, now).await;
    let (path, token, end) = (base("acme"), &stand.tokens.acme, now / 1000);
    for (query, expect) in QUERIES {
        let query = filled(query);
        let encoded = utf8_percent_encode(&query, NON_ALPHANUMERIC).to_string();
        let range = format!("start={}&end={end}&step=60", end - 120);
        let answers = [
            stand.get(&format!("{path}?query={encoded}&time={end}"), token).await,
            stand.get(&format!("{path}?query={encoded}"), token).await,
            stand.post(&path, token, &format!("query={encoded}&time={end}")).await,
            stand.get(&format!("{path}/api/v1/query?query={encoded}&time={end}"), token).await,
            stand.get(&format!("{path}?query={encoded}&{range}"), token).await,
            stand.get(&format!("{path}/api/v1/query-range?query={encoded}&{range}"), token).await,
            stand.post(&format!("{path}/api/v1/query_range"), token, &format!("query={encoded}&{range}")).await,
        ];
        for (at, answer) in answers.iter().enumerate() {
            let values = values(answer);
            assert_eq!(values.len(), if at < 4 { 1 } else { 3 }, "{}", answer.body);
            for v in values {
                assert!((v - expect).abs() < 1e-9, "{query}: {v} is not {expect}");
            }
        }
        let pt = query.replace("}[", r#", service_tier="pt"}["#);
        let pt = utf8_percent_encode(&pt, NON_ALPHANUMERIC).to_string();
        assert_eq!(values(&stand.get(&format!("{path}?query={pt}&time={end}"), token).await).len(), 1, "one tier");
    }
}

/// An agent sends batches of up to half a megabyte, and its machine's name in a header that says nothing about access.
#[tokio::test(flavor = "multi_thread")]
async fn an_agents_batches_are_taken_for_the_tokens_project_whatever_its_header_says() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let names: Vec<String> = (0..8000).map(|n| format!("disk-{n:032}")).collect();
    let labels: Vec<[(&str, &str); 2]> =
        names.iter().map(|name| [("device", name.as_str()), ("vm_id", "vm-1")]).collect();
    let samples = [(now, 1.0)];
    let series: Vec<Series<'_>> =
        labels.iter().map(|labels| ("crusoe_vm_disk_reads_total", labels.as_slice(), samples.as_slice())).collect();
    let request = stand.request("POST", &format!("{}/api/v1/write", base("acme")), &stand.tokens.acme);
    let headers = [
        ("content-encoding", "snappy"),
        ("content-type", "application/x-protobuf"),
        ("x-prometheus-remote-write-version", "0.1.0"),
        ("x-scope-orgid", "cri:vm/other"),
        ("user-agent", "Vector/0.45.0"),
    ];
    let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = Answer::of(request.body(body(&series))).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    let query = "count%20by%20(vm_id)%20(crusoe_vm_disk_reads_total)";
    let counted = stand.get(&format!("{}?query={query}", base("acme")), &stand.tokens.acme).await.lines();
    assert!(counted.len() == 1 && counted[0].starts_with("{vm_id=\"vm-1\"} 8000@"), "{counted:?}");
    let other = stand.get(&format!("{}?query={query}", base("other")), &stand.tokens.other).await.lines();
    assert_eq!(other, [""; 0], "a header is no project");
}

#[tokio::test(flavor = "multi_thread")]
async fn grafanas_data_source_works_on_the_path() {
    let stand = Stand::start().await;
    fill(&stand, server::now_ms()).await;
    let (path, token) = (base("acme"), &stand.tokens.acme);
    for (ask, expect) in [
        ("/api/v1/query?query=1%2B1&time=4", "\"2\""),
        ("/api/v1/status/buildinfo", "\"version\""),
        ("/api/v1/labels", "service_tier"),
        ("/api/v1/label/model_name/values", MODEL),
        ("/api/v1/label/__name__/values?match[]=crusoe_inference_request_count", "crusoe_inference_request_count"),
        ("/api/v1/series?match[]=crusoe_inference_request_count", "on_demand"),
        ("/api/v1/metadata", "{"),
        ("/api/v1/rules", "groups"),
    ] {
        let answer = stand.get(&format!("{path}{ask}"), token).await;
        assert_eq!(answer.status, 200, "{ask}: {}", answer.body);
        assert!(answer.body.contains(expect), "{ask}: {}", answer.body);
    }
    assert_eq!(stand.get(&path, token).await.status, 200, "the URL itself");
    stand.get(&format!("{path}?query=up"), "").await.refused(401, "unauthorized", "monitoring token");
    stand.get(&format!("{path}?query=up"), &stand.tokens.other).await.refused(403, "forbidden", "does not give access");
}
