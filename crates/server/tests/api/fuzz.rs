//! Malformed requests by the thousand, seeded: no panic, nothing answered 5xx.

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use model::{MetricKind, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tower::ServiceExt;
use wire::remote_write::compress;

use crate::remote_read::client as remote_read;
use crate::remote_write::compliance::{both_sides, custom};
use crate::remote_write::sent::{Version, named};
use crate::stand::Stand;

const REQUESTS: usize = 10_000;

async fn ask(stand: &Stand, request: Request<Body>) -> Response<Body> {
    stand.router.clone().oneshot(request).await.unwrap()
}

/// Damages `bytes` here and there.
fn mutate(bytes: &mut Vec<u8>, dictionary: &[&[u8]], rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..6) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..8)).min(bytes.len());
        match rng.random_range(0..6) {
            0 => drop(bytes.drain(at..end)),
            1 => bytes.insert(at, rng.random()),
            2 => bytes.truncate(at),
            3 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            4 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
            _ if !dictionary.is_empty() => {
                let word = dictionary[rng.random_range(0..dictionary.len())];
                bytes.splice(at..end, word.iter().copied());
            }
            _ => {}
        }
    }
}

/// Good requests to be damaged: path, content type and message, not compressed.
fn messages(now: i64) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let trace = [("trace_id", "1")];
    let sent = [
        named("m").label("job", "a").sample(now, 1.0).sample(now + 1, 2.0).start(now - 1000),
        named("n").label("\u{e9}", "\u{fc}").sample(now, 3.0).exemplar(&trace, now, 0.5),
        named("h").histogram(now, both_sides()).metadata(MetricKind::Histogram, "Help.", "s"),
        named("f").float_histogram(now, custom()).exemplar(&trace, now, 0.5),
    ];
    let mut question = Vec::new();
    let everything = TimeRange { mint: 0, maxt: i64::MAX };
    let compressed = remote_read::question("m|h", everything, &[remote_read::CHUNKS]);
    wire::remote_write::decompress(&compressed, &Default::default(), &mut question).unwrap();
    let write = |version: Version| ("/api/v1/write", version.content_type(), version.message(&sent));
    vec![write(Version::V1), write(Version::V2), ("/api/v1/read", "application/x-protobuf", question)]
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_messages() {
    let stand = Stand::start().await;
    let mut rng = StdRng::seed_from_u64(1);
    let messages = messages(server::now_ms());
    let varints: &[&[u8]] =
        &[b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80", b"\x0a", b"\x00", b"\x12\x80\x80\x80\x08"];
    for n in 0..REQUESTS {
        let (path, content_type, plain) = &messages[n % messages.len()];
        let body = if rng.random() {
            let mut message = plain.clone();
            mutate(&mut message, varints, &mut rng);
            compress(&message).unwrap()
        } else {
            let mut body = compress(plain).unwrap();
            mutate(&mut body, varints, &mut rng);
            body
        };
        let shown = format!("{path} {content_type} {body:02x?}");
        let request = Request::post(*path).header("authorization", format!("Bearer {}", stand.tokens.acme));
        let response = ask(&stand, request.header("content-type", *content_type).body(Body::from(body)).unwrap()).await;
        let status = response.status().as_u16();
        assert!(matches!(status, 200 | 204) || (400..500).contains(&status), "request {n}: {status}: {shown}");
        assert!(response.into_body().collect().await.is_ok(), "request {n} broke off: {shown}");
    }
}

const QUERIES: &[&str] = &[
    "up",
    "sum by (job) (rate(m{a=\"b\",c=~\"d.*|e\"}[5m] offset 1m)) / ignoring(x) group_left(y) n",
    "histogram_quantile(0.95, sum(rate(m_bucket[5m])) by (le)) > bool 0.5",
    "max_over_time(rate(m[1m])[10m:30s] @ end()) or vector(1) unless on() absent(m)",
    "label_replace(m, \"x\", \"$1-$2\", \"job\", \"(.)(.*)\") and topk(3, m) ^ -2 % 3",
    "quantile_over_time(0.5, {__name__=~\".+\"}[1h]) == count_values(\"v\", n) * on(job) m",
    "predict_linear(m[1h], 3600) - deriv(m[5m]) + time() * scalar(sum(m)) atan2 1e-7",
];

const WORDS: &[&[u8]] = &[
    b"(",
    b")",
    b"{",
    b"}",
    b"[",
    b"]",
    b"[5m]",
    b"[5m:]",
    b"[999y:1ms]",
    b"offset -1y",
    b"@ 1e300",
    b"@ start()",
    b"\"",
    b"'",
    b"`",
    b"\\",
    b"\\xff",
    b"\\u0000",
    b"=~\"(((a{100}){100}){100})\"",
    b"=~\"[\"",
    b"by",
    b"without (",
    b"group_right()",
    b"NaN",
    b"Inf",
    b"-",
    b"--",
    b"0x",
    b"1e999",
    b"99999999999999999999",
    b"1h30m",
    b"5ms5y",
    b"bool",
    b"\xff",
    b"\0",
    b"\r\n",
    b"#",
    b"==",
    b"and",
    b"sum",
    b"rate(",
    b"absent_over_time(",
    b"quantile(",
    b"sort_by_label(",
    b"\xe2\x98\x83",
    b",",
    b":",
];

/// Every route that reads and takes a form.
fn paths() -> Vec<String> {
    let reading = server::routes().filter(|route| {
        let takes_form = route.methods.contains(&"GET") && route.methods.contains(&"POST");
        takes_form && route.need == server::Need::Token(control::Action::Read)
    });
    let paths = reading.map(|route| route.path.replace("{name}", "job"));
    paths.chain(["/v1alpha5/projects/acme/metrics/timeseries".to_owned()]).collect()
}

const VALUES: &[&str] = &[
    "",
    "0",
    "1",
    "-1",
    "1e3",
    "NaN",
    "Inf",
    "-Inf",
    "1e308",
    "9223372036854775807",
    "-9223372036854775808",
    "1h",
    "5m0s",
    "1ms",
    "0.0001",
    "2026-01-02T03:04:05Z",
    "292277025-08-18T07:12:54.999999999Z",
    "-292273086-05-16T16:47:06Z",
    "x",
    "%00",
];

fn malformed_query(rng: &mut StdRng) -> String {
    let mut query = QUERIES[rng.random_range(0..QUERIES.len())].as_bytes().to_vec();
    mutate(&mut query, WORDS, rng);
    let query = percent_encoding::percent_encode(&query, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut form = format!("query={query}&match[]={query}");
    for name in ["time", "start", "end", "step", "timeout", "limit", "lookback_delta", "stats", "limit_per_metric"] {
        if rng.random_ratio(1, 3) {
            form.push_str(&format!("&{name}={}", VALUES[rng.random_range(0..VALUES.len())]));
        }
    }
    form
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_queries() {
    // A time-out is an honest 503 that only a heavy query earns: sample and byte budgets end those first.
    let stand = Stand::start_with(|config| {
        config.limits.query_samples_max = 100_000;
        config.limits.query_bytes_max = 4 << 20;
    })
    .await;
    let mut rng = StdRng::seed_from_u64(2);
    let now = server::now_ms();
    for name in ["m", "n", "m_bucket"] {
        let series: Vec<_> = (0..10_i32).map(|i| (now - i64::from(i) * 30_000, f64::from(i))).rev().collect();
        assert_eq!(stand.write(&stand.tokens.acme, &[(name, &[("job", "a"), ("le", "1")], &series)]).await.status, 204);
    }
    let (mut answered, paths) = (0, paths());
    for n in 0..REQUESTS {
        let form = malformed_query(&mut rng);
        let path = &paths[rng.random_range(0..paths.len())];
        let request = Request::post(path).header("authorization", format!("Bearer {}", stand.tokens.acme));
        let response = ask(&stand, request.body(Body::from(form.clone())).unwrap()).await;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        // Whoever asks for a millisecond may be told that it is over.
        let is_honest = status == 503 && form.contains("&timeout=");
        let is_answered = status == 200 || (400..500).contains(&status) || is_honest;
        assert!(is_answered, "request {n}: {status} {body:?}: {path} {form}");
        answered += usize::from(status == 200);
    }
    assert!(answered > REQUESTS / 100, "only {answered} of the mutants are queries: the seeds are too far off");
}
