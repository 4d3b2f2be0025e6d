//! The `costs` section: USD by category, phase and detail, their trends, and what they will be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::frame::HOUR_MS;
use super::metrics::Answer;
use super::needs::month;
use super::numbers::{SMALL_MONEY, cents, change, known, mean, number, ratio, round, split, time, usd, variation};
use super::optimization;
use super::performance::TREND_PERCENT;
use crate::Row;

/// The categories in the order of the answers; what has no other one is the last.
const CATEGORIES: [&str; 4] = ["compute", "storage", "network", "other"];
/// The phases of the compute category; what has no other one is the first.
const PHASES: [&str; 3] = ["inference", "cold_start", "idle"];
/// Days of a month, as projections count them.
const MONTH_DAYS: f64 = 30.0;
/// What answers call the details of each category.
const DETAILS: [(&str, &[&str]); 3] = [
    ("storage", &["models", "outputs"]),
    ("network", &["ingress", "egress"]),
    ("other", &["coldStarts", "monitoring", "logging"]),
];

/// The amounts of the whole window, in cents that add up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Amounts {
    pub(crate) total: i64,
    /// By the order of [`CATEGORIES`].
    pub(crate) categories: [i64; 4],
    /// By the order of [`PHASES`].
    pub(crate) phases: [i64; 3],
    details: [BTreeMap<String, i64>; 4],
}

impl Amounts {
    /// The last value of each row, folded; `None` without any row.
    pub(crate) fn of(rows: &[Row]) -> Option<Amounts> {
        if rows.is_empty() {
            return None;
        }
        let (mut categories, mut phases) = ([0.0; 4], [0.0; 3]);
        let mut details: [BTreeMap<String, f64>; 4] = Default::default();
        for row in rows {
            let amount = row.last().unwrap_or(0.0);
            let category = category(row);
            categories[category] += amount;
            *details[category].entry(row.label("detail").to_owned()).or_default() += amount;
            if category == 0 {
                phases[PHASES.iter().position(|phase| *phase == row.label("phase")).unwrap_or(0)] += amount;
            }
        }
        let total = cents(categories.iter().sum());
        let categories = to_array(&split(total, &categories));
        let phases = to_array(&split(categories[0], &phases));
        let mut at = 0;
        let details = details.map(|weights| {
            let parts = split(categories[at], &weights.values().copied().collect::<Vec<_>>());
            at += 1;
            weights.into_keys().zip(parts).collect()
        });
        Some(Amounts { total, categories, phases, details })
    }

    pub(crate) fn compute(&self) -> f64 {
        usd(self.categories[0])
    }

    pub(crate) fn inference(&self) -> f64 {
        usd(self.phases[0])
    }

    pub(crate) fn cold_start(&self) -> f64 {
        usd(self.phases[1])
    }

    pub(crate) fn idle(&self) -> f64 {
        usd(self.phases[2])
    }
}

fn category(row: &Row) -> usize {
    CATEGORIES.iter().position(|category| *category == row.label("category")).unwrap_or(3)
}

fn to_array<const N: usize>(parts: &[i64]) -> [i64; N] {
    std::array::from_fn(|at| parts.get(at).copied().unwrap_or(0))
}

/// The sum of all rows at one step, if any has a value there.
pub(crate) fn sum_at(rows: &[Row], at: usize) -> Option<f64> {
    let values: Vec<f64> = rows.iter().filter_map(|row| row.values.get(at).copied()).collect();
    let mut known = known(&values).peekable();
    known.peek().is_some().then(|| known.sum())
}

/// The section.
pub(crate) fn costs(answer: &Answer<'_>) -> Value {
    let amounts = Amounts::of(answer.view.rows("cost"));
    let breakdown = match answer.ask.has_cost_details() {
        true => detailed(answer, amounts.as_ref()),
        false => plain(amounts.as_ref()),
    };
    let items = optimization::suggestions(answer, amounts.as_ref());
    json!({
        "total": amounts.as_ref().map(|amounts| usd(amounts.total)),
        "breakdown": breakdown,
        "byCategory": by_category(amounts.as_ref()),
        "timeSeries": time_series(answer),
        "trends": trends(answer, amounts.as_ref()),
        "budgetAnalysis": budget(answer),
        "optimization": optimization::render(&items),
    })
}

fn plain(amounts: Option<&Amounts>) -> Value {
    let amount = |at: usize| amounts.map(|amounts| usd(amounts.categories[at]));
    Value::Object(CATEGORIES.iter().enumerate().map(|(at, name)| ((*name).to_owned(), json!(amount(at)))).collect())
}

/// Each category with its share and what it is made of.
fn detailed(answer: &Answer<'_>, amounts: Option<&Amounts>) -> Value {
    let tenths = amounts.map(|amounts| {
        #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 cents")]
        let weights = amounts.categories.map(|cents| cents as f64);
        split(1000, &weights)
    });
    let category = |(at, name): (usize, &&str)| {
        let details = if at == 0 { compute_details(answer, amounts) } else { details(name, at, amounts) };
        let amount = amounts.map(|amounts| usd(amounts.categories[at]));
        #[expect(clippy::cast_precision_loss, reason = "at most a thousand")]
        let percentage = tenths.as_ref().map(|tenths| tenths[at] as f64 / 10.0);
        ((*name).to_owned(), json!({"amount": amount, "percentage": percentage, "details": details}))
    };
    Value::Object(CATEGORIES.iter().enumerate().map(category).collect())
}

fn compute_details(answer: &Answer<'_>, amounts: Option<&Amounts>) -> Value {
    let gpu_hours = answer.view.value("gpu_hours");
    let rate = ratio(amounts.map(Amounts::compute), gpu_hours);
    json!({"gpuHours": number(gpu_hours, 3), "rate": number(rate, 3), "tier": answer.facts.tier})
}

/// The named details of a category; one that nobody told apart is null.
fn details(name: &str, at: usize, amounts: Option<&Amounts>) -> Value {
    let names = DETAILS.iter().find(|(category, _)| *category == name).map_or(&[][..], |(_, names)| names);
    let known = amounts.map(|amounts| &amounts.details[at]);
    let detail = |name: &&str| {
        let amount = known.and_then(|known| known.get(*name)).map(|cents| usd(*cents));
        // Cold starts are paid for as compute: nothing of them is elsewhere.
        let amount = if *name == "coldStarts" { amounts.map(|_| amount.unwrap_or(0.0)) } else { amount };
        ((*name).to_owned(), json!(amount))
    };
    Value::Object(names.iter().map(detail).collect::<Map<String, Value>>())
}

/// What the money was for; the parts add up to the total.
fn by_category(amounts: Option<&Amounts>) -> Value {
    let phase = |at: usize| amounts.map(|amounts| usd(amounts.phases[at]));
    let category = |at: usize| amounts.map(|amounts| usd(amounts.categories[at]));
    json!({
        "inference": phase(0),
        "coldStarts": phase(1),
        "idleTime": phase(2),
        "dataTransfer": category(2),
        "storage": category(1),
        "other": category(3),
    })
}

fn time_series(answer: &Answer<'_>) -> Value {
    let rows = answer.view.rows("cost.each");
    let points = answer.buckets().map(|(at, start)| {
        let of = |wanted: usize| {
            let rows = rows.iter().filter(|row| category(row) == wanted);
            let values = rows.filter_map(|row| row.values.get(at).copied()).filter(|value| value.is_finite());
            values.sum::<f64>()
        };
        let known = sum_at(rows, at);
        let part = |wanted: usize| number(known.map(|_| of(wanted)), SMALL_MONEY);
        json!({
            "timestamp": time(start),
            "cost": number(known, SMALL_MONEY),
            "computeCost": part(0),
            "storageCost": part(1),
            "networkCost": part(2),
        })
    });
    Value::Array(points.collect())
}

/// Costs of the days before the frame's end, of those days that have any.
pub(crate) fn daily(answer: &Answer<'_>) -> Vec<f64> {
    let rows = answer.view.rows("cost.days");
    let n_days = rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
    (0..n_days).filter_map(|at| sum_at(rows, at)).collect()
}

/// By how many percent the last day's cost differs from the day's before.
pub(crate) fn daily_change(answer: &Answer<'_>) -> Option<f64> {
    change_of(answer.view.rows("cost.daily"))
}

fn change_of(pair: &[Row]) -> Option<f64> {
    change(sum_at(pair, 1), sum_at(pair, 0)).map(|change| round(change, 1))
}

fn trend(change: Option<f64>) -> Option<&'static str> {
    change.map(|change| match change {
        c if c <= -TREND_PERCENT => "decreasing",
        c if c >= TREND_PERCENT => "increasing",
        _ => "stable",
    })
}

fn trends(answer: &Answer<'_>, amounts: Option<&Amounts>) -> Value {
    let average = amounts.map(|amounts| usd(amounts.total) / answer.ask.frame.days());
    let projection = projection(average, &daily(answer));
    let (day, week) = (daily_change(answer), change_of(answer.view.rows("cost.weekly")));
    json!({
        "daily": {
            "average": number(average, 2),
            "trend": trend(day),
            "changePercent": number(day, 1),
            "projection": projection,
        },
        "weekly": {
            "average": number(average.map(|average| 7.0 * average), 2),
            "trend": trend(week),
            "changePercent": number(week, 1),
        },
        "projection": projection,
    })
}

/// What a month will cost at the daily average, and how sure that is: less the more days differ, and the fewer there are.
pub(crate) fn projection(average: Option<f64>, daily: &[f64]) -> Value {
    let monthly = average.map(|average| MONTH_DAYS * round(average, 2));
    #[expect(clippy::cast_precision_loss, reason = "at most 30 days")]
    let confidence = variation(daily)
        .map(|variation| (1.0 - variation).clamp(0.0, 1.0) * (daily.len() as f64 / MONTH_DAYS).min(1.0));
    json!({"monthly": number(monthly, 2), "confidence": number(confidence, 2)})
}

/// The month's budget compared with what it has cost and will; null without a budget.
fn budget(answer: &Answer<'_>) -> Value {
    let Some(budget) = answer.facts.budget_usd_month else { return Value::Null };
    let current = sum_at(answer.view.rows("cost.month"), 0).map(|current| round(current, 2));
    let daily = daily(answer);
    let burn = mean(&daily[daily.len().saturating_sub(7)..]);
    let (_, days_left) = month(answer.ask.frame.end);
    let projected = current.zip(burn).map(|(current, burn)| current + burn * days_left);
    json!({
        "monthlyBudget": number(Some(budget), 2),
        "currentUsage": number(current, 2),
        "remainingBudget": number(current.map(|current| budget - current), 2),
        "projectedTotal": number(projected, 2),
        "onTrack": projected.map(|projected| projected <= budget),
        "burnRate": number(burn, 2),
    })
}

/// Hours of the frame in which no replica ran, as far as that is known; and the lengths of those gaps in hours, each
/// followed by a replica that ran.
pub(crate) fn gaps(answer: &Answer<'_>) -> (f64, Vec<f64>) {
    let line = answer.view.line("replicas.fine");
    #[expect(clippy::cast_precision_loss, reason = "less than a day of milliseconds")]
    let step_hours = answer.ask.frame.fine_steps().step_ms as f64 / HOUR_MS as f64;
    gaps_of(line, step_hours)
}

fn gaps_of(line: &[f64], step_hours: f64) -> (f64, Vec<f64>) {
    let (mut hours, mut gaps, mut gap) = (0.0, Vec::new(), 0.0);
    for running in known(line) {
        if running == 0.0 {
            hours += step_hours;
            gap += step_hours;
        } else if gap > 0.0 {
            gaps.push(gap);
            gap = 0.0;
        }
    }
    (hours, gaps)
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn row(category: &str, phase: &str, detail: &str, amount: f64) -> Row {
        let labels = Labels::from_pairs([("category", category), ("phase", phase), ("detail", detail)]);
        Row { labels, values: vec![amount] }
    }

    #[test]
    fn parts_add_up_to_the_cent() {
        let rows = [
            row("compute", "inference", "", 10.004),
            row("compute", "cold_start", "", 1.004),
            row("compute", "idle", "", 0.004),
            row("storage", "", "models", 2.224),
            row("storage", "", "outputs", 0.003),
            row("network", "", "egress", 0.333),
            row("power", "", "", 0.004),
        ];
        let amounts = Amounts::of(&rows).unwrap();
        assert_eq!(amounts.total, 1358, "13.576");
        assert_eq!(amounts.categories.iter().sum::<i64>(), amounts.total);
        assert_eq!(amounts.phases.iter().sum::<i64>(), amounts.categories[0]);
        assert_eq!(amounts.categories, [1102, 223, 33, 0]);
        assert_eq!(amounts.details[1].values().sum::<i64>(), 223);
        assert_eq!(Amounts::of(&[]), None);
    }

    #[test]
    fn a_month_is_thirty_days_of_the_average() {
        let even = [47.32; 15];
        assert_eq!(projection(Some(47.32), &even), json!({"monthly": 1419.6, "confidence": 0.5}));
        assert_eq!(projection(Some(3.0), &[2.0, 4.0]), json!({"monthly": 90.0, "confidence": 0.04}));
        assert_eq!(projection(None, &[]), json!({"monthly": null, "confidence": null}));
    }

    #[test]
    fn gaps_are_the_times_without_a_replica() {
        let line = [1.0, 0.0, 0.0, f64::NAN, 2.0, 0.0, 1.0, 0.0];
        assert_eq!(gaps_of(&line, 0.5), (2.0, vec![1.0, 0.5]));
    }
}
