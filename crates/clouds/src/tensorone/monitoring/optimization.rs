//! `GET /v2/monitoring/performance/optimization`: bottlenecks, and what could be saved.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::ask::{Kind, OptimizationAsk};
use super::performance::time_range;
use super::{Failure, resource};
use crate::tensorone::MetricsAsk;
use crate::tensorone::costs::Amounts;
use crate::tensorone::metrics::Answer;
use crate::tensorone::numbers::{round, time, usd};
use crate::tensorone::optimization::{Suggestion, suggestions};
use crate::{Batch, EndpointFacts, Family, Need, RateCard, View, tensorone};

/// Percent of use beyond which something is a bottleneck.
const FULL_PERCENT: f64 = 90.0;
/// Shares of a resource's cost that make a saving important, or at least worth a look.
const HIGH_SHARE: f64 = 0.10;
const MEDIUM_SHARE: f64 = 0.05;
/// Recommendations about the platform, those that save most.
const PLATFORM_MAX: usize = 5;

/// What may be full.
const COMPONENTS: [(&str, &str, Family); 3] = [
    ("cpu", "cpu.fine", Family::HostCpuJoined),
    ("memory", "memory.fine", Family::HostMemoryJoined),
    ("gpu", "gpu.fine", Family::GpuUtilizationJoined),
];

/// The answer to `ask`; `facts` is what is known of endpoints.
pub fn optimization(
    batch: &Batch<'_>,
    ask: &OptimizationAsk,
    facts: impl Fn(&str) -> EndpointFacts,
    rates: &RateCard,
    now: model::Timestamp,
) -> Result<Value, Failure> {
    let performance = &ask.performance;
    let costs = MetricsAsk::of_costs(performance.frame.clone());
    let (mut shown, mut saved) = (Vec::new(), BTreeMap::new());
    for kind in performance.kinds {
        let resources = resource::find(batch, performance, *kind)?;
        if resources.members.is_empty() {
            continue;
        }
        let fine = resource::fine(performance);
        let mut needs: Vec<Need> =
            COMPONENTS.iter().map(|(_, name, family)| Need::each(name, *family, fine, fine.step_ms)).collect();
        let prices = *kind == Kind::Endpoint && ask.wants_recommendations;
        if prices {
            needs.extend(tensorone::needs(&costs).into_iter().filter(|need| need.name != "gpu.fine"));
        }
        let found = batch.run(&resource::subject(performance, &resources), &needs)?;
        for member in &resources.members {
            let view = found.member(&member.id);
            let mut object = json!({
                "resourceType": resources.kind,
                "resourceId": member.id,
                "resourceName": member.name,
                "region": member.region,
            });
            if ask.wants_recommendations {
                let facts = facts(&member.id);
                let answer = Answer::new(&costs, view, &facts, rates);
                let amounts = if prices { Amounts::of(view.rows("cost")) } else { None };
                let items = suggestions(&answer, amounts.as_ref());
                let total = amounts.as_ref().map_or(0.0, |amounts| usd(amounts.total));
                object["recommendations"] = items.iter().map(|item| recommendation(item, total)).collect();
                items.into_iter().for_each(|item| add(&mut saved, item));
            }
            if ask.wants_bottlenecks {
                object["bottlenecks"] = bottleneck(view).into_iter().collect();
            }
            shown.push(object);
        }
    }
    let mut answer = json!({"timeRange": time_range(&performance.frame), "generatedAt": time(now), "resources": shown});
    if ask.wants_recommendations {
        answer["platformRecommendations"] = platform(&saved, performance.frame.label);
    }
    Ok(answer)
}

/// One saving with its importance.
fn recommendation(item: &Suggestion, total: f64) -> Value {
    let savings = usd(item.savings_cents);
    let share = if total > 0.0 { savings / total } else { 0.0 };
    json!({
        "priority": priority(share),
        "title": title(item.category),
        "description": item.description,
        "estimatedImprovement": format!("${savings:.2} saved, {:.1}% of the cost", round(100.0 * share, 1)),
        "implementation": item.implementation,
        "effort": item.effort,
        "confidence": item.confidence.map(|confidence| round(confidence, 2)),
    })
}

fn priority(share: f64) -> &'static str {
    match share {
        share if HIGH_SHARE < share => "high",
        share if MEDIUM_SHARE < share => "medium",
        _ => "low",
    }
}

fn title(category: &str) -> &'static str {
    match category {
        "cold_starts" | "warm_pools" => "Keep replicas warm",
        "idle_time" => "Scale idle replicas down",
        "resource_sizing" | "resource_rightsizing" => "Use a smaller GPU",
        _ => "Cache repeated answers",
    }
}

/// Adds a saving to those of its category: description, cents, and of how many endpoints.
fn add(saved: &mut BTreeMap<&'static str, (&'static str, i64, usize)>, item: Suggestion) {
    let (_, cents, n) = saved.entry(item.category).or_insert((item.description, 0, 0));
    *cents += item.savings_cents;
    *n += 1;
}

/// The savings of all endpoints by category, the greatest first.
fn platform(saved: &BTreeMap<&'static str, (&'static str, i64, usize)>, range: &str) -> Value {
    let mut sorted: Vec<_> = saved.iter().collect();
    sorted.sort_by_key(|(_, (_, cents, _))| std::cmp::Reverse(*cents));
    let shown = sorted.into_iter().take(PLATFORM_MAX).map(|(category, (description, cents, n))| {
        json!({
            "title": title(category),
            "description": format!("{description} ({n} endpoints)"),
            "costImpact": format!("${:.2} in {range}", usd(*cents)),
        })
    });
    Value::Array(shown.collect())
}

/// The component that was full for the longest share of the time, if any was.
fn bottleneck(view: View<'_>) -> Option<Value> {
    let shares = COMPONENTS.iter().filter_map(|(name, line, _)| Some((*name, full_share(view.line(line))?)));
    let (component, share) = shares.fold(None, |best: Option<(&str, f64)>, (name, share)| match best {
        Some((_, greatest)) if share <= greatest => best,
        _ => Some((name, share)),
    })?;
    (share > 0.0).then(|| {
        let percent = round(100.0 * share, 1);
        json!({
            "component": component,
            "description": format!("{component} utilization above {FULL_PERCENT:.0}% for {percent:.1}% of the time"),
            "impact": percent,
        })
    })
}

/// The share of known values that are above [`FULL_PERCENT`].
fn full_share(line: &[f64]) -> Option<f64> {
    let known: Vec<f64> = line.iter().copied().filter(|value| value.is_finite()).collect();
    let full = known.iter().filter(|value| FULL_PERCENT < **value).count();
    #[expect(clippy::cast_precision_loss, reason = "at most as many as steps")]
    (!known.is_empty()).then(|| full as f64 / known.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_follow_the_share_saved() {
        assert_eq!([0.101, 0.1, 0.051, 0.05, 0.01].map(priority), ["high", "medium", "medium", "low", "low"]);
        let item = Suggestion {
            category: "idle_time",
            description: "d",
            implementation: "i".to_owned(),
            savings_cents: 217,
            effort: "medium",
            confidence: None,
        };
        let value = recommendation(&item, 47.32);
        assert_eq!(value["estimatedImprovement"], "$2.17 saved, 4.6% of the cost");
        assert_eq!(value["priority"], "low");
    }

    #[test]
    fn savings_of_endpoints_add_up() {
        let mut saved = BTreeMap::new();
        let item = |category, savings_cents| Suggestion {
            category,
            description: "Do it",
            implementation: String::new(),
            savings_cents,
            effort: "low",
            confidence: None,
        };
        for (category, cents) in [("idle_time", 100), ("warm_pools", 300), ("idle_time", 250)] {
            add(&mut saved, item(category, cents));
        }
        let value = platform(&saved, "24h");
        assert_eq!(value[0]["costImpact"], "$3.50 in 24h");
        assert_eq!(value[0]["description"], "Do it (2 endpoints)");
        assert_eq!(value[1]["title"], "Keep replicas warm");
    }

    #[test]
    fn shares_are_of_the_time_that_is_known() {
        assert_eq!(full_share(&[95.0, 90.0, f64::NAN, 91.0, 10.0]), Some(0.5));
        assert_eq!(full_share(&[f64::NAN]), None);
    }
}
