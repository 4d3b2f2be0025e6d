//! From a query's value to the bytes of its answer, in one pass.

use std::time::Duration;

use model::{Budget, Interrupt, Value};
use promql::Answer;
use wire::json;

use crate::reply;

/// Bytes that the labels of a series take in an answer, about.
const SERIES_BYTES: usize = 192;
/// Bytes that a point takes: a time with three decimals and a short value.
const POINT_BYTES: usize = 24;

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
///
/// Errors: the bytes are more than the query may hold.
pub(crate) fn encode(
    mut answer: Answer,
    limit: usize,
    cost: Option<&Cost>,
    budget: &Budget,
) -> Result<Vec<u8>, Interrupt> {
    cap(&mut answer.warnings, "warning");
    cap(&mut answer.infos, "info");
    let lost = match &mut answer.value {
        Value::Vector(series) => reply::truncate(series, limit),
        Value::Matrix(series) => reply::truncate(series, limit),
        Value::Scalar { .. } | Value::String { .. } => Vec::new(),
    };
    answer.warnings.extend(lost);
    let size = likely_size(&answer.value);
    budget.charge(size)?;
    let mut body = Vec::with_capacity(size);
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
    Ok(body)
}

fn cap(annotations: &mut Vec<String>, kind: &str) {
    let more = annotations.len().saturating_sub(ANNOTATIONS_MAX);
    if more > 0 {
        annotations.truncate(ANNOTATIONS_MAX);
        annotations.push(format!("{more} more {kind} annotations omitted"));
    }
}

/// How long the answer will be, about.
fn likely_size(value: &Value) -> usize {
    let (series, points) = match value {
        Value::Vector(series) => (series.len(), series.len()),
        Value::Matrix(series) => (series.len(), series.iter().map(|series| series.columns.len()).sum()),
        Value::Scalar { .. } | Value::String { .. } => (1, 1),
    };
    SERIES_BYTES * (1 + series) + POINT_BYTES * points
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
