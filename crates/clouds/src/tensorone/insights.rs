//! The `insights` section: what stands out, by fixed rules.

use model::Timestamp;
use serde_json::{Value, json};

use super::ask::Group;
use super::costs::daily_change;
use super::frame::{DAY_MS, HOUR_MS};
use super::metrics::Answer;
use super::numbers::{mean, median, round, time, to_i64};
use super::performance::quantile;
use super::tally::Tally;
use super::usage::{Hour, hours};

/// A bucket's p95 this far above the window's median is a spike, and this far a bad one.
const SPIKE: f64 = 1.15;
const BAD_SPIKE: f64 = 1.5;
/// Percent of errors that make a burst.
const BURST_PERCENT: f64 = 5.0;
/// Requests a bucket must have to be judged.
const REQUESTS_MIN: f64 = 20.0;
/// Insights of one kind, the strongest.
const INSIGHTS_MAX: usize = 5;
/// How alike two days must be, hour by hour, and for how many days, to be a pattern.
const ALIKE_MIN: f64 = 0.6;
const DAYS_MIN: usize = 3;
/// Percent by which a day's cost must differ from the day's before.
const COST_PERCENT: f64 = 10.0;

/// The section: a list for each group that was asked for.
pub(crate) fn insights(answer: &Answer<'_>) -> Value {
    let mut sections = serde_json::Map::new();
    if answer.ask.has(Group::Performance) {
        let mut list = spikes(&points(answer));
        list.extend(bursts(&points(answer)));
        sections.insert("performance".to_owned(), Value::Array(list));
    }
    if answer.ask.has(Group::Usage) {
        sections.insert("usage".to_owned(), Value::Array(pattern(&hours(answer)).into_iter().collect()));
    }
    if answer.ask.has(Group::Costs) {
        sections.insert("costs".to_owned(), Value::Array(cost_trend(daily_change(answer)).into_iter().collect()));
    }
    Value::Object(sections)
}

/// One bucket, as far as the rules look at it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket {
    start: Timestamp,
    p95: f64,
    requests: f64,
    error_percent: f64,
}

fn points(answer: &Answer<'_>) -> Vec<Bucket> {
    let quantiles = answer.view.rows("latency.quantiles.each");
    let p95 = quantile(quantiles, 0.95).map_or(&[][..], |row| &row.values);
    let rows = answer.view.rows("requests.each");
    let bucket = |(at, start)| {
        let tally = Tally::at(rows, at);
        Bucket {
            start,
            p95: p95.get(at).copied().unwrap_or(f64::NAN),
            requests: tally.total,
            error_percent: tally.percent(tally.failed()).unwrap_or(0.0),
        }
    };
    answer.buckets().map(bucket).collect()
}

/// Runs of adjacent buckets whose `excess` is above 0, each as its greatest bucket; the strongest runs, oldest first.
fn runs(buckets: &[Bucket], excess: impl Fn(&Bucket) -> f64) -> Vec<(f64, Bucket)> {
    let mut runs: Vec<(f64, Bucket)> = Vec::new();
    let mut is_in_run = false;
    for bucket in buckets {
        let height = excess(bucket);
        if bucket.requests < REQUESTS_MIN || !height.is_finite() || height <= 0.0 {
            is_in_run = false;
            continue;
        }
        match runs.last_mut().filter(|_| is_in_run) {
            Some(run) if height <= run.0 => {}
            Some(run) => *run = (height, *bucket),
            None => runs.push((height, *bucket)),
        }
        is_in_run = true;
    }
    runs.sort_by(|a, b| b.0.total_cmp(&a.0));
    runs.truncate(INSIGHTS_MAX);
    runs.sort_by_key(|(_, bucket)| bucket.start);
    runs
}

fn spikes(buckets: &[Bucket]) -> Vec<Value> {
    let usual = median(&buckets.iter().map(|bucket| bucket.p95).collect::<Vec<_>>()).filter(|usual| *usual > 0.0);
    let Some(usual) = usual else { return Vec::new() };
    let spike = |(_, bucket): (f64, Bucket)| {
        let factor = bucket.p95 / usual;
        let hour = bucket.start.rem_euclid(DAY_MS) / HOUR_MS;
        json!({
            "type": "latency_spike",
            "severity": if BAD_SPIKE < factor { "high" } else { "medium" },
            "message": format!("Latency increased by {}% during {hour:02}:00", to_i64(100.0 * (factor - 1.0))),
            "timestamp": time(bucket.start),
            "recommendation": "Consider enabling auto-scaling or warm pools",
        })
    };
    runs(buckets, |bucket| bucket.p95 / usual - SPIKE).into_iter().map(spike).collect()
}

fn bursts(buckets: &[Bucket]) -> Vec<Value> {
    let burst = |(_, bucket): (f64, Bucket)| {
        json!({
            "type": "error_burst",
            "severity": if 2.0 * BURST_PERCENT < bucket.error_percent { "high" } else { "medium" },
            "message": format!("{:.1}% of requests failed", round(bucket.error_percent, 1)),
            "timestamp": time(bucket.start),
            "recommendation": "Look at the endpoint's logs of that time",
        })
    };
    runs(buckets, |bucket| bucket.error_percent - BURST_PERCENT).into_iter().map(burst).collect()
}

fn pattern(hours: &[Hour]) -> Option<Value> {
    let counts: Vec<f64> = hours.iter().filter(|hour| hour.is_whole).map(|hour| hour.count).collect();
    let likeness = likeness(&counts)?;
    (ALIKE_MIN <= likeness).then(|| {
        json!({
            "type": "usage_pattern",
            "severity": "info",
            "message": "Consistent daily usage pattern detected",
            "recommendation": "Predictable usage allows for capacity planning optimization",
        })
    })
}

/// The autocorrelation of hourly counts at a lag of one day; `None` for fewer than three days, or no variation.
fn likeness(counts: &[f64]) -> Option<f64> {
    if counts.len() < 24 * DAYS_MIN {
        return None;
    }
    let mean = mean(counts)?;
    let variance: f64 = counts.iter().map(|count| (count - mean) * (count - mean)).sum();
    let products = counts.iter().zip(&counts[24..]).map(|(a, b)| (a - mean) * (b - mean));
    // Each sum over as many terms as it has: a lag must not lower the likeness of whole days.
    let (n, n_lagged) = (counts.len(), counts.len() - 24);
    #[expect(clippy::cast_precision_loss, reason = "at most thousands of hours")]
    let scale = n as f64 / n_lagged as f64;
    (variance > 0.0).then(|| scale * products.sum::<f64>() / variance)
}

fn cost_trend(change: Option<f64>) -> Option<Value> {
    let change = change.filter(|change| COST_PERCENT < change.abs())?;
    let (severity, direction) = if change > 0.0 { ("warning", "upward") } else { ("info", "downward") };
    Some(json!({
        "type": "cost_trend",
        "severity": severity,
        "message": format!("Monthly costs trending {direction} by {:.1}%", round(change.abs(), 1)),
        "recommendation": "Review usage patterns and consider optimization strategies",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(at: i64, p95: f64, requests: f64, error_percent: f64) -> Bucket {
        Bucket { start: at * HOUR_MS, p95, requests, error_percent }
    }

    #[test]
    fn adjacent_spikes_are_one_and_few_requests_none() {
        let mut buckets: Vec<Bucket> = (0..10).map(|at| bucket(at, 2.0, 100.0, 0.0)).collect();
        buckets[3].p95 = 2.4;
        buckets[4].p95 = 2.5;
        buckets[7].p95 = 4.0;
        buckets[9] = bucket(9, 9.0, 19.0, 50.0);
        let spikes = spikes(&buckets);
        let shown: Vec<_> = spikes.iter().map(|spike| (&spike["severity"], &spike["message"])).collect();
        assert_eq!(
            shown,
            [
                (&json!("medium"), &json!("Latency increased by 25% during 04:00")),
                (&json!("high"), &json!("Latency increased by 100% during 07:00")),
            ]
        );
        assert_eq!(bursts(&buckets).len(), 0);
        buckets[5].error_percent = 7.25;
        assert_eq!(bursts(&buckets)[0]["message"], "7.3% of requests failed");
        assert_eq!(bursts(&buckets)[0]["severity"], "medium");
    }

    #[test]
    fn days_alike_are_a_pattern() {
        let hour = |at: i64, count: f64| Hour { start: at * HOUR_MS, count, is_whole: true };
        let days: Vec<Hour> = (0..72).map(|at| hour(at, (at % 24) as f64)).collect();
        assert!((likeness(&(0..72).map(|at| f64::from(at % 24)).collect::<Vec<_>>()).unwrap() - 1.0).abs() < 1e-9);
        assert!(pattern(&days).is_some());
        assert!(pattern(&days[..71]).is_none(), "less than three days");
        // Up on even days, down on odd ones: a day is the opposite of the one before.
        let odd: Vec<Hour> =
            (0..72).map(|at| hour(at, (if at / 24 % 2 == 0 { at % 24 } else { 23 - at % 24 }) as f64)).collect();
        assert!(pattern(&odd).is_none());
    }

    #[test]
    fn insights_have_the_keys_of_the_samples() {
        let buckets = [bucket(0, 2.0, 100.0, 0.0), bucket(1, 2.0, 100.0, 9.0), bucket(2, 4.0, 100.0, 0.0)];
        let days: Vec<Hour> =
            (0..72).map(|at| Hour { start: at * HOUR_MS, count: (at % 24) as f64, is_whole: true }).collect();
        let timed = ["message", "recommendation", "severity", "timestamp", "type"];
        let untimed = ["message", "recommendation", "severity", "type"];
        for (insight, expect) in [
            (spikes(&buckets).remove(0), &timed[..]),
            (bursts(&buckets).remove(0), &timed),
            (pattern(&days).unwrap(), &untimed),
            (cost_trend(Some(20.0)).unwrap(), &untimed),
        ] {
            let members = insight.as_object().unwrap();
            assert!(members.keys().eq(expect), "{insight}");
            assert!(members.values().all(Value::is_string), "{insight}");
        }
    }

    #[test]
    fn costs_that_change_are_told() {
        assert_eq!(cost_trend(Some(12.4)).unwrap()["message"], "Monthly costs trending upward by 12.4%");
        assert_eq!(cost_trend(Some(12.4)).unwrap()["severity"], "warning");
        assert_eq!(cost_trend(Some(-10.1)).unwrap()["severity"], "info");
        assert_eq!(cost_trend(Some(10.0)), None);
        assert_eq!(cost_trend(None), None);
    }
}
