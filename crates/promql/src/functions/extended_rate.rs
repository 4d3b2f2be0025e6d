//! Rate, increase and delta over anchored and smoothed ranges. Source: Prometheus `promql/functions.go`,
//! `extendedRate` and `extendedHistogramRate`.

use std::sync::Arc;

use model::{Histogram, ResetHint, Timestamp};

use super::extended::{Extended, float_ends, inside};
use super::range::{RangeInput, Window};
use super::rate::Kind;
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::eval::Column;
use crate::interpolate::{self, Subject, combine};

/// Rate, increase or delta over extended ranges.
pub(super) fn rate(
    kind: Kind,
    extended: Extended,
    input: &RangeInput<'_>,
    out: &mut Column,
    notes: &mut Notes,
) -> Result<(), EvalError> {
    let seconds = input.windows.range_ms as f64 / 1000.0;
    let wide = RangeInput { windows: extended.widen(input.windows), ..*input };
    wide.each_window(|window| {
        let bounds = extended.bounds(&window);
        if window.histograms.is_empty() {
            if let Some(increase) = float_increase(kind, extended, &window, bounds) {
                out.floats[window.step_idx] = if kind.per_second { increase / seconds } else { increase };
            }
        } else if !window.values.is_empty() {
            input.note_mixed(notes);
        } else if let Some(mut increase) = histogram_increase(kind, extended, input, &window, bounds, notes) {
            if kind.per_second {
                increase.divide(seconds);
            }
            increase.reset_hint = ResetHint::Gauge;
            increase.compact();
            out.set_histogram(window.step_idx, Arc::new(increase));
        }
    })
}

fn float_increase(
    kind: Kind,
    extended: Extended,
    window: &Window<'_>,
    (start, end): (Timestamp, Timestamp),
) -> Option<f64> {
    let (timestamps, values) = (window.timestamps, window.values);
    let (first, last) = extended.ends(timestamps, start, end)?;
    let (left, right) = float_ends(extended, kind.counter, timestamps, values, (start, end), (first, last));
    if !kind.counter {
        return Some(right - left);
    }
    let (first, after) = inside(timestamps, (start, end), (first, last));
    let (mut correction, mut previous) = (0.0, left);
    for v in values.get(first..after).unwrap_or_default().iter().chain([&right]) {
        if *v < previous {
            correction += previous;
        }
        previous = *v;
    }
    Some(right - left + correction)
}

fn histogram_increase(
    kind: Kind,
    extended: Extended,
    input: &RangeInput<'_>,
    window: &Window<'_>,
    (start, end): (Timestamp, Timestamp),
    notes: &mut Notes,
) -> Option<Histogram> {
    let (timestamps, points, subject) = (window.histogram_timestamps, window.histograms, input.subject());
    let (first, last) = extended.ends(timestamps, start, end)?;
    for point in &points[first..=last] {
        if point.is_custom() != points[first].is_custom() {
            notes.add(subject.at, Remark::MixedExponentialCustom(subject.metric));
            return None;
        }
        if kind.counter && point.reset_hint == ResetHint::Gauge {
            notes.add(subject.at, Remark::NotCounter(subject.metric));
        }
    }
    let sample = |at: usize| (timestamps[at], &points[at]);
    let cuts_left = extended.is_smoothed() && timestamps[first] < start;
    let left = if cuts_left {
        interpolate::histogram(sample(first), sample(first + 1), start, kind.counter, subject, notes)?
    } else {
        Histogram::clone(&points[first])
    };
    let right = if extended.is_smoothed() && last > 0 && timestamps[last] > end {
        interpolate::histogram(sample(last - 1), sample(last), end, kind.counter, subject, notes)?
    } else {
        Histogram::clone(&points[last])
    };
    if !kind.counter && [&left, &right].iter().any(|h| h.reset_hint != ResetHint::Gauge) {
        notes.add(subject.at, Remark::NotGauge(subject.metric));
    }
    let mut result = right.clone();
    combine(&mut result, &left, false, subject, notes)?;
    if kind.counter {
        let crossed = cuts_left && points[first + 1].detect_reset(&points[first]);
        add_resets(&mut result, &left, &right, &points[first..=last], crossed, subject, notes)?;
    }
    Some(result)
}

/// Adds what was counted before each reset between the ends; `crossed` says that the left end already lies after one,
/// the second point's.
fn add_resets(
    result: &mut Histogram,
    left: &Histogram,
    right: &Histogram,
    points: &[Arc<Histogram>],
    crossed: bool,
    subject: Subject<'_>,
    notes: &mut Notes,
) -> Option<()> {
    let (first, last) = if crossed { (2, points.len() - 1) } else { (1, points.len() - 1) };
    // Nothing lies between ends that are one sample, or that were cut out of one and the same step.
    let Some(between) = points.get(first..last) else { return Some(()) };
    let mut previous = if crossed { &*points[1] } else { left };
    let between = between.iter().map(|point| &**point);
    for point in between.chain([right]) {
        if point.detect_reset(previous) {
            combine(result, previous, true, subject, notes)?;
        }
        previous = point;
    }
    Some(())
}
