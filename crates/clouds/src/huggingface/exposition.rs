//! `open-metrics`: one endpoint now, in the words of Hugging Face's example or in strict OpenMetrics 1.0.
//!
//! The example calls itself OpenMetrics and is not: its counter has no `_total`, and nothing ends it. It is what an
//! answer is by default; scrapers that ask for OpenMetrics get the real one.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use model::Timestamp;

use super::REPLICA_LABEL;
use crate::{Family, Found, Need, View};

/// The time that quantiles and processor time are about.
const WINDOW_MS: i64 = 300_000;
/// The quantiles shown, as they are written.
const QUANTILES: [&str; 4] = ["0.5", "0.9", "0.95", "0.99"];

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// As in Hugging Face's documents; a Prometheus reads it as its own text format.
    Documented,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// What must be known of the endpoint as a whole.
pub fn needs(now: Timestamp) -> Vec<Need> {
    vec![
        Need::at("quantiles", Family::LatencyQuantiles, now, WINDOW_MS),
        Need::at("latency_count", Family::LatencyCountSoFar, now, WINDOW_MS),
        Need::at("latency_sum", Family::LatencySumSoFar, now, WINDOW_MS),
        Need::at("requests", Family::RequestsSoFar, now, WINDOW_MS),
        Need::at("pending", Family::Pending, now, WINDOW_MS),
        Need::at("running", Family::ReplicasRunning, now, WINDOW_MS),
        Need::at("target", Family::ReplicasTarget, now, WINDOW_MS),
    ]
}

/// What must be known of each replica.
pub fn replica_needs(now: Timestamp) -> Vec<Need> {
    vec![
        Need::at("requests", Family::RequestsSoFar, now, WINDOW_MS),
        Need::at("cpu", Family::EndpointCpu, now, WINDOW_MS),
        Need::at("memory", Family::EndpointMemory, now, WINDOW_MS),
        Need::at("gpu", Family::GpuUtilizationNow, now, WINDOW_MS),
        Need::at("gpu_memory", Family::GpuMemoryNow, now, WINDOW_MS),
        Need::at("neuron", Family::NeuronUtilizationNow, now, WINDOW_MS),
        Need::at("neuron_memory", Family::NeuronMemoryNow, now, WINDOW_MS),
    ]
}

/// The gauges that each replica has: name, help, and the need that feeds it. All are in percent.
const REPLICA_GAUGES: [(&str, &str, &str); 6] = [
    ("cpu_usage_percent", "CPU percent", "cpu"),
    ("memory_usage_percent", "Memory percent", "memory"),
    ("gpu_usage_percent", "GPU percent", "gpu"),
    ("gpu_memory_usage_percent", "GPU memory percent", "gpu_memory"),
    ("neuron_usage_percent", "Neuron core percent", "neuron"),
    ("neuron_memory_usage_percent", "Neuron memory percent", "neuron_memory"),
];

/// The gauges of the endpoint as a whole.
const ENDPOINT_GAUGES: [(&str, &str, &str); 3] = [
    ("pending_requests", "Requests that have no HTTP status yet", "pending"),
    ("running_replicas", "Replicas running", "running"),
    ("target_replicas", "Replicas the endpoint should have", "target"),
];

/// What was found of one endpoint and of its replicas.
pub struct EndpointMetrics<'a> {
    /// By [`needs`].
    pub endpoint: View<'a>,
    /// By [`replica_needs`], told apart by [`REPLICA_LABEL`].
    pub replicas: &'a Found,
}

impl EndpointMetrics<'_> {
    /// The text. What was not measured is left out, its family's description with it.
    pub fn text(&self, exposition: Exposition) -> String {
        let mut text = Text { out: String::new(), exposition };
        self.latency(&mut text);
        self.requests(&mut text);
        for (name, help, need) in REPLICA_GAUGES {
            self.replica_gauge(&mut text, name, help, need);
        }
        for (name, help, need) in ENDPOINT_GAUGES {
            if let Some(value) = self.endpoint.value(need) {
                text.family(name, help, "gauge", None);
                text.sample(name, &[], value);
            }
        }
        text.end()
    }

    /// Quantiles over the last minutes; count and sum from the beginning, for a summary's may never fall.
    fn latency(&self, text: &mut Text) {
        let name = "latency_distribution";
        let (count, sum) = (self.endpoint.value("latency_count"), self.endpoint.value("latency_sum"));
        let (Some(count), Some(sum)) = (count, sum) else { return };
        text.family(name, "Latency distribution", "summary", None);
        for quantile in QUANTILES {
            let rows = self.endpoint.rows("quantiles");
            let row = rows.iter().find(|row| row.label("quantile").parse::<f64>() == quantile.parse::<f64>());
            if let Some(value) = row.and_then(crate::Row::last) {
                text.sample(name, &[("quantile", quantile)], value);
            }
        }
        text.sample(&format!("{name}_count"), &[], count.round());
        text.sample(&format!("{name}_sum"), &[], sum);
    }

    /// Requests by replica and status; by status alone where nobody counts them by replica.
    fn requests(&self, text: &mut Text) {
        let mut counts = BTreeMap::<(&str, &str), f64>::new();
        for replica in self.replicas.members() {
            for row in self.replicas.member(replica).rows("requests") {
                if let Some(n) = row.last() {
                    *counts.entry((replica, row.label("status_code"))).or_default() += n;
                }
            }
        }
        if counts.is_empty() {
            for row in self.endpoint.rows("requests") {
                if let Some(n) = row.last() {
                    *counts.entry(("", row.label("status_code"))).or_default() += n;
                }
            }
        }
        if counts.is_empty() {
            return;
        }
        text.family("http_requests", "HTTP requests by code and replicas", "counter", None);
        for ((replica, status), n) in counts {
            text.counter("http_requests", &[(REPLICA_LABEL, replica), ("status_code", status)], n.round());
        }
    }

    fn replica_gauge(&self, text: &mut Text, name: &str, help: &str, need: &str) {
        let of = |replica| Some((replica, self.replicas.member(replica).value(need)?));
        let values: Vec<(&str, f64)> = self.replicas.members().filter_map(of).collect();
        if values.is_empty() {
            return;
        }
        text.family(name, help, "gauge", Some("percent"));
        for (replica, value) in values {
            text.sample(name, &[(REPLICA_LABEL, replica)], value);
        }
    }
}

/// The text so far.
struct Text {
    out: String,
    exposition: Exposition,
}

impl Text {
    /// A family's description, in the order of the documents.
    fn family(&mut self, name: &str, help: &str, kind: &str, unit: Option<&str>) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = unit {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
    }

    /// A counter's sample, which OpenMetrics calls a total.
    fn counter(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        match self.exposition {
            Exposition::Documented => self.sample(name, labels, value),
            Exposition::OpenMetrics => self.sample(&format!("{name}_total"), labels, value),
        }
    }

    /// A sample; labels without a value are left out.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels = labels.iter().filter(|(_, value)| !value.is_empty());
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
        match labels.as_slice() {
            [] => self.line(format_args!("{name} {value}")),
            _ => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn line(&mut self, line: impl Display) {
        // Writing into a string cannot fail.
        let _ = writeln!(self.out, "{line}");
    }

    fn end(mut self) -> String {
        if self.exposition == Exposition::OpenMetrics {
            self.line("# EOF");
        }
        self.out
    }
}

/// A label's value between quotes.
fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
