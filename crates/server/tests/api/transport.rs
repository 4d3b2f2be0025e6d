//! Below the routes: slow, broken and oversized requests on raw connections, and an orderly end.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::stand::{Stand, body};

/// Far beyond what any of these takes; a hang fails instead of blocking the suite.
const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(stand: &Stand) -> TcpStream {
    TcpStream::connect(stand.url.strip_prefix("http://").unwrap()).await.unwrap()
}

/// Sends bytes as they are and reads until the server closes.
async fn exchange(stand: &Stand, request: &[u8]) -> String {
    let mut stream = connect(stand).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, token: &str, headers: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{headers}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_are_ended() {
    let stand = Stand::start_with(|config| {
        config.limits.head_timeout = Duration::from_millis(100);
        config.limits.body_timeout = Duration::from_millis(100);
    })
    .await;
    let silent = exchange(&stand, b"GET / HTTP/1.1\r\nhost:").await;
    assert!(silent.is_empty() || silent.starts_with("HTTP/1.1 408"), "{silent}");
    let stalled = post("/api/v1/write", &stand.tokens.acme, "content-length: 100\r\n") + "abc";
    let stalled = exchange(&stand, stalled.as_bytes()).await;
    assert!(stalled.starts_with("HTTP/1.1 408"), "{stalled}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_between_requests_is_not_a_slow_head() {
    let head_timeout = Duration::from_millis(50);
    let stand = Stand::start_with(|config| config.limits.head_timeout = head_timeout).await;
    let mut stream = connect(&stand).await;
    for _ in 0..2 {
        // Nothing happens that could be waited for instead: that the connection is still open afterwards is the point.
        tokio::time::sleep(4 * head_timeout).await;
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"Healthy.\n") {
            let n = tokio::time::timeout(PATIENCE, stream.read_buf(&mut answer)).await.unwrap().unwrap();
            assert!(n > 0, "closed: {}", String::from_utf8_lossy(&answer));
        }
    }
    let idle = Stand::start_with(|config| config.limits.idle_timeout = head_timeout).await;
    assert_eq!(exchange(&idle, b"").await, "", "and yet it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_bound_wait_for_a_place() {
    let stand = Stand::start_with(|config| config.limits.connections_max = 1).await;
    let first = connect(&stand).await;
    let mut second = connect(&stand).await;
    second.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let early = tokio::time::timeout(Duration::from_millis(100), second.read_to_end(&mut answer)).await;
    assert!(early.is_err(), "answered beyond the bound: {}", String::from_utf8_lossy(&answer));
    drop(first);
    tokio::time::timeout(PATIENCE, second.read_to_end(&mut answer)).await.expect("the place is free").unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_heads_and_bodies_are_refused() {
    let stand = Stand::start_with(|config| {
        config.limits.head_bytes_max = 16 << 10;
        config.limits.write_bytes_max = 64 << 10;
        config.limits.form_bytes_max = 64 << 10;
    })
    .await;
    let head = format!("GET /?{} HTTP/1.1\r\n\r\n", "x".repeat(32 << 10));
    let answer = exchange(&stand, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.starts_with("HTTP/1.1 414"), "{answer}");
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let answer = exchange(&stand, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    for path in ["/api/v1/write", "/api/v1/query"] {
        let declared = post(path, &stand.tokens.acme, "content-length: 99999999999\r\n");
        let answer = exchange(&stand, declared.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        let mut chunked = post(path, &stand.tokens.acme, "transfer-encoding: chunked\r\n").into_bytes();
        for _ in 0..17 {
            chunked.extend_from_slice(b"1000\r\n");
            chunked.extend_from_slice(&[b'a'; 0x1000]);
            chunked.extend_from_slice(b"\r\n");
        }
        let answer = exchange(&stand, &chunked).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ambiguous_requests_are_not_guessed_at() {
    let stand = Stand::start().await;
    let smuggled = "GET /api/v1/labels HTTP/1.1\r\n\r\n";
    for headers in [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: x\r\n",
        "content-length: +5\r\n",
    ] {
        let request = post("/api/v1/query", &stand.tokens.acme, headers) + "0\r\n\r\n" + smuggled;
        let answer = exchange(&stand, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{headers:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "one answer: {headers:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn chunked_writes_are_stored() {
    let stand = Stand::start().await;
    let body = body(&[("m", &[], &[(server::now_ms(), 1.0)])]);
    let mut request =
        post("/api/v1/write", &stand.tokens.acme, "connection: close\r\ntransfer-encoding: chunked\r\n").into_bytes();
    for part in body.chunks(7) {
        request.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(&stand, &request).await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(stand.get("/api/v1/query?query=m", &stand.tokens.acme).await.lines().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_client_frees_the_only_turn() {
    let stand = Stand::start_with(|config| config.limits.queries_max = 1).await;
    // Minutes of work, were it not ended.
    let query = "sum_over_time(sum_over_time(vector(1)[1000h:1m])[1000h:1m])";
    let form = format!("query={query}");
    let head = format!("content-length: {}\r\n", form.len());
    let mut stream = connect(&stand).await;
    stream.write_all((post("/api/v1/query", &stand.tokens.acme, &head) + &form).as_bytes()).await.unwrap();
    let busy = async {
        while !stand.get("/metrics", &stand.tokens.operator).await.body.contains("promenade_query_turns_free 0") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, busy).await.expect("the query runs");
    drop(stream);
    let next = tokio::time::timeout(PATIENCE, stand.get("/api/v1/query?query=1", &stand.tokens.acme));
    assert_eq!(next.await.expect("the turn is free again").status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_idle_connections_and_refuses_new_ones() {
    let mut stand = Stand::start().await;
    let mut idle = connect(&stand).await;
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 15];
    idle.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    tokio::time::timeout(PATIENCE, stand.stop()).await.expect("the server ends");
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, idle.read_to_end(&mut rest)).await.expect("closed").unwrap();
    assert!(TcpStream::connect(stand.url.strip_prefix("http://").unwrap()).await.is_err());
}
