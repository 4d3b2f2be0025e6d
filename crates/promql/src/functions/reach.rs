//! How far rates reach: what the times alone say of each window, worked out once for all series that share them.

use model::{Budget, Interrupt, Timestamp};

use crate::eval::{Cursor, Windows};

/// Windows between two looks at the budget.
pub(super) const WINDOWS_PER_CHECK: usize = 4096;

/// A window with two floats or more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) step_idx: usize,
    /// Position of its first float in the series.
    pub(super) first: usize,
    /// Position of its last one.
    pub(super) last: usize,
    /// Seconds between those.
    pub(super) sampled: f64,
    /// Seconds before the first and after the last that the rate is taken to hold for.
    pub(super) to_start: f64,
    pub(super) to_end: f64,
}

impl Reach {
    /// Source: Prometheus `promql/functions.go`, `extrapolatedRate`.
    fn new(step_idx: usize, windows: &Windows, cursor: Cursor, timestamps: &[Timestamp]) -> Option<Reach> {
        let (first, last) = (cursor.first, cursor.end.checked_sub(1).filter(|last| cursor.first < *last)?);
        let seconds = |from: Timestamp, to: Timestamp| (to - from) as f64 / 1000.0;
        let sampled = seconds(timestamps[first], timestamps[last]);
        let distance = sampled / (last - first) as f64;
        let reaches = |to_edge: f64| if to_edge >= distance * 1.1 { distance / 2.0 } else { to_edge };
        let to_start = reaches(seconds(windows.start(step_idx), timestamps[first]));
        let to_end = reaches(seconds(timestamps[last], windows.end(step_idx)));
        Some(Reach { step_idx, first, last, sampled, to_start, to_end })
    }
}

/// The reaches of the last series, which are those of the next one if it has the same times: all series of a target do.
#[derive(Debug, Default)]
pub(crate) struct Reaches {
    timestamps: Vec<Timestamp>,
    windows: Option<Windows>,
    reaches: Vec<Reach>,
    /// Bytes that the query was charged.
    pub(crate) charged: usize,
}

impl Reaches {
    /// The windows over floats at `timestamps` that hold two of them or more, in the order of their steps.
    pub(super) fn of(
        &mut self,
        timestamps: &[Timestamp],
        windows: &Windows,
        budget: &Budget,
    ) -> Result<&[Reach], Interrupt> {
        if self.windows == Some(*windows) && self.timestamps == timestamps {
            return Ok(&self.reaches);
        }
        let bytes = size_of_val(timestamps).saturating_add(windows.grid.len.saturating_mul(size_of::<Reach>()));
        if self.charged < bytes {
            budget.charge(bytes - self.charged)?;
            self.charged = bytes;
        }
        self.windows = None;
        self.reaches.clear();
        self.reaches.reserve_exact(windows.grid.len);
        let mut cursor = Cursor::default();
        for step_idx in 0..windows.grid.len {
            if step_idx.is_multiple_of(WINDOWS_PER_CHECK) {
                budget.check()?;
            }
            cursor.advance(timestamps, windows.start(step_idx), windows.end(step_idx));
            self.reaches.extend(Reach::new(step_idx, windows, cursor, timestamps));
        }
        self.timestamps.clear();
        self.timestamps.extend_from_slice(timestamps);
        self.windows = Some(*windows);
        Ok(&self.reaches)
    }
}
