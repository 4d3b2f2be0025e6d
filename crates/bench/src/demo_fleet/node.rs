//! One GPU node of the demo: eight GPUs, the machine, and one replica of each of its project's models.

use model::{Labels, Metadata, MetricKind, Timestamp};

use crate::demo_fleet::SCRAPES_MAX;
use crate::demo_fleet::endpoint::Endpoint;
use crate::demo_fleet::replica::{Place, Replica, gpu_rng};
use crate::fleet::{GPUS_PER_NODE, GpuModel, Signal, Target, declare_gpu, declare_host, gpu_signals};
use crate::rng::Rng;

/// Regions the nodes stand in, in turn.
const REGIONS: [&str; 3] = ["us-east1-a", "eu-iceland1-a", "us-southcentral1-a"];

/// A node's first replica crashes after this time at the latest.
const FIRST_LIFE_MS: i64 = 20 * 60_000;

/// The round trip to the next node, as a prober measures it.
const ROUND_TRIP: (&str, &str) = ("probe_icmp_duration_seconds", "Seconds of each phase of a probe.");

/// The descriptions of a node's own families.
pub(super) fn node_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    let (name, help) = ROUND_TRIP;
    std::iter::once((name, Metadata { kind: MetricKind::Gauge, help: help.to_owned(), unit: String::new() }))
}

/// A node and the replicas on it, one for each endpoint.
#[derive(Debug)]
pub(super) struct Node {
    /// `up` of the GPUs' exporter, and the GPUs that no replica holds: the last ones.
    gpus: Target,
    gpu_signals: Vec<Vec<Signal>>,
    machine: Target,
    machine_signals: Vec<Signal>,
    pub(super) replicas: Vec<Replica>,
    rng: Rng,
}

impl Node {
    /// The node `number`, from 1, with its replicas running since before `t`.
    pub(super) fn new(number: u32, endpoints: &[Endpoint], t: Timestamp, rng: &mut Rng) -> Node {
        let mut rng = Rng::new(rng.next_u64());
        let host = format!("gpu-node-{number:05}");
        let region = REGIONS[number as usize % REGIONS.len()];
        let cluster = format!("cluster-gpu-h100-{region}");
        let mut target = |job: &str, port: u32| {
            let instance = format!("{host}:{port}");
            let identity = Labels::from_pairs([
                ("instance", instance.as_str()),
                ("job", job),
                ("node", &host),
                ("region", region),
                ("cluster_id", &cluster),
            ]);
            let mut target = Target::new(&identity, SCRAPES_MAX, &mut rng);
            target.declare("up", &[]);
            target
        };
        let (mut gpus, mut machine) = (target("dcgm-exporter", 9400), target("node-exporter", 9100));
        let (mut port, mut slot) = (8000, 0);
        let replicas = endpoints.iter().map(|endpoint| {
            port += 1;
            let place = Place { host: host.clone(), region, cluster: cluster.clone(), port, slot };
            slot += endpoint.spec.gpus;
            Replica::running(endpoint, place, t, &mut rng)
        });
        let mut replicas: Vec<Replica> = replicas.collect();
        // Whoever looks at an hour of the demo sees a cold start.
        if let Some(first) = replicas.first_mut() {
            first.end_by(t + FIRST_LIFE_MS);
        }
        let mut signals = Vec::new();
        for idle in slot..GPUS_PER_NODE {
            declare_gpu(&mut gpus, GpuModel::H100, &host, idle, &mut gpu_rng(&host, idle));
            signals.push(gpu_signals(GpuModel::H100, &mut rng));
        }
        let machine_signals = declare_host(&mut machine, &mut rng);
        machine.declare(ROUND_TRIP.0, &[("phase", "rtt")]);
        Node { gpus, gpu_signals: signals, machine, machine_signals, replicas, rng }
    }

    /// Scrapes GPUs and machine at `t`, as busy as the replicas keep them.
    pub(super) fn tick(&mut self, t: Timestamp) {
        let mut scrape = self.gpus.scrape(t, &mut self.rng);
        scrape.put(1.0);
        for signals in &mut self.gpu_signals {
            signals.iter_mut().for_each(|signal| signal.advance(&mut self.rng, 0.0, &mut scrape));
        }
        drop(scrape);
        let busy: f64 = self.replicas.iter().map(|replica| replica.n_gpus() as f64 * replica.gpu_load()).sum();
        let load = 0.1 + 0.5 * busy / GPUS_PER_NODE as f64;
        let mut scrape = self.machine.scrape(t, &mut self.rng);
        scrape.put(1.0);
        self.machine_signals.iter_mut().for_each(|signal| signal.advance(&mut self.rng, load, &mut scrape));
        scrape.put(self.rng.between(0.0002, 0.0004 + 0.0004 * load));
    }

    /// Every target of the node.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        [&self.gpus, &self.machine].into_iter().chain(self.replicas.iter().flat_map(Replica::targets))
    }

    /// Forgets the scrapes held.
    pub(super) fn clear(&mut self) {
        self.gpus.clear();
        self.machine.clear();
        self.replicas.iter_mut().for_each(Replica::clear);
    }
}
