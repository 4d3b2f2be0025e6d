//! What the times alone say of each window, worked out once for all series that share them.

use std::cell::RefCell;

use model::{Budget, Interrupt, Timestamp};

use super::{Cursor, Windows};
use crate::functions::Reach;

/// Windows between two looks at the budget.
pub(crate) const WINDOWS_PER_CHECK: usize = 4096;

/// A window with a float or more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) step_idx: usize,
    /// Position of its first float in the series.
    pub(crate) first: usize,
    /// Position after its last one.
    pub(crate) end: usize,
}

/// What is known of the windows of the last series, which holds for the next one if that has the same times: all series
/// of a target do.
#[derive(Debug)]
pub(crate) struct ByTimes<T> {
    timestamps: Vec<Timestamp>,
    windows: Option<Windows>,
    found: Vec<T>,
    /// Bytes that the query was charged.
    charged: usize,
}

/// All that one series after the other may find known.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) bounds: RefCell<ByTimes<Bounds>>,
    /// As the one function that asks for them needs them.
    pub(crate) reaches: RefCell<ByTimes<Reach>>,
}

impl Shared {
    /// Forgets all, and says what the query was charged for it.
    pub(crate) fn into_charged(self) -> usize {
        self.bounds.into_inner().charged + self.reaches.into_inner().charged
    }
}

impl<T> Default for ByTimes<T> {
    fn default() -> ByTimes<T> {
        ByTimes { timestamps: Vec::new(), windows: None, found: Vec::new(), charged: 0 }
    }
}

impl ByTimes<Bounds> {
    /// The windows over floats at `timestamps` that hold one or more, in the order of their steps.
    pub(crate) fn bounds(
        &mut self,
        timestamps: &[Timestamp],
        windows: &Windows,
        budget: &Budget,
    ) -> Result<&[Bounds], Interrupt> {
        self.of(timestamps, windows, budget, |step_idx, Cursor { first, end, .. }| {
            (first < end).then_some(Bounds { step_idx, first, end })
        })
    }
}

impl<T> ByTimes<T> {
    /// What `find` says of the positions of each window over floats at `timestamps`, in the order of their steps.
    #[inline]
    pub(crate) fn of(
        &mut self,
        timestamps: &[Timestamp],
        windows: &Windows,
        budget: &Budget,
        find: impl Fn(usize, Cursor) -> Option<T>,
    ) -> Result<&[T], Interrupt> {
        if self.windows == Some(*windows) && self.timestamps == timestamps {
            return Ok(&self.found);
        }
        let bytes = size_of_val(timestamps).saturating_add(windows.grid.len.saturating_mul(size_of::<T>()));
        if self.charged < bytes {
            budget.charge(bytes - self.charged)?;
            self.charged = bytes;
        }
        self.windows = None;
        self.found.clear();
        self.found.reserve_exact(windows.grid.len);
        let mut cursor = Cursor::default();
        for step_idx in 0..windows.grid.len {
            if step_idx.is_multiple_of(WINDOWS_PER_CHECK) {
                budget.check()?;
            }
            cursor.advance(timestamps, windows.start(step_idx), windows.end(step_idx));
            if let Some(found) = find(step_idx, cursor) {
                self.found.push(found);
            }
        }
        self.timestamps.clear();
        self.timestamps.extend_from_slice(timestamps);
        self.windows = Some(*windows);
        Ok(&self.found)
    }
}
