//! Tables of the families one inference engine exports: name, labels, type, help, and where the value comes from.

use model::{Metadata, MetricKind};

use crate::demo_fleet::bounds::{DURATION, REQUEST, STEP_TOKENS, TOKEN_GAP, TOKENS, TTFT};
use crate::demo_fleet::engine::{Moment, Observed, State};

/// What the server records Crusoe's gauge from.
const CRUSOE_TTFT: &str = "crusoe_inference_histogram_first_token_latency";
type LabelPairs = &'static [(&'static str, &'static str)];

/// One exported series.
pub(super) struct ValueRow {
    pub(super) name: &'static str,
    pub(super) labels: LabelPairs,
    kind: MetricKind,
    help: &'static str,
    pub(super) value: fn(&State) -> f64,
}

/// One exported histogram.
pub(super) struct HistogramRow {
    pub(super) family: &'static str,
    pub(super) labels: LabelPairs,
    help: &'static str,
    pub(super) bounds: &'static [f64],
    pub(super) observed: fn(&Moment) -> Observed,
}

/// The descriptions of all families of an engine; a family with several series comes several times.
pub(super) fn engine_metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    let describe = |kind, help: &str| Metadata { kind, help: help.to_owned(), unit: String::new() };
    let values = VALUES.iter().map(move |row| (row.name, describe(row.kind, row.help)));
    values.chain(HISTOGRAMS.iter().map(move |row| (row.family, describe(MetricKind::Histogram, row.help))))
}

const ENGINE: LabelPairs = &[("engine", "0")];
const ON_DEMAND: LabelPairs = &[("service_tier", "on_demand")];
const PT: LabelPairs = &[("service_tier", "pt")];

const fn gauge(name: &'static str, labels: LabelPairs, value: fn(&State) -> f64, help: &'static str) -> ValueRow {
    ValueRow { name, labels, kind: MetricKind::Gauge, help, value }
}

const fn counter(name: &'static str, labels: LabelPairs, value: fn(&State) -> f64, help: &'static str) -> ValueRow {
    ValueRow { name, labels, kind: MetricKind::Counter, help, value }
}

const fn finished(labels: LabelPairs, value: fn(&State) -> f64) -> ValueRow {
    counter("vllm:request_success_total", labels, value, "Count of successfully processed requests.")
}

const fn code(labels: LabelPairs, value: fn(&State) -> f64) -> ValueRow {
    counter("http_requests", labels, value, "Requests answered by the gateway.")
}

const fn counted(labels: LabelPairs, value: fn(&State) -> f64) -> ValueRow {
    counter("inference_requests_total", labels, value, "Requests answered by the gateway, by status.")
}

/// Every series of an engine that is no part of a histogram.
pub(super) static VALUES: [ValueRow; 38] = [
    gauge("vllm:num_requests_running", ENGINE, |s| s.running, "Number of requests in model execution batches."),
    gauge("vllm:num_requests_waiting", ENGINE, |s| s.waiting, "Number of requests waiting to be processed."),
    gauge("vllm:kv_cache_usage_perc", ENGINE, |s| s.kv_usage, "KV-cache usage, 1 means 100 percent."),
    counter("vllm:num_preemptions_total", ENGINE, |s| s.preemptions, "Cumulative number of preemptions."),
    counter("vllm:prefix_cache_queries_total", ENGINE, |s| s.prompt_tokens, "Prefix cache queries, in tokens."),
    counter("vllm:prefix_cache_hits_total", ENGINE, |s| s.cached_tokens, "Prefix cache hits, in tokens."),
    counter("vllm:prompt_tokens_total", ENGINE, |s| s.prompt_tokens, "Number of prefill tokens processed."),
    counter("vllm:generation_tokens_total", ENGINE, |s| s.output_tokens, "Number of generation tokens processed."),
    finished(&[("engine", "0"), ("finished_reason", "stop")], |s| s.finished[0]),
    finished(&[("engine", "0"), ("finished_reason", "length")], |s| s.finished[1]),
    finished(&[("engine", "0"), ("finished_reason", "abort")], |s| s.finished[2]),
    finished(&[("engine", "0"), ("finished_reason", "error")], |s| s.finished[3]),
    code(&[("status_code", "200")], |s| s.codes[0]),
    code(&[("status_code", "400")], |s| s.codes[1]),
    code(&[("status_code", "422")], |s| s.codes[2]),
    code(&[("status_code", "429")], |s| s.codes[3]),
    code(&[("status_code", "503")], |s| s.codes[4]),
    code(&[("status_code", "504")], |s| s.codes[5]),
    counted(&[("status_code", "200")], |s| s.codes[0]),
    counted(&[("status_code", "400")], |s| s.codes[1]),
    counted(&[("status_code", "422")], |s| s.codes[2]),
    counted(&[("status_code", "429"), ("reason", "resource_exhausted")], |s| s.codes[3]),
    counted(&[("status_code", "503"), ("reason", "resource_exhausted")], |s| s.codes[4]),
    counted(&[("status_code", "504"), ("reason", "timeout")], |s| s.codes[5]),
    counter("inference_request_bytes_total", &[], |s| s.request_bytes, "Bytes of requests."),
    counter("inference_response_bytes_total", &[], |s| s.response_bytes, "Bytes of responses."),
    counter("inference_response_cache_hits_total", &[], |s| s.cache_hits, "Answers that the cache had."),
    counter("inference_response_cache_misses_total", &[], |s| s.cache_misses, "Answers that the cache had not."),
    counter("process_cpu_seconds_total", &[], |s| s.cpu_seconds, "Total user and system CPU time in seconds."),
    gauge("process_resident_memory_bytes", &[], |s| s.resident_bytes, "Resident memory size in bytes."),
    gauge("process_start_time_seconds", &[], |s| s.started_s, "Start time since the Unix epoch in seconds."),
    gauge("process_open_fds", &[], |s| 96.0 + s.running, "Number of open file descriptors."),
    counter("crusoe_inference_request_count", ON_DEMAND, |s| s.tiers[0].requests, "Requests served by the model."),
    counter("crusoe_inference_request_count", PT, |s| s.tiers[1].requests, "Requests served by the model."),
    counter("crusoe_inference_input_token_count", ON_DEMAND, |s| s.tiers[0].input_tokens, "Input tokens processed."),
    counter("crusoe_inference_input_token_count", PT, |s| s.tiers[1].input_tokens, "Input tokens processed."),
    counter("crusoe_inference_output_token_count", ON_DEMAND, |s| s.tiers[0].output_tokens, "Output tokens produced."),
    counter("crusoe_inference_output_token_count", PT, |s| s.tiers[1].output_tokens, "Output tokens produced."),
];

const fn row(
    family: &'static str,
    labels: LabelPairs,
    bounds: &'static [f64],
    observed: fn(&Moment) -> Observed,
    help: &'static str,
) -> HistogramRow {
    HistogramRow { family, labels, help, bounds, observed }
}

fn requests(m: &Moment, median: f64, sigma: f64) -> Observed {
    Observed { n: m.requests, median, sigma }
}

fn gaps(m: &Moment, share: f64) -> Observed {
    Observed { n: m.output_tokens * share, median: m.gap_s, sigma: 0.6 }
}

/// Every histogram of an engine.
pub(super) static HISTOGRAMS: [HistogramRow; 16] = [
    row(
        "vllm:time_to_first_token_seconds",
        ENGINE,
        &TTFT,
        |m| requests(m, m.ttft_s, 0.9),
        "Time to first token in seconds.",
    ),
    row("vllm:inter_token_latency_seconds", ENGINE, &TOKEN_GAP, |m| gaps(m, 1.0), "Inter-token latency in seconds."),
    row(
        "vllm:request_time_per_output_token_seconds",
        ENGINE,
        &TOKEN_GAP,
        |m| requests(m, m.gap_s, 0.3),
        "Time per output token of a request in seconds.",
    ),
    row(
        "vllm:e2e_request_latency_seconds",
        ENGINE,
        &REQUEST,
        |m| requests(m, m.queue_s + m.ttft_s + m.decode_s(), 0.9),
        "End to end request latency in seconds.",
    ),
    row(
        "inference_request_duration_seconds",
        &[],
        &DURATION,
        |m| requests(m, m.queue_s + m.ttft_s + m.decode_s(), 0.9),
        "Request duration at the gateway in seconds.",
    ),
    row("vllm:request_queue_time_seconds", ENGINE, &REQUEST, |m| requests(m, m.queue_s, 0.8), "Time spent waiting."),
    row(
        "vllm:request_inference_time_seconds",
        ENGINE,
        &REQUEST,
        |m| requests(m, m.ttft_s + m.decode_s(), 0.9),
        "Time spent running.",
    ),
    row(
        "vllm:request_prefill_time_seconds",
        ENGINE,
        &REQUEST,
        |m| requests(m, m.ttft_s, 0.9),
        "Time spent in prefill.",
    ),
    row(
        "vllm:request_decode_time_seconds",
        ENGINE,
        &REQUEST,
        |m| requests(m, m.decode_s(), 0.95),
        "Time spent in decode.",
    ),
    row("vllm:request_prompt_tokens", ENGINE, &TOKENS, |m| requests(m, 600.0, 1.1), "Prefill tokens of a request."),
    row(
        "vllm:request_generation_tokens",
        ENGINE,
        &TOKENS,
        |m| requests(m, 220.0, 0.95),
        "Generation tokens of a request.",
    ),
    row(
        "vllm:iteration_tokens_total",
        ENGINE,
        &STEP_TOKENS,
        |m| Observed { n: m.steps, median: m.running.max(1.0), sigma: 0.5 },
        "Tokens of an engine step.",
    ),
    row(CRUSOE_TTFT, ON_DEMAND, &TTFT, |m| tier(requests(m, m.ttft_s, 0.9), 0.7), "Time to first token in seconds."),
    row(CRUSOE_TTFT, PT, &TTFT, |m| tier(requests(m, 0.7 * m.ttft_s, 0.7), 0.3), "Time to first token in seconds."),
    row(
        "crusoe_inference_histogram_output_token_latency",
        ON_DEMAND,
        &TOKEN_GAP,
        |m| gaps(m, 0.7),
        "Time per output token in seconds.",
    ),
    row(
        "crusoe_inference_histogram_output_token_latency",
        PT,
        &TOKEN_GAP,
        |m| gaps(m, 0.3),
        "Time per output token in seconds.",
    ),
];

/// The share of the observations that belongs to one tier.
fn tier(all: Observed, share: f64) -> Observed {
    Observed { n: all.n * share, ..all }
}
