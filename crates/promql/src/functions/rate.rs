//! How fast values change: rate, increase, delta, irate, idelta.

use std::sync::Arc;

use model::{Columns, Histogram, ResetHint, Timestamp, is_stale};

use super::extended_rate;
use super::range::{RangeInput, Window};
use super::reach::Reach;
use super::starts::{self, Started};
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::eval::{Bounds, Column, TYPE_LABEL, WINDOWS_PER_CHECK, wide};
use crate::interpolate::combine;

/// What a rate-like function does with a window.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// Falling values are resets.
    pub(super) counter: bool,
    /// The result is divided by the range's length.
    pub(super) per_second: bool,
}

pub(super) fn rate(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    extrapolated(Kind { counter: true, per_second: true }, input, out, notes)
}

pub(super) fn increase(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    extrapolated(Kind { counter: true, per_second: false }, input, out, notes)
}

pub(super) fn delta(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    extrapolated(Kind { counter: false, per_second: false }, input, out, notes)
}

fn extrapolated(kind: Kind, input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    match input.extended {
        Some(extended) => extended_rate::rate(kind, extended, input, out, notes)?,
        None => extrapolated_windows(kind, input, out, notes)?,
    }
    if kind.counter && !input.name().is_empty() && out.floats.iter().any(|v| !is_stale(*v)) {
        note_non_counter(input, notes);
    }
    Ok(())
}

/// Remarks on a metric that by its type or else by its name is no counter.
fn note_non_counter(input: &RangeInput<'_>, notes: &mut Notes) {
    let name = input.name();
    if input.naming.type_and_unit {
        let found = input.labels.get(TYPE_LABEL).unwrap_or("");
        if !matches!(found, "counter" | "histogram") {
            notes.add(input.at, Remark::PossibleNonCounterType { name, found });
        }
    } else if !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
        notes.add(input.at, Remark::PossibleNonCounter(name));
    }
}

fn extrapolated_windows(
    kind: Kind,
    input: &RangeInput<'_>,
    out: &mut Column,
    notes: &mut Notes,
) -> Result<(), EvalError> {
    if input.columns.histograms.is_empty() && input.columns.starts.is_empty() {
        return extrapolated_floats(kind, input, out);
    }
    let resets = if kind.counter { reset_positions(input.columns) } else { Vec::new() };
    let overlaps = if kind.counter { overlaps(input.columns) } else { Vec::new() };
    let mut resets_seen = 0;
    input.each_window(|window| {
        if !window.histograms.is_empty() {
            if !window.values.is_empty() {
                input.note_mixed(notes);
            } else if let Some(result) = histogram_window(kind, input, &window, notes) {
                note_overlap(&overlaps, input, &window, notes);
                out.set_histogram(window.step_idx, Arc::new(result));
            }
            return;
        }
        while resets.get(resets_seen).is_some_and(|at| *at <= window.first) {
            resets_seen += 1;
        }
        note_overlap(&overlaps, input, &window, notes);
        if let Some(result) = float_window(kind, input, &window, &resets[resets_seen..]) {
            out.floats[window.step_idx] = result;
        }
    })
}

/// The same of floats whose values alone tell of resets.
fn extrapolated_floats(kind: Kind, input: &RangeInput<'_>, out: &mut Column) -> Result<(), EvalError> {
    let values = input.columns.values.as_slice();
    let (timestamps, windows) = (input.columns.timestamps.as_slice(), &input.windows);
    let mut reaches = input.shared.reaches.borrow_mut();
    let range_s = if kind.per_second { Some(windows.range_ms as f64 / 1000.0) } else { None };
    let reach = |step_idx, cursor| Reach::new(step_idx, windows, range_s, cursor, timestamps);
    let reaches = reaches.of(timestamps, windows, input.budget, reach)?;
    let resets = if kind.counter { falls(input.columns) } else { Vec::new() };
    let mut resets = resets.as_slice();
    for some in reaches.chunks(WINDOWS_PER_CHECK) {
        input.budget.check()?;
        for reach in some {
            let (first, last) = (values[reach.first], values[reach.last]);
            let mut result = last - first;
            if !resets.is_empty() {
                // A window may hold any number of resets.
                input.budget.check()?;
                resets = &resets[resets.iter().take_while(|at| **at <= reach.first).count()..];
                let inside = resets.iter().take_while(|at| **at <= reach.last);
                inside.for_each(|at| result += values[at - 1]);
            }
            let counts_up = kind.counter && result > 0.0 && first >= 0.0;
            let factor = if counts_up { reach.factor_of_counter(first, result, range_s) } else { reach.factor };
            out.floats[reach.step_idx] = result * factor;
        }
    }
    Ok(())
}

/// Positions of values less than the one before.
fn falls(columns: &Columns) -> Vec<usize> {
    // The last of those that rise is looked at once more, for what follows it.
    let rising = columns.known.rising.saturating_sub(1);
    let values = columns.values.get(rising..).unwrap_or(&[]);
    let pairs = || values.iter().zip(values.get(1..).unwrap_or(&[]));
    // Most series have none; without stopping at the first many are looked at side by side.
    if !wide(|| pairs().fold(false, |found, (before, after)| found | (after < before))) {
        return Vec::new();
    }
    pairs().enumerate().filter(|(_, (before, after))| after < before).map(|(at, _)| rising + at + 1).collect()
}

/// Positions of floats whose value is less than the one before, or that started after it.
fn reset_positions(columns: &Columns) -> Vec<usize> {
    let mut resets = falls(columns);
    let restarts = starts::positions(columns, &columns.timestamps, Started::resets);
    if !restarts.is_empty() {
        resets.extend(restarts);
        resets.sort_unstable();
        resets.dedup();
    }
    resets
}

/// The times of samples whose start overlaps the sample before, of both kinds.
fn overlaps(columns: &Columns) -> Vec<(Timestamp, Timestamp)> {
    let of = |timestamps: &[Timestamp]| -> Vec<(Timestamp, Timestamp)> {
        let found = starts::positions(columns, timestamps, Started::overlaps);
        found.into_iter().map(|at| (timestamps[at - 1], timestamps[at])).collect()
    };
    let (mut all, histograms) = (of(&columns.timestamps), of(&columns.histogram_timestamps));
    all.extend(histograms);
    all
}

/// Remarks on samples in a window that count what the sample before counted, yet not since the same time.
fn note_overlap(overlaps: &[(Timestamp, Timestamp)], input: &RangeInput<'_>, window: &Window<'_>, notes: &mut Notes) {
    if overlaps.iter().any(|(before, after)| window.start < *before && *after <= window.end) {
        notes.add(input.at, Remark::StartOverlap(input.name()));
    }
}

/// `resets` holds the positions after the window's first sample, and further ones.
fn float_window(kind: Kind, input: &RangeInput<'_>, window: &Window<'_>, resets: &[usize]) -> Option<f64> {
    let (first, last) = (*window.values.first()?, *window.values.last()?);
    let zero_at = if kind.counter { starts::zero_at(input.columns, window, *window.timestamps.first()?) } else { None };
    if window.values.len() < 2 && zero_at.is_none() {
        return None;
    }
    let mut result = last - first;
    for at in resets.iter().take_while(|at| **at < window.first + window.values.len()) {
        result += input.columns.values[at - 1];
    }
    let left = match zero_at {
        Some(zero_at) => {
            result += first;
            Left::ZeroAt(zero_at)
        }
        None => Left::Guess((kind.counter && result > 0.0 && first >= 0.0).then(|| first / result)),
    };
    Some(result * factor(kind, input, window, window.timestamps, left)?)
}

/// What is known of a range before its first sample.
#[derive(Clone, Copy)]
enum Left {
    /// The counter started inside, from zero, at this time.
    ZeroAt(Timestamp),
    /// The first value over the increase, of a counter: it says when the counter would have been zero.
    Guess(Option<f64>),
}

/// How much more than the sampled interval the range covers.
/// Source: Prometheus `promql/functions.go`, `extrapolatedRate`.
fn factor(
    kind: Kind,
    input: &RangeInput<'_>,
    window: &Window<'_>,
    timestamps: &[Timestamp],
    left: Left,
) -> Option<f64> {
    let (first, last) = (*timestamps.first()?, *timestamps.last()?);
    let seconds = |from: Timestamp, to: Timestamp| (to - from) as f64 / 1000.0;
    let mut to_start = seconds(window.start, first);
    let mut to_end = seconds(last, window.end);
    let mut sampled = seconds(first, last);
    // A single sample tells no distance, so nothing is added at its end.
    let distance = if timestamps.len() < 2 { 0.0 } else { sampled / (timestamps.len() - 1) as f64 };
    let threshold = distance * 1.1;
    match left {
        Left::ZeroAt(zero_at) => {
            to_start = 0.0;
            sampled = seconds(zero_at, last);
        }
        Left::Guess(zero_ratio) => {
            if to_start >= threshold {
                to_start = distance / 2.0;
            }
            let to_zero = zero_ratio.map_or(f64::INFINITY, |ratio| sampled * ratio);
            if to_zero < to_start {
                to_start = to_zero;
            }
        }
    }
    if to_end >= threshold {
        to_end = distance / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    Some(if kind.per_second { factor / (input.windows.range_ms as f64 / 1000.0) } else { factor })
}

fn histogram_window(kind: Kind, input: &RangeInput<'_>, window: &Window<'_>, notes: &mut Notes) -> Option<Histogram> {
    let (first, first_t) = (window.histograms.first()?, *window.histogram_timestamps.first()?);
    let zero_at = if kind.counter { starts::zero_at(input.columns, window, first_t) } else { None };
    let mut result = match window.histograms.len() {
        0 | 1 if zero_at.is_none() => return None,
        0 | 1 => first.empty_twin(),
        _ => histogram_increase(kind.counter, input, window, notes)?,
    };
    let left = match zero_at {
        Some(zero_at) => {
            combine(&mut result, first, true, input.subject(), notes)?;
            Left::ZeroAt(zero_at)
        }
        None => {
            let counts_up = kind.counter && result.count > 0.0 && first.count >= 0.0;
            Left::Guess(counts_up.then(|| first.count / result.count))
        }
    };
    result.scale(factor(kind, input, window, window.histogram_timestamps, left)?);
    result.reset_hint = ResetHint::Gauge;
    Some(result)
}

/// The difference between the last and the first histogram, counter resets added.
/// Source: Prometheus `promql/functions.go`, `histogramRate`.
fn histogram_increase(
    counter: bool,
    input: &RangeInput<'_>,
    window: &Window<'_>,
    notes: &mut Notes,
) -> Option<Histogram> {
    let (name, at, points) = (input.name(), input.at, window.histograms);
    let last = points.last()?;
    let started = |idx: usize| Started::new(input.columns, window.histogram_timestamps[idx]);
    let restarts = |idx: usize| !input.columns.starts.is_empty() && started(idx).resets(started(idx - 1));
    let (mut first, mut custom) = (Histogram::clone(&points[0]), points[0].is_custom());
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    if counter && (is_gauge(&first) || is_gauge(last)) {
        notes.add(at, Remark::NotCounter(name));
    }
    if counter && (restarts(1) || points[1].detect_reset(&first)) {
        // The first sample does not matter any more, nor does its bucket layout.
        first = points[1].empty_twin();
        custom = points[1].is_custom();
    }
    if last.is_custom() != custom {
        notes.add(at, Remark::MixedExponentialCustom(name));
        return None;
    }
    let mut schema = last.schema.min(first.schema);
    for point in points[1..points.len() - 1].iter().filter(|_| counter) {
        if is_gauge(point) {
            notes.add(at, Remark::NotCounter(name));
        }
        schema = schema.min(point.schema);
        if point.is_custom() != custom {
            notes.add(at, Remark::MixedExponentialCustom(name));
            return None;
        }
    }
    let mut result = Histogram::clone(last);
    result.reduce_resolution(schema);
    combine(&mut result, &first, false, input.subject(), notes)?;
    if counter {
        let mut previous = &first;
        for (idx, point) in points.iter().enumerate().skip(1) {
            if restarts(idx) || point.detect_reset(previous) {
                combine(&mut result, previous, true, input.subject(), notes)?;
            }
            previous = point;
        }
    } else if !is_gauge(&points[0]) || !is_gauge(last) {
        notes.add(at, Remark::NotGauge(name));
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact();
    Some(result)
}

pub(super) fn irate(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    instant(true, input, out, notes)
}

pub(super) fn idelta(input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    instant(false, input, out, notes)
}

/// One of the last two samples.
#[derive(Clone, Copy)]
enum Last<'a> {
    Float(f64),
    Histogram(&'a Histogram),
}

fn instant(counter: bool, input: &RangeInput<'_>, out: &mut Column, notes: &mut Notes) -> Result<(), EvalError> {
    if input.columns.histograms.is_empty() && input.columns.starts.is_empty() {
        return instant_floats(counter, input, out);
    }
    input.each_window(|window| {
        let Some(((t0, older), (t1, newer))) = last_two(&window) else { return };
        let seconds = (t1 - t0) as f64 / 1000.0;
        let restarts = counter && !input.columns.starts.is_empty() && {
            Started::new(input.columns, t1).resets(Started::new(input.columns, t0))
        };
        match (older, newer) {
            (Last::Float(older), Last::Float(newer)) => {
                let difference = if restarts || (counter && newer < older) { newer } else { newer - older };
                out.floats[window.step_idx] = if counter { difference / seconds } else { difference };
            }
            (Last::Histogram(older), Last::Histogram(newer)) => {
                if let Some(mut result) = instant_histograms(counter, restarts, [older, newer], input, notes) {
                    if counter {
                        result.divide(seconds);
                    }
                    out.set_histogram(window.step_idx, Arc::new(result));
                }
            }
            _ => input.note_mixed(notes),
        }
    })
}

/// The same of floats whose values alone tell of resets.
fn instant_floats(counter: bool, input: &RangeInput<'_>, out: &mut Column) -> Result<(), EvalError> {
    let (timestamps, values) = (input.columns.timestamps.as_slice(), input.columns.values.as_slice());
    let mut bounds = input.shared.bounds.borrow_mut();
    for Bounds { step_idx, first, end } in bounds.bounds(timestamps, &input.windows, input.budget)? {
        let (Some([t0, t1]), Some([older, newer])) =
            (timestamps[*first..*end].last_chunk(), values[*first..*end].last_chunk())
        else {
            continue;
        };
        let difference = if counter && newer < older { *newer } else { newer - older };
        out.floats[*step_idx] = if counter { difference / ((t1 - t0) as f64 / 1000.0) } else { difference };
    }
    Ok(())
}

fn last_two<'a>(window: &Window<'a>) -> Option<((Timestamp, Last<'a>), (Timestamp, Last<'a>))> {
    if let (Some([t0, t1]), Some([v0, v1]), []) =
        (window.timestamps.last_chunk(), window.values.last_chunk(), window.histograms)
    {
        return Some(((*t0, Last::Float(*v0)), (*t1, Last::Float(*v1))));
    }
    let floats = window.timestamps.iter().zip(window.values).rev().take(2);
    let histograms = window.histogram_timestamps.iter().zip(window.histograms).rev().take(2);
    let mut all: Vec<(Timestamp, Last<'a>)> = Vec::with_capacity(4);
    all.extend(floats.map(|(t, v)| (*t, Last::Float(*v))));
    all.extend(histograms.map(|(t, h)| (*t, Last::Histogram(h))));
    all.sort_by_key(|(t, _)| std::cmp::Reverse(*t));
    Some((*all.get(1)?, *all.first()?))
}

fn instant_histograms(
    counter: bool,
    restarts: bool,
    [older, newer]: [&Histogram; 2],
    input: &RangeInput<'_>,
    notes: &mut Notes,
) -> Option<Histogram> {
    let n_gauges = [older, newer].iter().filter(|h| h.reset_hint == ResetHint::Gauge).count();
    if counter && n_gauges > 0 {
        notes.add(input.at, Remark::NotCounter(input.name()));
    }
    if !counter && n_gauges < 2 {
        notes.add(input.at, Remark::NotGauge(input.name()));
    }
    let mut result = newer.clone();
    if !counter || !(restarts || newer.detect_reset(older)) {
        combine(&mut result, older, false, input.subject(), notes)?;
    }
    result.reset_hint = ResetHint::Gauge;
    result.compact();
    Some(result)
}
