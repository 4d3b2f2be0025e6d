//! The platform as one: what is asked about all of it, and the aggregated metrics.

use serde_json::{Value, json};

use super::ask::{Kind, PerformanceAsk};
use super::resource::{self, NOW_MS};
use super::units;
use crate::tensorone::ENDPOINT_LABEL;
use crate::tensorone::numbers::{arg_max, number, ratio, round, time, whole};
use crate::tensorone::performance::quantile;
use crate::tensorone::tally::Tally;
use crate::{Family, Need, Over, Subject, View};

/// The gauges with a mean, two percentiles and the time of the peak.
const GAUGES: [(&str, [&str; 4], Family); 3] = [
    ("cpuUtilization", ["cpu.mean", "cpu.p95", "cpu.p99", "cpu.fine"], Family::HostCpuJoined),
    ("memoryUtilization", ["memory.mean", "memory.p95", "memory.p99", "memory.fine"], Family::HostMemoryJoined),
    ("gpuUtilization", ["gpu.mean", "gpu.p95", "gpu.p99", "gpu.fine"], Family::GpuUtilizationJoined),
];

/// All series that the request is about.
pub(crate) fn subject(ask: &PerformanceAsk) -> Subject {
    let all = Subject::everything().within("region", ask.regions.clone());
    match ask.kinds {
        [Kind::Endpoint] if ask.ids.is_empty() => all.having(ENDPOINT_LABEL),
        [Kind::Endpoint] => all.within(ENDPOINT_LABEL, ask.ids.clone()),
        [Kind::Cluster] => all.within("cluster_id", ask.ids.clone()),
        _ => all,
    }
}

/// What is asked about the whole.
pub(crate) fn needs(ask: &PerformanceAsk) -> Vec<Need> {
    let frame = &ask.frame;
    let at = |name, family| Need::at(name, family, frame.end, frame.window_ms());
    let now = |name, family| Need::at(name, family, frame.end, NOW_MS);
    let mut needs = vec![
        at("latency.sum", Family::LatencySum),
        at("latency.count", Family::LatencyCount),
        at("latency.quantiles", Family::LatencyQuantiles),
        at("requests", Family::Requests),
        at("up", Family::UpShare),
        now("network.in", Family::NetworkIn),
        now("network.out", Family::NetworkOut),
        at("network.latency", Family::NetworkLatency),
        now("disk.read", Family::DiskRead),
        now("disk.write", Family::DiskWrite),
        at("disk.ops", Family::DiskOps),
    ];
    let fine = resource::fine(ask);
    for (_, [mean, p95, p99, series], family) in GAUGES {
        needs.push(at(mean, family));
        needs.push(at(p95, family).joined(Over::P95));
        needs.push(at(p99, family).joined(Over::P99));
        needs.push(Need::each(series, family, fine, fine.step_ms));
    }
    needs
}

/// The figures that several parts of the answer share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    pub(crate) response_ms: Option<f64>,
    pub(crate) throughput: Option<f64>,
    pub(crate) error_rate: Option<f64>,
    pub(crate) availability: Option<f64>,
    pub(crate) p95_s: Option<f64>,
    pub(crate) utilizations: [Option<f64>; 3],
}

impl Figures {
    pub(crate) fn of(ask: &PerformanceAsk, view: View<'_>) -> Figures {
        let rows = view.rows("requests");
        let tally = Tally::at(rows, 0);
        #[expect(clippy::cast_precision_loss, reason = "days of milliseconds are far below what f64 holds")]
        let seconds = ask.frame.window_ms() as f64 / 1000.0;
        let p95 = quantile(view.rows("latency.quantiles"), 0.95);
        let up = tally.percent(tally.total - tally.class_5xx).or_else(|| view.value("up"));
        Figures {
            response_ms: ratio(view.value("latency.sum"), view.value("latency.count")).map(|s| 1000.0 * s),
            throughput: (!rows.is_empty()).then(|| tally.total / seconds),
            error_rate: tally.percent(tally.failed()).map(|percent| round(percent, 1)),
            availability: up,
            p95_s: p95.and_then(crate::Row::last),
            utilizations: GAUGES.map(|(_, [mean, ..], _)| view.value(mean)),
        }
    }
}

/// The `aggregatedMetrics` object.
pub(crate) fn aggregated(ask: &PerformanceAsk, view: View<'_>, figures: &Figures) -> Value {
    let text = |name: &str, write: fn(f64) -> String| view.value(name).map(write);
    let fine = resource::fine(ask);
    let mut all = json!({
        "networkThroughput": {
            "totalInbound": text("network.in", units::network),
            "totalOutbound": text("network.out", units::network),
            "averageLatency": number(view.value("network.latency"), 1),
        },
        "storageThroughput": {
            "totalRead": text("disk.read", units::storage),
            "totalWrite": text("disk.write", units::storage),
            "averageIOPS": whole(view.value("disk.ops")),
        },
        "apiMetrics": {
            "averageResponseTime": number(figures.response_ms, 0),
            "throughput": number(figures.throughput, 1),
            "successRate": number(figures.error_rate.map(|percent| 100.0 - percent), 1),
            "errorRate": number(figures.error_rate, 1),
        },
    });
    for (name, [mean, p95, p99, series], _) in GAUGES {
        let peak = arg_max(view.line(series).iter().copied());
        let peak = peak.map(|(at, _)| fine.start + i64::try_from(at).unwrap_or(0) * fine.step_ms);
        all[name] = json!({
            "average": number(view.value(mean), 1),
            "p95": number(view.value(p95), 1),
            "p99": number(view.value(p99), 1),
            "peakTime": peak.map(time),
        });
    }
    all
}
