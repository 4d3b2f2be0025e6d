//! The summary that stands in every answer, and the basic view.

use serde_json::{Value, json};

use super::metrics::Answer;
use super::numbers::{SECONDS, number, ratio, round, to_i64, whole};
use super::performance::quantile;
use super::tally::Tally;

/// The summary's figures before they are rounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Summary {
    pub(crate) requests: Tally,
    pub(crate) average_latency_s: Option<f64>,
    pub(crate) compute_s: Option<f64>,
    pub(crate) cold_starts: f64,
    pub(crate) cost_usd: Option<f64>,
}

impl Summary {
    pub(crate) fn of(answer: &Answer<'_>) -> Summary {
        let view = answer.view;
        let cost = view.rows("cost");
        Summary {
            requests: Tally::at(view.rows("requests"), 0),
            average_latency_s: ratio(view.value("latency.sum"), view.value("latency.count")),
            compute_s: view.value("latency.sum"),
            cold_starts: view.value("cold_starts").unwrap_or(0.0),
            cost_usd: (!cost.is_empty()).then(|| cost.iter().filter_map(crate::Row::last).sum()),
        }
    }

    /// Cold starts in percent of executions.
    pub(crate) fn cold_start_rate(&self) -> Option<f64> {
        self.requests.percent(self.cold_starts.round())
    }

    /// All requests and those that succeeded, whole; the rest failed.
    pub(crate) fn counts(&self) -> (i64, i64) {
        let total = to_i64(self.requests.total);
        (total, to_i64(self.requests.successful).min(total))
    }
}

/// A quantile of the whole window.
fn latency(answer: &Answer<'_>, q: f64) -> Option<f64> {
    quantile(answer.view.rows("latency.quantiles"), q)?.last()
}

/// The `summary` object.
pub(crate) fn summary(answer: &Answer<'_>) -> Value {
    let summary = &answer.summary;
    let (total, successful) = summary.counts();
    let queue_s = ratio(answer.view.value("queue.sum"), answer.view.value("queue.count"));
    json!({
        "totalExecutions": total,
        "successfulExecutions": successful,
        "failedExecutions": total - successful,
        "successRate": number(summary.requests.percent(summary.requests.successful), 2),
        "totalCost": number(summary.cost_usd, 2),
        "averageLatency": number(summary.average_latency_s, SECONDS),
        "p95Latency": number(latency(answer, 0.95), SECONDS),
        "p99Latency": number(latency(answer, 0.99), SECONDS),
        "totalComputeTime": number(summary.compute_s, SECONDS),
        "averageQueueTime": number(queue_s, SECONDS),
        "coldStartCount": to_i64(summary.cold_starts),
        "coldStartRate": number(summary.cold_start_rate(), 2),
    })
}

/// The four figures of the basic view; response time in milliseconds.
pub(crate) fn basic(answer: &Answer<'_>) -> Value {
    let summary = &answer.summary;
    let success = summary.requests.percent(summary.requests.successful).map(|percent| round(percent, 2));
    json!({
        "requestCount": summary.counts().0,
        "averageResponseTime": number(summary.average_latency_s.map(|s| 1000.0 * s), 3),
        "errorRate": number(success.map(|percent| 100.0 - percent), 2),
        "activeWorkers": whole(Some(answer.view.value("replicas").unwrap_or(0.0))),
    })
}
