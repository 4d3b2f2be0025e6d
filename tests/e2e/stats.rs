//! The statistics of queries, compared with those of a real Prometheus over the same series.

use serde_json::Value;

use crate::exchange::now_ms;
use crate::http::Http;
use crate::kinds::{SAMPLES, STEP_MS, Sent, send};
use crate::peers;
use crate::promenade::Promenade;
use crate::prometheus::Prometheus;

/// One for each way in which samples come to be counted.
const QUERIES: &[&str] = &[
    "k_counter",
    "{__name__=~\"k_.+\",instance=\"steady\"}",
    "k_stale",
    "sum by (job) (k_counter) / on (job) group_right () k_counter",
    "k_counter and k_gauge",
    "absent(k_nothing) or k_nothing unless k_counter",
    "rate(k_counter[5m])",
    "rate(k_counter[90s])",
    "sum(rate(k_counter[10m])) * 2 - 1",
    "quantile_over_time(scalar(max(k_counter)), k_gauge[5m])",
    "rate(k_histogram[10m])",
    "histogram_quantile(0.9, rate(k_histogram[10m]))",
    "1 + histogram_count(rate(k_float_histogram[10m]))",
    "sum(k_custom_histogram)",
    "rate(k_mixed[20m])",
    "absent_over_time(k_stale[5m])",
    "timestamp(k_counter)",
    "abs(timestamp(k_histogram))",
    "max_over_time(rate(k_counter[5m])[10m:1m])",
    "max_over_time(rate(k_counter[5m])[10m:])",
    "max_over_time(k_counter[3m:1m] offset 90s)",
    "sum_over_time(max_over_time(k_counter[5m:1m])[10m:2m])",
    "avg_over_time(k_float_histogram[10m:3m])",
    "k_counter @ end() + k_counter",
    "rate(k_counter[10m] @ start())",
    "max_over_time(k_counter[10m:1m] @ end()) - 1",
    "k_counter offset 5m",
    "label_replace(k_gauge, \"x\", \"$1\", \"job\", \"(.*)\")",
    "count_values(\"v\", k_gauge)",
    "topk(scalar(count(k_gauge)), k_gauge)",
    "sort_desc(k_gauge)",
    "time()",
    "1",
];

/// The same, at one time alone.
const INSTANT: &[&str] = &["k_counter[10m]", "k_histogram[10m]", "k_counter[10m:1m]", "rate(k_counter[5m])[10m:2m]"];

/// The counts that Prometheus knows as well: 3.5 does not tell what was read.
fn counts(http: &Http, path: &str, params: &[(&str, &str)]) -> Vec<Value> {
    let samples = http.data(path, params)["stats"]["samples"].clone();
    let all = ["totalQueryableSamples", "totalQueryableSamplesPerStep", "samplesRead", "samplesReadPerStep"];
    all.iter().map(|name| samples[name].clone()).collect()
}

#[test]
fn samples_are_counted_as_prometheus_counts_them() {
    let Some([prometheus]) = peers::all(["prometheus"]) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let prometheus = Prometheus::start(&prometheus, tmp.path(), &tmp.path().join("prometheus"), "");
    let first = now_ms().div_euclid(STEP_MS) * STEP_MS - SAMPLES * STEP_MS;
    let ours = promenade.http();
    for http in [&ours, &prometheus.http] {
        send(http, first, SAMPLES - 120..SAMPLES, false, "", &mut Sent::default());
    }
    let last = (first + (SAMPLES - 10) * STEP_MS) / 1000;
    let [start, end] = [last - 1800, last].map(|s| s.to_string());
    let mut differ = Vec::new();
    let (mut n_compared, mut n_read) = (0, 0);
    let mut compare = |path: &str, params: &[(&str, &str)]| {
        let params = [params, &[("stats", "all")]].concat();
        let (ours, theirs) = (counts(&ours, path, &params), counts(&prometheus.http, path, &params));
        for (ours, theirs) in ours.iter().zip(&theirs).filter(|(_, theirs)| !theirs.is_null()) {
            n_compared += 1;
            if ours != theirs {
                differ.push(format!("{params:?}: ours {ours}, theirs {theirs}"));
            }
        }
        n_read += usize::from(!theirs[2].is_null());
    };
    for query in QUERIES.iter().chain(INSTANT) {
        compare("/api/v1/query", &[("query", query), ("time", &end)]);
    }
    for query in QUERIES {
        for step in ["60", "150", "900"] {
            compare("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", step)]);
        }
    }
    assert_eq!(differ, [""; 0]);
    let n_queries = 4 * QUERIES.len() + INSTANT.len();
    assert!(2 * n_queries <= n_compared, "{n_compared} numbers of {n_queries} queries");
    eprintln!("{n_queries} queries, {n_compared} counts equal; of {n_read} what was read too");
}
