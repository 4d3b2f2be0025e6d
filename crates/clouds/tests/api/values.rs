//! Values: each measured figure of the answers equals what plain arithmetic over the fleet's samples gives.

use clouds::tensorone;
use model::Timestamp;

use crate::answers::{found, metrics, performance};
use crate::fleet::{DAY_MS, END, ENDPOINT, Fleet, HOUR_MS, MINUTE_MS};
use crate::truth::{
    BAD, OK, Truth, host_cpu, host_memory, mean, minutes_to, near, number, percentile, quantile, rounded,
};

#[test]
fn totals_of_a_window_are_those_of_its_samples() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let (_, found) = found(&truth.fleet.store(), "timeframe=24h");
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
    let (_, found) = found(&truth.fleet.store(), "timeframe=24h");
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
        let (ask, found) = found(&truth.fleet.store(), parameters);
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
    let network = |name: &str| format!("{:.1} Gbps", 8e-9 * truth.rate(name, &[("device", "eth0")], END));
    let storage = |name: &str| format!("{} MB/s", (truth.rate(name, &[], END) / 1e6).round());
    let (inbound, outbound) =
        (network("node_network_receive_bytes_total"), network("node_network_transmit_bytes_total"));
    let (read, written) = (storage("node_disk_read_bytes_total"), storage("node_disk_written_bytes_total"));
    assert_eq!((&cluster["resourceId"], &cluster["resourceName"]), (&"cluster-1".into(), &"Cluster One".into()));
    assert_eq!((&cluster["resourceType"], &cluster["region"]), (&"cluster".into(), &"us-east-1".into()));
    // The loopback device is not counted.
    assert_eq!(cluster["metrics"]["network"]["inbound"], *inbound);
    assert_eq!(cluster["metrics"]["network"]["outbound"], *outbound);
    assert_eq!(cluster["metrics"]["storage"]["readThroughput"], *read);
    assert_eq!(cluster["metrics"]["storage"]["writeThroughput"], *written);
    show("/resources/0/metrics/network/latency", 1e3 * truth.mean_at("probe_icmp_duration_seconds", END), 1);
    let together = &answer["aggregatedMetrics"];
    assert_eq!(together["networkThroughput"]["totalInbound"], *inbound, "there is one cluster");
    assert_eq!(together["networkThroughput"]["totalOutbound"], *outbound);
    assert_eq!(together["storageThroughput"]["totalRead"], *read);
    assert_eq!(together["storageThroughput"]["totalWrite"], *written);
    let per_minute = |value: &dyn Fn(Timestamp) -> f64| minutes_to(END, 360).map(value).collect::<Vec<f64>>();
    let cpu = per_minute(&|t| host_cpu(&truth, t));
    let memory = per_minute(&|t| host_memory(&truth, t));
    let gpu = per_minute(&|t| truth.mean_at("DCGM_FI_DEV_GPU_UTIL", t));
    for (name, minutes) in [("cpu", &cpu), ("memory", &memory), ("gpu", &gpu)] {
        show(&format!("/resources/0/metrics/{name}/current"), minutes[359], 1);
        show(&format!("/resources/0/metrics/{name}/average"), mean(minutes), 1);
        show(&format!("/resources/0/metrics/{name}/peak"), percentile(minutes, 1.0), 1);
        let pointer = format!("/aggregatedMetrics/{name}Utilization");
        show(&format!("{pointer}/average"), mean(minutes), 1);
        show(&format!("{pointer}/p95"), percentile(minutes, 0.95), 1);
        show(&format!("{pointer}/p99"), percentile(minutes, 0.99), 1);
        let peak = minutes.iter().position(|value| *value == percentile(minutes, 1.0)).unwrap();
        let shown = answer.pointer(&format!("{pointer}/peakTime")).unwrap().as_str().unwrap();
        assert_eq!(tensorone::parse_time(shown), Some(END - (359 - peak as i64) * MINUTE_MS), "{name}");
        for bucket in 0..24 {
            let pointer = format!("/resources/0/timeSeries/{bucket}/values/{name}_utilization");
            show(&pointer, mean(&minutes[15 * bucket..15 * (bucket + 1)]), 1);
        }
    }
    let iops = |t| {
        truth.rate("node_disk_reads_completed_total", &[], t) + truth.rate("node_disk_writes_completed_total", &[], t)
    };
    show("/resources/0/metrics/storage/iops", iops(END), 0);
    show("/aggregatedMetrics/storageThroughput/averageIOPS", mean(&per_minute(&iops)), 0);
    let latency = mean(&per_minute(&|t| 1e3 * truth.mean_at("probe_icmp_duration_seconds", t)));
    show("/aggregatedMetrics/networkThroughput/averageLatency", latency, 1);
    let series = cluster["timeSeries"].as_array().unwrap();
    assert_eq!(series.len(), 24);
    assert_eq!(series[23]["timestamp"], "2024-01-16T01:45:00Z");
    assert_eq!(answer["timeRange"]["start"], "2024-01-15T20:00:00Z");
}
