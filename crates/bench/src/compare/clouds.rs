//! How long the vendor APIs take over 200 endpoints with a day of samples: one full answer, a batch, a scrape.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use model::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::endpoints::{Endpoints, MINUTE_MS, id, name};
use super::peers::{Peer, Place, System};
use super::report::Report;
use super::{flush, say};
use crate::clock::now_ms;
use crate::push::Push;

/// Connections that write.
const CONNECTIONS: usize = 2;
/// Answers asked for of each kind: other endpoints each time, so that none comes from a cache.
const ASKED: usize = 20;

/// How much is written and asked.
struct Size {
    endpoints: usize,
    minutes: i64,
    batch: usize,
}

/// Loads a server of ours, asks it, and reports the medians.
pub(super) async fn run(binary: &Path, scratch: &Path, is_quick: bool, report: &mut Report) -> Result<()> {
    let size = match is_quick {
        true => Size { endpoints: 8, minutes: 60, batch: 4 },
        false => Size { endpoints: 200, minutes: 24 * 60, batch: 50 },
    };
    say("clouds: Promenade")?;
    let peer = Peer::start(System::Promenade, binary, Place::Passing(scratch)).await?;
    let start = newest_minute() - size.minutes * MINUTE_MS;
    let mut parts = Vec::new();
    for part in 0..CONNECTIONS {
        let endpoints = size.endpoints * part / CONNECTIONS..size.endpoints * (part + 1) / CONNECTIONS;
        let push = Push::new(&format!("{}/api/v1/write", peer.base()), peer.token.as_deref())?;
        parts.push(Endpoints::new(push, endpoints, start));
    }
    let parts = write(parts).await?;
    flush(&peer).await?;
    // The recorder has hours to make up for; what is current afterwards is written then.
    peer.wait_idle().await?;
    write(parts).await?;

    let asking = Asking { peer: &peer, client: reqwest::Client::builder().no_proxy().build()? };
    for (what, path) in [
        ("clouds, full TensorOne answer of 24h at 15m, wall ms", full as fn(usize) -> Asked),
        ("clouds, Hugging Face scrape, wall ms", scrape),
    ] {
        let asked = (0..ASKED).map(|n| path(n % size.endpoints));
        report.set(what, System::Promenade, asking.median(asked).await?);
    }
    for (groups, what) in [
        (&["performance", "costs"][..], "performance and costs"),
        (&["performance", "usage", "costs", "resources"], "everything"),
    ] {
        let batches = (0..size.endpoints / size.batch).map(|n| batch(n * size.batch, size.batch, groups));
        let name = format!("clouds, batch of {} endpoints, {what}, wall ms", size.batch);
        report.set(&name, System::Promenade, asking.median(batches).await?);
    }
    Ok(())
}

/// The newest minute that is over.
fn newest_minute() -> Timestamp {
    (now_ms() - MINUTE_MS).div_euclid(MINUTE_MS) * MINUTE_MS
}

/// Writes what is missing up to now, all parts side by side.
async fn write(parts: Vec<Endpoints>) -> Result<Vec<Endpoints>> {
    let mut running = JoinSet::new();
    for mut part in parts {
        running.spawn(async move {
            part.write_to(newest_minute()).await?;
            anyhow::Ok(part)
        });
    }
    let mut written = Vec::new();
    while let Some(part) = running.join_next().await {
        written.push(part??);
    }
    Ok(written)
}

/// One request: its path, its body if it is a POST, and what its answer must show of the samples.
struct Asked {
    path: String,
    body: Option<Value>,
    shows: fn(&str) -> bool,
}

fn full(endpoint: usize) -> Asked {
    let path = format!("/v2/endpoints/{}/metrics?timeframe=24h&granularity=15m", id(endpoint));
    let shows = |text: &str| serde_json::from_str(text).is_ok_and(|answer| has_executions(&answer));
    Asked { path, body: None, shows }
}

fn scrape(endpoint: usize) -> Asked {
    let path = format!("/v2/endpoint/default/{}/open-metrics", name(endpoint));
    Asked { path, body: None, shows: |text| text.contains("\nhttp_requests{") && text.contains("\ngpu_usage_percent{") }
}

fn batch(first: usize, n: usize, groups: &[&str]) -> Asked {
    let ids: Vec<String> = (first..first + n).map(id).collect();
    let body = json!({"endpointIds": ids, "timeframe": "24h", "metrics": groups});
    let shows = |text: &str| {
        let answer: Value = serde_json::from_str(text).unwrap_or_default();
        answer["errors"] == json!([])
            && answer["endpoints"].as_array().is_some_and(|all| all.iter().all(has_executions))
    };
    Asked { path: "/v2/endpoints/metrics/batch".to_owned(), body: Some(body), shows }
}

fn has_executions(answer: &Value) -> bool {
    answer["summary"]["totalExecutions"].as_i64().is_some_and(|n| n > 0)
}

struct Asking<'a> {
    peer: &'a Peer,
    client: reqwest::Client,
}

impl Asking<'_> {
    /// The middle of the times that the requests took, ms; each answer is looked at.
    async fn median(&self, asked: impl Iterator<Item = Asked>) -> Result<f64> {
        let mut took = Vec::new();
        for asked in asked {
            took.push(self.once(&asked).await.with_context(|| asked.path)?);
        }
        took.sort_unstable();
        let middle = took.get(took.len() / 2).context("nothing was asked")?;
        Ok(middle.as_secs_f64() * 1e3)
    }

    async fn once(&self, asked: &Asked) -> Result<Duration> {
        let url = format!("{}{}", self.peer.base(), asked.path);
        let request = match &asked.body {
            Some(body) => self.client.post(url).header("content-type", "application/json").body(body.to_string()),
            None => self.client.get(url),
        };
        let token = self.peer.token.as_deref().context("a token")?;
        let begun = Instant::now();
        let answer = request.bearer_auth(token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let took = begun.elapsed();
        if !status.is_success() {
            bail!("{status}: {}", text.chars().take(300).collect::<String>());
        }
        ensure!((asked.shows)(&text), "the answer shows nothing: {}", text.chars().take(300).collect::<String>());
        Ok(took)
    }
}
