//! One resource: which there are, what is asked about each, and how it is shown.

use promql::{EvalError, Steps};
use serde_json::{Map, Value, json};

use super::ask::{Kind, Metric, PerformanceAsk};
use super::units;
use crate::tensorone::ENDPOINT_LABEL;
use crate::tensorone::frame::MINUTE_MS;
use crate::tensorone::numbers::{change, mean, number, ratio, time, whole};
use crate::tensorone::performance::{TREND_PERCENT, bucket_starts};
use crate::tensorone::tally::Tally;
use crate::{Batch, Family, Need, Over, Subject, View};

/// The labels of machines, the best first: what has no cluster is known by its node.
const CLUSTER_LABELS: [(&str, &str); 2] = [("cluster_id", "cluster"), ("node", "node")];

/// The window of current values: one evaluation of a rate over five minutes.
pub(super) const NOW_MS: i64 = MINUTE_MS;

/// A kind of resources with the members that were found.
pub(crate) struct Resources {
    /// The label that tells them apart.
    pub(crate) label: &'static str,
    /// What answers call one of them.
    pub(crate) kind: &'static str,
    pub(crate) members: Vec<Resource>,
}

/// What is known of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Resource {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) region: Option<String>,
}

/// The resources of a kind that have series in the frame.
pub(crate) fn find(batch: &Batch<'_>, ask: &PerformanceAsk, kind: Kind) -> Result<Resources, EvalError> {
    let (labels, family, name_label): (&[_], _, _) = match kind {
        Kind::Cluster => (&CLUSTER_LABELS, Family::Hardware, "cluster_name"),
        Kind::Endpoint => (&[(ENDPOINT_LABEL, "endpoint")], Family::EndpointInfo, "endpoint"),
    };
    let mut resources = Resources { label: labels[0].0, kind: labels[0].1, members: Vec::new() };
    for (label, kind) in labels {
        let need = Need::at("found", family, ask.frame.end, ask.frame.window_ms());
        let found = batch.run(&ask.each(label), &[need])?;
        let members = found.members().map(|id| {
            let rows = found.member(id).rows("found");
            let first = |name: &str| rows.iter().map(|row| row.label(name)).find(|value| !value.is_empty());
            let (region, name) = (first("region").map(str::to_owned), first(name_label).unwrap_or(id).to_owned());
            Resource { id: id.to_owned(), name, region }
        });
        resources = Resources { label, kind, members: members.collect() };
        if !resources.members.is_empty() {
            break;
        }
    }
    Ok(resources)
}

/// The gauges that have a current value, a mean, a peak and a trend.
const GAUGES: [(&str, [&str; 4], Family); 3] = [
    ("cpu", ["cpu.now", "cpu.mean", "cpu.peak", "cpu.each"], Family::HostCpuJoined),
    ("memory", ["memory.now", "memory.mean", "memory.peak", "memory.each"], Family::HostMemoryJoined),
    ("gpu", ["gpu.now", "gpu.mean", "gpu.peak", "gpu.each"], Family::GpuUtilizationJoined),
];

/// What is asked about each member of a kind.
pub(crate) fn needs(ask: &PerformanceAsk) -> Vec<Need> {
    let frame = &ask.frame;
    let now = |name, family| Need::at(name, family, frame.end, NOW_MS);
    let each = |name, family| Need::each(name, family, frame.steps(), frame.step_ms).joined(ask.over);
    let mut needs = Vec::new();
    for (_, [current, mean, peak, series], family) in GAUGES {
        needs.push(now(current, family));
        needs.push(Need::at(mean, family, frame.end, frame.window_ms()));
        needs.push(Need::at(peak, family, frame.end, frame.window_ms()).joined(Over::Max));
        needs.push(each(series, family));
    }
    needs.extend([
        now("network.in", Family::NetworkIn),
        now("network.out", Family::NetworkOut),
        now("network.latency", Family::NetworkLatency),
        now("disk.read", Family::DiskRead),
        now("disk.write", Family::DiskWrite),
        now("disk.ops", Family::DiskOps),
        each("latency.sum.each", Family::LatencySum),
        each("latency.count.each", Family::LatencyCount),
        each("requests.each", Family::Requests),
    ]);
    for metric in &ask.metrics {
        match metric {
            Metric::DiskIo => {
                needs.push(each("disk.read.each", Family::DiskRead));
                needs.push(each("disk.write.each", Family::DiskWrite));
            }
            Metric::NetworkIo => {
                needs.push(each("network.in.each", Family::NetworkIn));
                needs.push(each("network.out.each", Family::NetworkOut));
            }
            Metric::QueueDepth => needs.push(each("queued.each", Family::QueuedJoined)),
            Metric::Cpu
            | Metric::Memory
            | Metric::Gpu
            | Metric::ResponseTime
            | Metric::Throughput
            | Metric::ErrorRate => {}
        }
    }
    needs
}

/// The subject of those needs.
pub(crate) fn subject(ask: &PerformanceAsk, resources: &Resources) -> Subject {
    ask.each(resources.label)
}

/// One resource as the answer shows it.
///
/// Gauges and points that are not known are left out: the documents' clients ask for each with a default, and fail on a
/// null.
pub(crate) fn render(ask: &PerformanceAsk, kind: &str, resource: &Resource, view: View<'_>) -> Value {
    let text = |name: &str, write: fn(f64) -> String| view.value(name).map(write);
    let mut metrics = Map::new();
    for (name, [current, mean, peak, series], _) in GAUGES {
        let figures = [("current", current), ("average", mean), ("peak", peak)];
        let figures = figures.map(|(figure, need)| (figure, number(view.value(need), 1)));
        let all = figures.into_iter().chain([("trend", json!(trend(view.line(series))))]);
        let gauge = known(all);
        if !gauge.is_empty() {
            metrics.insert(name.to_owned(), Value::Object(gauge));
        }
    }
    metrics.insert(
        "network".to_owned(),
        json!({
            "inbound": text("network.in", units::network),
            "outbound": text("network.out", units::network),
            "latency": number(view.value("network.latency"), 1),
        }),
    );
    metrics.insert(
        "storage".to_owned(),
        json!({
            "readThroughput": text("disk.read", units::storage),
            "writeThroughput": text("disk.write", units::storage),
            "iops": whole(view.value("disk.ops")),
        }),
    );
    let starts = bucket_starts(ask.frame.start, ask.frame.end, ask.frame.step_ms);
    let series = starts.map(|(at, start)| {
        let values = ask.metrics.iter().map(|metric| (metric.as_str(), point(ask, *metric, view, at)));
        json!({"timestamp": time(start), "values": known(values)})
    });
    json!({
        "resourceType": kind,
        "resourceId": resource.id,
        "resourceName": resource.name,
        "region": resource.region,
        "metrics": metrics,
        "timeSeries": series.collect::<Vec<_>>(),
    })
}

/// The members that are known.
fn known<'a>(members: impl Iterator<Item = (&'a str, Value)>) -> Map<String, Value> {
    members.filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn point(ask: &PerformanceAsk, metric: Metric, view: View<'_>, at: usize) -> Value {
    let value = |name: &str| view.line(name).get(at).copied().filter(|value| value.is_finite());
    let sum = |a: &str, b: &str| match (value(a), value(b)) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or(0.0) + b.unwrap_or(0.0)),
    };
    match metric {
        Metric::Cpu => number(value("cpu.each"), 1),
        Metric::Memory => number(value("memory.each"), 1),
        Metric::Gpu => number(value("gpu.each"), 1),
        Metric::DiskIo => number(sum("disk.read.each", "disk.write.each").map(|bytes| bytes / 1e6), 1),
        Metric::NetworkIo => number(sum("network.in.each", "network.out.each").map(|bytes| 8.0 * bytes / 1e9), 3),
        Metric::ResponseTime => number(response_ms(view, at), 0),
        Metric::Throughput => number(throughput(ask, view, at), 3),
        Metric::ErrorRate => number(error_rate(view, at), 2),
        Metric::QueueDepth => number(value("queued.each"), 1),
    }
}

/// Mean milliseconds of the requests in a bucket.
pub(crate) fn response_ms(view: View<'_>, at: usize) -> Option<f64> {
    let value = |name: &str| view.line(name).get(at).copied();
    ratio(value("latency.sum.each"), value("latency.count.each")).filter(|s| s.is_finite()).map(|s| 1000.0 * s)
}

/// Percent of the requests in a bucket that failed.
pub(crate) fn error_rate(view: View<'_>, at: usize) -> Option<f64> {
    let tally = Tally::at(view.rows("requests.each"), at);
    tally.percent(tally.failed())
}

fn throughput(ask: &PerformanceAsk, view: View<'_>, at: usize) -> Option<f64> {
    let rows = view.rows("requests.each");
    #[expect(clippy::cast_precision_loss, reason = "days of milliseconds are far below what f64 holds")]
    let seconds = ask.frame.step_ms as f64 / 1000.0;
    (!rows.is_empty()).then(|| Tally::at(rows, at).total / seconds)
}

/// Whether the last quarter of a series lies above or below the first; `None` where either is not known.
pub(crate) fn trend(line: &[f64]) -> Option<&'static str> {
    let quarter = line.len().div_ceil(4);
    let (first, last) = (line.get(..quarter)?, line.get(line.len() - quarter..)?);
    let change = change(mean(last), mean(first))?;
    Some(match change {
        c if c > TREND_PERCENT => "increasing",
        c if c < -TREND_PERCENT => "decreasing",
        _ => "stable",
    })
}

/// Steps a minute apart through the frame, or more when it is long.
pub(crate) fn fine(ask: &PerformanceAsk) -> Steps {
    ask.frame.fine_steps()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trends_compare_the_quarters_at_both_ends() {
        for (line, expect) in [
            (&[10.0, 10.0, 50.0, 1.0, 10.6, 10.6, 10.6, 10.6][..], Some("increasing")),
            (&[10.0, 10.0, 10.5, 10.5], Some("stable")),
            (&[10.0, 1.0, 1.0, 9.0], Some("decreasing")),
            (&[f64::NAN, 1.0, 1.0, 9.0], None),
            (&[], None),
        ] {
            assert_eq!(trend(line), expect, "{line:?}");
        }
    }
}
