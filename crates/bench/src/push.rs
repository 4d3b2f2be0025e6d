//! The remote-write client: one kept-alive connection, one request in flight, retries as the protocol asks.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};

/// How often a request is tried before the push gives up.
const ATTEMPTS_MAX: u32 = 12;
const BACKOFF_MIN: Duration = Duration::from_millis(30);
/// Source: the default of a Prometheus sender.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Long enough for a server that syncs its disk under load.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a refusal shown to the user.
const REFUSAL_BYTES_MAX: usize = 400;

/// What a push has sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Samples the server acknowledged.
    pub samples: u64,
    /// Requests the server acknowledged.
    pub requests: u64,
    /// Compressed bytes of those requests.
    pub bytes: u64,
    /// Attempts beyond the first.
    pub retries: u64,
}

/// A connection to a remote-write endpoint.
#[derive(Debug)]
pub struct Push {
    client: reqwest::Client,
    url: String,
    sent: Sent,
}

impl Push {
    /// A client of `url` that shows `token` as its bearer, if there is one.
    pub fn new(url: &str, token: Option<&str>) -> Result<Push> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
        if let Some(token) = token {
            let mut bearer =
                HeaderValue::from_str(&format!("Bearer {token}")).context("the token is no header text")?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let client = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("promenade/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .pool_max_idle_per_host(1)
            .timeout(TIMEOUT)
            .build()?;
        Ok(Push { client, url: url.to_owned(), sent: Sent::default() })
    }

    /// Sends one compressed request of `n_samples` samples and returns once the server has acknowledged it.
    ///
    /// Errors: a 4xx other than 429, or no success after the last attempt.
    pub async fn send(&mut self, body: Vec<u8>, n_samples: usize) -> Result<()> {
        let body = Bytes::from(body);
        let mut backoff = BACKOFF_MIN;
        for attempt in 1..=ATTEMPTS_MAX {
            let refused = match self.client.post(&self.url).body(body.clone()).send().await {
                Ok(answer) if answer.status().is_success() => {
                    self.sent.samples += n_samples as u64;
                    self.sent.requests += 1;
                    self.sent.bytes += body.len() as u64;
                    return Ok(());
                }
                Ok(answer) => {
                    let retryable =
                        answer.status().is_server_error() || answer.status() == StatusCode::TOO_MANY_REQUESTS;
                    backoff = backoff.max(wait_asked(answer.headers()));
                    let refusal = describe(answer).await;
                    if !retryable {
                        bail!("{}: {refusal}", self.url);
                    }
                    refusal
                }
                Err(error) => format!("{:#}", anyhow::Error::from(error)),
            };
            if attempt == ATTEMPTS_MAX {
                bail!("{}: no success in {ATTEMPTS_MAX} attempts, last: {refused}", self.url);
            }
            self.sent.retries += 1;
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
        Ok(())
    }

    /// What was sent so far.
    pub fn sent(&self) -> Sent {
        self.sent
    }
}

/// The wait a server asks for in whole seconds, within bounds.
fn wait_asked(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(RETRY_AFTER).and_then(|text| text.to_str().ok()?.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0)).min(BACKOFF_MAX)
}

/// Status and the first bytes of the body.
async fn describe(answer: reqwest::Response) -> String {
    let status = answer.status();
    let body = answer.bytes().await.unwrap_or_default();
    let shown = String::from_utf8_lossy(&body[..body.len().min(REFUSAL_BYTES_MAX)]).trim().to_owned();
    format!("{status}: {shown}")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// The lines of a request's head, in lower case, and its body.
    type Heard = (Vec<String>, Vec<u8>);

    /// Serves one connection with the given answers, one a request; returns the URL and what was heard.
    fn answering(answers: &'static [&'static str]) -> (String, JoinHandle<Vec<Heard>>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
        let heard = std::thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let answer = |answer: &&str| {
                let head = stream.by_ref().lines().map(|line| line.unwrap().to_ascii_lowercase());
                let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
                let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                let mut body = vec![0; length.parse().unwrap()];
                stream.read_exact(&mut body).unwrap();
                write!(stream.get_mut(), "HTTP/1.1 {answer}\r\n\r\n").unwrap();
                (head, body)
            };
            answers.iter().map(answer).collect()
        });
        (url, heard)
    }

    #[tokio::test]
    async fn what_the_server_cannot_take_now_is_sent_again_on_the_same_connection() {
        let answers = &[
            "503 Service Unavailable\r\ncontent-length: 0",
            "429 Too Many Requests\r\ncontent-length: 0",
            "204 No Content",
            "204 No Content",
        ];
        let (url, heard) = answering(answers);
        let mut push = Push::new(&url, Some("secret")).unwrap();
        push.send(b"first".to_vec(), 10).await.unwrap();
        push.send(b"second".to_vec(), 5).await.unwrap();
        assert_eq!(push.sent(), Sent { samples: 15, requests: 2, bytes: 11, retries: 2 });
        let heard = heard.join().unwrap();
        let bodies: Vec<&[u8]> = heard.iter().map(|(_, body)| body.as_slice()).collect();
        assert_eq!(bodies, [b"first".as_slice(), b"first", b"first", b"second"]);
        for (head, _) in &heard {
            for line in
                ["authorization: bearer secret", "content-encoding: snappy", "content-type: application/x-protobuf"]
            {
                assert!(head.iter().any(|found| found == line), "no {line} in {head:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_the_server_refuses_is_an_error_and_is_not_repeated() {
        let (url, heard) = answering(&["400 Bad Request\r\ncontent-length: 11\r\n\r\ntoo old: up"]);
        let mut push = Push::new(&url, None).unwrap();
        let error = push.send(b"body".to_vec(), 1).await.unwrap_err().to_string();
        assert!(error.contains("400 Bad Request: too old: up"), "{error}");
        assert_eq!(push.sent(), Sent::default());
        assert_eq!(heard.join().unwrap().len(), 1);
    }
}
