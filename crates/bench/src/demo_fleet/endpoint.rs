//! One endpoint of the demo: the traffic to a model, and what is recorded for all of its replicas together.

use model::{Labels, Metadata, MetricKind, Timestamp};

use crate::demo_fleet::bounds::{COLD_START, TTFT};
use crate::demo_fleet::engine::Engine;
use crate::demo_fleet::families::{CRUSOE_TTFT, TIERS};
use crate::demo_fleet::replica::START_PHASES;
use crate::demo_fleet::traffic::{Surprise, expected};
use crate::demo_fleet::{ModelSpec, SCRAPES_MAX};
use crate::fleet::{Histogram, Target};
use crate::rng::Rng;

/// The gauge Crusoe records from its histogram.
const CRUSOE_TTFT_GAUGE: &str = "crusoe_inference_first_token_latency";
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
    /// Time to first token: all replicas' buckets in this interval, by tier, and their median so far.
    ttft: [Vec<f64>; TIERS.len()],
    ttft_median: [f64; TIERS.len()],
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
        TIERS.iter().for_each(|tier| target.declare(CRUSOE_TTFT_GAUGE, &[("service_tier", tier)]));
        target.declare("inference_replicas_target", &[]);
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
            ttft: [const { Vec::new() }; TIERS.len()],
            ttft_median: [spec.ttft_s; TIERS.len()],
            cold_starts: 0.0,
            cold_start_s: std::array::from_fn(|_| Histogram::new(&COLD_START, 10.0, 1.0)),
        }
    }

    /// Requests a second that all replicas together get at `t`.
    pub(super) fn traffic(&mut self, t: Timestamp, rng: &mut Rng) -> f64 {
        self.replicas * self.spec.rate * expected(t) * self.surprise.advance(rng)
    }

    /// Adds what an engine has seen so far.
    pub(super) fn observe(&mut self, engine: &Engine) {
        for (sum, tier) in self.ttft.iter_mut().zip(TIERS) {
            let last = engine.last_observed(CRUSOE_TTFT, tier);
            sum.resize(last.len(), 0.0);
            sum.iter_mut().zip(last).for_each(|(sum, n)| *sum += n);
        }
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
        for (buckets, median) in self.ttft.iter_mut().zip(&mut self.ttft_median) {
            *median = interpolated_median(&TTFT, buckets).unwrap_or(*median);
            buckets.clear();
            scrape.put(*median);
        }
        scrape.put(self.replicas);
        scrape.put(self.cold_starts);
        self.cold_start_s.iter().for_each(|histogram| histogram.export(&mut scrape));
    }
}

/// The median of observations counted bucket by bucket, linear inside its bucket; `None` without observations.
fn interpolated_median(bounds: &[f64], buckets: &[f64]) -> Option<f64> {
    let half = buckets.iter().sum::<f64>() / 2.0;
    let (mut below, mut low) = (0.0, 0.0);
    for (bound, n) in bounds.iter().zip(buckets) {
        if *n > 0.0 && half <= below + n {
            return Some(low + (bound - low) * (half - below) / n);
        }
        below += n;
        low = *bound;
    }
    (half > 0.0).then_some(low)
}

/// The descriptions of an endpoint's own families.
pub(super) fn endpoint_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    [
        (CRUSOE_TTFT_GAUGE, MetricKind::Gauge, "Median time to first token of the last interval in seconds."),
        ("inference_replicas_target", MetricKind::Gauge, "Replicas the endpoint should have."),
        ("inference_cold_starts_total", MetricKind::Counter, "Replicas started."),
        ("inference_cold_start_seconds", MetricKind::Histogram, "Seconds until a new replica was ready, by phase."),
    ]
    .into_iter()
    .map(|(name, kind, help)| (name, Metadata { kind, help: help.to_owned(), unit: String::new() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_interpolated_inside_its_bucket() {
        for (buckets, expected) in [
            (vec![0.0, 10.0, 0.0], Some(1.5)),
            (vec![4.0, 4.0, 0.0], Some(1.0)),
            (vec![0.0, 0.0, 3.0], Some(2.0)),
            (vec![0.0, 0.0, 0.0], None),
        ] {
            assert_eq!(interpolated_median(&[1.0, 2.0], &buckets), expected, "{buckets:?}");
        }
    }
}
