//! The `usage` section: requests by hour and their patterns, compute, and data.

use model::Timestamp;
use serde_json::{Value, json};

use super::frame::{DAY_MS, HOUR_MS};
use super::metrics::Answer;
use super::numbers::{SECONDS, mean, number, ratio, round, time, to_i64, whole};
use super::tally::Tally;
use crate::Family;

/// Below this many requests in progress in a replica, batches could be larger.
const SMALL_BATCH: f64 = 2.0;
/// Below this many percent a GPU has room.
const IDLE_GPU_PERCENT: f64 = 60.0;
/// Above this many percent a GPU's memory is nearly full.
const FULL_MEMORY_PERCENT: f64 = 90.0;

/// Requests of one UTC hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Hour {
    pub(crate) start: Timestamp,
    pub(crate) count: f64,
    /// Whether the hour is over, and anything is known of it.
    pub(crate) is_whole: bool,
}

/// The section.
pub(crate) fn usage(answer: &Answer<'_>) -> Value {
    json!({"requests": requests(answer), "compute": compute(answer), "data": data(answer)})
}

/// The hours that start inside the frame.
pub(crate) fn hours(answer: &Answer<'_>) -> Vec<Hour> {
    let Some(steps) = answer.ask.frame.hours() else { return Vec::new() };
    let rows = answer.view.rows("requests.hours");
    let n_hours = (steps.end - steps.start) / HOUR_MS + 1;
    let hour = |at: i64| {
        let end = steps.start + at * HOUR_MS;
        let at = usize::try_from(at).unwrap_or(0);
        let is_known = rows.iter().any(|row| row.values.get(at).is_some_and(|n| n.is_finite()));
        let is_whole = is_known && end <= answer.ask.frame.end;
        Hour { start: end - HOUR_MS, count: Tally::at(rows, at).total, is_whole }
    };
    (0..n_hours).map(hour).collect()
}

fn requests(answer: &Answer<'_>) -> Value {
    let (total, successful) = answer.summary.counts();
    let hours = hours(answer);
    let (sums, counts) = (answer.view.line("latency.sum.byhour"), answer.view.line("latency.count.byhour"));
    let by_hour = hours.iter().enumerate().map(|(at, hour)| {
        json!({
            "hour": time(hour.start),
            "count": to_i64(hour.count),
            "avgLatency": number(ratio(sums.get(at).copied(), counts.get(at).copied()), SECONDS),
        })
    });
    json!({
        "total": total,
        "successful": successful,
        "failed": total - successful,
        "byHour": by_hour.collect::<Vec<_>>(),
        "patterns": patterns(&hours, answer.ask.frame.window_ms()),
    })
}

/// The busiest and the quietest hour of the day, and requests a day on weekdays and at weekends.
pub(crate) fn patterns(hours: &[Hour], window_ms: i64) -> Value {
    let whole: Vec<&Hour> = hours.iter().filter(|hour| hour.is_whole).collect();
    let mut by_hour_of_day = vec![Vec::new(); 24];
    let mut days = std::collections::BTreeMap::<i64, Vec<f64>>::new();
    for hour in whole {
        let of_day = usize::try_from(hour.start.rem_euclid(DAY_MS) / HOUR_MS).unwrap_or(0);
        by_hour_of_day[of_day].push(hour.count);
        days.entry(hour.start.div_euclid(DAY_MS)).or_default().push(hour.count);
    }
    let means: Vec<(usize, f64)> =
        by_hour_of_day.iter().enumerate().filter_map(|(hour, counts)| Some((hour, mean(counts)?))).collect();
    let shown = |hour: Option<usize>| {
        let hour = hour.filter(|_| DAY_MS <= window_ms)?;
        Some(format!("{hour:02}:00-{:02}:00", (hour + 1) % 24))
    };
    // Of equal hours the earliest counts.
    let peak = means.iter().fold(None, |best: Option<(usize, f64)>, (hour, mean)| match best {
        Some((_, greatest)) if *mean <= greatest => best,
        _ => Some((*hour, *mean)),
    });
    let lowest = means.iter().fold(None, |best: Option<(usize, f64)>, (hour, mean)| match best {
        Some((_, least)) if least <= *mean => best,
        _ => Some((*hour, *mean)),
    });
    let average = |is_weekend: bool| {
        let full = days.iter().filter(|(day, counts)| counts.len() == 24 && is_weekend_day(**day) == is_weekend);
        mean(&full.map(|(_, counts)| counts.iter().sum()).collect::<Vec<f64>>())
    };
    json!({
        "peakHour": shown(peak.map(|(hour, _)| hour)),
        "lowestHour": shown(lowest.map(|(hour, _)| hour)),
        "weekdayAverage": self::whole(average(false)),
        "weekendAverage": self::whole(average(true)),
    })
}

/// Whether a day, counted from 1970-01-01, a Thursday, is a Saturday or a Sunday.
fn is_weekend_day(day: i64) -> bool {
    matches!((day + 4).rem_euclid(7), 0 | 6)
}

fn compute(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    let total_s = answer.summary.compute_s.map(|s| round(s, SECONDS));
    let gpu_s = view.value("inference.sum").zip(total_s).map(|(gpu, total)| round(gpu.min(total), SECONDS));
    let cpu_s = total_s.zip(gpu_s).map(|(total, gpu)| total - gpu);
    let busy = view.value("busy");
    let score = view.value("gpu").zip(busy).map(|(gpu, busy)| 0.5 * gpu + 0.5 * busy);
    json!({
        "totalSeconds": number(total_s, SECONDS),
        "gpuSeconds": number(gpu_s, SECONDS),
        "cpuSeconds": number(cpu_s, SECONDS),
        "idleTime": number(view.value("idle"), 1),
        "utilizationRate": number(busy, 1),
        "efficiency": {"score": number(score, 1), "suggestions": suggestions(answer)},
    })
}

fn suggestions(answer: &Answer<'_>) -> Vec<&'static str> {
    let view = answer.view;
    let mut suggestions = Vec::new();
    let has_room = view.value("gpu").is_some_and(|gpu| gpu < IDLE_GPU_PERCENT);
    if has_room && view.value("in_flight").is_some_and(|in_flight| in_flight < SMALL_BATCH) {
        suggestions.push("Consider batch processing for similar requests");
    }
    if view.value("gpu.memory.peak").is_some_and(|peak| FULL_MEMORY_PERCENT < peak) {
        suggestions.push("Optimize model size to reduce memory usage");
    }
    suggestions
}

/// Hits and misses of a cache, and the share of hits in percent.
pub(crate) fn cache(answer: &Answer<'_>) -> (Option<f64>, Option<f64>, Option<f64>) {
    let (hits, misses) = (answer.view.value("cache.hits"), answer.view.value("cache.misses"));
    let (hits, misses) = match (hits, misses) {
        (None, None) => return (None, None, None),
        (hits, misses) => (hits.unwrap_or(0.0), misses.unwrap_or(0.0)),
    };
    let all = hits + misses;
    (Some(hits), Some(misses), (all > 0.0).then(|| 100.0 * hits / all))
}

fn data(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    let (input, output) = (view.value("input"), view.value("output"));
    let (hits, misses, hit_rate) = cache(answer);
    let hours = answer.ask.frame.days() * 24.0;
    let per_hour = |bytes: Option<f64>| bytes.map(|bytes| format!("{:.1} MB/hour", round(bytes / 1e6 / hours, 1)));
    let mut data = json!({
        "inputBytes": whole(input),
        "outputBytes": whole(output),
        "cacheHits": whole(hits),
        "cacheMisses": whole(misses),
        "cacheHitRate": number(hit_rate, 1),
        "bandwidth": {"ingress": per_hour(input), "egress": per_hour(output)},
    });
    if let Some(unit) = view.unit(Family::CacheHits) {
        data["cacheUnit"] = json!(unit);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three days from Friday 2024-01-12 to Sunday, `count` by day and hour.
    fn hours(count: fn(i64, i64) -> f64) -> Vec<Hour> {
        let friday = 19_734 * DAY_MS;
        let hour = |at: i64| Hour { start: friday + at * HOUR_MS, count: count(at / 24, at % 24), is_whole: true };
        (0..72).map(hour).collect()
    }

    #[test]
    fn patterns_of_three_days() {
        let hours = hours(|day, hour| if hour == 9 { 100.0 } else { 10.0 + day as f64 + f64::from(hour == 23) });
        let expect = json!({
            "peakHour": "09:00-10:00",
            "lowestHour": "00:00-01:00",
            // Friday: 100 + 22 * 10 + 11; Saturday 100 + 22 * 11 + 12, Sunday 100 + 22 * 12 + 13.
            "weekdayAverage": 331,
            "weekendAverage": 366,
        });
        assert_eq!(patterns(&hours, 3 * DAY_MS), expect);
        let first_day: Vec<Hour> = hours[..23].to_vec();
        let expect = json!({"peakHour": null, "lowestHour": null, "weekdayAverage": null, "weekendAverage": null});
        assert_eq!(patterns(&first_day, DAY_MS - 1), expect);
    }
}
