//! One inference replica of the benchmark: Crusoe, TensorOne and Hugging Face families and a few gauges.

use crate::fleet::families::{grows, walk};
use crate::fleet::signal::{Counter, Histogram, Signal};
use crate::fleet::target::Target;
use crate::rng::Rng;

/// Finite bounds of the time to first token, in seconds; 21 buckets with `+Inf`.
static TTFT_BOUNDS: [f64; 20] = [
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0,
];
/// Finite bounds of the time per output token, in seconds; 16 buckets with `+Inf`.
static TPOT_BOUNDS: [f64; 15] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5];
/// Finite bounds of the request latency, in seconds.
static LATENCY_BOUNDS: [f64; 13] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 30.0];
const TIERS: [&str; 2] = ["on_demand", "pt"];
/// Mean requests of one scrape at full load.
const REQUESTS: f64 = 40.0;
/// Status codes with the mean of each a scrape.
const CODES: [(&str, f64); 5] = [("200", 38.0), ("400", 0.3), ("429", 0.1), ("500", 0.2), ("504", 0.1)];

/// Declares the series of one replica and makes what moves them.
pub(super) fn declare(target: &mut Target, rng: &mut Rng) -> Vec<Signal> {
    let mut signals = Vec::new();
    for tier in TIERS {
        declare_crusoe(target, tier, rng, &mut signals);
    }
    for (status, mean) in [("success", 38.0), ("error", 0.6)] {
        target.declare("tensorone_endpoint_requests_total", &[("status", status)]);
        signals.push(aged(mean, 1.0, rng));
    }
    target.declare_histogram("tensorone_endpoint_latency_seconds", &LATENCY_BOUNDS, &[]);
    signals.push(Signal::Histogram(Histogram::new(&LATENCY_BOUNDS, 1.6, 0.7), REQUESTS));
    for (category, mean) in [("compute", 0.045), ("storage", 0.001)] {
        target.declare("tensorone_endpoint_cost_total", &[("category", category)]);
        signals.push(aged(mean, 1e6, rng));
    }
    for (code, mean) in CODES {
        target.declare("http_requests", &[("status_code", code)]);
        signals.push(aged(mean, 1.0, rng));
    }
    for (name, signal) in [
        ("tensorone_endpoint_gpu_utilization", walk(5.0, 96.0, 0.05, 10.0)),
        ("vllm:num_requests_running", walk(0.0, 24.0, 0.1, 1.0)),
        ("vllm:num_requests_waiting", walk(0.0, 6.0, 0.2, 1.0)),
        ("vllm:kv_cache_usage_perc", walk(0.02, 0.93, 0.05, 1e6)),
        ("cpu_usage_percent", walk(3.0, 70.0, 0.05, 100.0)),
        ("process_resident_memory_bytes", walk(8.1e9, 9.4e9, 0.005, 1.0 / 4096.0)),
        ("inference_replica_gpus", Signal::Constant(4.0)),
    ] {
        target.declare(name, &[]);
        signals.push(signal);
    }
    signals
}

/// The three counters and two histograms of one service tier.
fn declare_crusoe(target: &mut Target, tier: &str, rng: &mut Rng, signals: &mut Vec<Signal>) {
    let labels = [("service_tier", tier)];
    for (family, mean) in [
        ("crusoe_inference_request_count", REQUESTS / 2.0),
        ("crusoe_inference_input_token_count", 550.0 * REQUESTS),
        ("crusoe_inference_output_token_count", 170.0 * REQUESTS),
    ] {
        target.declare(family, &labels);
        signals.push(aged(mean, 1.0, rng));
    }
    let mut histogram = |family: &str, bounds: &'static [f64], median: f64, n: f64| {
        target.declare_histogram(family, bounds, &labels);
        signals.push(Signal::Histogram(Histogram::new(bounds, median * rng.between(0.7, 1.4), 0.9), n));
    };
    histogram("crusoe_inference_histogram_first_token_latency", &TTFT_BOUNDS, 0.18, REQUESTS / 2.0);
    histogram("crusoe_inference_histogram_output_token_latency", &TPOT_BOUNDS, 0.022, 170.0 * REQUESTS);
}

/// A counter that has been running for a while.
fn aged(mean: f64, scale: f64, rng: &mut Rng) -> Signal {
    match grows(mean, scale) {
        Signal::Counter(counter) => Signal::Counter(Counter { value: mean * rng.between(1e3, 1e5), ..counter }),
        other => other,
    }
}
