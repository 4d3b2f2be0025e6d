//! What bounds queries: bytes named in refusals, answers in pieces, a list of those in progress and an end to them.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::stand::{Stand, base};

/// Far beyond what any of these takes; a hang fails instead of blocking the suite.
const PATIENCE: Duration = Duration::from_secs(20);
/// Minutes of work, were it not ended.
const LONG: &str = "sum_over_time(sum_over_time(vector(1)[1000h:1m])[1000h:1m])";

/// A stand with `m` of so many series, each with a value at each of the last ten seconds.
async fn with_series(n: usize, change: impl FnOnce(&mut server::Config)) -> (Stand, i64) {
    let stand = Stand::start_with(change).await;
    let now = server::now_ms() / 1000 * 1000;
    let names: Vec<String> = (0..n).map(|i| format!("value-{i:05}")).collect();
    let labels: Vec<_> = names.iter().map(|name| [("l", name.as_str())]).collect();
    let samples: Vec<_> = (0..10_i32).map(|i| (now - 10_000 + 1000 * i64::from(i), f64::from(i) / 3.0)).collect();
    let series: Vec<_> = labels.iter().map(|labels| ("m", &labels[..], &samples[..])).collect();
    for part in series.chunks(5000) {
        assert_eq!(stand.write(&stand.tokens.acme, part).await.status, 204);
    }
    (stand, now / 1000)
}

/// Waits until no query holds memory any more: the last pieces of an answer are let go after its client has them.
pub(crate) async fn all_came_back(stand: &Stand) {
    let waiting = async {
        while !stand.get("/metrics", &stand.tokens.operator).await.body.contains("promenade_query_memory_bytes 0\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("all memory comes back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_needs_too_much_memory_is_told_how_much_there_is() {
    let (stand, now) = with_series(2000, |config| config.limits.query_bytes_max = 1 << 20).await;
    for path in [
        format!("query?query=m&time={now}"),
        format!("query_range?query=m%2B1&start={}&end={now}&step=1", now - 10),
        format!("query?query=label_replace(m,\"x\",\"$1\",\"l\",\"(.*)\")&time={now}"),
        "series?match[]=m".to_owned(),
        "label/l/values".to_owned(),
    ] {
        let answer = stand.get(&format!("/api/v1/{}", path.replace('"', "%22")), &stand.tokens.acme).await;
        if path.starts_with("query") {
            answer.refused(422, "execution", "more than its 1048576 bytes");
        } else {
            assert_eq!(answer.status, 200, "lists are small: {}", answer.body);
        }
    }
    all_came_back(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_together_stay_inside_the_pool() {
    let pool = |config: &mut server::Config| config.limits.queries_bytes_max = 1 << 20;
    let (stand, now) = with_series(2000, pool).await;
    let answer = stand.get(&format!("/api/v1/query?query=m&time={now}"), &stand.tokens.acme).await;
    answer.refused(422, "execution", "whole pool of 917504 bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_as_large_as_allowed_and_no_larger() {
    let size = |stand: &Stand| {
        let path = "/api/v1/label/l/values".to_owned();
        (path.clone(), stand.request("GET", &path, &stand.tokens.acme))
    };
    let (stand, now) = with_series(5000, |config| config.limits.answer_bytes_max = 64 << 10).await;
    let (_, request) = size(&stand);
    Answer::of(request).await.refused(422, "execution", "answer is larger than its limit of 65536 bytes");
    for query in ["query?query=m", "series?match[]=m", "search/label_values?label=l&limit=5000"] {
        let path = format!("/api/v1/{query}&time={now}");
        stand.get(&path, &stand.tokens.acme).await.refused(422, "execution", "answer is larger than its limit");
    }
    // What only seems to be too large is measured.
    let fits = stand.get("/api/v1/label/l/values?limit=4000", &stand.tokens.acme).await;
    assert_eq!(fits.data().as_array().unwrap().len(), 4000);
    assert!(fits.body.len() <= 64 << 10 && 6 * fits.body.len() > 64 << 10, "{}", fits.body.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_comes_in_pieces_and_is_whole() {
    let (stand, now) = with_series(20_000, |_| {}).await;
    let path = format!("/api/v1/query_range?query=m&start={}&end={now}&step=1", now - 20);
    for encoding in ["identity", "gzip"] {
        let request = stand.request("GET", &path, &stand.tokens.acme).header("accept-encoding", encoding);
        let answer = Answer::of(request).await;
        assert_eq!(answer.header("content-length"), "", "its length is not known when it begins");
        assert_eq!(answer.data()["result"].as_array().unwrap().len(), 20_000);
    }
    let short = stand.get(&format!("/api/v1/query?query=count(m)&time={now}"), &stand.tokens.acme).await;
    assert_eq!(short.header("content-length"), short.body.len().to_string());
    all_came_back(&stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let stall = |config: &mut server::Config| config.limits.stall_timeout = Duration::from_millis(100);
    let (stand, now) = with_series(20_000, stall).await;
    let mut stream = TcpStream::connect(stand.url.strip_prefix("http://").unwrap()).await.unwrap();
    let ask = format!("/api/v1/query_range?query=m&start={}&end={now}&step=1", now - 20);
    let head = format!("GET {ask} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", stand.tokens.acme);
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    // The rest, some 8 MB, is more than the sockets hold; nobody reads it.
    all_came_back(&stand).await;
    drop(stream);
}

/// Waits until so many queries are listed for `token`, and returns them.
async fn listed(stand: &Stand, token: &str, n: usize) -> Vec<serde_json::Value> {
    let listing = async {
        loop {
            let queries = stand.get("/api/v1/status/queries", token).await.data()["queries"].clone();
            let queries = queries.as_array().unwrap().clone();
            if queries.len() == n {
                return queries;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, listing).await.expect("so many queries are in progress")
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_in_progress_are_shown_to_their_owners_and_can_be_ended() {
    let stand = Stand::start_with(|config| config.limits.queries_max = 2).await;
    let t = &stand.tokens;
    let path = format!("/api/v1/query?query={LONG}");
    let ask = || tokio::spawn(stand.request("GET", &path, &t.acme).send());
    let first = ask();
    listed(&stand, &t.acme, 1).await;
    let second = ask();
    let own = listed(&stand, &t.acme, 2).await;
    assert_eq!((&own[0]["query"], &own[0]["what"]), (&json!(LONG), &json!("query")));
    assert_eq!((&own[0]["state"], &own[1]["state"]), (&json!("running"), &json!("waiting")), "half of two turns");
    assert_eq!(own[0]["project"], "acme");
    assert!(own[0]["seconds"].as_f64().unwrap() >= own[1]["seconds"].as_f64().unwrap());
    assert_eq!(listed(&stand, &t.operator, 2).await[0]["id"], own[0]["id"], "an operator sees everybody's");
    let narrowed = stand.get(&format!("{}/api/v1/status/queries", base("other")), &t.operator).await;
    assert_eq!(narrowed.data(), json!({"queries": []}));
    assert_eq!(stand.get("/api/v1/status/queries", &t.other).await.data(), json!({"queries": []}));

    let end =
        |id: &str, token: &str| Answer::of(stand.request("DELETE", &format!("/api/v1/status/queries/{id}"), token));
    let ids: Vec<&str> = own.iter().map(|query| query["id"].as_str().unwrap()).collect();
    end(ids[0], &t.other).await.refused(404, "not_found", "no query");
    end("99999", &t.acme).await.refused(404, "not_found", "no query 99999 is in progress");
    end("x", &t.acme).await.refused(400, "bad_data", "invalid query id: \"x\"");
    assert_eq!(end(ids[1], &t.acme).await.status, 204, "one that waits");
    assert_eq!(second.await.unwrap().unwrap().status(), 499);
    assert_eq!(end(ids[0], &t.operator).await.status, 204);
    let ended = first.await.unwrap().unwrap();
    assert_eq!(ended.status(), 499);
    assert!(ended.text().await.unwrap().contains("\"errorType\":\"canceled\""));
    listed(&stand, &t.operator, 0).await;
}

/// A log that tests can read.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_queries_are_logged_without_harm() {
    let log = Log::default();
    let writer = log.clone();
    // The one test that reads the log; lines of others pass through it.
    tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).init();
    let stand = Stand::start_with(|config| config.limits.slow_query = Duration::ZERO).await;
    let quick = Stand::start_with(|config| config.limits.slow_query = Duration::from_secs(3600)).await;
    let evil = "marker_of_this_test{a=\"\u{1b}[2Jx\u{202e}\"} #\n# fake=line";
    let form =
        format!("query={}", percent_encoding::percent_encode(evil.as_bytes(), percent_encoding::NON_ALPHANUMERIC));
    for stand in [&quick, &stand] {
        stand.post("/api/v1/query", &stand.tokens.acme, &form).await.data();
    }
    let long = format!("query=marker_of_length{{a=\"{}\"}}", "y".repeat(60_000));
    stand.post("/api/v1/query", &stand.tokens.acme, &long).await.data();
    let logged = async {
        loop {
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            if text.contains("marker_of_length") && text.contains("marker_of_this_test") {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    // The answer is there a moment before the log.
    let text = tokio::time::timeout(PATIENCE, logged).await.expect("both are logged");
    let lines: Vec<_> = text.lines().filter(|line| line.contains("slow query")).collect();
    let marked: Vec<_> = lines.iter().filter(|line| line.contains("marker_of_this_test")).collect();
    assert_eq!(marked.len(), 1, "once, by the server whose threshold it passed: {text}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{}", marked[0]);
    assert!(marked[0].contains("project=\"acme\"") && marked[0].contains("fake=line"), "{}", marked[0]);
    let long = lines.iter().find(|line| line.contains("marker_of_length")).unwrap();
    assert!((4096..5000).contains(&long.len()), "{}", long.len());
}
