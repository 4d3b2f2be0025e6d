//! Smoothed selectors: the value at each step on the line between the samples around it.

use std::sync::Arc;

use model::{Columns, Histogram, ResetHint, Timestamp};

use super::{Column, Cursor, Windows};
use crate::annotation::{Notes, Remark};
use crate::interpolate::{self, Subject};

/// Computes a smoothed selector's column from samples without staleness markers. Each of `windows` reaches as far
/// after the step as before it.
pub(super) fn smoothed(
    columns: &Columns,
    windows: &Windows,
    subject: Subject<'_>,
    out: &mut Column,
    notes: &mut Notes,
) {
    let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
    for step_idx in 0..windows.grid.len {
        let (start, end) = (windows.start(step_idx), windows.end(step_idx));
        floats.advance(&columns.timestamps, start, end);
        histograms.advance(&columns.histogram_timestamps, start, end);
        let t = end.saturating_sub(windows.range_ms / 2);
        match (floats.end > floats.first, histograms.end > histograms.first) {
            (false, false) => {}
            (true, true) => notes.add(subject.at, Remark::MixedFloatsHistograms(subject.metric)),
            (true, false) => {
                if let Some(v) = float(columns, floats, t) {
                    out.floats[step_idx] = v;
                }
            }
            (false, true) => {
                if let Some(histogram) = histogram(columns, histograms, t, subject, notes) {
                    out.set_histogram(step_idx, histogram);
                }
            }
        }
    }
}

/// Where `t` lies among the samples of a window.
enum Place {
    On(usize),
    /// After the first and before the second.
    Between(usize, usize),
    After(usize),
}

fn place(timestamps: &[Timestamp], window: Cursor, t: Timestamp) -> Option<Place> {
    let next = window.first + timestamps[window.first..window.end].partition_point(|other| *other < t);
    match timestamps[..window.end].get(next) {
        Some(other) if *other == t => Some(Place::On(next)),
        _ if next == window.first => None,
        Some(_) => Some(Place::Between(next - 1, next)),
        None => Some(Place::After(next - 1)),
    }
}

fn float(columns: &Columns, window: Cursor, t: Timestamp) -> Option<f64> {
    let sample = |at: usize| (columns.timestamps[at], columns.values[at]);
    Some(match place(&columns.timestamps, window, t)? {
        Place::On(at) | Place::After(at) => columns.values[at],
        Place::Between(older, newer) => interpolate::float(sample(older), sample(newer), t, false),
    })
}

fn histogram(
    columns: &Columns,
    window: Cursor,
    t: Timestamp,
    subject: Subject<'_>,
    notes: &mut Notes,
) -> Option<Arc<Histogram>> {
    let points = &columns.histograms;
    let sample = |at: usize| (columns.histogram_timestamps[at], &points[at]);
    match place(&columns.histogram_timestamps, window, t)? {
        Place::On(at) => Some(points[at].clone()),
        Place::After(at) => {
            // What the sample says of a reset is about the one before it.
            let mut last = Histogram::clone(&points[at]);
            last.reset_hint = ResetHint::Unknown;
            Some(Arc::new(last))
        }
        Place::Between(older, newer) => {
            let is_counter = [older, newer].iter().any(|at| points[*at].reset_hint != ResetHint::Gauge);
            if points[older].is_custom() != points[newer].is_custom() {
                notes.add(subject.at, Remark::MixedExponentialCustom(subject.metric));
                return None;
            }
            interpolate::histogram(sample(older), sample(newer), t, is_counter, subject, notes).map(Arc::new)
        }
    }
}
