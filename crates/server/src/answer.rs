//! From a query's value to the bytes of its answer, in one pass.

use std::time::Duration;

use model::Value;
use promql::Answer;
use wire::json;

use crate::reply;

/// Bytes that a series of an answer takes at least; sizes the first allocation.
const SERIES_BYTES: usize = 128;

/// Warnings, and separately infos, that an answer shows; the rest are counted. Source: Prometheus' API does the same.
const ANNOTATIONS_MAX: usize = 10;

/// What a query cost, shown on request.
pub(crate) struct Cost {
    /// Waiting for a turn.
    pub(crate) queue: Duration,
    /// Reading the expression.
    pub(crate) preparation: Duration,
    /// Evaluating it.
    pub(crate) evaluation: Duration,
    /// Samples read.
    pub(crate) samples: u64,
}

/// Encodes an answer in Prometheus' envelope, its series cut to `limit`.
pub(crate) fn encode(mut answer: Answer, limit: usize, cost: Option<&Cost>) -> Vec<u8> {
    cap(&mut answer.warnings, "warning");
    cap(&mut answer.infos, "info");
    let lost = match &mut answer.value {
        Value::Vector(series) => reply::truncate(series, limit),
        Value::Matrix(series) => reply::truncate(series, limit),
        Value::Scalar { .. } | Value::String { .. } => Vec::new(),
    };
    answer.warnings.extend(lost);
    let mut body = Vec::with_capacity(SERIES_BYTES * (1 + n_series(&answer.value)));
    let data = |into: &mut Vec<u8>| {
        into.push(b'{');
        json::encode_value(&answer.value, into);
        if let Some(cost) = cost {
            into.extend_from_slice(b",\"stats\":");
            push_stats(cost, into);
        }
        into.push(b'}');
    };
    json::push_success(data, &answer.warnings, &answer.infos, &mut body);
    body
}

fn cap(annotations: &mut Vec<String>, kind: &str) {
    let more = annotations.len().saturating_sub(ANNOTATIONS_MAX);
    if more > 0 {
        annotations.truncate(ANNOTATIONS_MAX);
        annotations.push(format!("{more} more {kind} annotations omitted"));
    }
}

fn n_series(value: &Value) -> usize {
    match value {
        Value::Vector(series) => series.len(),
        Value::Matrix(series) => series.len(),
        Value::Scalar { .. } | Value::String { .. } => 1,
    }
}

/// The members of Prometheus' `stats` that mean something here. Series are sorted while they are evaluated.
fn push_stats(cost: &Cost, into: &mut Vec<u8>) {
    let total = cost.preparation + cost.evaluation;
    let stats = serde_json::json!({
        "timings": {
            "evalTotalTime": total.as_secs_f64(),
            "resultSortTime": 0.0,
            "queryPreparationTime": cost.preparation.as_secs_f64(),
            "innerEvalTime": cost.evaluation.as_secs_f64(),
            "execQueueTime": cost.queue.as_secs_f64(),
            "execTotalTime": (cost.queue + total).as_secs_f64(),
        },
        "samples": {"totalQueryableSamples": cost.samples},
    });
    into.extend_from_slice(stats.to_string().as_bytes());
}
