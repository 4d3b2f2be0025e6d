//! Hugging Face's text and its twenty lines, against what plain arithmetic over the fleet's samples gives.

use std::collections::BTreeMap;

use clouds::Subject;
use clouds::huggingface::{self, EndpointMetrics, Exposition, LinesAsk, METRICS, REPLICA_LABEL};
use clouds::tensorone::ENDPOINT_LABEL;
use model::Timestamp;

use crate::answers::with_batch;
use crate::fleet::{END, ENDPOINT, Fleet, HOUR_MS, MINUTE_MS};
use crate::truth::{BAD, OK, Truth, at, near, quantile, rate};

const STEP_MS: i64 = 5 * MINUTE_MS;

#[test]
fn the_text_shows_what_was_measured() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let text = with_batch(&truth.fleet.store(), |batch| {
        let endpoint = Subject::members(ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
        let found = batch.run(&endpoint, &huggingface::needs(END)).unwrap();
        let replicas = Subject::each(REPLICA_LABEL).within(ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
        let replicas = batch.run(&replicas, &huggingface::replica_needs(END)).unwrap();
        EndpointMetrics { endpoint: found.member(ENDPOINT), replicas: &replicas }.text(Exposition::Documented)
    });
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let mut samples: BTreeMap<&str, f64> =
        samples.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, v)| (name, v.parse().unwrap())).collect();
    let mut show = |name: &str, expect: f64| {
        near(name, samples.remove(name).unwrap_or_else(|| panic!("{name} is not in\n{text}")), expect);
    };
    let last = |name: &str, pairs: &[(&str, &str)]| {
        truth.fleet.samples(name, pairs).map(|samples| at(samples, END)).sum::<f64>()
    };
    let buckets = truth.buckets(END, 5 * MINUTE_MS);
    for (text, q) in [("0.5", 0.5), ("0.9", 0.9), ("0.95", 0.95), ("0.99", 0.99)] {
        show(&format!("latency_distribution{{quantile=\"{text}\"}}"), quantile(q, &buckets));
    }
    show("latency_distribution_count", last("inference_request_duration_seconds_count", &[]));
    show("latency_distribution_sum", last("inference_request_duration_seconds_sum", &[]));
    for replica in ["r-one", "r-two"] {
        let of = |name: &str| last(name, &[("replica_id", replica)]);
        for code in OK.iter().chain(&BAD) {
            let n = last("inference_requests_total", &[("replica_id", replica), ("status_code", code)]);
            show(&format!("http_requests{{replica_id=\"{replica}\",status_code=\"{code}\"}}"), n);
        }
        let cores = truth.rate("container_cpu_usage_seconds_total", &[("replica_id", replica)], END);
        let (used, free) = (of("DCGM_FI_DEV_FB_USED"), of("DCGM_FI_DEV_FB_FREE"));
        for (name, expect) in [
            ("cpu", 100.0 * cores / 8.0),
            ("memory", 75.0),
            ("gpu", of("DCGM_FI_DEV_GPU_UTIL")),
            ("gpu_memory", 100.0 * used / (used + free)),
        ] {
            show(&format!("{name}_usage_percent{{replica_id=\"{replica}\"}}"), expect);
        }
    }
    show("pending_requests", last("inference_requests_in_flight", &[]) + last("inference_requests_queued", &[]));
    show("running_replicas", last("inference_replica_state", &[("state", "running")]));
    show("target_replicas", last("inference_replicas_target", &[]));
    assert_eq!(samples, BTreeMap::new(), "nothing else is there");
}

/// What a figure is at a time, over the step before it; nothing where nothing is measured.
fn expected(truth: &Truth, name: &str, t: Timestamp) -> Option<f64> {
    let of_class = |class: char| {
        let codes: Vec<&str> = OK.into_iter().chain(BAD).filter(|code| code.starts_with(class)).collect();
        truth.codes(&codes, t, STEP_MS)
    };
    let all = truth.codes(&OK, t, STEP_MS) + truth.codes(&BAD, t, STEP_MS);
    let now = |name: &str| truth.of_endpoint(name).map(|samples| at(samples, t)).collect::<Vec<f64>>();
    let sum = |name: &str| now(name).iter().sum::<f64>();
    let running = || {
        let pairs = [("endpoint_id", ENDPOINT), ("state", "running")];
        truth.fleet.samples("inference_replica_state", &pairs).map(|samples| at(samples, t)).sum::<f64>()
    };
    let cores = || truth.of_endpoint("container_cpu_usage_seconds_total").map(|samples| rate(samples, t)).sum::<f64>();
    let gain = |name: &str| truth.gain(name, &[], t, STEP_MS);
    Some(match name {
        "pending-requests" => sum("inference_requests_in_flight") + sum("inference_requests_queued"),
        "request-count" => all,
        "median-latency" => quantile(0.5, &truth.buckets(t, STEP_MS)),
        "p95-latency" => quantile(0.95, &truth.buckets(t, STEP_MS)),
        "average-latency" => {
            gain("inference_request_duration_seconds_sum") / gain("inference_request_duration_seconds_count")
        }
        "success-throughput" => of_class('2') / 300.0,
        "bad-request-throughput" => of_class('4') / 300.0,
        "server-error-throughput" => of_class('5') / 300.0,
        "success-rate" => 100.0 * of_class('2') / all,
        "bad-request-rate" => 100.0 * of_class('4') / all,
        "server-error-rate" => 100.0 * of_class('5') / all,
        "cpu-usage" => 100.0 * cores() / 16.0,
        "memory-usage" => 75.0,
        "gpu-usage" => sum("DCGM_FI_DEV_GPU_UTIL") / 2.0,
        "gpu-memory-usage" => {
            let (used, free) = (sum("DCGM_FI_DEV_FB_USED"), sum("DCGM_FI_DEV_FB_FREE"));
            100.0 * used / (used + free)
        }
        "ready-replicas" | "running-replicas" => running(),
        "target-replicas" => sum("inference_replicas_target"),
        // The fleet has no Neuron cores.
        _ => return None,
    })
}

#[test]
fn every_line_shows_what_was_measured() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let (from, to) = ((END - 6 * HOUR_MS) / 1000, END / 1000);
    let ask = LinesAsk::new(None, Some(from), Some(to), Some(STEP_MS / 1000), END).unwrap();
    let answer = with_batch(&truth.fleet.store(), |batch| {
        let endpoint = Subject::members(ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
        let found = batch.run(&endpoint, &ask.needs()).unwrap();
        ask.all(found.member(ENDPOINT))
    });
    let lines = answer["metrics"].as_array().unwrap();
    assert_eq!(lines.len(), METRICS.len());
    for line in lines {
        let name = line["metric"].as_str().unwrap();
        let points = line["values"].as_array().unwrap();
        assert_eq!(points.len(), 73, "{name}");
        for point in points {
            let t = point[0].as_i64().unwrap() * 1000;
            match expected(&truth, name, t) {
                Some(expect) => near(name, point[1].as_f64().unwrap(), expect),
                None => assert!(point[1].is_null() && name.starts_with("neuron-"), "{name}: {point}"),
            }
        }
    }
}
