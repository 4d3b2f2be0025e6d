//! Values: each measured figure of the answers equals what plain arithmetic over the fleet's samples gives.

use clouds::tensorone::{self, MetricsAsk};
use clouds::{Found, Subject};
use model::Timestamp;
use serde_json::Value;

use crate::answers::{metrics, pairs, performance, with_batch};
use crate::fleet::{BOUNDS, DAY_MS, END, ENDPOINT, Fleet, HOUR_MS, MINUTE_MS};

type Samples = [(Timestamp, f64)];

#[track_caller]
fn near(what: &str, ours: f64, expect: f64) {
    assert!((ours - expect).abs() <= 1e-9 * expect.abs().max(1.0), "{what}: {ours}, expected {expect}");
}

/// What a counter gained in `(end - window, end]`, its fall at a restart not counted as one.
fn gain(samples: &Samples, end: Timestamp, window_ms: i64) -> f64 {
    let start = end - window_ms;
    let mut gained = 0.0;
    for pair in samples.windows(2) {
        if start < pair[1].0 && pair[1].0 <= end {
            gained += if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
        }
    }
    gained
}

/// The values of a gauge in `(end - window, end]`.
fn inside(samples: &Samples, end: Timestamp, window_ms: i64) -> Vec<f64> {
    samples.iter().filter(|(t, _)| end - window_ms < *t && *t <= end).map(|(_, v)| *v).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A quantile of observations counted up to each bound, linear within a bucket.
fn quantile(q: f64, cumulative: &[f64]) -> f64 {
    let rank = q * cumulative.last().unwrap();
    let at = cumulative.iter().position(|n| *n >= rank).unwrap();
    if BOUNDS[at].is_infinite() {
        return BOUNDS[at - 1];
    }
    let (low, below) = if at == 0 { (0.0, 0.0) } else { (BOUNDS[at - 1], cumulative[at - 1]) };
    low + (BOUNDS[at] - low) * (rank - below) / (cumulative[at] - below)
}

struct Truth {
    fleet: Fleet,
}

impl Truth {
    /// The gain of all series of that name and those labels together.
    fn gain(&self, name: &str, pairs: &[(&str, &str)], end: Timestamp, window_ms: i64) -> f64 {
        self.fleet.samples(name, pairs).map(|samples| gain(samples, end, window_ms)).sum()
    }

    fn codes(&self, codes: &[&str], end: Timestamp, window_ms: i64) -> f64 {
        codes.iter().map(|code| self.gain("inference_requests_total", &[("status_code", code)], end, window_ms)).sum()
    }

    fn buckets(&self, end: Timestamp, window_ms: i64) -> Vec<f64> {
        let text = |bound: &f64| if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
        let name = "inference_request_duration_seconds_bucket";
        BOUNDS.iter().map(|bound| self.gain(name, &[("le", &text(bound))], end, window_ms)).collect()
    }

    /// The mean over series of their means in a window.
    fn mean(&self, name: &str, end: Timestamp, window_ms: i64) -> f64 {
        let means: Vec<f64> = self.of_endpoint(name).map(|samples| mean(&inside(samples, end, window_ms))).collect();
        mean(&means)
    }

    fn of_endpoint<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Samples> {
        self.fleet.samples(name, &[("endpoint_id", ENDPOINT)])
    }

    /// At each minute of a window, the values of all series of a name.
    fn minutes(&self, name: &str, end: Timestamp, window_ms: i64) -> Vec<Vec<f64>> {
        let series: Vec<Vec<f64>> = self.of_endpoint(name).map(|samples| inside(samples, end, window_ms)).collect();
        (0..series[0].len()).map(|minute| series.iter().map(|values| values[minute]).collect()).collect()
    }
}

const OK: [&str; 2] = ["200", "204"];
const BAD: [&str; 7] = ["400", "422", "408", "429", "500", "503", "504"];

fn found(truth: &Truth, parameters: &str) -> (MetricsAsk, Found) {
    let ask = MetricsAsk::parse(&pairs(parameters), END).unwrap();
    let store = truth.fleet.store();
    let found = with_batch(&store, |batch| {
        let subject = Subject::members(tensorone::ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
        batch.run(&subject, &tensorone::needs(&ask)).unwrap()
    });
    (ask, found)
}

#[test]
fn totals_of_a_window_are_those_of_its_samples() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let (_, found) = found(&truth, "timeframe=24h");
    let view = found.member(ENDPOINT);
    let value = |name: &str| view.value(name).unwrap_or_else(|| panic!("{name} has no value"));
    let whole = |name: &str| truth.gain(name, &[], END, DAY_MS);
    for code in OK.iter().chain(&BAD) {
        let rows = view.rows("requests");
        let row = rows.iter().find(|row| row.label("status_code") == *code).unwrap();
        near(code, row.last().unwrap(), truth.codes(&[code], END, DAY_MS));
    }
    near("latency sum", value("latency.sum"), whole("inference_request_duration_seconds_sum"));
    near("latency count", value("latency.count"), whole("inference_request_duration_seconds_count"));
    near("queue sum", value("queue.sum"), whole("inference_request_queue_seconds_sum"));
    near("queue count", value("queue.count"), whole("inference_request_queue_seconds_count"));
    near("cold starts", value("cold_starts"), whole("inference_cold_starts_total"));
    near("gpu seconds", value("inference.sum"), whole("inference_request_inference_seconds_sum"));
    near("input", value("input"), whole("inference_request_bytes_total"));
    near("output", value("output"), whole("inference_response_bytes_total"));
    near("hits", value("cache.hits"), whole("inference_response_cache_hits_total"));
    near("misses", value("cache.misses"), whole("inference_response_cache_misses_total"));
    let cost: f64 = view.rows("cost").iter().filter_map(clouds::Row::last).sum();
    near("cost", cost, whole("inference_cost_usd_total"));
    let cumulative = truth.buckets(END, DAY_MS);
    for row in view.rows("latency.quantiles") {
        let q: f64 = row.label("quantile").parse().unwrap();
        near(&format!("quantile {q}"), row.last().unwrap(), quantile(q, &cumulative));
    }
}

#[test]
fn gauges_over_a_window_are_those_of_its_samples() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let (_, found) = found(&truth, "timeframe=24h");
    let view = found.member(ENDPOINT);
    let value = |name: &str| view.value(name).unwrap_or_else(|| panic!("{name} has no value"));
    near("gpu", value("gpu"), truth.mean("DCGM_FI_DEV_GPU_UTIL", END, DAY_MS));
    let gpu = truth.minutes("DCGM_FI_DEV_GPU_UTIL", END, DAY_MS);
    near("gpu peak", value("gpu.peak"), gpu.iter().map(|gpus| mean(gpus)).fold(0.0, f64::max));
    let (used, free) =
        (truth.minutes("DCGM_FI_DEV_FB_USED", END, DAY_MS), truth.minutes("DCGM_FI_DEV_FB_FREE", END, DAY_MS));
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let share: Vec<f64> =
        used.iter().zip(&free).map(|(used, free)| 100.0 * sum(used) / (sum(used) + sum(free))).collect();
    near("memory peak", value("gpu.memory.peak"), share.iter().copied().fold(0.0, f64::max));
    near("memory", value("gpu.memory"), mean(&share));
    near("memory total", value("gpu.memory.total"), 81_559.0 * 1_048_576.0);
    near("tensor", value("gpu.tensor"), truth.mean("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", END, DAY_MS));
    near("dram", value("gpu.dram"), truth.mean("DCGM_FI_PROF_DRAM_ACTIVE", END, DAY_MS));
    let flying = truth.minutes("inference_requests_in_flight", END, DAY_MS);
    let flying: Vec<f64> = flying.into_iter().flatten().collect();
    let idle = flying.iter().filter(|n| **n == 0.0).count() as f64;
    near("idle", value("idle"), 60.0 * idle);
    near("busy", value("busy"), 100.0 * (flying.len() as f64 - idle) / flying.len() as f64);
    near("in flight", value("in_flight"), mean(&flying));
    near("gpu hours", value("gpu_hours"), 48.0);
    near("replica hours", value("replica_hours"), 48.0);
    near("memory limit", value("memory"), 100.0 * 48.0 / 64.0);
    near("memory of the limits", value("memory.total"), 64e9);
    near("target", value("replicas.target"), 2.0);
    near("running", value("replicas"), 2.0);
}

#[test]
fn buckets_are_those_of_their_samples() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    for (parameters, step_ms) in [("timeframe=24h", 15 * MINUTE_MS), ("timeframe=6h&granularity=1m", MINUTE_MS)] {
        let (ask, found) = found(&truth, parameters);
        let view = found.member(ENDPOINT);
        let n_buckets = usize::try_from(ask.frame.window_ms() / step_ms).unwrap();
        for at in (0..n_buckets).step_by(7).chain([n_buckets - 1]) {
            let end = ask.frame.start + (i64::try_from(at).unwrap() + 1) * step_ms;
            let whole = |name: &str| truth.gain(name, &[], end, step_ms);
            let requests: f64 = view.rows("requests.each").iter().map(|row| row.values[at]).sum();
            near("requests", requests, truth.codes(&OK, end, step_ms) + truth.codes(&BAD, end, step_ms));
            near("tokens", view.line("tokens.each")[at], whole("inference_output_tokens_total"));
            near("latency", view.line("latency.sum.each")[at], whole("inference_request_duration_seconds_sum"));
            near("gpu", view.line("gpu.each")[at], truth.mean("DCGM_FI_DEV_GPU_UTIL", end, step_ms));
            let hottest = truth.minutes("DCGM_FI_DEV_GPU_TEMP", end, step_ms).into_iter().flatten().fold(0.0, f64::max);
            near("temperature", view.line("gpu.temperature.each")[at], hottest);
            let cost: f64 = view.rows("cost.each").iter().map(|row| row.values[at]).sum();
            near("cost", cost, whole("inference_cost_usd_total"));
            let cumulative = truth.buckets(end, step_ms);
            for row in view.rows("latency.quantiles.each") {
                let q: f64 = row.label("quantile").parse().unwrap();
                near(&format!("quantile {q}"), row.values[at], quantile(q, &cumulative));
            }
        }
    }
}

/// `value` as an answer rounds it.
fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10f64.powi(digits)).round() / 10f64.powi(digits)
}

fn number(answer: &Value, pointer: &str) -> f64 {
    answer.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {answer:#}"))
}

#[test]
fn the_answer_shows_what_was_measured() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=24h");
    let show =
        |pointer: &str, expect: f64, digits: i32| near(pointer, number(&answer, pointer), rounded(expect, digits));
    let (ok, bad) = (truth.codes(&OK, END, DAY_MS), truth.codes(&BAD, END, DAY_MS));
    let whole = |name: &str| truth.gain(name, &[], END, DAY_MS);
    let seconds = whole("inference_request_duration_seconds_sum");
    let requests = whole("inference_request_duration_seconds_count");
    show("/summary/totalExecutions", ok + bad, 0);
    show("/summary/successRate", 100.0 * ok / (ok + bad), 2);
    show("/summary/averageLatency", seconds / requests, 3);
    show("/summary/p95Latency", quantile(0.95, &truth.buckets(END, DAY_MS)), 3);
    show("/summary/totalComputeTime", seconds, 3);
    show("/summary/averageQueueTime", 0.125, 3);
    let starts = whole("inference_cold_starts_total");
    show("/summary/coldStartRate", 100.0 * starts / (ok + bad), 2);
    show("/coldStarts/averageDuration", 34.25, 1);
    show("/coldStarts/impact/latencyIncrease", 34.25 - seconds / requests, 1);
    show("/performance/errorRates/breakdown/timeouts", truth.codes(&["408", "504"], END, DAY_MS), 0);
    show("/performance/errorRates/breakdown/resourceExhausted", truth.codes(&["429", "503"], END, DAY_MS), 0);
    show("/performance/errorRates/breakdown/4xx", truth.codes(&["400", "422", "408", "429"], END, DAY_MS), 0);
    show("/usage/data/cacheHitRate", 25.0, 1);
    show("/usage/compute/efficiency/score", 0.5 * truth.mean("DCGM_FI_DEV_GPU_UTIL", END, DAY_MS) + 0.5 * 80.0, 1);
    // The mean of bf16 tensor activity on an H100, against its 989 TFLOP/s and 3350 GB/s.
    show("/resources/gpu/performance/flops", 989.0 * truth.mean("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", END, DAY_MS), 1);
    show("/resources/gpu/performance/memoryBandwidth", 3350.0 * 0.5625, 1);
    show("/resources/gpu/performance/efficiency", 56.25, 1);
    assert_eq!(answer["resources"]["gpu"]["memory"]["allocated"], "80GB");
    assert_eq!(answer["resources"]["cpu"]["memory"]["available"], "64GB");
    assert_eq!(answer["resources"]["scaling"]["autoScalingEnabled"], true);
    let (peak, at) = (0..1435)
        .map(|minute| END - minute * MINUTE_MS)
        .map(|end| (truth.codes(&OK, end, 5 * MINUTE_MS) + truth.codes(&BAD, end, 5 * MINUTE_MS), -end))
        .fold((0.0, 0), |best, one| if one > best { one } else { best });
    show("/performance/throughput/peak/requestsPerSecond", peak / 300.0, 3);
    let shown = answer["performance"]["throughput"]["peak"]["timestamp"].as_str().unwrap();
    assert_eq!(tensorone::parse_time(shown), Some(-at));
    let (now, before) = (0.125 * 1440.0, 0.1 * 1440.0);
    let cost = whole("inference_cost_usd_total");
    show("/costs/total", cost, 2);
    near("a day's cost", cost, now * 0.094 / 0.1);
    show("/costs/trends/daily/changePercent", 100.0 * (now - before) / before, 1);
    show("/costs/trends/projection/monthly", 30.0 * rounded(cost, 2), 2);
}

#[test]
fn performance_shows_what_was_measured() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = performance(&truth.fleet.store(), "resource=clusters&timeRange=6h&granularity=15m");
    let show =
        |pointer: &str, expect: f64, digits: i32| near(pointer, number(&answer, pointer), rounded(expect, digits));
    let window_ms = 6 * HOUR_MS;
    let (ok, bad) = (truth.codes(&OK, END, window_ms), truth.codes(&BAD, END, window_ms));
    show("/overall/totalThroughput", (ok + bad) / 21_600.0, 1);
    show("/overall/errorRate", 100.0 * bad / (ok + bad), 1);
    let dead = truth.codes(&["500", "503", "504"], END, window_ms);
    show("/overall/availabilityScore", 100.0 * (ok + bad - dead) / (ok + bad), 1);
    let seconds = truth.gain("inference_request_duration_seconds_sum", &[], END, window_ms);
    show("/overall/averageResponseTime", 1000.0 * seconds / (ok + bad), 0);
    let cluster = &answer["resources"][0];
    assert_eq!((&cluster["resourceId"], &cluster["resourceName"]), (&"cluster-1".into(), &"Cluster One".into()));
    assert_eq!((&cluster["resourceType"], &cluster["region"]), (&"cluster".into(), &"us-east-1".into()));
    assert_eq!(cluster["metrics"]["network"]["inbound"], "2.3 Gbps", "the loopback device is not counted");
    assert_eq!(cluster["metrics"]["network"]["outbound"], "4.7 Gbps");
    assert_eq!(cluster["metrics"]["storage"]["readThroughput"], "850 MB/s");
    show("/resources/0/metrics/network/latency", 12.3, 1);
    show("/resources/0/metrics/storage/iops", 12_500.0, 0);
    let minutes: Vec<f64> = (0..360).map(|minute| 60.0 + ((50 * 60 - 1 - minute) % 100) as f64 / 10.0).collect();
    show("/resources/0/metrics/memory/average", mean(&minutes), 1);
    show("/resources/0/metrics/memory/peak", minutes.iter().copied().fold(0.0, f64::max), 1);
    let series = cluster["timeSeries"].as_array().unwrap();
    assert_eq!(series.len(), 24);
    assert_eq!(series[23]["timestamp"], "2024-01-16T01:45:00Z");
    assert_eq!(answer["timeRange"]["start"], "2024-01-15T20:00:00Z");
}
