//! Trends: linear regression and exponential smoothing.

use model::Timestamp;

use super::range::RangeInput;
use crate::EvalError;
use crate::annotation::Notes;
use crate::eval::Column;
use model::kahan;

pub(super) fn deriv(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    input.each_float_window(notes, |window, _| {
        if window.values.len() > 1 {
            // Measured from a time near the samples, the squares stay small.
            out.floats[window.step_idx] = regression(window.timestamps, window.values, window.timestamps[0]).0;
        }
    })
}

pub(super) fn predict_linear(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    let (ahead, grid) = (&input.args[0], input.windows.grid);
    input.each_float_window(notes, |window, _| {
        if window.values.len() > 1 {
            let now = grid.time(window.step_idx);
            let (slope, intercept) = regression(window.timestamps, window.values, now);
            out.floats[window.step_idx] = slope * ahead.at(window.step_idx) + intercept;
        }
    })
}

/// Slope per second, and value at `origin`, of the least-squares line.
fn regression(timestamps: &[Timestamp], values: &[f64], origin: Timestamp) -> (f64, f64) {
    if values.iter().all(|v| *v == values[0]) {
        return if values[0].is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, values[0]) };
    }
    let [mut x, mut y, mut xy, mut xx] = [(0.0, 0.0); 4];
    for (t, v) in timestamps.iter().zip(values) {
        let seconds = (t - origin) as f64 / 1e3;
        x = kahan::add(seconds, x.0, x.1);
        y = kahan::add(*v, y.0, y.1);
        xy = kahan::add(seconds * v, xy.0, xy.1);
        xx = kahan::add(seconds * seconds, xx.0, xx.1);
    }
    let n = values.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|(sum, c)| sum + c);
    let covariance = xy - x * y / n;
    let variance = xx - x * x / n;
    let slope = covariance / variance;
    (slope, y / n - slope * x / n)
}

pub(super) fn double_exponential_smoothing(
    input: &RangeInput<'_>,
    out: &mut Column,
    notes: &mut Notes,
) -> Result<(), EvalError> {
    let mut refused = None;
    // The factors are judged wherever there is a sample, of whatever kind.
    input.each_window(|window| {
        let (smoothing, trend) = (input.args[0].at(window.step_idx), input.args[1].at(window.step_idx));
        for (what, short, v) in [("smoothing", "sf", smoothing), ("trend", "tf", trend)] {
            if v <= 0.0 || v >= 1.0 {
                let message = format!("invalid {what} factor. Expected: 0 < {short} < 1, got: {v:.6}");
                refused.get_or_insert(EvalError::Invalid(message));
            }
        }
        if !window.values.is_empty() {
            input.note_ignored(&window, notes);
        }
        if window.values.len() > 1 {
            out.floats[window.step_idx] = smoothed(window.values, smoothing, trend);
        }
    })?;
    refused.map_or(Ok(()), Err)
}

fn smoothed(values: &[f64], smoothing: f64, trend: f64) -> f64 {
    let (mut before, mut level) = (0.0, values[0]);
    let mut slope = values[1] - values[0];
    for (at, v) in values.iter().enumerate().skip(1) {
        if at > 1 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * v + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    level
}
