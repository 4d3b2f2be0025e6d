//! Rates and gauges joined over a window: each family's values, before any rounding, against those of its samples.

use clouds::{Family, Need, Over, Subject};
use model::Timestamp;

use crate::answers::with_batch;
use crate::fleet::{END, ENDPOINT, Fleet, HOUR_MS};
use crate::truth::{Truth, at, host_cpu, host_memory, mean, minutes_to, near, percentile, rate};

/// The window, and its minutes.
const WINDOW_MS: i64 = 6 * HOUR_MS;
const MINUTES: i64 = 360;

/// A family, and its value at a minute.
type Case<'a> = (Family, &'a dyn Fn(Timestamp) -> f64);

/// Compares the values of `cases` about `subject`, joined in every way, with what their minutes tell.
fn check(truth: &Truth, subject: &Subject, member: &str, cases: &[Case<'_>]) {
    let store = truth.fleet.store();
    for (family, value) in cases {
        let minutes: Vec<f64> = minutes_to(END, MINUTES).map(value).collect();
        for (over, expect) in [
            (Over::Avg, mean(&minutes)),
            (Over::Sum, minutes.iter().sum()),
            (Over::Min, percentile(&minutes, 0.0)),
            (Over::Max, percentile(&minutes, 1.0)),
            (Over::P95, percentile(&minutes, 0.95)),
            (Over::P99, percentile(&minutes, 0.99)),
        ] {
            let need = Need::at("n", *family, END, WINDOW_MS).joined(over);
            let found = with_batch(&store, |batch| batch.run(subject, &[need]).unwrap());
            let found = found.member(member).value("n").unwrap();
            near(&format!("{} {over:?}", family.as_str()), found, expect);
        }
    }
}

#[test]
fn what_machines_do_is_what_their_samples_tell() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let device = |name: &'static str, device: &'static str| {
        let truth = &truth;
        move |t: Timestamp| truth.rate(name, &[("device", device)], t)
    };
    let (received, sent) =
        (device("node_network_receive_bytes_total", "eth0"), device("node_network_transmit_bytes_total", "eth0"));
    let (read, written) =
        (device("node_disk_read_bytes_total", "nvme0n1"), device("node_disk_written_bytes_total", "nvme0n1"));
    let (reads, writes) =
        (device("node_disk_reads_completed_total", "nvme0n1"), device("node_disk_writes_completed_total", "nvme0n1"));
    let cases: &[Case<'_>] = &[
        (Family::HostCpuJoined, &|t| host_cpu(&truth, t)),
        (Family::HostMemoryJoined, &|t| host_memory(&truth, t)),
        (Family::GpuUtilizationJoined, &|t| truth.mean_at("DCGM_FI_DEV_GPU_UTIL", t)),
        (Family::NetworkIn, &received),
        (Family::NetworkOut, &sent),
        (Family::NetworkLatency, &|t| 1e3 * truth.mean_at("probe_icmp_duration_seconds", t)),
        (Family::DiskRead, &read),
        (Family::DiskWrite, &written),
        (Family::DiskOps, &|t| reads(t) + writes(t)),
    ];
    check(&truth, &Subject::each("cluster_id"), "cluster-1", cases);
    check(&truth, &Subject::everything(), "", cases);
}

#[test]
fn what_an_endpoint_does_is_what_its_samples_tell() {
    // Every minute is compared, and a restart's window is told of by fewer samples: here nothing restarts in six hours.
    let truth = Truth { fleet: Fleet::new(1.0) };
    let cores = |t| truth.of_endpoint("container_cpu_usage_seconds_total").map(|samples| rate(samples, t)).sum::<f64>();
    let requests = |t| truth.of_endpoint("inference_requests_total").map(|samples| rate(samples, t)).sum::<f64>();
    let tokens = |t| truth.of_endpoint("inference_output_tokens_total").map(|samples| rate(samples, t)).sum::<f64>();
    let gpus = |name: &'static str, t| truth.of_endpoint(name).map(|samples| at(samples, t)).collect::<Vec<f64>>();
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let cases: &[Case<'_>] = &[
        (Family::EndpointCpuJoined, &|t| 100.0 * cores(t) / 16.0),
        (Family::RequestRateJoined, &requests),
        (Family::OutputTokenRateJoined, &tokens),
        (Family::GpuUtilizationJoined, &|t| mean(&gpus("DCGM_FI_DEV_GPU_UTIL", t))),
        (Family::GpuMemoryUsedJoined, &|t| percentile(&gpus("DCGM_FI_DEV_FB_USED", t), 1.0) * 1_048_576.0),
        (Family::GpuMemoryJoined, &|t| {
            let (used, free) = (sum(&gpus("DCGM_FI_DEV_FB_USED", t)), sum(&gpus("DCGM_FI_DEV_FB_FREE", t)));
            100.0 * used / (used + free)
        }),
        (Family::QueuedJoined, &|t| sum(&gpus("inference_requests_queued", t))),
    ];
    check(&truth, &Subject::members("endpoint_id", vec![ENDPOINT.to_owned()]), ENDPOINT, cases);
}
