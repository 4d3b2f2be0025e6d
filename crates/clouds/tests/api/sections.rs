//! The sections of an answer that are made of several values: trends, hours, error rates, hardware, and the other shapes.

use clouds::tensorone::{self, MetricsAsk};
use model::Timestamp;

use crate::answers::{exposition, metrics};
use crate::fleet::{BOUNDS, DAY_MS, END, Fleet, HOUR_MS, MINUTE_MS};
use crate::truth::{BAD, OK, Truth, inside, mean, near, number, percentile, rate, rounded};

#[test]
fn latency_trends_compare_windows() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=24h&metrics=performance");
    for (name, window_ms) in [("hourly", HOUR_MS), ("daily", DAY_MS)] {
        let latency = |end: Timestamp| {
            let [sum, count] = ["sum", "count"]
                .map(|suffix| truth.gain(&format!("inference_request_duration_seconds_{suffix}"), &[], end, window_ms));
            sum / count
        };
        let (now, before) = (latency(END), latency(END - window_ms));
        let shown = |key: &str| number(&answer, &format!("/performance/latency/trends/{name}/{key}"));
        near(name, shown("average"), rounded(now, 3));
        near(name, shown("changePercent"), rounded(100.0 * (now - before) / before, 1));
    }
}

#[test]
fn error_rates_of_buckets_are_shares_of_their_requests() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=6h&metrics=errors");
    for at in 0..24 {
        let end = END - (23 - at) * 15 * MINUTE_MS;
        let of = |codes: &[&str]| truth.codes(codes, end, 15 * MINUTE_MS);
        let all = of(&OK) + of(&BAD);
        for (key, codes) in [
            ("errorRate", &BAD[..]),
            ("timeoutRate", &["408", "504"]),
            ("resourceErrorRate", &["429", "503"]),
            ("userErrorRate", &["400", "422"]),
        ] {
            let shown = number(&answer, &format!("/performance/errorRates/timeSeries/{at}/{key}"));
            near(key, shown, rounded(100.0 * of(codes) / all, 2));
        }
    }
}

#[test]
fn hours_have_their_requests_and_latency() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=24h&metrics=usage");
    let hours = answer["usage"]["requests"]["byHour"].as_array().unwrap();
    assert_eq!(hours.len(), 24);
    for (at, hour) in hours.iter().enumerate() {
        let start = tensorone::parse_time(hour["hour"].as_str().unwrap()).unwrap();
        assert_eq!(start, END - (24 - at as i64) * HOUR_MS);
        let gain = |name: &str| truth.gain(name, &[], start + HOUR_MS, HOUR_MS);
        near("count", hour["count"].as_f64().unwrap(), gain("inference_requests_total"));
        let mean = gain("inference_request_duration_seconds_sum") / gain("inference_request_duration_seconds_count");
        near("latency", hour["avgLatency"].as_f64().unwrap(), rounded(mean, 3));
    }
    let whole = |name: &str| truth.gain(name, &[], END, DAY_MS);
    let show = |pointer: &str, expect: f64, digits| near(pointer, number(&answer, pointer), rounded(expect, digits));
    let (all, gpu) =
        (whole("inference_request_duration_seconds_sum"), whole("inference_request_inference_seconds_sum"));
    show("/usage/compute/totalSeconds", all, 3);
    show("/usage/compute/gpuSeconds", gpu, 3);
    show("/usage/compute/cpuSeconds", all - gpu, 3);
    show("/usage/data/inputBytes", whole("inference_request_bytes_total"), 0);
    show("/usage/data/outputBytes", whole("inference_response_bytes_total"), 0);
    show("/usage/data/cacheHits", whole("inference_response_cache_hits_total"), 0);
    show("/usage/data/cacheMisses", whole("inference_response_cache_misses_total"), 0);
    let per_hour = |name: &str| format!("{:.1} MB/hour", whole(name) / 1e6 / 24.0);
    assert_eq!(answer["usage"]["data"]["bandwidth"]["ingress"], per_hour("inference_request_bytes_total"));
    assert_eq!(answer["usage"]["data"]["bandwidth"]["egress"], per_hour("inference_response_bytes_total"));
}

#[test]
fn hardware_is_what_its_samples_tell() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=24h&metrics=resources");
    let show = |pointer: &str, expect: f64| near(pointer, number(&answer, pointer), rounded(expect, 1));
    let cpu = |samples: &[(Timestamp, f64)]| crate::truth::gain(samples, END, DAY_MS - MINUTE_MS) / (1439.0 * 60.0);
    let cores: f64 = truth.of_endpoint("container_cpu_usage_seconds_total").map(cpu).sum();
    show("/resources/cpu/utilization/average", 100.0 * cores / 16.0);
    let busiest = crate::truth::minutes_to(END, 1440)
        .map(|t| truth.of_endpoint("container_cpu_usage_seconds_total").map(|samples| rate(samples, t)).sum::<f64>());
    show("/resources/cpu/utilization/peak", 100.0 * percentile(&busiest.collect::<Vec<_>>(), 1.0) / 16.0);
    show("/resources/cpu/memory/usage", 75.0);
    for at in 0..96 {
        let end = END - (95 - at) * 15 * MINUTE_MS;
        let means = |name| {
            let of = truth.of_endpoint(name).map(|samples| mean(&inside(samples, end, 15 * MINUTE_MS)));
            of.sum::<f64>()
        };
        let (used, free) = (means("DCGM_FI_DEV_FB_USED"), means("DCGM_FI_DEV_FB_FREE"));
        show(&format!("/resources/gpu/utilization/timeSeries/{at}/memoryUsage"), 100.0 * used / (used + free));
    }
    show("/resources/scaling/currentInstances", 2.0);
    show("/resources/scaling/targetInstances", 2.0);
}

#[test]
fn the_basic_view_has_the_same_totals() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "view=basic");
    let (ok, bad) = (truth.codes(&OK, END, DAY_MS), truth.codes(&BAD, END, DAY_MS));
    near("requests", number(&answer, "/requestCount"), ok + bad);
    near("errors", number(&answer, "/errorRate"), rounded(100.0 - rounded(100.0 * ok / (ok + bad), 2), 2));
    let [sum, count] = ["sum", "count"]
        .map(|suffix| truth.gain(&format!("inference_request_duration_seconds_{suffix}"), &[], END, DAY_MS));
    near("latency", number(&answer, "/averageResponseTime"), rounded(1e3 * sum / count, 3));
    near("workers", number(&answer, "/activeWorkers"), 2.0);
}

#[test]
fn the_text_for_prometheus_counts_from_the_beginning() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let ask = MetricsAsk::parse(&crate::answers::pairs("format=prometheus"), END).unwrap();
    let text = exposition(&truth.fleet.store(), &ask);
    let value = |series: &str| {
        let line =
            text.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("{series}\n{text}"));
        line.trim().parse::<f64>().unwrap()
    };
    let last = |name: &str, pairs: &[(&str, &str)]| {
        truth.fleet.samples(name, pairs).map(|samples| samples.last().unwrap().1).sum::<f64>()
    };
    let requests = |codes: &[&str]| {
        codes.iter().map(|code| last("inference_requests_total", &[("status_code", code)])).sum::<f64>()
    };
    let of = |name: &str, more: &str| value(&format!("tensorone_endpoint_{name}{{endpoint_id=\"ep_1\"{more}}}"));
    near("success", of("requests_total", ",status=\"success\""), requests(&OK));
    near("error", of("requests_total", ",status=\"error\""), requests(&BAD));
    for bound in BOUNDS {
        let (stored, shown) = match bound {
            bound if bound.is_infinite() => ("+Inf".to_owned(), "+Inf".to_owned()),
            bound => (bound.to_string(), format!("{bound:?}")),
        };
        if ![0.5, 1.0, 2.0, 5.0, 10.0, f64::INFINITY].contains(&bound) {
            continue;
        }
        let counted = last("inference_request_duration_seconds_bucket", &[("le", &stored)]);
        near(&shown, of("latency_seconds_bucket", &format!(",le=\"{shown}\"")), counted);
    }
    near("sum", of("latency_seconds_sum", ""), last("inference_request_duration_seconds_sum", &[]));
    near("count", of("latency_seconds_count", ""), last("inference_request_duration_seconds_count", &[]));
    for category in ["compute", "storage", "network", "other"] {
        let usd = last("inference_cost_usd_total", &[("category", category)]);
        near(category, of("cost_total", &format!(",category=\"{category}\"")), usd);
    }
    near("gpu", of("gpu_utilization", ""), truth.mean("DCGM_FI_DEV_GPU_UTIL", END, 5 * MINUTE_MS));
}
