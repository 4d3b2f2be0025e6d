//! What must add up in every answer, exactly.

use serde_json::Value;

use crate::answers::metrics;
use crate::fleet::Fleet;

fn cents(value: &Value) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "amounts of a test")]
    let cents = (value.as_f64().unwrap() * 100.0).round() as i64;
    cents
}

fn whole(value: &Value) -> i64 {
    value.as_i64().unwrap()
}

#[test]
fn counts_add_up() {
    let answer = metrics(&Fleet::new(0.37).store(), "timeframe=24h");
    let (summary, breakdown) = (&answer["summary"], &answer["performance"]["errorRates"]["breakdown"]);
    let failed = whole(&summary["failedExecutions"]);
    assert_eq!(whole(&summary["totalExecutions"]), whole(&summary["successfulExecutions"]) + failed);
    assert_eq!(whole(&breakdown["4xx"]) + whole(&breakdown["5xx"]), failed);
    let items = answer["performance"]["throughput"]["timeSeries"].as_array().unwrap();
    assert_eq!(items.len(), 96);
    let items: i64 = items.iter().map(|point| whole(&point["itemsProcessed"])).sum();
    assert_eq!(items, whole(&summary["successfulExecutions"]), "buckets add up to the total");
    let compute = &answer["usage"]["compute"];
    let parts = compute["gpuSeconds"].as_f64().unwrap() + compute["cpuSeconds"].as_f64().unwrap();
    assert!((parts - compute["totalSeconds"].as_f64().unwrap()).abs() < 1e-6);
}

#[test]
fn money_adds_up_to_the_cent() {
    for factor in [0.013, 7.77] {
        let store = Fleet::new(factor).store();
        let costs = metrics(&store, "timeframe=24h")["costs"].clone();
        let total = cents(&costs["total"]);
        let sum = |object: &Value| object.as_object().unwrap().values().map(cents).sum::<i64>();
        assert_eq!(sum(&costs["breakdown"]), total, "{factor}");
        assert_eq!(sum(&costs["byCategory"]), total, "{factor}");
        let buckets = costs["timeSeries"].as_array().unwrap();
        let buckets: f64 = buckets.iter().map(|point| point["cost"].as_f64().unwrap()).sum();
        assert!((buckets - costs["total"].as_f64().unwrap()).abs() < 0.006, "{factor}: {buckets}");
        let saved: i64 =
            costs["optimization"]["suggestions"].as_array().unwrap().iter().map(|item| cents(&item["savings"])).sum();
        assert_eq!(saved, cents(&costs["optimization"]["potentialSavings"]), "{factor}");

        let costs = metrics(&store, "timeframe=24h&metrics=costs")["costs"].clone();
        let parts: Vec<&Value> = costs["breakdown"].as_object().unwrap().values().collect();
        assert_eq!(parts.iter().map(|part| cents(&part["amount"])).sum::<i64>(), total, "{factor}");
        let tenths: f64 = parts.iter().map(|part| (10.0 * part["percentage"].as_f64().unwrap()).round()).sum();
        assert_eq!(tenths, 1000.0, "{factor}");
        for name in ["storage", "network", "other"] {
            let part = &costs["breakdown"][name];
            assert_eq!(sum(&part["details"]), cents(&part["amount"]), "{factor}: {name}");
        }
    }
}

#[test]
fn phases_of_cold_starts_add_up() {
    let cold = metrics(&Fleet::new(1.0).store(), "timeframe=24h&metrics=performance")["coldStarts"].clone();
    let phases = cold["breakdown"].as_object().unwrap().values();
    let sum: f64 = phases.map(|phase| (10.0 * phase.as_f64().unwrap()).round()).sum();
    assert_eq!(sum, (10.0 * cold["averageDuration"].as_f64().unwrap()).round());
}
