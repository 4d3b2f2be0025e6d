//! A simulated inference cloud: engines on GPU nodes that follow the traffic of the day, crash and start again.

mod bounds;
mod endpoint;
mod engine;
mod families;
mod node;
mod replica;
mod traffic;

use std::collections::BTreeMap;

use anyhow::Result;
use model::{Metadata, MetricKind, Timestamp};
use wire::remote_write::WriteRequestEncoder;

use crate::demo_fleet::endpoint::{Endpoint, endpoint_metadata};
use crate::demo_fleet::families::engine_metadata;
use crate::demo_fleet::node::{Node, node_metadata};
use crate::demo_fleet::replica::replica_metadata;
use crate::fleet::{GpuModel, INTERVAL_MS, Requests, Target, hardware_metadata};
use crate::push::Push;
use crate::rng::Rng;

/// Scrapes collected before they are pushed while backfilling; live there is one.
pub const SCRAPES_MAX: usize = 20;
/// Samples of one write request, as Prometheus batches them.
const SAMPLES_MAX: usize = 2_000;

/// A model as it is deployed.
#[derive(Debug)]
struct ModelSpec {
    name: &'static str,
    /// The endpoint's slug.
    slug: &'static str,
    gpus: usize,
    /// Mean requests a second one replica gets.
    rate: f64,
    /// Median seconds to the first token and between tokens, without load.
    ttft_s: f64,
    gap_s: f64,
}

/// The models of a project, by the project's number; the GPUs of a list leave one of a node's eight idle.
static MODELS: [[ModelSpec; 3]; 2] = [
    [
        model("meta-llama/Llama-3.3-70B-Instruct", "llama-70b-chat", 4, 0.95, 0.18, 0.022),
        model("Qwen/Qwen3-32B", "qwen-32b", 2, 1.30, 0.13, 0.016),
        model("openai/gpt-oss-20b", "gpt-oss-20b", 1, 3.20, 0.06, 0.007),
    ],
    [
        model("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "deepseek-r1-70b", 4, 0.80, 0.21, 0.024),
        model("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral-small", 2, 1.70, 0.10, 0.012),
        model("google/gemma-3-12b-it", "gemma-12b", 1, 2.00, 0.08, 0.010),
    ],
];

const fn model(name: &'static str, slug: &'static str, gpus: usize, rate: f64, ttft_s: f64, gap_s: f64) -> ModelSpec {
    ModelSpec { name, slug, gpus, rate, ttft_s, gap_s }
}

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct DemoOptions {
    /// The number of the project, from 0: it decides which models are served.
    pub project: u32,
    /// Number of the project's first node, from 1.
    pub first_node: u32,
    /// Nodes of the project, at least 1; each adds about 1,800 series.
    pub nodes: u32,
    /// Everything random follows from it.
    pub seed: u64,
}

/// An endpoint of a fleet, as an operator would register it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoEndpoint {
    /// The value of `endpoint_id`.
    pub id: String,
    /// Its name, the value of `endpoint`.
    pub slug: &'static str,
    /// The model it serves.
    pub model: &'static str,
    /// The GPUs it runs on.
    pub gpu_model: &'static str,
    /// GPUs of one replica.
    pub gpus: usize,
}

/// The fleet of one project and the scrapes not yet pushed.
#[derive(Debug)]
pub struct DemoFleet {
    nodes: Vec<Node>,
    endpoints: Vec<Endpoint>,
    /// Targets that have ended and still hold scrapes.
    retired: Vec<Target>,
    rng: Rng,
}

impl DemoFleet {
    /// The fleet as it stands at `t`, everything running.
    pub fn new(options: DemoOptions, t: Timestamp) -> DemoFleet {
        let mut rng = Rng::part(options.seed, u64::from(options.project));
        let specs = &MODELS[options.project as usize % MODELS.len()];
        let endpoints: Vec<Endpoint> = specs.iter().map(|spec| Endpoint::new(spec, options.nodes, &mut rng)).collect();
        let nodes =
            (0..options.nodes).map(|index| Node::new(options.first_node + index, &endpoints, t, &mut rng)).collect();
        DemoFleet { nodes, endpoints, retired: Vec::new(), rng }
    }

    /// The endpoints of the fleet.
    pub fn endpoints(&self) -> impl Iterator<Item = DemoEndpoint> {
        self.endpoints.iter().map(|endpoint| DemoEndpoint {
            id: endpoint.identity.get("endpoint_id").unwrap_or_default().to_owned(),
            slug: endpoint.spec.slug,
            model: endpoint.spec.name,
            gpu_model: GpuModel::H100.name(),
            gpus: endpoint.spec.gpus,
        })
    }

    /// One interval passes and every target is scraped at `t`.
    pub fn tick(&mut self, t: Timestamp) {
        for (index, endpoint) in self.endpoints.iter_mut().enumerate() {
            let running = self.nodes.iter().filter(|node| node.replicas[index].is_running()).count();
            let rate = endpoint.traffic(t, &mut self.rng) / running.max(1) as f64;
            for node in &mut self.nodes {
                let replica = &mut node.replicas[index];
                replica.tick(t, rate, endpoint, &mut self.retired, &mut self.rng);
            }
            endpoint.scrape(t, &mut self.rng);
        }
        self.nodes.iter_mut().for_each(|node| node.tick(t));
    }

    /// The scrapes held, cut into write requests.
    pub fn requests(&self) -> Requests<'_> {
        let nodes = self.nodes.iter().flat_map(Node::targets);
        Requests::new(nodes.chain(self.endpoints.iter().map(|endpoint| &endpoint.target)).chain(&self.retired))
    }

    /// Forgets the scrapes held, and with them the targets that have ended.
    pub fn clear(&mut self) {
        self.retired.clear();
        self.endpoints.iter_mut().for_each(|endpoint| endpoint.target.clear());
        self.nodes.iter_mut().for_each(Node::clear);
    }

    /// Sends the scrapes held and forgets them.
    pub async fn push(&mut self, push: &mut Push) -> Result<()> {
        let mut request = WriteRequestEncoder::new();
        let mut requests = self.requests();
        while let Some(n_samples) = requests.fill(SAMPLES_MAX, &mut request) {
            push.send(request.finish_compressed()?, n_samples).await?;
        }
        self.clear();
        Ok(())
    }
}

/// The description of every family of the fleet, in the order of names.
pub fn metadata() -> BTreeMap<&'static str, Metadata> {
    let help = "Whether the target could be scraped.".to_owned();
    let up = Metadata { kind: MetricKind::Gauge, help, unit: String::new() };
    hardware_metadata()
        .chain(engine_metadata())
        .chain(endpoint_metadata())
        .chain(replica_metadata())
        .chain(node_metadata())
        .chain([("up", up)])
        .collect()
}

/// Sends the description of every family.
pub async fn push_metadata(push: &mut Push) -> Result<()> {
    let mut request = WriteRequestEncoder::new();
    for (family, described) in metadata() {
        request.push_metadata(family, &described);
    }
    push.send(request.finish_compressed()?, 0).await
}

/// Pushes everything from `from` until before `to` as fast as the server takes it, then the descriptions.
///
/// `passed` hears after each push how far it has come. The fleet can go on living from `to`.
pub async fn backfill(
    fleet: &mut DemoFleet,
    push: &mut Push,
    from: Timestamp,
    to: Timestamp,
    mut passed: impl FnMut(Timestamp),
) -> Result<()> {
    let mut held = 0;
    let mut t = from;
    while t < to {
        fleet.tick(t);
        t += INTERVAL_MS;
        held += 1;
        if held == SCRAPES_MAX || to <= t {
            fleet.push(push).await?;
            held = 0;
            passed(t.min(to));
        }
    }
    push_metadata(push).await
}

#[cfg(test)]
mod tests;
