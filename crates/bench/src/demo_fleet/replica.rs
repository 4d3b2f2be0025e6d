//! The life of one replica: it runs, it crashes, a successor with a new id starts cold in its place.

use model::{Labels, LabelsBuilder, Metadata, MetricKind, Timestamp};

use crate::demo_fleet::endpoint::Endpoint;
use crate::demo_fleet::engine::Engine;
use crate::demo_fleet::{ModelSpec, SCRAPES_MAX};
use crate::fleet::{GpuModel, Signal, Target, declare_gpu, gpu_signals, replica_name};
use crate::rng::Rng;

/// Mean scrapes between two crashes of a replica: about three hours.
const LIFE_SCRAPES: f64 = 720.0;
/// Share of scrapes that fail.
const SCRAPES_LOST: f64 = 0.01;
/// The states a replica can be in; exactly one is 1.
const STATES: [&str; 5] = ["pending", "initializing", "running", "terminating", "failed"];
/// Processors and memory that a replica may use.
const VCPUS: f64 = 16.0;
const MEMORY_BYTES: f64 = 128e9;
/// Seconds between two scrapes.
const INTERVAL_S: f64 = 15.0;
/// Seconds each phase of a start takes, give or take a fifth.
pub(super) const START_PHASES: [(&str, f64); 3] =
    [("container_start", 12.5), ("dependency_load", 3.0), ("model_load", 18.7)];

/// Where a replica runs.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) host: String,
    pub(super) region: &'static str,
    pub(super) cluster: String,
    pub(super) port: u32,
    /// The first of its GPUs.
    pub(super) slot: usize,
}

/// One replica's slot on a node.
#[derive(Debug)]
pub(super) struct Replica {
    spec: &'static ModelSpec,
    place: Place,
    identity: Labels,
    /// What is known from the outside, also while there is no engine: its state and what its container uses.
    probe: Target,
    cpu_seconds: f64,
    /// Its GPUs as their exporter sees them, with the pod that holds them.
    gpus: Target,
    gpu_signals: Vec<Vec<Signal>>,
    phase: Phase,
    gpu_load: f64,
    /// When it crashes at the latest.
    ends_at: Option<Timestamp>,
}

#[derive(Debug)]
enum Phase {
    Starting { ready_at: Timestamp },
    Running(Box<Engine>),
}

impl Replica {
    /// A replica that has just become ready.
    pub(super) fn running(endpoint: &Endpoint, place: Place, t: Timestamp, rng: &mut Rng) -> Replica {
        let identity = identity(endpoint, &place, rng);
        let engine = Engine::new(endpoint.spec, &identity, t, SCRAPES_MAX, Rng::new(rng.next_u64()));
        let probe = probe(&identity, endpoint.spec, rng);
        let gpus = gpus(&identity, endpoint.spec, &place, rng);
        Replica {
            spec: endpoint.spec,
            place,
            identity,
            probe,
            cpu_seconds: 0.0,
            gpus,
            gpu_signals: (0..endpoint.spec.gpus).map(|_| gpu_signals(GpuModel::H100, rng)).collect(),
            phase: Phase::Running(Box::new(engine)),
            gpu_load: 0.0,
            ends_at: None,
        }
    }

    /// Has it crash at `end` if it has not before.
    pub(super) fn end_by(&mut self, end: Timestamp) {
        self.ends_at = Some(end);
    }

    /// Whether requests can be sent to it.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running(_))
    }

    /// How many GPUs it holds.
    pub(super) fn n_gpus(&self) -> usize {
        self.spec.gpus
    }

    /// How busy they are, 0 to 1.
    pub(super) fn gpu_load(&self) -> f64 {
        self.gpu_load
    }

    /// One interval at `rate` requests a second; targets that end move to `retired`.
    pub(super) fn tick(
        &mut self,
        t: Timestamp,
        rate: f64,
        endpoint: &mut Endpoint,
        retired: &mut Vec<Target>,
        rng: &mut Rng,
    ) {
        if let Phase::Starting { ready_at } = self.phase
            && ready_at <= t
        {
            let engine = Engine::new(self.spec, &self.identity, t, SCRAPES_MAX, Rng::new(rng.next_u64()));
            self.phase = Phase::Running(Box::new(engine));
        }
        let (up, state) = match &mut self.phase {
            Phase::Starting { .. } => (0.0, "initializing"),
            Phase::Running(_) if self.ends_at.take_if(|end| *end <= t).is_some() || rng.unit() < 1.0 / LIFE_SCRAPES => {
                return self.crash(t, endpoint, retired, rng);
            }
            Phase::Running(engine) => {
                self.gpu_load = engine.serve(rate);
                let lost = rng.unit() < SCRAPES_LOST;
                if lost {
                    engine.target.scrape_stale(t, rng)
                } else {
                    engine.scrape(t)
                }
                (if lost { 0.0 } else { 1.0 }, "running")
            }
        };
        self.scrape_probe(t, up, state, rng);
        self.scrape_gpus(t, rng);
    }

    /// The engine dies and its series end; a successor with its own id begins to start.
    fn crash(&mut self, t: Timestamp, endpoint: &mut Endpoint, retired: &mut Vec<Target>, rng: &mut Rng) {
        let took = START_PHASES.map(|(_, seconds)| rng.near(seconds, 0.2));
        endpoint.count_cold_start(&took, rng);
        #[expect(clippy::cast_possible_truncation, reason = "less than a minute")]
        let ready_at = t + (took.iter().sum::<f64>() * 1000.0) as i64;
        if let Phase::Running(mut engine) = std::mem::replace(&mut self.phase, Phase::Starting { ready_at }) {
            engine.target.scrape_stale(t, rng);
            retired.push(engine.target);
        }
        self.identity = identity(endpoint, &self.place, rng);
        let successors = [probe(&self.identity, self.spec, rng), gpus(&self.identity, self.spec, &self.place, rng)];
        for (target, successor) in [&mut self.probe, &mut self.gpus].into_iter().zip(successors) {
            let mut ended = std::mem::replace(target, successor);
            ended.scrape_stale(t, rng);
            retired.push(ended);
        }
        (self.gpu_load, self.cpu_seconds) = (0.0, 0.0);
        self.scrape_probe(t, 0.0, "initializing", rng);
        self.scrape_gpus(t, rng);
    }

    fn scrape_probe(&mut self, t: Timestamp, up: f64, state: &str, rng: &mut Rng) {
        let mut scrape = self.probe.scrape(t, rng);
        scrape.put(up);
        scrape.put(self.spec.gpus as f64);
        STATES.iter().for_each(|name| scrape.put(if *name == state { 1.0 } else { 0.0 }));
        let busy = 0.5 + 6.0 * self.gpu_load;
        self.cpu_seconds += INTERVAL_S * busy;
        let memory = (MEMORY_BYTES * (0.3 + 0.3 * self.gpu_load)).round();
        for value in [1.0, self.cpu_seconds, memory, VCPUS, MEMORY_BYTES] {
            scrape.put(value);
        }
    }

    fn scrape_gpus(&mut self, t: Timestamp, rng: &mut Rng) {
        let mut scrape = self.gpus.scrape(t, rng);
        for signals in &mut self.gpu_signals {
            signals.iter_mut().for_each(|signal| signal.advance(rng, self.gpu_load, &mut scrape));
        }
    }

    /// The targets of the replica as it is now.
    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        let engine = match &self.phase {
            Phase::Starting { .. } => None,
            Phase::Running(engine) => Some(&engine.target),
        };
        [&self.probe, &self.gpus].into_iter().chain(engine)
    }

    /// Forgets the scrapes held.
    pub(super) fn clear(&mut self) {
        self.probe.clear();
        self.gpus.clear();
        if let Phase::Running(engine) = &mut self.phase {
            engine.target.clear();
        }
    }
}

/// The labels of a new replica of `endpoint`.
fn identity(endpoint: &Endpoint, place: &Place, rng: &mut Rng) -> Labels {
    let mut labels = LabelsBuilder::new(&endpoint.identity);
    labels
        .set("instance", &format!("{}:{}", place.host, place.port))
        .set("job", "vllm")
        .set("node", &place.host)
        .set("region", place.region)
        .set("cluster_id", &place.cluster);
    let replica_id = replica_name(rng);
    labels.set("pod", &format!("{}-{replica_id}", endpoint.spec.slug)).set("replica_id", &replica_id);
    labels.build()
}

/// The target with what is known about a replica from the outside.
fn probe(identity: &Labels, spec: &ModelSpec, rng: &mut Rng) -> Target {
    let mut target = Target::new(identity, SCRAPES_MAX, rng);
    target.declare("up", &[]);
    target.declare("inference_replica_gpus", &[]);
    STATES.iter().for_each(|state| target.declare("inference_replica_state", &[("state", state)]));
    let (vcpus, memory) = (VCPUS.to_string(), MEMORY_BYTES.to_string());
    let gpus = spec.gpus.to_string();
    let info =
        [("gpu_model", GpuModel::H100.name()), ("gpus", gpus.as_str()), ("vcpus", &vcpus), ("memory_bytes", &memory)];
    target.declare("inference_replica_info", &info);
    target.declare("container_cpu_usage_seconds_total", &[("container", "engine")]);
    target.declare("container_memory_working_set_bytes", &[("container", "engine")]);
    for (resource, unit) in [("cpu", "core"), ("memory", "byte")] {
        let limit = [("container", "engine"), ("resource", resource), ("unit", unit)];
        target.declare("kube_pod_container_resource_limits", &limit);
    }
    target
}

/// The target with a replica's GPUs. Each keeps its UUID whoever holds it.
fn gpus(identity: &Labels, spec: &ModelSpec, place: &Place, rng: &mut Rng) -> Target {
    let mut labels = LabelsBuilder::new(identity);
    labels.set("job", "dcgm-exporter").set("instance", &format!("{}:9400", place.host)).set("container", "engine");
    let mut target = Target::new(&labels.build(), SCRAPES_MAX, rng);
    for slot in place.slot..place.slot + spec.gpus {
        declare_gpu(&mut target, GpuModel::H100, &place.host, slot, &mut gpu_rng(&place.host, slot));
    }
    target
}

/// Decides what a GPU is called, by where it is.
pub(super) fn gpu_rng(host: &str, slot: usize) -> Rng {
    let place = host.bytes().fold(slot as u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Rng::new(place)
}

/// The descriptions of a replica's own families.
pub(super) fn replica_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    let gauges = [
        ("inference_replica_gpus", "GPUs the replica holds."),
        ("inference_replica_state", "The state of the replica: exactly one is 1."),
        ("inference_replica_info", "What the replica is and where: always 1."),
        ("container_memory_working_set_bytes", "Memory that the container uses."),
        ("kube_pod_container_resource_limits", "What the container may use."),
    ];
    let cpu = ("container_cpu_usage_seconds_total", MetricKind::Counter, "Processor time of the container.");
    let all = gauges.into_iter().map(|(name, help)| (name, MetricKind::Gauge, help)).chain([cpu]);
    all.map(|(name, kind, help)| (name, Metadata { kind, help: help.to_owned(), unit: String::new() }))
}
