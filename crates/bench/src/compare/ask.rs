//! Asks servers the query table: answers for the eye, then repeated and interleaved for the clock.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use model::Timestamp;
use serde_json::Value;

use crate::compare::peers::Peer;
use crate::compare::queries::{Ask, Query};

/// How long a batch of one query at one server should at least take: CPU time is told in ticks of 10 ms.
const BATCH_MIN: Duration = Duration::from_millis(150);
/// Queries in a batch at most.
const BATCH_QUERIES_MAX: u32 = 400;
const HOUR_S: i64 = 3600;

/// The cost of a query at one server.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cost {
    /// Median time from asking to the last byte, ms.
    pub(crate) wall_ms: f64,
    /// CPU time of the server for each query, ms.
    pub(crate) cpu_ms: f64,
}

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Asker<'a> {
    peer: &'a Peer,
    client: reqwest::Client,
    end: Timestamp,
}

impl<'a> Asker<'a> {
    /// Asks about the time up to `end`.
    pub(crate) fn new(peer: &'a Peer, end: Timestamp) -> Result<Asker<'a>> {
        Ok(Asker { peer, client: reqwest::Client::builder().no_proxy().build()?, end })
    }

    /// The answer's `data`.
    pub(crate) async fn answer(&self, ask: Ask) -> Result<Value> {
        let url = self.url(ask);
        let body = self.get(&url).await?;
        let mut answer: Value = serde_json::from_slice(&body).with_context(|| url.clone())?;
        if answer["status"] != "success" {
            bail!("{url}: {answer}");
        }
        Ok(answer["data"].take())
    }

    /// The value of an expression with at most one; `None` without samples.
    pub(crate) async fn number(&self, expr: &'static str) -> Result<Option<f64>> {
        let data = self.answer(Ask::Instant(expr)).await?;
        let text = data["result"][0]["value"][1].as_str();
        text.map(|text| text.parse().with_context(|| format!("{expr}: {text}"))).transpose()
    }

    fn url(&self, ask: Ask) -> String {
        let end_s = self.end.div_euclid(1000);
        let path = match ask {
            Ask::Instant(expr) => format!("query?time={end_s}&query={}", encoded(expr)),
            Ask::Range { expr, hours, step_s } => {
                let start_s = end_s - hours * HOUR_S;
                format!("query_range?start={start_s}&end={end_s}&step={step_s}&query={}", encoded(expr))
            }
            Ask::Path(path) => format!("{path}&start={}&end={end_s}", end_s - 24 * HOUR_S),
        };
        format!("{}/api/v1/{path}{}", self.peer.base(), self.peer.system.query_extra())
    }

    async fn get(&self, url: &str) -> Result<bytes::Bytes> {
        let mut request = self.client.get(url);
        if let Some(token) = &self.peer.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!("{url}: {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        }
        Ok(body)
    }
}

/// Measures one query at every server, `rounds` times in turn, since the machine's speed drifts.
pub(crate) async fn measure(askers: &[Asker<'_>], query: &Query, rounds: u32) -> Result<Vec<Cost>> {
    struct Seen {
        url: String,
        batch: u32,
        walls: Vec<Duration>,
        cpu: Duration,
    }
    let mut seen = Vec::new();
    for asker in askers {
        let url = asker.url(query.ask);
        asker.get(&url).await?;
        let begun = Instant::now();
        asker.get(&url).await?;
        let fits = BATCH_MIN.as_secs_f64() / begun.elapsed().as_secs_f64().max(1e-4);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 1,500")]
        let batch = (fits as u32 + 1).min(BATCH_QUERIES_MAX);
        seen.push(Seen { url, batch, walls: Vec::new(), cpu: Duration::ZERO });
    }
    for _ in 0..rounds {
        for (asker, seen) in askers.iter().zip(&mut seen) {
            let cpu_before = asker.peer.cpu()?;
            for _ in 0..seen.batch {
                let begun = Instant::now();
                asker.get(&seen.url).await?;
                seen.walls.push(begun.elapsed());
            }
            seen.cpu += asker.peer.cpu()?.saturating_sub(cpu_before);
        }
    }
    let cost = |mut seen: Seen| {
        seen.walls.sort();
        let n = seen.walls.len();
        let median = seen.walls.get(n / 2).copied().unwrap_or_default();
        Cost { wall_ms: median.as_secs_f64() * 1e3, cpu_ms: seen.cpu.as_secs_f64() * 1e3 / n.max(1) as f64 }
    };
    Ok(seen.into_iter().map(cost).collect())
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
