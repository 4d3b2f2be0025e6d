//! Every key of the vendor's sample answers is in ours, with the sample's type, and no number of ours is a constant.

use serde_json::Value;

use crate::answers::{metrics, optimization, performance};
use crate::fleet::Fleet;

/// A sample's keys, one a line: the path, with `[]` for the first element of a list, and the type.
const METRICS: &str = include_str!("shapes/metrics.txt");
const COSTS: &str = include_str!("shapes/costs.txt");
const BASIC: &str = include_str!("shapes/basic.txt");
const PERFORMANCE: &str = include_str!("shapes/performance.txt");

/// What the samples show of optimisation, after the vendor's client code.
const OPTIMIZATION: &str = "\
resources array
resources[].resourceName string
resources[].resourceType string
resources[].recommendations array
resources[].bottlenecks array
platformRecommendations array
platformRecommendations[].title string
platformRecommendations[].description string
platformRecommendations[].costImpact string
";

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Everything at `path`; a list stands for all of its elements, so that a key may be in any of them.
fn at<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![value];
    for part in path.split('.') {
        let key = part.trim_end_matches("[]");
        found = found.into_iter().filter_map(|value| value.get(key)).collect();
        for _ in 0..part.matches("[]").count() {
            found = found.into_iter().filter_map(Value::as_array).flatten().collect();
        }
    }
    found
}

/// What cannot be known of a day that has no full day of that kind in it; a week has.
const NEEDS_DAYS: [&str; 2] = ["usage.requests.patterns.weekdayAverage", "usage.requests.patterns.weekendAverage"];
/// And of two weeks, where there are not two weeks of samples.
const NEEDS_WEEKS: [&str; 2] = ["costs.trends.weekly.trend", "costs.trends.weekly.changePercent"];

#[track_caller]
fn check(answer: &Value, shape: &str) {
    let mut problems = Vec::new();
    for line in shape.lines() {
        let (path, expect) = line.rsplit_once(' ').unwrap();
        let found = at(answer, path);
        if !found.iter().any(|value| kind(value) == expect) {
            let kinds: std::collections::BTreeSet<_> = found.iter().map(|value| kind(value)).collect();
            problems.push(format!("{path}: {expect} expected, {kinds:?} found"));
        }
    }
    assert!(problems.is_empty(), "{}\n{answer:#}", problems.join("\n"));
}

#[test]
fn every_key_of_the_samples_is_there() {
    let store = Fleet::new(1.0).store();
    let full = metrics(&store, "timeframe=24h");
    // A fleet at rest has no insights: their shape is tested where they are made.
    let is_of_a_day = |line: &&str| {
        let needs_days = NEEDS_DAYS.iter().any(|path| line.starts_with(path));
        let is_insight = line.starts_with("insights.") && line.contains("[]");
        !needs_days && !is_insight
    };
    let lines = METRICS.lines().filter(is_of_a_day).map(|line| format!("{line}\n"));
    check(&full, &lines.collect::<String>());
    // The fleet's full days are a Sunday, less its first minutes, and a Monday.
    let week = metrics(&store, "timeframe=7d&metrics=usage");
    check(&week, &format!("{} number\n", NEEDS_DAYS[0]));
    // Two weeks of costs are compared; the fleet has two days.
    let lines = COSTS.lines().filter(|line| !NEEDS_WEEKS.iter().any(|path| line.starts_with(path)));
    check(&metrics(&store, "timeframe=24h&metrics=costs"), &lines.map(|line| format!("{line}\n")).collect::<String>());
    check(&metrics(&store, "view=basic"), BASIC);
    check(&optimization(&store, ""), OPTIMIZATION);
}

#[test]
fn every_key_of_the_performance_sample_is_there() {
    let store = Fleet::new(1.6).store();
    check(&performance(&store, "timeRange=6h&granularity=15m"), PERFORMANCE);
}

/// Every number of `value` by its path, lists by position.
fn numbers(path: &str, value: &Value, into: &mut Vec<(String, f64)>) {
    match value {
        Value::Number(n) => into.push((path.to_owned(), n.as_f64().unwrap())),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, value)| numbers(&format!("{path}[{at}]"), value, into));
        }
        Value::Object(members) => {
            members.iter().for_each(|(key, value)| numbers(&format!("{path}.{key}"), value, into));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

#[test]
fn another_fleet_has_other_numbers() {
    let (one, other) = (Fleet::new(1.0).store(), Fleet::new(1.5).store());
    let (a, b) = (metrics(&one, "timeframe=24h"), metrics(&other, "timeframe=24h"));
    // Means, shares and what does not follow traffic stay; totals, rates, loads and money change.
    for path in [
        "summary.totalExecutions",
        "summary.totalCost",
        "summary.totalComputeTime",
        "performance.throughput.peak.requestsPerSecond",
        "performance.errorRates.breakdown.4xx",
        "usage.compute.gpuSeconds",
        "usage.compute.efficiency.score",
        "usage.data.inputBytes",
        "costs.breakdown.compute",
        "costs.trends.daily.average",
        "costs.trends.projection.monthly",
        "costs.optimization.potentialSavings",
        "resources.gpu.utilization.average",
        "coldStarts.impact.costIncrease",
    ] {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        numbers("", at(&a, path)[0], &mut before);
        numbers("", at(&b, path)[0], &mut after);
        assert!(!before.is_empty() && before != after, "{path}: {before:?}");
    }
    let (a, b) = (performance(&one, "timeRange=1h"), performance(&other, "timeRange=1h"));
    for path in ["overall.totalThroughput", "aggregatedMetrics.gpuUtilization.p95", "resources[].metrics.cpu.average"] {
        assert_ne!(at(&a, path)[0], at(&b, path)[0], "{path}");
    }
}
