//! One GPU node of the demo: eight GPUs, the machine, and one replica of each of its project's models.

use model::{Labels, Timestamp};

use crate::demo_fleet::SCRAPES_MAX;
use crate::demo_fleet::endpoint::Endpoint;
use crate::demo_fleet::replica::{Place, Replica};
use crate::fleet::{GPUS_PER_NODE, GpuModel, Signal, Target, declare_gpu, declare_host, gpu_signals};
use crate::rng::Rng;

/// Regions the nodes stand in, in turn.
const REGIONS: [&str; 3] = ["us-east1-a", "eu-iceland1-a", "us-southcentral1-a"];

/// A node and the replicas on it, one for each endpoint.
#[derive(Debug)]
pub(super) struct Node {
    gpus: Target,
    /// What moves each GPU; the replicas take theirs from the front.
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
        let mut target = |job: &str, port: u32| {
            let instance = format!("{host}:{port}");
            let identity = Labels::from_pairs([("instance", instance.as_str()), ("job", job), ("region", region)]);
            let mut target = Target::new(&identity, SCRAPES_MAX, &mut rng);
            target.declare("up", &[]);
            target
        };
        let (mut gpus, mut machine) = (target("dcgm-exporter", 9400), target("node-exporter", 9100));
        let mut signals = Vec::new();
        for slot in 0..GPUS_PER_NODE {
            declare_gpu(&mut gpus, GpuModel::H100, &host, slot, &mut rng);
            signals.push(gpu_signals(GpuModel::H100, &mut rng));
        }
        let machine_signals = declare_host(&mut machine, &mut rng);
        let mut port = 8000;
        let replicas = endpoints.iter().map(|endpoint| {
            port += 1;
            let place = Place { host: host.clone(), region, port };
            Replica::running(endpoint, place, t, &mut rng)
        });
        let replicas = replicas.collect();
        Node { gpus, gpu_signals: signals, machine, machine_signals, replicas, rng }
    }

    /// Scrapes GPUs and machine at `t`, as busy as the replicas keep them.
    pub(super) fn tick(&mut self, t: Timestamp) {
        let mut loads = [0.0; GPUS_PER_NODE];
        let mut slots = loads.iter_mut();
        for replica in &self.replicas {
            slots.by_ref().take(replica.gpus()).for_each(|load| *load = replica.gpu_load());
        }
        let mut scrape = self.gpus.scrape(t, &mut self.rng);
        scrape.put(1.0);
        for (signals, load) in self.gpu_signals.iter_mut().zip(loads) {
            signals.iter_mut().for_each(|signal| signal.advance(&mut self.rng, load, &mut scrape));
        }
        drop(scrape);
        let load = 0.1 + 0.5 * loads.iter().sum::<f64>() / loads.len() as f64;
        let mut scrape = self.machine.scrape(t, &mut self.rng);
        scrape.put(1.0);
        self.machine_signals.iter_mut().for_each(|signal| signal.advance(&mut self.rng, load, &mut scrape));
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
