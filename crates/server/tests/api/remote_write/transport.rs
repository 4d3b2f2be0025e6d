//! Around the cases: what kind of body, how large, from whom, how often, and what the headers say each time.

use axum::body::Body;
use axum::http::Request;
use model::MetricKind;
use server::{Config, Server};
use tower::ServiceExt;
use wire::remote_write::compress;

use super::case::{send, written};
use super::protobuf::Proto;
use super::sent::{Sent, Version, named};
use crate::answer::Answer;
use crate::stand::{Stand, base};

const V2: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
const NOTHING_WRITTEN: Option<[usize; 3]> = Some([0, 0, 0]);

/// A request with these headers; an empty one is left out.
async fn post(stand: &Stand, content_type: &str, encoding: &str, body: Vec<u8>) -> Answer {
    let mut request = stand.request("POST", "/api/v1/write", &stand.tokens.acme);
    for (name, value) in [("content-type", content_type), ("content-encoding", encoding)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    Answer::of(request.header("x-prometheus-remote-write-version", "7.7.7").body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_type_alone_decides_the_message() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let body = |version: Version| version.body(&[named("m").sample(now, 1.0)]);
    let (one, two) = (Some(Version::V1), Some(Version::V2));
    let cases: [(&str, &str, Option<Version>); 15] = [
        ("application/x-protobuf", "snappy", one),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", one),
        ("", "", one),
        (V2, "snappy", two),
        (V2, "", two),
        ("Application/X-Protobuf ; PROTO=\"io.prometheus.write.v2.Request\"", "Snappy", two),
        ("application/x-protobuf;proto=io.prometheus.write.v3.Request", "snappy", None),
        ("application/json", "snappy", None),
        ("image/png", "snappy", None),
        ("text/plain", "", None),
        (V2, "gzip", None),
        (V2, "deflate", None),
        (V2, "zstd", None),
        ("application/x-protobuf", "identity", None),
        ("application/x-protobuf", "snappy, gzip", None),
    ];
    for (content_type, encoding, version) in cases {
        let answer = post(&stand, content_type, encoding, body(version.unwrap_or(Version::V2))).await;
        assert_eq!(
            answer.status,
            if version.is_some() { 204 } else { 415 },
            "{content_type:?} {encoding:?}: {}",
            answer.body
        );
        let counts = (version == two).then_some([1, 0, 0]);
        assert_eq!(written(&answer), counts, "{content_type:?} {encoding:?}");
    }
    let put = stand.request("PUT", "/api/v1/write", &stand.tokens.acme);
    let answer = Answer::of(put.body(body(Version::V1))).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_and_oversized_bodies_store_nothing() {
    let stand = Stand::start_with(|config| config.limits.write_bytes_max = 64 << 10).await;
    let now = server::now_ms();
    for (version, project) in [(Version::V1, "one"), (Version::V2, "two")] {
        let good = [named("m").sample(now, 1.0), named("n").sample(now, 2.0)];
        let message = version.message(&good);
        let body = version.body(&good);
        let edited = |at: usize, byte: u8| {
            let mut body = body.clone();
            body[at] = byte;
            body
        };
        let truncated = |len: usize| compress(&message[..len]).unwrap();
        let trailing = [&message[..], &[0xff]].concat();
        let bodies = [
            ("first byte 0", edited(0, b'0'), 400),
            ("first byte 0xff", edited(0, 0xff), 400),
            ("no body", vec![], 400),
            ("half a body", body[..body.len() / 2].to_vec(), 400),
            ("not compressed", message.clone(), 400),
            ("truncated message", truncated(message.len() - 1), 400),
            ("truncated in the middle", truncated(message.len() / 2 + 3), 400),
            ("trailing bytes", compress(&trailing).unwrap(), 400),
            ("bomb", compress(&vec![0; 1 << 20]).unwrap(), 413),
            ("bomb that only says so", vec![0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0], 413),
            ("large body", vec![0; (64 << 10) + 1], 413),
        ];
        for (name, body, status) in bodies {
            let answer = send(&stand, project, version, body).await;
            assert_eq!(answer.status, status, "{name} {version:?}: {}", answer.body);
            assert!(answer.body.len() <= 1024, "{name}: {}", answer.body);
            let counts = if version == Version::V2 { NOTHING_WRITTEN } else { None };
            assert_eq!(written(&answer), counts, "{name}");
        }
        let path = format!("{}/api/v1/series?match[]={{__name__!=''}}", base(project));
        let series = stand.get(&path, &stand.tokens.operator);
        assert_eq!(series.await.data(), serde_json::json!([]), "{version:?}");
    }
}

/// Messages of version 2 that no encoder makes: `symbols`, then one series for each list of label references.
fn symbols_request(symbols: &[&str], series: &[&[u64]], now: i64) -> Vec<u8> {
    let table = symbols.iter().fold(Proto::default(), |request, symbol| request.bytes(4, symbol));
    let sample = || Proto::default().double(1, 1.0).int64(2, now);
    let message = series.iter().fold(table, |request, references| {
        request.message(5, Proto::default().packed(1, references.iter().copied()).message(2, sample()))
    });
    compress(&message.0).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn references_to_symbols_are_never_trusted() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    let table = ["", "__name__", "good", "bad", "x"];
    let cases: [(&str, &[u64]); 4] = [
        ("beyond the table", &[1, 3, 4, 5]),
        ("far beyond the table", &[1, 3, 4, u64::MAX]),
        ("an odd number of them", &[1, 3, 4]),
        ("a name that is empty", &[1, 3, 0, 4]),
    ];
    for (at, (name, bad)) in cases.into_iter().enumerate() {
        let project = format!("symbols-{at}");
        let body = symbols_request(&table, &[&[1, 2], bad, &[1, 2, 4, 4]], now);
        let answer = send(&stand, &project, Version::V2, body).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.body);
        assert_eq!(written(&answer), Some([2, 0, 0]), "{name}: {}", answer.body);
        let query = format!("{}/api/v1/query?query=count by (__name__) ({{__name__!=''}})", base(&project));
        let lines = stand.get(&query, &stand.tokens.operator).await.lines();
        assert!(lines.len() == 1 && lines[0].starts_with("good 2@"), "{name}: {lines:?}");
    }
    // A description is part of its series: with a reference that leads nowhere the series is refused, and no other.
    for (name, field) in [("help", 3), ("unit", 4)] {
        let sample = Proto::default().double(1, 1.0).int64(2, now);
        let series = |name: u64, metadata: Proto| {
            Proto::default().packed(1, [1, name]).message(2, sample.clone()).message(5, metadata)
        };
        let table = table.iter().fold(Proto::default(), |request, symbol| request.bytes(4, symbol));
        let bad = series(3, Proto::default().varint(1, 2).varint(field, 5));
        let request = table.message(5, bad).message(5, series(2, Proto::default().varint(1, 2).varint(field, 4)));
        let project = format!("symbols-{name}");
        let answer = send(&stand, &project, Version::V2, compress(&request.0).unwrap()).await;
        assert_eq!((answer.status, written(&answer)), (400, Some([1, 0, 0])), "{name}: {}", answer.body);
        let metadata = stand.get(&format!("{}/api/v1/metadata", base(&project)), &stand.tokens.operator).await.data();
        assert_eq!(metadata["good"][0][name], "x", "{metadata}");
        assert!(metadata.get("bad").is_none(), "{metadata}");
    }
    let refused: [(&str, &[&str]); 2] = [("first symbol not empty", &["x", "__name__", "good"]), ("no symbols", &[])];
    for (name, symbols) in refused {
        let answer = send(&stand, "symbols-all", Version::V2, symbols_request(symbols, &[&[1, 2]], now)).await;
        assert_eq!((answer.status, written(&answer)), (400, NOTHING_WRITTEN), "{name}: {}", answer.body);
    }
    let twice = symbols_request(&["", "__name__", "good", "good"], &[&[1, 3]], now);
    let answer = send(&stand, "symbols-twice", Version::V2, twice).await;
    assert_eq!((answer.status, written(&answer)), (204, Some([1, 0, 0])), "a symbol may be there twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_series_than_a_project_may_have_ask_to_come_back() {
    let stand = Stand::start_with(|config| config.limits.series_per_project_max = 2).await;
    let now = server::now_ms();
    for version in Version::BOTH {
        let project = format!("limit-{}", version.name());
        let sent: Vec<Sent> = ["a", "b", "c"].map(|name| named(name).sample(now, 1.0)).to_vec();
        for _ in 0..2 {
            let answer = send(&stand, &project, version, version.body(&sent)).await;
            assert_eq!(answer.status, 429, "{}", answer.body);
            assert!(answer.body.contains("series_limit 1"), "{}", answer.body);
            assert_ne!(answer.header("retry-after"), "");
            assert_eq!(written(&answer), (version == Version::V2).then_some([2, 0, 0]), "{}", answer.body);
        }
        let other = send(&stand, &format!("{project}-other"), version, version.body(&sent[..2])).await;
        assert_eq!(other.status, 204, "a limit is each project's own: {}", other.body);
        let known = send(&stand, &project, version, version.body(&[named("a").sample(now + 1, 2.0)])).await;
        assert_eq!(known.status, 204, "what is there goes on: {}", known.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_log_is_replayed_writes_come_back_later() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config { insecure_no_auth: true, ..Config::new(dir.path(), "127.0.0.1:0".parse().unwrap()) };
    // Bound and not running: the first moment of a start.
    let router = Server::bind(config).await.unwrap().router();
    for (content_type, has_counts) in [("application/x-protobuf", false), (V2, true)] {
        let request = Request::post("/api/v1/write").header("content-type", content_type).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 503, "{content_type}");
        assert!(answer.headers().contains_key("retry-after"), "{content_type}");
        for kind in ["samples", "histograms", "exemplars"] {
            let count = answer.headers().get(format!("x-prometheus-remote-write-{kind}-written"));
            assert_eq!(count.map(|count| count.to_str().unwrap()), has_counts.then_some("0"), "{content_type} {kind}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_readers_write_nothing() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    for (token, status) in
        [("", 401), ("nonsense", 401), (&stand.tokens.expired, 401), (&stand.tokens.acme_read_only, 403)]
    {
        for version in Version::BOTH {
            let request = stand.request("POST", "/api/v1/write", token).header("content-type", version.content_type());
            let answer = Answer::of(request.body(version.body(&[named("m").sample(now, 1.0)]))).await;
            assert_eq!(answer.status, status, "{token:.9} {version:?}");
        }
    }
    let elsewhere = stand.request("POST", &format!("{}/api/v1/write", base("other")), &stand.tokens.acme);
    assert_eq!(Answer::of(elsewhere.body(Version::V1.body(&[]))).await.status, 403);
    let series = stand.get("/api/v1/series?match[]={__name__!=''}", &stand.tokens.operator).await;
    assert_eq!(series.data(), serde_json::json!([]));
}

/// The last one that describes a family is heard; a type of the future is one that is not known.
#[tokio::test(flavor = "multi_thread")]
async fn descriptions_are_the_last_ones_sent() {
    let stand = Stand::start().await;
    let now = server::now_ms();
    for version in Version::BOTH {
        let project = format!("metadata-{}", version.name());
        let get = async || {
            stand.get(&format!("{}/api/v1/metadata", base(&project)), &stand.tokens.operator).await.data()["m"].clone()
        };
        for (kind, help) in [(MetricKind::Gauge, "First."), (MetricKind::Counter, "Second.")] {
            let sent = [named("m").sample(now, 1.0).metadata(kind, help, "s")];
            assert_eq!(send(&stand, &project, version, version.body(&sent)).await.status, 204);
            assert_eq!(get().await, serde_json::json!([{"type": kind.as_str(), "help": help, "unit": "s"}]));
        }
        let unknown = match version {
            Version::V1 => Proto::default().message(3, Proto::default().varint(1, 99).bytes(2, "m").bytes(4, "Third.")),
            Version::V2 => ["", "__name__", "m", "Third."]
                .iter()
                .fold(Proto::default(), |r, s| r.bytes(4, s))
                .message(5, Proto::default().packed(1, [1, 2]).message(5, Proto::default().varint(1, 99).varint(3, 3))),
        };
        assert_eq!(send(&stand, &project, version, compress(&unknown.0).unwrap()).await.status, 204);
        assert_eq!(get().await, serde_json::json!([{"type": "unknown", "help": "Third.", "unit": ""}]), "{version:?}");
    }
}

/// Two agents push the same series, each its own times, in requests that overlap: all of it is there, and once.
#[tokio::test(flavor = "multi_thread")]
async fn two_writers_of_one_series_lose_nothing() {
    const ROUNDS: i64 = 40;
    let stand = Stand::start().await;
    let now = server::now_ms() / 1000 * 1000;
    let write = async |version: Version, offset: i64| {
        for round in 0..ROUNDS {
            let t = now - 2 * ROUNDS + 2 * round + offset;
            let sent = [named("m").sample(t, t as f64), named("both").sample(now - ROUNDS + round, 1.0)];
            let answer = send(&stand, "writers", version, version.body(&sent)).await;
            assert_eq!(answer.status, 204, "{version:?} {round}: {}", answer.body);
        }
    };
    tokio::join!(write(Version::V1, 0), write(Version::V2, 1));
    for (name, n) in [("m", 2 * ROUNDS), ("both", ROUNDS)] {
        let query = format!("/api/v1/query?query=count_over_time({name}[1h])&time={}", now / 1000 + 1);
        let lines = stand.get(&format!("{}{query}", base("writers")), &stand.tokens.operator).await.lines();
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("{{}} {n}@")), "{name}: {lines:?}");
    }
}
