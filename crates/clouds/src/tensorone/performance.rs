//! The `performance` section: latency, throughput and error rates, in buckets.

use model::Timestamp;
use serde_json::{Value, json};

use super::ask::Group;
use super::metrics::Answer;
use super::needs::{peak_steps, peak_window_ms};
use super::numbers::{SECONDS, arg_max, change, number, ratio, time, to_i64};
use super::tally::Tally;
use crate::Row;

/// Requests that a window must have for its mean to be compared.
const REQUESTS_MIN: f64 = 20.0;
/// Percent of change that is more than noise.
pub(crate) const TREND_PERCENT: f64 = 5.0;

/// The section, or its error rates alone where only errors are asked for.
pub(crate) fn performance(answer: &Answer<'_>) -> Value {
    if !answer.ask.has(Group::Performance) {
        return json!({"errorRates": error_rates(answer)});
    }
    json!({"latency": latency(answer), "throughput": throughput(answer), "errorRates": error_rates(answer)})
}

fn latency(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    let (sums, counts) = (view.line("latency.sum.each"), view.line("latency.count.each"));
    let quantiles = view.rows("latency.quantiles.each");
    let buckets = Bounds::of(view.rows("latency.buckets.each"));
    let points = answer.buckets().map(|(at, start)| {
        let quantile = |q: f64| number(quantile(quantiles, q).and_then(|row| row.values.get(at).copied()), SECONDS);
        json!({
            "timestamp": time(start),
            "avg": number(ratio(sums.get(at).copied(), counts.get(at).copied()), SECONDS),
            "p50": quantile(0.5),
            "p95": quantile(0.95),
            "p99": quantile(0.99),
            "min": number(buckets.least(at), SECONDS),
            "max": quantile(1.0),
        })
    });
    json!({
        "timeSeries": points.collect::<Vec<_>>(),
        "trends": {
            "hourly": trend(view.line("latency.sum.hours"), view.line("latency.count.hours")),
            "daily": trend(view.line("latency.sum.days"), view.line("latency.count.days")),
        },
    })
}

/// The rows of cumulative buckets in the order of their bounds.
struct Bounds<'a>(Vec<(f64, &'a Row)>);

impl Bounds<'_> {
    fn of(rows: &[Row]) -> Bounds<'_> {
        let bound = |row: &Row| row.label("le").parse::<f64>().ok();
        let mut bounds: Vec<_> = rows.iter().filter_map(|row| Some((bound(row)?, row))).collect();
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        Bounds(bounds)
    }

    /// The lower bound of the first bucket that something fell into.
    fn least(&self, at: usize) -> Option<f64> {
        let hit = |(_, row): &&(f64, &Row)| row.values.get(at).is_some_and(|n| *n > 0.0);
        let found = self.0.iter().position(|bucket| hit(&bucket))?;
        Some(found.checked_sub(1).map_or(0.0, |below| self.0[below].0))
    }
}

/// The mean latency of the last window compared with the one before it.
fn trend(sums: &[f64], counts: &[f64]) -> Value {
    let mean = |at: usize| ratio(sums.get(at).copied(), counts.get(at).copied()).filter(|mean| mean.is_finite());
    let enough = [0, 1].iter().all(|at| counts.get(*at).is_some_and(|count| *count >= REQUESTS_MIN));
    let change = if enough { change(mean(1), mean(0)) } else { None };
    let trend = change.map(|change| match change {
        c if c <= -TREND_PERCENT => "improving",
        c if c >= TREND_PERCENT => "degrading",
        _ => "stable",
    });
    json!({"average": number(mean(1), SECONDS), "trend": trend, "changePercent": number(change, 1)})
}

fn throughput(answer: &Answer<'_>) -> Value {
    let view = answer.view;
    let (rows, tokens) = (view.rows("requests.each"), view.line("tokens.each"));
    let (rates, token_rates) = (view.line("requests.joined"), view.line("tokens.joined"));
    let is_joined = answer.ask.aggregation.is_some();
    let seconds = answer.bucket_s();
    let points = answer.buckets().map(|(at, start)| {
        let tally = Tally::at(rows, at);
        let per_second = |joined: &[f64], n: Option<f64>| match is_joined {
            true => joined.get(at).copied(),
            false => n.map(|n| n / seconds),
        };
        json!({
            "timestamp": time(start),
            "requestsPerSecond": number(per_second(rates, Some(tally.total)), 3),
            "tokensPerSecond": number(per_second(token_rates, tokens.get(at).copied()), 1),
            "itemsProcessed": to_i64(tally.successful),
        })
    });
    json!({"timeSeries": points.collect::<Vec<_>>(), "peak": peak(answer)})
}

/// The greatest rate of requests, and when it was reached.
fn peak(answer: &Answer<'_>) -> Value {
    let rows = answer.view.rows("requests.peak");
    let steps = peak_steps(&answer.ask.frame);
    let n_steps = rows.iter().map(|row| row.values.len()).max().unwrap_or(0);
    let Some((at, total)) = arg_max((0..n_steps).map(|at| Tally::at(rows, at).total)) else {
        return json!({"requestsPerSecond": null, "timestamp": null});
    };
    #[expect(clippy::cast_precision_loss, reason = "days of milliseconds are far below what f64 holds")]
    let seconds = peak_window_ms(&answer.ask.frame) as f64 / 1000.0;
    let t = steps.start + i64::try_from(at).unwrap_or(0) * steps.step_ms;
    json!({"requestsPerSecond": number(Some(total / seconds), 3), "timestamp": time(t)})
}

fn error_rates(answer: &Answer<'_>) -> Value {
    let rows = answer.view.rows("requests.each");
    let points = answer.buckets().map(|(at, start)| {
        let tally = Tally::at(rows, at);
        let percent = |n: f64| number(tally.percent(n), 2);
        json!({
            "timestamp": time(start),
            "errorRate": percent(tally.failed()),
            "timeoutRate": percent(tally.timeouts),
            "resourceErrorRate": percent(tally.exhausted),
            "userErrorRate": percent(tally.user_errors),
        })
    });
    let whole = &answer.summary.requests;
    let (total, successful) = answer.summary.counts();
    let class_4xx = to_i64(whole.class_4xx).min(total - successful);
    json!({
        "timeSeries": points.collect::<Vec<_>>(),
        "breakdown": {
            "4xx": class_4xx,
            "5xx": total - successful - class_4xx,
            "timeouts": to_i64(whole.timeouts),
            "resourceExhausted": to_i64(whole.exhausted),
        },
    })
}

/// The row of a quantile.
pub(crate) fn quantile(rows: &[Row], q: f64) -> Option<&Row> {
    rows.iter().find(|row| row.label("quantile").parse::<f64>().is_ok_and(|of| (of - q).abs() < 1e-9))
}

/// When each bucket starts, with its position.
pub(crate) fn bucket_starts(
    start: Timestamp,
    end: Timestamp,
    step_ms: i64,
) -> impl Iterator<Item = (usize, Timestamp)> {
    let n_buckets = usize::try_from((end - start) / step_ms).unwrap_or(0);
    (0..n_buckets).map(move |at| (at, start + i64::try_from(at).unwrap_or(0) * step_ms))
}
