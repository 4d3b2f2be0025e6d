//! Start timestamps: since when a counter counts, and what that says of resets.

use model::{Columns, Timestamp};

use super::range::Window;

/// A sample's timestamp and since when it counts, 0 for unknown.
#[derive(Clone, Copy)]
pub(super) struct Started {
    pub(super) t: Timestamp,
    pub(super) start: Timestamp,
}

impl Started {
    pub(super) fn new(columns: &Columns, t: Timestamp) -> Started {
        Started { t, start: columns.start_at(t) }
    }

    /// Whether counting began anew after `previous`.
    ///
    /// A start at the previous sample is a reset in a series of differences, where that sample had a start before it;
    /// a sum whose beginning is unknown starts at its first sample and goes on. A start at or after its own sample
    /// says nothing. Source: Prometheus `promql/functions.go`, `isStartTimestampReset`.
    pub(super) fn resets(self, previous: Started) -> bool {
        if self.start == 0 || self.t <= self.start || self.start < previous.t {
            return false;
        }
        self.start > previous.t || (previous.start != 0 && previous.start < previous.t)
    }

    /// Whether the sample counts what `previous` counted too, yet not since the same time.
    pub(super) fn overlaps(self, previous: Started) -> bool {
        self.start != 0 && self.start < previous.t && self.start != previous.start
    }
}

/// The positions of `timestamps` after the first that `found` with the one before; none without start timestamps.
pub(super) fn positions(
    columns: &Columns,
    timestamps: &[Timestamp],
    found: impl Fn(Started, Started) -> bool,
) -> Vec<usize> {
    if columns.starts.is_empty() {
        return Vec::new();
    }
    let started: Vec<Started> = timestamps.iter().map(|t| Started::new(columns, *t)).collect();
    let pairs = started.windows(2).enumerate();
    pairs.filter(|(_, pair)| found(pair[1], pair[0])).map(|(at, _)| at + 1).collect()
}

/// Where inside a window its first sample, taken at `first`, began to count from zero.
pub(super) fn zero_at(columns: &Columns, window: &Window<'_>, first: Timestamp) -> Option<Timestamp> {
    let start = columns.start_at(first);
    (start != 0 && window.start < start && start < first).then_some(start)
}
