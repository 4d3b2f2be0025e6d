//! How far a rate reaches: what the times alone say of a window.

use model::Timestamp;

use crate::eval::{Cursor, Windows};

/// A window with two floats or more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(super) step_idx: usize,
    /// Position of its first float in the series.
    pub(super) first: usize,
    /// Position of its last one.
    pub(super) last: usize,
    /// Seconds between those.
    sampled: f64,
    /// Seconds before the first and after the last that the rate is taken to hold for.
    to_start: f64,
    to_end: f64,
    /// What the increase inside is to be multiplied by.
    pub(super) factor: f64,
}

impl Reach {
    /// The reach of a window; with the seconds of its range when what it says is to be by the second.
    /// Source: Prometheus `promql/functions.go`, `extrapolatedRate`.
    #[inline]
    pub(super) fn new(
        step_idx: usize,
        windows: &Windows,
        range_s: Option<f64>,
        cursor: Cursor,
        timestamps: &[Timestamp],
    ) -> Option<Reach> {
        let (first, last) = (cursor.first, cursor.end.checked_sub(1).filter(|last| cursor.first < *last)?);
        let seconds = |from: Timestamp, to: Timestamp| (to - from) as f64 / 1000.0;
        let sampled = seconds(timestamps[first], timestamps[last]);
        let distance = sampled / (last - first) as f64;
        let reaches = |to_edge: f64| if to_edge >= distance * 1.1 { distance / 2.0 } else { to_edge };
        let to_start = reaches(seconds(windows.start(step_idx), timestamps[first]));
        let to_end = reaches(seconds(timestamps[last], windows.end(step_idx)));
        let factor = factor(sampled, to_start, to_end, range_s);
        Some(Reach { step_idx, first, last, sampled, to_start, to_end, factor })
    }

    /// The factor of a counter, whose range does not reach back to before it was zero.
    #[inline]
    pub(super) fn factor_of_counter(&self, first: f64, increase: f64, range_s: Option<f64>) -> f64 {
        // Nearly all counters were zero so long ago that nothing has to be divided to see it.
        if increase <= first && self.to_start <= self.sampled {
            return self.factor;
        }
        let to_zero = self.sampled * (first / increase);
        if to_zero < self.to_start { factor(self.sampled, to_zero, self.to_end, range_s) } else { self.factor }
    }
}

#[inline]
fn factor(sampled: f64, to_start: f64, to_end: f64, range_s: Option<f64>) -> f64 {
    let factor = (sampled + to_start + to_end) / sampled;
    range_s.map_or(factor, |range_s| factor / range_s)
}
