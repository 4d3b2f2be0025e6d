//! The two loads of the comparison: history, many samples of a series at once, and live, one sample of each.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use model::Timestamp;
use tokio::task::JoinSet;
use wire::remote_write::WriteRequestEncoder;

use crate::compare::peers::Peer;
use crate::fleet::{Fleet, INTERVAL_MS};
use crate::push::{Push, Sent};

/// Samples of a request.
const SAMPLES_MAX: usize = 2_000;

/// A load; everything in it follows from these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// Nodes of the fleet, 726 series each.
    pub(crate) nodes: u32,
    /// Scrapes of each target.
    pub(crate) scrapes: usize,
    /// Consecutive samples of a series in a request.
    pub(crate) consecutive: usize,
    /// Connections; the nodes are divided among them.
    pub(crate) connections: u32,
}

/// What ingesting a load took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ingested {
    /// What was acknowledged.
    pub(crate) sent: Sent,
    /// From the first request to the last acknowledgement.
    pub(crate) wall: Duration,
    /// CPU time of the server.
    pub(crate) cpu: Duration,
}

impl Ingested {
    /// CPU time of the server for each sample, microseconds.
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.sent.samples.max(1) as f64
    }

    /// Samples a second.
    pub(crate) fn rate(&self) -> f64 {
        self.sent.samples as f64 / self.wall.as_secs_f64()
    }
}

/// Pushes `load` into a server as fast as it acknowledges; the last scrapes are those for the tick at `end`.
pub(crate) async fn ingest(peer: &Peer, load: Load, end: Timestamp, seed: u64) -> Result<Ingested> {
    let url = format!("{}/api/v1/write", peer.base());
    let (begun, cpu_before) = (Instant::now(), peer.cpu()?);
    let mut running = JoinSet::new();
    for part in parts(load.nodes, load.connections) {
        let push = Push::new(&url, peer.token.as_deref())?;
        running.spawn(push_part(push, part, load, end, seed));
    }
    let mut sent = Sent::default();
    while let Some(part) = running.join_next().await {
        let part = part??;
        sent.samples += part.samples;
        sent.requests += part.requests;
        sent.bytes += part.bytes;
        sent.retries += part.retries;
    }
    Ok(Ingested { sent, wall: begun.elapsed(), cpu: peer.cpu()? - cpu_before })
}

/// One connection's work.
async fn push_part(mut push: Push, nodes: Range<u32>, load: Load, end: Timestamp, seed: u64) -> Result<Sent> {
    let mut fleet = Fleet::new(nodes, seed, load.consecutive);
    let mut request = WriteRequestEncoder::new();
    let start = end - i64::try_from(load.scrapes)? * INTERVAL_MS + INTERVAL_MS;
    let times: Vec<Timestamp> = (start..=end).step_by(usize::try_from(INTERVAL_MS)?).collect();
    for batch in times.chunks(load.consecutive) {
        batch.iter().for_each(|t| fleet.tick(*t));
        let mut requests = fleet.requests();
        while let Some(n_samples) = requests.fill(SAMPLES_MAX, &mut request) {
            push.send(request.finish_compressed()?, n_samples).await?;
        }
        fleet.clear();
    }
    Ok(push.sent())
}

/// The nodes divided into as many ranges as there are connections.
fn parts(nodes: u32, connections: u32) -> impl Iterator<Item = Range<u32>> {
    (0..connections).map(move |part| nodes * part / connections..nodes * (part + 1) / connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_has_one_connection() {
        for (nodes, connections) in [(125, 2), (12, 1), (1, 2), (7, 3)] {
            let all: Vec<u32> = parts(nodes, connections).flatten().collect();
            assert_eq!(all, (0..nodes).collect::<Vec<u32>>());
        }
    }
}
