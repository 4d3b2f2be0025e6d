//! Alerts: current values above fixed thresholds.

use model::Timestamp;
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::Targets;
use super::ask::PerformanceAsk;
use super::resource::{error_rate, response_ms};
use crate::View;
use crate::tensorone::numbers::{number, round, time};

/// One value that is too high.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Alert {
    metric: &'static str,
    resource: String,
    threshold: f64,
    pub(crate) is_high: bool,
    value: f64,
}

/// Each metric's thresholds: medium, then high.
fn thresholds(targets: Targets) -> [(&'static str, f64, f64); 5] {
    let target_ms = 1000.0 * targets.latency_s;
    [
        ("cpu_utilization", 85.0, 95.0),
        ("memory_utilization", 90.0, 95.0),
        ("gpu_utilization", 90.0, 97.0),
        ("error_rate", 5.0, 10.0),
        ("response_time", target_ms, 4.0 * target_ms),
    ]
}

/// The alerts about one resource: for each metric the highest threshold that its latest value is above.
pub(crate) fn about(resource: &str, view: View<'_>, ask: &PerformanceAsk, targets: Targets) -> Vec<Alert> {
    let n_buckets = usize::try_from(ask.frame.window_ms() / ask.frame.step_ms).unwrap_or(0);
    let last = n_buckets.saturating_sub(1);
    let latest = |metric: &str| match metric {
        "cpu_utilization" => view.value("cpu.now"),
        "memory_utilization" => view.value("memory.now"),
        "gpu_utilization" => view.value("gpu.now"),
        "error_rate" => error_rate(view, last),
        _ => response_ms(view, last),
    };
    let alert = |(metric, medium, high)| above(metric, resource, latest(metric)?, medium, high);
    thresholds(targets).into_iter().filter_map(alert).collect()
}

fn above(metric: &'static str, resource: &str, value: f64, medium: f64, high: f64) -> Option<Alert> {
    let is_high = high < value;
    let threshold = if is_high { high } else { medium };
    (threshold < value).then(|| Alert { metric, resource: resource.to_owned(), threshold, is_high, value })
}

impl Alert {
    /// The alert as the answer shows it; one about the same thing has the same id in every answer.
    pub(crate) fn render(&self, t: Timestamp) -> Value {
        let identity = format!("{}\0{}\0{}", self.metric, self.resource, self.threshold);
        json!({
            "alertId": format!("perf-{:016x}", xxh3_64(identity.as_bytes())),
            "severity": if self.is_high { "high" } else { "medium" },
            "metric": self.metric,
            "threshold": round(self.threshold, 1),
            "currentValue": number(Some(self.value), 1),
            "resource": self.resource,
            "timestamp": time(t),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_threshold_passed_counts() {
        let severity = |value| above("gpu_utilization", "c", value, 90.0, 97.0).map(|alert| alert.is_high);
        assert_eq!([90.0, 92.8, 97.0, 98.1].map(severity), [None, Some(false), Some(false), Some(true)]);
        let alert = above("gpu_utilization", "cluster-1", 92.8, 90.0, 97.0).unwrap();
        let (first, later) = (alert.render(0), Alert { value: 95.0, ..alert.clone() }.render(60_000));
        assert_eq!(first["alertId"], later["alertId"]);
        assert_eq!(first["threshold"], 90.0);
        let other = Alert { resource: "cluster-2".to_owned(), ..alert };
        assert_ne!(other.render(0)["alertId"], first["alertId"]);
    }
}
