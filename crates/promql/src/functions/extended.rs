//! Ranges whose ends are made of the samples around them: `anchored` takes the last sample before the range for its
//! start, `smoothed` interpolates at both ends.

use model::{Columns, Timestamp};

use super::range::Window;
use crate::EvalError;
use crate::eval::Windows;
use crate::expr::{Call, Extent, Selector};
use crate::interpolate;

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

    pub(super) fn is_smoothed(self) -> bool {
        self.extent == Extent::Smoothed
    }

    /// The windows with the samples around them.
    pub(crate) fn widen(self, windows: Windows) -> Windows {
        let (back_ms, ahead_ms) = (self.back_ms(), self.ahead_ms());
        let range_ms = windows.range_ms.saturating_add(back_ms).saturating_add(ahead_ms);
        Windows { offset_ms: windows.offset_ms.saturating_sub(ahead_ms), range_ms, ..windows }
    }

    /// The range inside a widened window: the last timestamp before it and the last one in it.
    pub(super) fn bounds(self, window: &Window<'_>) -> (Timestamp, Timestamp) {
        (window.start.saturating_add(self.back_ms()), window.end.saturating_sub(self.ahead_ms()))
    }

    /// The first and the last sample that the range `(start, end]` is made of; `None` when it has none of its own.
    pub(super) fn ends(self, timestamps: &[Timestamp], start: Timestamp, end: Timestamp) -> Option<(usize, usize)> {
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

/// The values at both ends of a range.
pub(super) fn float_ends(
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
pub(super) fn inside(
    timestamps: &[Timestamp],
    (start, end): (Timestamp, Timestamp),
    (first, last): (usize, usize),
) -> (usize, usize) {
    (first + usize::from(timestamps[first] <= start), last + usize::from(timestamps[last] < end))
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
