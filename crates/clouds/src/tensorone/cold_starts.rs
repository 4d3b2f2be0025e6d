//! The `coldStarts` section: how many, how long, what they cost, and what warm replicas would change.

use serde_json::{Value, json};

use super::costs::{self, Amounts};
use super::metrics::Answer;
use super::numbers::{number, ratio, round, split, to_i64};
use super::optimization::replica_hour;
use crate::Row;

/// Percent of executions up to which users hardly notice cold starts, and from which they suffer.
const NOTICED_PERCENT: f64 = 0.5;
const SEVERE_PERCENT: f64 = 2.0;
/// A gap without replicas up to this long is one a warm replica would have bridged.
const GAP_HOURS: f64 = 1.0;
/// The share of cold starts that warm replicas avoid, where the gaps do not tell.
const AVOIDED_SHARE: f64 = 0.9;

/// The section.
pub(crate) fn cold_starts(answer: &Answer<'_>) -> Value {
    let durations = Durations::of(answer.view.rows("cold.sum"), answer.view.rows("cold.count"));
    let rate = answer.summary.cold_start_rate();
    let amounts = Amounts::of(answer.view.rows("cost"));
    let cost = amounts.as_ref().map(Amounts::cold_start);
    let latency = durations.total.zip(answer.summary.average_latency_s).map(|(total, mean)| total - mean);
    let (gap_hours, gaps) = costs::gaps(answer);
    let warm = amounts.as_ref().and_then(|amounts| replica_hour(answer, amounts)).map(|price| price * gap_hours);
    let avoided = avoided(&gaps);
    let share = avoided.unwrap_or(AVOIDED_SHARE);
    let mut improvement = json!({
        "latencyReduction": number(latency.map(|latency| share * latency), 1),
        "costReduction": number(cost.map(|cost| share * cost), 2),
    });
    if avoided.is_none() {
        improvement["estimated"] = json!(true);
    }
    json!({
        "count": to_i64(answer.summary.cold_starts),
        "rate": number(rate, 2),
        "averageDuration": number(durations.total, 1),
        "breakdown": durations.breakdown(),
        "impact": {
            "latencyIncrease": number(latency, 1),
            "costIncrease": number(cost, 2),
            "userExperience": rate.map(experience),
        },
        "optimization": {
            "warmPoolRecommended": is_recommended(rate, cost, warm),
            "estimatedImprovement": improvement,
        },
    })
}

/// How users feel about that many percent of cold starts.
fn experience(rate: f64) -> &'static str {
    match rate {
        rate if rate < NOTICED_PERCENT => "minimal",
        rate if rate < SEVERE_PERCENT => "moderate",
        _ => "severe",
    }
}

/// Whether warm replicas cost less than cold starts do, or cold starts are too many either way.
fn is_recommended(rate: Option<f64>, cost: Option<f64>, warm: Option<f64>) -> bool {
    let saves = cost.zip(warm).is_some_and(|(cost, warm)| warm < cost);
    saves || rate.is_some_and(|rate| NOTICED_PERCENT <= rate)
}

/// The share of gaps that a warm replica would have bridged; `None` without a gap.
fn avoided(gaps: &[f64]) -> Option<f64> {
    if gaps.is_empty() {
        return None;
    }
    let short = gaps.iter().filter(|gap| **gap <= GAP_HOURS).count();
    #[expect(clippy::cast_precision_loss, reason = "at most as many as steps")]
    Some(short as f64 / gaps.len() as f64)
}

/// Mean seconds of a start and of its phases.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Durations {
    total: Option<f64>,
    container: Option<f64>,
    model: Option<f64>,
    dependencies: Option<f64>,
}

impl Durations {
    fn of(sums: &[Row], counts: &[Row]) -> Durations {
        let phase = |name: &str| {
            let of = |rows: &[Row]| rows.iter().find(|row| row.label("phase") == name).and_then(Row::last);
            ratio(of(sums), of(counts))
        };
        let (container, model, dependencies) =
            (phase("container_start"), phase("model_load"), phase("dependency_load"));
        let parts = [container, model, dependencies].into_iter().flatten();
        let total = phase("total").or_else(|| parts.reduce(|a, b| a + b));
        Durations { total, container, model, dependencies }
    }

    /// The phases in tenths of a second that add up to the total; what no phase took is the model's.
    fn breakdown(&self) -> Value {
        let known = self.container.unwrap_or(0.0) + self.dependencies.unwrap_or(0.0);
        let model = self.total.map(|total| (total - known).max(0.0));
        let weights = [self.container, model, self.dependencies];
        let tenths =
            self.total.map(|total| split(to_i64(10.0 * round(total, 1)), &weights.map(|weight| weight.unwrap_or(0.0))));
        #[expect(clippy::cast_precision_loss, reason = "hours of tenths are far below 2^53")]
        let shown = |at: usize| {
            let known = weights[at].and(tenths.as_ref());
            known.map(|tenths| tenths[at] as f64 / 10.0)
        };
        json!({"containerStart": shown(0), "modelLoad": shown(1), "dependencyLoad": shown(2)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_add_up_to_the_mean() {
        let seed = Durations { total: Some(34.2), container: Some(12.5), model: Some(18.7), dependencies: Some(3.0) };
        let expect = json!({"containerStart": 12.5, "modelLoad": 18.7, "dependencyLoad": 3.0});
        assert_eq!(seed.breakdown(), expect);
        let unknown = Durations { container: None, model: None, ..seed };
        let expect = json!({"containerStart": null, "modelLoad": 31.2, "dependencyLoad": 3.0});
        assert_eq!(unknown.breakdown(), expect);
        let nothing = Durations { total: None, container: None, model: None, dependencies: None };
        assert_eq!(nothing.breakdown()["modelLoad"], Value::Null);
    }

    #[test]
    fn warm_replicas_are_recommended_when_cold_starts_are_dear_or_many() {
        for (rate, cost, warm, expect) in [
            (Some(0.81), Some(3.23), Some(50.0), true),
            (Some(0.2), Some(3.23), Some(2.0), true),
            (Some(0.2), Some(3.23), Some(5.0), false),
            (None, None, None, false),
        ] {
            assert_eq!(is_recommended(rate, cost, warm), expect, "{rate:?} {cost:?} {warm:?}");
        }
        assert_eq!([0.49, 0.81, 2.0].map(experience), ["minimal", "moderate", "severe"]);
    }

    #[test]
    fn short_gaps_are_those_a_warm_replica_bridges() {
        assert_eq!(avoided(&[0.5, 1.0, 3.0, 8.0]), Some(0.5));
        assert_eq!(avoided(&[]), None);
    }
}
