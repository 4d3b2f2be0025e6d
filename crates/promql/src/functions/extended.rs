//! Ranges whose ends are made of the samples around them: `anchored` takes the last sample before the range for its
//! start, `smoothed` interpolates at both ends. Source: Prometheus `promql/functions.go`, `extendedRate`.

use std::sync::Arc;

use model::{Columns, Histogram, ResetHint, Timestamp};

use super::range::{RangeInput, Window};
use super::rate::Kind;
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::eval::{Column, Windows};
use crate::expr::{Call, Extent, Selector};
use crate::interpolate::{self, Subject, combine};

/// How far around its range a function looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extended {
    pub(crate) extent: Extent,
    pub(crate) lookback_ms: i64,
}

impl Extended {
    /// How far before the range samples are read.
    pub(crate) fn back_ms(self) -> i64 {
        self.lookback_ms
    }

    /// How far after the range samples are read.
    pub(crate) fn ahead_ms(self) -> i64 {
        if self.is_smoothed() { self.lookback_ms } else { 0 }
    }

    fn is_smoothed(self) -> bool {
        self.extent == Extent::Smoothed
    }

    /// The windows with the samples around them.
    pub(crate) fn widen(self, windows: Windows) -> Windows {
        let (back_ms, ahead_ms) = (self.back_ms(), self.ahead_ms());
        let range_ms = windows.range_ms.saturating_add(back_ms).saturating_add(ahead_ms);
        Windows { offset_ms: windows.offset_ms.saturating_sub(ahead_ms), range_ms, ..windows }
    }

    /// The range inside a widened window: the last timestamp before it and the last one in it.
    fn bounds(self, window: &Window<'_>) -> (Timestamp, Timestamp) {
        (window.start.saturating_add(self.back_ms()), window.end.saturating_sub(self.ahead_ms()))
    }

    /// The first and the last sample that the range `(start, end]` is made of; `None` when it has none of its own.
    fn ends(self, timestamps: &[Timestamp], start: Timestamp, end: Timestamp) -> Option<(usize, usize)> {
        let mut last = timestamps.len().checked_sub(1)?;
        let first = timestamps[..last].partition_point(|t| *t <= start).saturating_sub(1);
        if self.is_smoothed() {
            last = timestamps[..last].partition_point(|t| *t < end);
        }
        let outside = timestamps[last] <= start || (self.is_smoothed() && timestamps[first] > end);
        (!outside).then_some((first, last))
    }
}

const ANCHORED: [&str; 5] = ["changes", "delta", "increase", "rate", "resets"];
const SMOOTHED: [&str; 3] = ["delta", "increase", "rate"];

/// Refuses a modifier of the range that the function does not know.
pub(crate) fn check_extent(call: &Call, selector: &Selector) -> Result<(), EvalError> {
    let (extent, known): (_, &[&str]) = match selector.extent {
        None => return Ok(()),
        Some(extent @ Extent::Anchored) => (extent, &ANCHORED),
        Some(extent @ Extent::Smoothed) => (extent, &SMOOTHED),
    };
    let name = call.function.name;
    if known.contains(&name) {
        return Ok(());
    }
    let (extent, known) = (extent.as_str(), known.join(", "));
    Err(EvalError::Invalid(format!("{extent} modifier can only be used with: {known} - not with {name}")))
}

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

/// The values at both ends of a range.
fn float_ends(
    extended: Extended,
    counter: bool,
    timestamps: &[Timestamp],
    values: &[f64],
    (start, end): (Timestamp, Timestamp),
    (first, last): (usize, usize),
) -> (f64, f64) {
    let sample = |at: usize| (timestamps[at], values[at]);
    let cuts_left = extended.is_smoothed() && timestamps[first] < start;
    let cuts_right = extended.is_smoothed() && last > 0 && timestamps[last] > end;
    let left =
        if cuts_left { interpolate::float(sample(first), sample(first + 1), start, counter) } else { values[first] };
    let right =
        if cuts_right { interpolate::float(sample(last - 1), sample(last), end, counter) } else { values[last] };
    (left, right)
}

/// The positions strictly between the ends of a range.
fn inside(
    timestamps: &[Timestamp],
    (start, end): (Timestamp, Timestamp),
    (first, last): (usize, usize),
) -> (usize, usize) {
    (first + usize::from(timestamps[first] <= start), last + usize::from(timestamps[last] < end))
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

/// What a window anchored at its start holds: the last sample not after the start, and those after it. `None` when
/// there is none of the latter.
pub(super) fn anchored<'a>(extended: Extended, window: &Window<'a>) -> Option<Window<'a>> {
    let (start, _) = extended.bounds(window);
    let mut float = window.timestamps.partition_point(|t| *t <= start);
    let mut histogram = window.histogram_timestamps.partition_point(|t| *t <= start);
    if float == window.timestamps.len() && histogram == window.histogram_timestamps.len() {
        return None;
    }
    let float_anchor = float.checked_sub(1).map(|at| window.timestamps[at]);
    let histogram_anchor = histogram.checked_sub(1).map(|at| window.histogram_timestamps[at]);
    match (float_anchor, histogram_anchor) {
        (None, None) => {}
        (Some(t), other) if other.is_none_or(|other| t >= other) => float -= 1,
        _ => histogram -= 1,
    }
    Some(Window {
        first: window.first + float,
        timestamps: &window.timestamps[float..],
        values: &window.values[float..],
        histogram_timestamps: &window.histogram_timestamps[histogram..],
        histograms: &window.histograms[histogram..],
        ..*window
    })
}

/// The samples of the extended range `(start, end]`, one at each end of it.
///
/// Errors: histograms, which a range by itself is not extended for.
pub(crate) fn extend(
    extended: Extended,
    columns: &mut Columns,
    start: Timestamp,
    end: Timestamp,
) -> Result<(), EvalError> {
    if !columns.histograms.is_empty() {
        let extent = extended.extent.as_str();
        return Err(EvalError::Invalid(format!("{extent} modifier is not supported with histograms")));
    }
    let Some((first, last)) = extended.ends(&columns.timestamps, start, end) else {
        columns.clear();
        return Ok(());
    };
    let (timestamps, values) = (&columns.timestamps, &columns.values);
    let (left, right) = float_ends(extended, false, timestamps, values, (start, end), (first, last));
    let (first, after) = inside(timestamps, (start, end), (first, last));
    let mut out = Columns::default();
    out.push(start, left);
    for at in first..after {
        out.push(timestamps[at], values[at]);
    }
    out.push(end, right);
    *columns = out;
    Ok(())
}
