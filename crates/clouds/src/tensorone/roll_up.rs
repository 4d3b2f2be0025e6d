//! The roll-up of a batch: each figure of the summaries joined over the endpoints.

use serde_json::{Map, Value, json};

use super::MetricsAsk;
use super::numbers::round;
use crate::Over;

/// The digits that the figures of a roll-up are rounded to.
const DIGITS: i32 = 3;

/// The `aggregated` object: each number of `summaries` joined by the method asked for, the mean unless told.
pub(crate) fn roll_up(ask: &MetricsAsk, answers: &[Value]) -> Value {
    let (name, over) = ask.aggregation.unwrap_or(("avg", Over::Avg));
    let summaries: Vec<&Map<String, Value>> =
        answers.iter().filter_map(|answer| answer["summary"].as_object()).collect();
    let keys = summaries.first().map(|summary| summary.keys()).into_iter().flatten();
    let joined: Map<String, Value> = keys
        .map(|key| {
            let values = summaries.iter().filter_map(|summary| summary.get(key)?.as_f64()).collect();
            (key.clone(), json!(join(over, values).map(|value| round(value, DIGITS))))
        })
        .collect();
    json!({"method": name, "endpoints": summaries.len(), "summary": joined})
}

/// The values as one; `None` without any. Percentiles are linear between ranks, as PromQL's are.
fn join(over: Over, mut values: Vec<f64>) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "at most as many as a batch has endpoints")]
    let n = values.len() as f64;
    values.sort_by(f64::total_cmp);
    let percentile = |q: f64| {
        let rank = q * (n - 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank within the values")]
        let below = rank.floor() as usize;
        let above = (below + 1).min(values.len() - 1);
        values[below] + (values[above] - values[below]) * rank.fract()
    };
    Some(match over {
        Over::Avg => values.iter().sum::<f64>() / n,
        Over::Sum => values.iter().sum(),
        Over::Min => percentile(0.0),
        Over::Max => percentile(1.0),
        Over::P95 => percentile(0.95),
        Over::P99 => percentile(0.99),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_joined_by_the_method_asked_for() {
        let values = vec![4.0, 1.0, 2.0, 3.0];
        for (over, expect) in [
            (Over::Avg, 2.5),
            (Over::Sum, 10.0),
            (Over::Min, 1.0),
            (Over::Max, 4.0),
            (Over::P95, 3.85),
            (Over::P99, 3.97),
        ] {
            assert!((join(over, values.clone()).unwrap() - expect).abs() < 1e-12, "{over:?}");
        }
        assert_eq!(join(Over::Avg, Vec::new()), None);
    }
}
