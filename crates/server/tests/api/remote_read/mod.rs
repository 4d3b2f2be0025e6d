//! Remote read: the same content by both kinds of answers, scoped, bounded, and broken off rather than cut short.

#![expect(clippy::cast_precision_loss, reason = "counts of tests are small")]

pub(crate) mod client;

use client::{CHUNKS, Content, SAMPLES, assert_same, question, read};
use model::{Labels, SampleValue, TimeRange};

use crate::answer::Answer;
use crate::bounds::all_came_back;
use crate::stand::{Stand, base};

const PATH: &str = "/api/v1/read";

/// What the stand's acme project has of `m`: 500 samples in two blocks' worth of time, late ones among them.
async fn fill(stand: &Stand, now: i64) -> Content {
    let times: Vec<i64> = (0..500).map(|i| now - 500 * 15_000 + i * 15_000).collect();
    let value = |t: i64| (t % 1000) as f64;
    let (late, in_order): (Vec<i64>, Vec<i64>) = times.iter().partition(|t| *t % 7 == 0);
    let mut content = Content::new();
    for job in ["a", "b"] {
        for part in [&in_order, &late] {
            let samples: Vec<_> = part.iter().map(|t| (*t, value(*t))).collect();
            let answer = stand.write(&stand.tokens.acme, &[("m", &[("job", job)], &samples)]).await;
            assert_eq!(answer.status, 204, "{}", answer.body);
        }
        let labels = Labels::from_pairs([("__name__", "m"), ("job", job), ("project_id", "acme")]);
        content.insert(labels, times.iter().map(|t| (*t, SampleValue::Float(value(*t)))).collect());
    }
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn both_answers_hold_everything_from_head_and_blocks() {
    let stand = Stand::start().await;
    let (t, now) = (&stand.tokens, server::now_ms() / 1000 * 1000);
    let expected = fill(&stand, now).await;
    for when in ["in the head", "half in blocks", "in blocks"] {
        for answer in [SAMPLES, CHUNKS] {
            let got = read(&stand, PATH, &t.acme, "m", answer).await;
            assert_same(&got, &expected, when);
            assert_same(&read(&stand, PATH, &t.other, "m", answer).await, &Content::new(), "another project");
            let narrowed = read(&stand, &format!("{}{PATH}", base("acme")), &t.operator, ".+", answer).await;
            assert_same(&narrowed, &expected, "an operator on the project's path");
            assert_eq!(read(&stand, PATH, &t.operator, "n|m", answer).await.len(), 2, "an operator sees all");
        }
        if when == "in the head" {
            let flush = stand.request("POST", "/api/v1/admin/tsdb/flush", &t.operator);
            assert_eq!(Answer::of(flush).await.status, 204);
            let again = [("m", &[("job", "a")][..], &[(now - 15_000, ((now - 15_000) % 1000) as f64)][..])];
            assert_eq!(stand.write(&t.acme, &again).await.status, 204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_known_kind_of_answer_is_given() {
    let stand = Stand::start().await;
    let everything = TimeRange { mint: 0, maxt: i64::MAX };
    let streamed = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";
    for (answers, expect) in [
        (&[][..], "application/x-protobuf"),
        (&[SAMPLES], "application/x-protobuf"),
        (&[CHUNKS], streamed),
        (&[CHUNKS, SAMPLES], streamed),
        (&[SAMPLES, CHUNKS], "application/x-protobuf"),
        (&[7, CHUNKS], streamed),
    ] {
        let request = stand.request("POST", PATH, &stand.tokens.acme).header("accept-encoding", "gzip");
        let response = request.body(question("m", everything, answers)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], expect, "{answers:?}");
        assert_ne!(response.headers().get("content-encoding").map(|value| value.as_bytes()), Some(&b"gzip"[..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused() {
    let stand = Stand::start().await;
    let everything = TimeRange { mint: 0, maxt: i64::MAX };
    let good = question("m", everything, &[SAMPLES]);
    for (what, body, encoding, status) in [
        ("not compressed", b"\x0a\x00".to_vec(), "snappy", 400),
        ("nothing", vec![], "snappy", 400),
        ("gzip", good.clone(), "gzip", 415),
        ("a pattern that does not compile", question("(", everything, &[SAMPLES]), "snappy", 400),
        ("no known kind of answer", question("m", everything, &[9]), "snappy", 400),
        ("bomb", wire::remote_write::compress(&vec![0; 2 << 20]).unwrap(), "snappy", 413),
        ("large", vec![0; (1 << 20) + 1], "snappy", 413),
    ] {
        let request = stand.request("POST", PATH, &stand.tokens.acme).header("content-encoding", encoding);
        let answer = Answer::of(request.body(body)).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
    }
    assert_eq!(Answer::of(stand.request("GET", PATH, &stand.tokens.acme)).await.status, 405);
    let write_only = stand.request("POST", PATH, &stand.tokens.acme_write_only).body(good);
    assert_eq!(Answer::of(write_only).await.status, 403);
}

/// A clean end would say that this is all there is.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_go_on_is_broken_off() {
    let few_samples = |config: &mut server::Config| config.limits.query_samples_max = 150_000;
    let stand = Stand::start_with(few_samples).await;
    let now = server::now_ms() / 1000 * 1000;
    // Values that do not compress, so that the first frames are on their way before the bound is reached.
    let value = |i: i64| f64::from_bits((i.wrapping_mul(0x5851_f42d_4c95_7f2d).cast_unsigned() >> 2) | 1);
    for series in 0..4 {
        let samples: Vec<_> = (0..50_000).map(|i| (now - 50_000 + i, value(i + series))).collect();
        let name = format!("m{series}");
        assert_eq!(stand.write(&stand.tokens.acme, &[(&name, &[], &samples)]).await.status, 204);
    }
    let everything = TimeRange { mint: 0, maxt: i64::MAX };
    let ask = async |answer| {
        let request = stand.request("POST", PATH, &stand.tokens.acme);
        request.body(question("m.*", everything, &[answer])).send().await.unwrap()
    };
    let response = ask(CHUNKS).await;
    assert_eq!(response.status(), 200, "it had begun");
    assert!(response.bytes().await.is_err(), "and did not end well");
    assert_eq!(ask(SAMPLES).await.status(), 422, "a message is whole or none");
    all_came_back(&stand).await;
}

/// Whoever leaves stops the work: the turn and the memory come back though nobody reads on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_frees_its_turn() {
    let stand = Stand::start_with(|config| config.limits.queries_max = 1).await;
    let now = server::now_ms() / 1000 * 1000;
    let value = |i: i64| f64::from_bits((i.wrapping_mul(0x5851_f42d_4c95_7f2d).cast_unsigned() >> 2) | 1);
    for series in 0..8 {
        let samples: Vec<_> = (0..100_000).map(|i| (now - 100_000 + i, value(i + series))).collect();
        let name = format!("m{series}");
        assert_eq!(stand.write(&stand.tokens.acme, &[(&name, &[], &samples)]).await.status, 204);
    }
    let everything = TimeRange { mint: 0, maxt: i64::MAX };
    let request = stand.request("POST", PATH, &stand.tokens.acme).body(question("m.*", everything, &[CHUNKS]));
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    assert_eq!(stand.get("/api/v1/query?query=1", &stand.tokens.acme).await.status, 200);
}
