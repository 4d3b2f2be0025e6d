//! Writing: what is stored comes back, what is refused is told, and nothing good is lost.

use model::{Metadata, MetricKind, STALE_NAN};
use wire::remote_write::WriteRequestEncoder;

use crate::answer::Answer;
use crate::stand::Stand;

#[tokio::test(flavor = "multi_thread")]
async fn samples_come_back_as_written() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let t = server::now_ms() / 1000 * 1000 - 60_000;
    let values = [1.0, -0.0, 0.1, 1e-7, 1e21, f64::INFINITY, f64::NAN, 4.0];
    let samples: Vec<_> = (0..).zip(values).map(|(i, v)| (t + i * 1000, v)).collect();
    let answer = stand.write(token, &[("m", &[("a", "x\n\"y\\ \u{1F600}"), ("dotted.name", "v")], &samples)]).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let range = format!("/api/v1/query?query=m[1h]&time={}", t / 1000 + 60);
    let result = &stand.get(&range, token).await.data()["result"][0];
    assert_eq!(result["metric"]["a"], "x\n\"y\\ \u{1F600}");
    assert_eq!(result["metric"]["dotted.name"], "v");
    let texts: Vec<_> = result["values"].as_array().unwrap().iter().map(|pair| pair[1].as_str().unwrap()).collect();
    assert_eq!(texts, ["1", "-0", "0.1", "1e-07", "1e+21", "+Inf", "NaN", "4"]);
    assert_eq!(result["values"][1][0], serde_json::json!(t / 1000 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn sending_again_is_success_and_late_samples_are_taken() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let now = server::now_ms();
    for samples in [&[(now, 1.0)][..], &[(now, 1.0)], &[(now - 3_600_000, 7.0)], &[(now - 3_600_000, 7.0)]] {
        assert_eq!(stand.write(token, &[("m", &[], samples)]).await.status, 204);
    }
    let answer = stand.get("/api/v1/query?query=sum_over_time(m[2h])", token).await;
    assert!(answer.lines()[0].starts_with("{} 8@"), "{:?}", answer.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn staleness_markers_end_series() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let now = server::now_ms();
    let series = [("m", &[][..], &[(now - 2000, 1.0), (now - 1000, STALE_NAN)][..]), ("n", &[], &[(now, 1.0)])];
    assert_eq!(stand.write(token, &series).await.status, 204);
    let answer = stand.get("/api/v1/query?query={__name__=~\"m|n\"}", token).await;
    assert_eq!(answer.data()["result"].as_array().unwrap().len(), 1, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_name_reason_series_and_time_and_the_rest_is_stored() {
    let stand = Stand::start().await;
    let token = &stand.tokens.acme;
    let now = server::now_ms();
    assert_eq!(stand.write(token, &[("m", &[("i", "conflict")], &[(now, 1.0)])]).await.status, 204);
    let future = now + 3_600_000;
    let old = now - 30 * 3_600_000;
    let long = "x".repeat(3000);
    let answer = stand
        .write(
            token,
            &[
                ("m", &[("i", "good")], &[(now, 5.0)]),
                ("m", &[("i", "future\n\x1b[31m")], &[(future, 1.0)]),
                ("m", &[("i", "conflict")], &[(old, 1.0), (now, 2.0)]),
                ("", &[("i", "nameless")], &[(now, 1.0), (now + 1, 1.0)]),
                ("m", &[("long", &long)], &[(future, 1.0)]),
                ("m", &[("i", "also good")], &[(now, 6.0)]),
            ],
        )
        .await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert!(answer.body.len() <= 1024, "{} bytes: senders log the first KiB", answer.body.len());
    assert!(!answer.body.contains('\x1b'), "control characters are made visible: {:?}", answer.body);
    let expects = [
        "refused 6 of 8 samples",
        "too_far_in_future 2",
        "too_old 1",
        "duplicate_conflict 1",
        "invalid_labels 2",
        "no metric name",
        "nameless",
        &future.to_string(),
        &old.to_string(),
        "m{i=\"future",
    ];
    for expect in expects {
        assert!(answer.body.contains(expect), "{expect} is not in {}", answer.body);
    }
    for (name, _) in &answer.headers {
        assert!(!name.as_str().starts_with("x-prometheus-remote-write"), "{name} makes version 1 senders stumble");
    }
    let stored = stand.get("/api/v1/query?query=sum by (i) (m)", token).await.data()["result"].to_string();
    assert!(stored.contains("also good") && stored.contains("\"5\"") && stored.contains("\"6\""), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_is_listed_per_project() {
    let stand = Stand::start().await;
    let mut encoder = WriteRequestEncoder::new();
    for (name, kind) in [("a", MetricKind::Counter), ("b", MetricKind::Gauge)] {
        encoder.push_metadata(name, &Metadata { kind, help: format!("Help of {name}."), unit: "s".into() });
    }
    let body = encoder.finish_compressed().unwrap();
    assert_eq!(stand.write_body("/api/v1/push", &stand.tokens.acme, body).await.status, 204);
    let acme = &stand.tokens.acme;
    let a = serde_json::json!([{"type": "counter", "help": "Help of a.", "unit": "s"}]);
    let b = serde_json::json!([{"type": "gauge", "help": "Help of b.", "unit": "s"}]);
    for (path, expect) in [
        ("/api/v1/metadata", serde_json::json!({"a": a, "b": b})),
        ("/api/v1/metadata?limit=0", serde_json::json!({"a": a, "b": b})),
        ("/api/v1/metadata?limit=1", serde_json::json!({"a": a})),
        ("/api/v1/metadata?metric=b", serde_json::json!({"b": b})),
        ("/api/v1/metadata?metric=c", serde_json::json!({})),
    ] {
        assert_eq!(stand.get(path, acme).await.data(), expect, "{path}");
        assert_eq!(stand.get(path, &stand.tokens.other).await.data(), serde_json::json!({}), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_in_progress_ask_to_come_back() {
    let stand = Stand::start_with(|config| config.limits.writes_bytes_max = 1 << 20).await;
    let request = stand.request("POST", "/api/v1/write", &stand.tokens.acme);
    let answer = Answer::of(request.body(vec![0; (1 << 20) + 1])).await;
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed_and_reopened_data_is_still_there() {
    let stand = Stand::start().await;
    let (acme, now) = (&stand.tokens.acme, server::now_ms());
    assert_eq!(stand.write(acme, &[("m", &[("a", "b")], &[(now, 42.0)])]).await.status, 204);
    let flush = |token| Answer::of(stand.request("POST", "/api/v1/admin/tsdb/flush", token));
    assert_eq!(flush(acme).await.status, 403);
    assert_eq!(flush(&stand.tokens.operator).await.status, 204);
    assert_eq!(stand.get("/api/v1/query?query=m", acme).await.lines().len(), 1);
    let blocks = std::fs::read_dir(stand.data_dir()).unwrap().flatten();
    let blocks = blocks.filter(|entry| entry.path().join("meta.json").exists()).count();
    assert_eq!(blocks, 1);
}
