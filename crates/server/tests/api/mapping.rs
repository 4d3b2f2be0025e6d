//! What an engine sends is also there under the names that clouds' users type.

use std::sync::Arc;

use control::Endpoint;
use model::{Histogram, ProjectId, SampleValue};
use server::Mapping;
use wire::remote_write::{SeriesContent, WriteRequestEncoder, encode_labels};

use crate::answer::Answer;
use crate::stand::{Series, Stand, base};

/// Two scrapes of a vLLM replica, a minute apart.
async fn write(stand: &Stand, token: &str, now: i64, extra: &[Series<'_>]) -> Answer {
    let counter = [(now - 60_000, 100.0), (now, 160.0)];
    let half = [(now - 60_000, 10.0), (now, 40.0)];
    let all = [(now - 60_000, 20.0), (now, 80.0)];
    let replica = [("model_name", "m"), ("pod", "chat-fq7-hs"), ("engine", "0")];
    let with = |label: (&'static str, &'static str)| [replica[0], replica[1], replica[2], label];
    let (stop, low, high) = (with(("finished_reason", "stop")), with(("le", "0.5")), with(("le", "+Inf")));
    let mut series: Vec<Series<'_>> = vec![
        ("vllm:request_success_total", &stop, &counter),
        ("vllm:prompt_tokens_total", &replica, &counter),
        ("vllm:time_to_first_token_seconds_bucket", &low, &half),
        ("vllm:time_to_first_token_seconds_bucket", &high, &all),
    ];
    series.extend(extra);
    stand.write(token, &series).await
}

async fn ask(stand: &Stand, query: &str) -> Vec<String> {
    let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
    let answer = stand.get(&format!("{}?query={query}", base("acme")), &stand.tokens.acme).await;
    answer.lines().into_iter().map(|line| line.split('@').next().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn crusoes_queries_work_over_what_an_engine_sends() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    for _ in 0..2 {
        let answer = write(&stand, &stand.tokens.acme, now, &[]).await;
        assert_eq!(answer.status, 204, "the same again is a success: {}", answer.body);
    }
    for (query, expect) in [
        (
            r#"sum by (model_name) (rate(crusoe_inference_input_token_count{project_id="acme", model_name="m"}[300s]))"#,
            r#"{model_name="m"}"#,
        ),
        (
            r#"histogram_quantile(0.5, sum by (model_name, le) (irate(crusoe_inference_histogram_first_token_latency_bucket{project_id="acme", model_name="m"}[300s])))"#,
            r#"{model_name="m"} 0.5"#,
        ),
        ("sum by (service_tier) (crusoe_inference_request_count)", r#"{service_tier="on_demand"} 160"#),
        (
            "inference_prompt_tokens_total",
            r#"inference_prompt_tokens_total{engine="0", model_name="m", pod="chat-fq7-hs"} 160"#,
        ),
    ] {
        let found = ask(&stand, query).await;
        assert!(found.len() == 1 && found[0].starts_with(expect), "{query}: {found:?}");
    }
    let answer = stand.get("/api/v1/metadata?metric=crusoe_inference_input_token_count", &stand.tokens.acme).await;
    assert_eq!(answer.data()["crusoe_inference_input_token_count"][0]["type"], "counter");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_crusoes_families_gets_no_second_ones() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let own: [Series<'_>; 1] = [("crusoe_inference_request_count", &[("model_name", "m")], &[(now, 7.0)])];
    assert_eq!(stand.write(&stand.tokens.acme, &own).await.status, 204);
    assert_eq!(write(&stand, &stand.tokens.acme, now, &own).await.status, 204);
    assert_eq!(
        ask(&stand, "crusoe_inference_request_count").await,
        [r#"crusoe_inference_request_count{model_name="m"} 7"#]
    );
    assert_eq!(ask(&stand, "count(crusoe_inference_input_token_count)").await, ["{} 1"], "others are still copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn series_of_a_registered_endpoint_say_so() {
    let stand = Stand::start().await;
    let control = server::open_control(stand.data_dir()).unwrap();
    let project = ProjectId::parse("acme").unwrap();
    let endpoint = Endpoint { tier: Some("pt".to_owned()), ..Endpoint::new(project, "ep_1", "acme", "chat") };
    control.set_endpoint(&endpoint).unwrap();
    let begun = std::time::Instant::now();
    while stand.get("/v2/endpoint/acme/chat/open-metrics", &stand.tokens.acme).await.status != 200 {
        assert!(begun.elapsed().as_secs() < 10);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    write(&stand, &stand.tokens.acme, server::now_ms(), &[]).await;
    for (query, expect) in [
        (
            "count by (endpoint_id, endpoint, replica_id, service_tier) (crusoe_inference_request_count)",
            r#"{endpoint="chat", endpoint_id="ep_1", replica_id="fq7-hs", service_tier="pt"} 1"#,
        ),
        ("count by (endpoint_id) ({__name__=~\"vllm:.*\"})", r#"{endpoint_id="ep_1"} 4"#),
    ] {
        assert_eq!(ask(&stand, query).await, [expect], "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_mapping_series_are_what_was_sent() {
    let stand = Stand::start_with(|config| config.mapping = Arc::new(Mapping::off())).await;
    write(&stand, &stand.tokens.acme, server::now_ms(), &[]).await;
    assert_eq!(ask(&stand, "count({__name__!=\"\"})").await, ["{} 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn native_histograms_are_copied_in_their_unit() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let values: Vec<_> = [(now - 60_000, 4.0), (now, 10.0)]
        .map(|(t, n)| {
            let histogram = Histogram { zero_threshold: 0.001, zero_count: n, count: n, ..Histogram::default() };
            (t, SampleValue::Histogram(Arc::new(histogram)))
        })
        .into();
    let mut encoder = WriteRequestEncoder::new();
    for name in ["vllm:time_to_first_token_seconds", "nv_inference_first_response_histogram_ms"] {
        let content = SeriesContent { values: &values, ..SeriesContent::default() };
        encoder.push_content(&encode_labels([("__name__", name), ("replica_id", name)]), &content);
    }
    let body = encoder.finish_compressed().unwrap();
    let answer = stand.write_body("/api/v1/write", &stand.tokens.acme, body).await;
    assert_eq!(answer.status, 204, "{}", answer.body);
    // The one in milliseconds has no copy.
    for name in ["crusoe_inference_histogram_first_token_latency", "inference_time_to_first_token_seconds"] {
        let found = ask(&stand, &format!("sum by (replica_id) (histogram_count({name}))")).await;
        assert_eq!(found, [r#"{replica_id="vllm:time_to_first_token_seconds"} 10"#], "{name}");
    }
}
