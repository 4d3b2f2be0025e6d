//! One vLLM-like engine: what requests do to it in a scrape interval, and the families it exports.

use model::{Labels, Timestamp};

use crate::demo_fleet::ModelSpec;
use crate::demo_fleet::families::{HISTOGRAMS, VALUES};
use crate::fleet::{Histogram, Target};
use crate::rng::Rng;

/// Seconds between two scrapes.
const INTERVAL_S: f64 = 15.0;
/// Mean prompt and output of a request, in tokens: lognormal with medians 600 and 220.
const PROMPT_TOKENS: f64 = 1_100.0;
const OUTPUT_TOKENS: f64 = 345.0;
/// Requests the engine batches before it queues.
const BATCH: f64 = 16.0;
/// Share of prompt tokens found in the prefix cache.
const CACHED: f64 = 0.42;
/// Share of each way a request ends: stop, length, abort, error. Errors the gateway answers are not among them.
const FINISHED: [f64; 4] = [0.86, 0.128, 0.01, 0.002];
/// Share of each status code at the gateway: 200, 400, 422, 429, 503, 504.
const CODES: [f64; 6] = [0.988, 0.005, 0.002, 0.001, 0.001, 0.003];
/// Share of answers that the gateway has in its cache.
const REPEATED: f64 = 0.3;
/// Bytes of a token as text, and of what a request and each token of a streamed answer have around it.
const TOKEN_BYTES: f64 = 4.5;
const REQUEST_BYTES: f64 = 600.0;
const EVENT_BYTES: f64 = 180.0;
/// Share of requests with provisioned throughput.
const PROVISIONED: f64 = 0.3;

/// What the exported values are read from.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) running: f64,
    pub(super) waiting: f64,
    pub(super) kv_usage: f64,
    pub(super) preemptions: f64,
    pub(super) prompt_tokens: f64,
    pub(super) cached_tokens: f64,
    pub(super) output_tokens: f64,
    pub(super) finished: [f64; 4],
    pub(super) codes: [f64; 6],
    pub(super) tiers: [Tier; 2],
    pub(super) request_bytes: f64,
    pub(super) response_bytes: f64,
    pub(super) cache_hits: f64,
    pub(super) cache_misses: f64,
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: f64,
    pub(super) started_s: f64,
}

/// The totals of one service tier.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tier {
    pub(super) requests: f64,
    pub(super) input_tokens: f64,
    pub(super) output_tokens: f64,
}

/// What happened in one interval, for the histograms.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) requests: f64,
    pub(super) output_tokens: f64,
    pub(super) steps: f64,
    /// Median seconds to the first token, between tokens, and waiting in the queue.
    pub(super) ttft_s: f64,
    pub(super) gap_s: f64,
    pub(super) queue_s: f64,
    pub(super) running: f64,
}

impl Moment {
    /// Median seconds of decoding one request.
    pub(super) fn decode_s(&self) -> f64 {
        220.0 * self.gap_s
    }
}

/// The observations of one interval: how many, their median and the deviation of their logarithm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) n: f64,
    pub(super) median: f64,
    pub(super) sigma: f64,
}

/// One engine from its start to its end.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) target: Target,
    spec: &'static ModelSpec,
    state: State,
    histograms: Vec<Histogram>,
    rng: Rng,
}

impl Engine {
    /// An engine that has just become ready at `t`.
    pub(super) fn new(
        spec: &'static ModelSpec,
        identity: &Labels,
        t: Timestamp,
        capacity: usize,
        mut rng: Rng,
    ) -> Engine {
        let mut target = Target::new(identity, capacity, &mut rng);
        VALUES.iter().for_each(|row| target.declare(row.name, row.labels));
        HISTOGRAMS.iter().for_each(|row| target.declare_histogram(row.family, row.bounds, row.labels));
        let state = State { started_s: t as f64 / 1000.0, resident_bytes: 9.1e9, ..State::default() };
        let histograms = HISTOGRAMS.iter().map(|row| Histogram::new(row.bounds, 1.0, 1.0)).collect();
        Engine { target, spec, state, histograms, rng }
    }

    /// Serves `rate` requests a second for one interval; says how busy its GPUs were, 0 to 1.
    pub(super) fn serve(&mut self, rate: f64) -> f64 {
        let rng = &mut self.rng;
        let requests = rng.whole_near(rate * INTERVAL_S, 0.15);
        let gap_s = self.spec.gap_s * (1.0 + self.state.running / (2.0 * BATCH));
        let wanted = rate * (self.spec.ttft_s + OUTPUT_TOKENS * gap_s);
        let running = rng.whole_near(wanted.min(BATCH), 0.2);
        let waiting = rng.whole_near((wanted - BATCH).max(0.0), 0.5);
        let output_tokens = rng.whole_near(requests * OUTPUT_TOKENS, 0.1);
        let moment = Moment {
            requests,
            output_tokens,
            steps: if running > 0.0 { INTERVAL_S / gap_s } else { 0.0 },
            ttft_s: self.spec.ttft_s * (1.0 + running / BATCH) + 0.05 * waiting,
            gap_s,
            queue_s: 0.004 + 0.12 * waiting,
            running,
        };
        self.count(&moment, waiting);
        for (histogram, row) in self.histograms.iter_mut().zip(&HISTOGRAMS) {
            let observed = (row.observed)(&moment);
            histogram.reshape(observed.median, observed.sigma);
            histogram.observe(&mut self.rng, observed.n);
        }
        ((12.0 + 11.0 * running) / 98.0).min(1.0) * f64::from(u8::from(running > 0.0))
    }

    /// Adds one interval to the totals.
    fn count(&mut self, moment: &Moment, waiting: f64) {
        let (rng, state) = (&mut self.rng, &mut self.state);
        let input_tokens = rng.whole_near(moment.requests * PROMPT_TOKENS, 0.15);
        state.running = moment.running;
        state.waiting = waiting;
        state.kv_usage = (0.02 + 0.05 * moment.running + 0.01 * waiting).min(0.99) * rng.between(0.97, 1.0);
        state.preemptions += if state.kv_usage > 0.9 { rng.whole(0.8) } else { 0.0 };
        state.prompt_tokens += input_tokens;
        state.cached_tokens += rng.whole_near(input_tokens * CACHED, 0.1);
        state.output_tokens += moment.output_tokens;
        let mut split = |totals: &mut [f64], shares: &[f64]| {
            totals.iter_mut().zip(shares).for_each(|(total, share)| *total += rng.whole(moment.requests * share));
        };
        split(&mut state.finished, &FINISHED);
        split(&mut state.codes, &CODES);
        for (tier, share) in state.tiers.iter_mut().zip([1.0 - PROVISIONED, PROVISIONED]) {
            tier.requests += rng.whole(moment.requests * share);
            tier.input_tokens += (input_tokens * share).round();
            tier.output_tokens += (moment.output_tokens * share).round();
        }
        state.request_bytes += (input_tokens * TOKEN_BYTES + moment.requests * REQUEST_BYTES).round();
        state.response_bytes += (moment.output_tokens * (TOKEN_BYTES + EVENT_BYTES)).round();
        let hits = rng.whole(moment.requests * REPEATED).min(moment.requests);
        state.cache_hits += hits;
        state.cache_misses += moment.requests - hits;
        state.cpu_seconds += rng.near(INTERVAL_S * (0.3 + 0.05 * moment.running), 0.1);
        state.resident_bytes = (state.resident_bytes + 4096.0 * rng.whole_near(1.0, 1.0)).min(1.4e10);
    }

    /// Exports everything for the tick at `t`.
    pub(super) fn scrape(&mut self, t: Timestamp) {
        let mut scrape = self.target.scrape(t, &mut self.rng);
        VALUES.iter().for_each(|row| scrape.put((row.value)(&self.state)));
        self.histograms.iter().for_each(|histogram| histogram.export(&mut scrape));
    }
}
