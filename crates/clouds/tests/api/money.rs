//! Money and cold starts: every part of an answer against what the fleet's counters gained.

use clouds::Row;
use serde_json::Value;

use crate::answers::{found, metrics};
use crate::fleet::{DAY_MS, END, ENDPOINT, Fleet, MINUTE_MS};
use crate::truth::{Truth, mean, near, number, rounded};

const COST: &str = "inference_cost_usd_total";

/// A part of an amount: rounded so that all parts add up, it may be off by less than a cent.
fn near_cent(answer: &Value, pointer: &str, expect: f64) {
    let found = number(answer, pointer);
    assert!((found - expect).abs() < 0.01, "{pointer}: {found}, expected {expect}");
}

#[test]
fn amounts_are_those_of_their_series() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let store = truth.fleet.store();
    let (_, values) = found(&store, "timeframe=24h&metrics=costs");
    let gain = |pairs: &[(&str, &str)]| truth.gain(COST, pairs, END, DAY_MS);
    for row in values.member(ENDPOINT).rows("cost") {
        let known = ["category", "phase", "detail"].map(|name| (name, row.label(name)));
        let pairs: Vec<_> = known.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        near(&format!("{pairs:?}"), row.last().unwrap(), gain(&pairs));
    }
    let answer = metrics(&store, "timeframe=24h&metrics=costs");
    for category in ["compute", "storage", "network", "other"] {
        near_cent(&answer, &format!("/costs/breakdown/{category}/amount"), gain(&[("category", category)]));
        let share = 100.0 * gain(&[("category", category)]) / gain(&[]);
        let shown = number(&answer, &format!("/costs/breakdown/{category}/percentage"));
        assert!((shown - share).abs() < 0.1, "{category}: {shown}, expected {share}");
    }
    for (name, phase) in [("inference", "inference"), ("coldStarts", "cold_start"), ("idleTime", "idle")] {
        near_cent(&answer, &format!("/costs/byCategory/{name}"), gain(&[("phase", phase)]));
    }
    near_cent(&answer, "/costs/byCategory/dataTransfer", gain(&[("category", "network")]));
    near_cent(&answer, "/costs/byCategory/storage", gain(&[("category", "storage")]));
    for (category, details) in [
        ("storage", &["models", "outputs"]),
        ("network", &["ingress", "egress"]),
        ("other", &["monitoring", "logging"]),
    ] {
        for detail in details {
            near_cent(&answer, &format!("/costs/breakdown/{category}/details/{detail}"), gain(&[("detail", detail)]));
        }
    }
    near("gpu hours", number(&answer, "/costs/breakdown/compute/details/gpuHours"), 48.0);
    let compute = number(&answer, "/costs/breakdown/compute/amount");
    near("rate", number(&answer, "/costs/breakdown/compute/details/rate"), rounded(compute / 48.0, 3));
}

#[test]
fn buckets_and_trends_are_those_of_their_windows() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let answer = metrics(&truth.fleet.store(), "timeframe=24h&metrics=costs");
    for at in 0..96 {
        let end = END - (95 - at) * 15 * MINUTE_MS;
        let gain = |pairs: &[(&str, &str)]| truth.gain(COST, pairs, end, 15 * MINUTE_MS);
        let point = |key: &str| number(&answer, &format!("/costs/timeSeries/{at}/{key}"));
        near("cost", point("cost"), rounded(gain(&[]), 6));
        for (key, category) in [("computeCost", "compute"), ("storageCost", "storage"), ("networkCost", "network")] {
            near(key, point(key), rounded(gain(&[("category", category)]), 6));
        }
    }
    let total = rounded(truth.gain(COST, &[], END, DAY_MS), 2);
    near("a day", number(&answer, "/costs/trends/daily/average"), total);
    near("a week", number(&answer, "/costs/trends/weekly/average"), rounded(7.0 * total, 2));
    // The month began before the first sample; the last three days have samples.
    let month = rounded(truth.gain(COST, &[], END, 16 * DAY_MS), 2);
    let burn = mean(&[0, 1, 2].map(|back| truth.gain(COST, &[], END - back * DAY_MS, DAY_MS)));
    let days_left = 15.0 + 22.0 / 24.0;
    for (key, expect) in [
        ("monthlyBudget", 5000.0),
        ("currentUsage", month),
        ("remainingBudget", 5000.0 - month),
        ("burnRate", burn),
        ("projectedTotal", month + burn * days_left),
    ] {
        near(key, number(&answer, &format!("/costs/budgetAnalysis/{key}")), rounded(expect, 2));
    }
}

#[test]
fn cold_starts_are_those_of_their_series() {
    let truth = Truth { fleet: Fleet::new(1.0) };
    let store = truth.fleet.store();
    let (_, values) = found(&store, "timeframe=24h&metrics=performance");
    let view = values.member(ENDPOINT);
    for phase in ["container_start", "dependency_load", "model_load", "total"] {
        for (need, suffix) in [("cold.sum", "sum"), ("cold.count", "count")] {
            let row = view.rows(need).iter().find(|row| row.label("phase") == phase).and_then(Row::last).unwrap();
            let name = format!("inference_cold_start_seconds_{suffix}");
            near(&format!("{phase} {suffix}"), row, truth.gain(&name, &[("phase", phase)], END, DAY_MS));
        }
    }
    let answer = metrics(&store, "timeframe=24h&metrics=performance");
    let count = truth.gain("inference_cold_starts_total", &[], END, DAY_MS);
    assert!(count > 1.0, "{count}");
    near("count", number(&answer, "/coldStarts/count"), count);
    let cost = truth.gain(COST, &[("phase", "cold_start")], END, DAY_MS);
    near_cent(&answer, "/coldStarts/impact/costIncrease", cost);
    // 34.25 is shown as 34.3, and its parts in tenths add up to that.
    for (phase, expect) in [("containerStart", 12.5), ("modelLoad", 18.8), ("dependencyLoad", 3.0)] {
        near(phase, number(&answer, &format!("/coldStarts/breakdown/{phase}")), expect);
    }
}
