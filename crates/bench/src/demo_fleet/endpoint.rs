//! One endpoint of the demo: the traffic to a model, and what is recorded for all of its replicas together.

use model::{Labels, Metadata, MetricKind, Timestamp};

use crate::demo_fleet::bounds::COLD_START;
use crate::demo_fleet::replica::START_PHASES;
use crate::demo_fleet::traffic::{Surprise, expected};
use crate::demo_fleet::{ModelSpec, SCRAPES_MAX};
use crate::fleet::{Histogram, Target};
use crate::rng::Rng;

/// Bytes of a billion parameters as they are stored.
const BYTES_PER_BILLION: f64 = 2e9;
/// The phases of a cold start and their total.
const PHASES: usize = START_PHASES.len() + 1;

/// A model behind one name.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) spec: &'static ModelSpec,
    /// Labels of everything that belongs to the endpoint.
    pub(super) identity: Labels,
    pub(super) target: Target,
    replicas: f64,
    surprise: Surprise,
    cold_starts: f64,
    cold_start_s: [Histogram; PHASES],
}

impl Endpoint {
    /// An endpoint with one replica on each of `nodes` nodes.
    pub(super) fn new(spec: &'static ModelSpec, nodes: u32, rng: &mut Rng) -> Endpoint {
        let id = format!("ep_{:016x}", rng.next_u64());
        let identity =
            Labels::from_pairs([("endpoint", spec.slug), ("endpoint_id", id.as_str()), ("model_name", spec.name)]);
        let mut target = Target::new(&identity, SCRAPES_MAX, rng);
        GAUGES.iter().for_each(|(name, ..)| target.declare(name, &[]));
        target.declare("inference_cold_starts_total", &[]);
        for phase in START_PHASES.iter().map(|(phase, _)| *phase).chain(["total"]) {
            target.declare_histogram("inference_cold_start_seconds", &COLD_START, &[("phase", phase)]);
        }
        Endpoint {
            spec,
            identity,
            target,
            replicas: f64::from(nodes),
            surprise: Surprise::default(),
            cold_starts: 0.0,
            cold_start_s: std::array::from_fn(|_| Histogram::new(&COLD_START, 10.0, 1.0)),
        }
    }

    /// Requests a second that all replicas together get at `t`.
    pub(super) fn traffic(&mut self, t: Timestamp, rng: &mut Rng) -> f64 {
        self.replicas * self.spec.rate * expected(t) * self.surprise.advance(rng)
    }

    /// Adds one cold start with the seconds of each phase.
    pub(super) fn count_cold_start(&mut self, took: &[f64], rng: &mut Rng) {
        self.cold_starts += 1.0;
        let total: f64 = took.iter().sum();
        for (histogram, seconds) in self.cold_start_s.iter_mut().zip(took.iter().chain([&total])) {
            histogram.reshape(*seconds, 0.001);
            histogram.observe(rng, 1.0);
        }
    }

    /// Exports what is recorded and starts the next interval.
    pub(super) fn scrape(&mut self, t: Timestamp, rng: &mut Rng) {
        let mut scrape = self.target.scrape(t, rng);
        let billions = 10.0 * self.spec.gpus as f64;
        for value in [self.replicas, 1.0, 2.0 * self.replicas, billions * BYTES_PER_BILLION] {
            scrape.put(value);
        }
        scrape.put(self.cold_starts);
        self.cold_start_s.iter().for_each(|histogram| histogram.export(&mut scrape));
    }
}

/// The gauges of an endpoint, in the order they are written.
const GAUGES: [(&str, &str); 4] = [
    ("inference_replicas_target", "Replicas the endpoint should have."),
    ("inference_replicas_min", "Replicas that autoscaling keeps at least."),
    ("inference_replicas_max", "Replicas that autoscaling makes at most."),
    ("pod_pvc_allocation", "Bytes of storage held for the model."),
];

/// The descriptions of an endpoint's own families.
pub(super) fn endpoint_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    let gauges = GAUGES.into_iter().map(|(name, help)| (name, MetricKind::Gauge, help));
    let cold_starts = [
        ("inference_cold_starts_total", MetricKind::Counter, "Replicas started."),
        ("inference_cold_start_seconds", MetricKind::Histogram, "Seconds until a new replica was ready, by phase."),
    ];
    let all = gauges.chain(cold_starts);
    all.map(|(name, kind, help)| (name, Metadata { kind, help: help.to_owned(), unit: String::new() }))
}
