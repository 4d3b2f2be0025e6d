//! What the fleet's samples tell by plain arithmetic, without PromQL: gains, means, quantiles and rates.

use model::Timestamp;
use serde_json::Value;

use crate::fleet::{BOUNDS, ENDPOINT, Fleet, MINUTE_MS};

pub(crate) type Samples = [(Timestamp, f64)];

#[track_caller]
pub(crate) fn near(what: &str, ours: f64, expect: f64) {
    assert!((ours - expect).abs() <= 1e-9 * expect.abs().max(1.0), "{what}: {ours}, expected {expect}");
}

/// What a counter gained in `(end - window, end]`, its fall at a restart not counted as one.
pub(crate) fn gain(samples: &Samples, end: Timestamp, window_ms: i64) -> f64 {
    let start = end - window_ms;
    let mut gained = 0.0;
    for pair in samples.windows(2) {
        if start < pair[1].0 && pair[1].0 <= end {
            gained += if pair[1].1 < pair[0].1 { pair[1].1 } else { pair[1].1 - pair[0].1 };
        }
    }
    gained
}

/// The values of a gauge in `(end - window, end]`.
pub(crate) fn inside(samples: &Samples, end: Timestamp, window_ms: i64) -> Vec<f64> {
    samples.iter().filter(|(t, _)| end - window_ms < *t && *t <= end).map(|(_, v)| *v).collect()
}

/// The value at a time of which there is a sample.
pub(crate) fn at(samples: &Samples, t: Timestamp) -> f64 {
    samples.iter().find(|(time, _)| *time == t).map(|(_, v)| *v).unwrap()
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// A counter's growth a second by Prometheus' rule for samples a minute apart: the five in `(end - 5m, end]` tell of four
/// minutes, and the growth is taken to be the same in the fifth.
pub(crate) fn rate(samples: &Samples, end: Timestamp) -> f64 {
    gain(samples, end, 4 * MINUTE_MS) / 240.0
}

/// The value between ranks that `quantile_over_time` takes.
pub(crate) fn percentile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = q * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "a rank among the values")]
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    sorted[below] + (sorted[above] - sorted[below]) * rank.fract()
}

/// The last minutes before `end`, the newest last.
pub(crate) fn minutes_to(end: Timestamp, n: i64) -> impl Iterator<Item = Timestamp> {
    (0..n).rev().map(move |back| end - back * MINUTE_MS)
}

/// A quantile of observations counted up to each bound, linear within a bucket.
pub(crate) fn quantile(q: f64, cumulative: &[f64]) -> f64 {
    let rank = q * cumulative.last().unwrap();
    let at = cumulative.iter().position(|n| *n >= rank).unwrap();
    if BOUNDS[at].is_infinite() {
        return BOUNDS[at - 1];
    }
    let (low, below) = if at == 0 { (0.0, 0.0) } else { (BOUNDS[at - 1], cumulative[at - 1]) };
    low + (BOUNDS[at] - low) * (rank - below) / (cumulative[at] - below)
}

/// A fleet of which the truth is known.
pub(crate) struct Truth {
    pub(crate) fleet: Fleet,
}

impl Truth {
    /// The gain of all series of that name and those labels together.
    pub(crate) fn gain(&self, name: &str, pairs: &[(&str, &str)], end: Timestamp, window_ms: i64) -> f64 {
        self.fleet.samples(name, pairs).map(|samples| gain(samples, end, window_ms)).sum()
    }

    /// The rate of all series of that name and those labels together.
    pub(crate) fn rate(&self, name: &str, pairs: &[(&str, &str)], end: Timestamp) -> f64 {
        self.fleet.samples(name, pairs).map(|samples| rate(samples, end)).sum()
    }

    /// The mean at a time over all series of that name, whoever they are of.
    pub(crate) fn mean_at(&self, name: &str, t: Timestamp) -> f64 {
        mean(&self.fleet.samples(name, &[]).map(|samples| at(samples, t)).collect::<Vec<_>>())
    }

    pub(crate) fn codes(&self, codes: &[&str], end: Timestamp, window_ms: i64) -> f64 {
        codes.iter().map(|code| self.gain("inference_requests_total", &[("status_code", code)], end, window_ms)).sum()
    }

    pub(crate) fn buckets(&self, end: Timestamp, window_ms: i64) -> Vec<f64> {
        let text = |bound: &f64| if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
        let name = "inference_request_duration_seconds_bucket";
        BOUNDS.iter().map(|bound| self.gain(name, &[("le", &text(bound))], end, window_ms)).collect()
    }

    /// The mean over series of their means in a window.
    pub(crate) fn mean(&self, name: &str, end: Timestamp, window_ms: i64) -> f64 {
        let means: Vec<f64> = self.of_endpoint(name).map(|samples| mean(&inside(samples, end, window_ms))).collect();
        mean(&means)
    }

    pub(crate) fn of_endpoint<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Samples> {
        self.fleet.samples(name, &[("endpoint_id", ENDPOINT)])
    }

    /// At each minute of a window, the values of all series of a name.
    pub(crate) fn minutes(&self, name: &str, end: Timestamp, window_ms: i64) -> Vec<Vec<f64>> {
        let series: Vec<Vec<f64>> = self.of_endpoint(name).map(|samples| inside(samples, end, window_ms)).collect();
        (0..series[0].len()).map(|minute| series.iter().map(|values| values[minute]).collect()).collect()
    }
}

pub(crate) const OK: [&str; 2] = ["200", "204"];
pub(crate) const BAD: [&str; 7] = ["400", "422", "408", "429", "500", "503", "504"];

/// `value` as an answer rounds it.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    (value * 10f64.powi(digits)).round() / 10f64.powi(digits)
}

pub(crate) fn number(answer: &Value, pointer: &str) -> f64 {
    answer.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer}: {answer:#}"))
}

/// Percent of the node's processor in use, by its rate over five minutes.
pub(crate) fn host_cpu(truth: &Truth, t: Timestamp) -> f64 {
    100.0 * (1.0 - truth.rate("node_cpu_seconds_total", &[("mode", "idle")], t))
}

/// Percent of the node's memory in use.
pub(crate) fn host_memory(truth: &Truth, t: Timestamp) -> f64 {
    let [available, total] =
        ["node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"].map(|name| truth.mean_at(name, t));
    100.0 * (1.0 - available / total)
}
