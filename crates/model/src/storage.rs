//! The read seam: storage hands whole series to PromQL as columns; both sides know only this file.

use std::sync::Arc;

use crate::{Budget, Histogram, Interrupt, Labels, Matcher, TimeRange, Timestamp};

use thiserror::Error;

/// The samples of one series inside a range.
///
/// Shape: `timestamps` and `values` have one length, `histogram_timestamps` and `histograms` have one length; each
/// pair ascends strictly by time, and no timestamp is in both. A series of floats leaves the histogram pair empty.
/// Units: ms.
/// Staleness markers are in the column: the evaluator decides what they mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Columns {
    /// When each sample was taken.
    pub timestamps: Vec<Timestamp>,
    /// What it was, at the same index.
    pub values: Vec<f64>,
    /// When each histogram was taken.
    pub histogram_timestamps: Vec<Timestamp>,
    /// What it was, at the same index.
    pub histograms: Vec<Arc<Histogram>>,
    /// Since when the samples count, as far as the writer told; ascending by `from`. Empty when nothing is known.
    pub starts: Vec<StartRun>,
    /// What is known of the floats already, so that nobody has to look at them for it.
    pub known: Known,
}

/// What holds of a column's floats from the first one on; nothing unless somebody found it out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// So many of them are no staleness markers.
    pub live: usize,
    /// None of so many is less than the one before.
    pub rising: usize,
}

/// One step of a series' start timestamps: samples at or after `from` count since `start`, until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartRun {
    /// The first sample timestamp it holds for.
    pub from: Timestamp,
    /// When counting began; 0 when that is not known.
    pub start: Timestamp,
}

impl Columns {
    /// Forgets the samples and keeps the memory, for the next series.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histogram_timestamps.clear();
        self.histograms.clear();
        self.starts.clear();
        self.known = Known::default();
    }

    /// Keeps what was taken in `range` and drops the rest; what is known of the floats holds for all of them only.
    pub fn keep(&mut self, range: TimeRange) {
        if keep(&mut self.timestamps, &mut self.values, range) {
            self.known = Known::default();
        }
        keep(&mut self.histogram_timestamps, &mut self.histograms, range);
    }

    /// The number of samples of both kinds.
    pub fn len(&self) -> usize {
        debug_assert_eq!(self.timestamps.len(), self.values.len());
        debug_assert_eq!(self.histogram_timestamps.len(), self.histograms.len());
        self.timestamps.len() + self.histograms.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Since when the sample at `t` counts; 0 when that is not known.
    #[inline]
    pub fn start_at(&self, t: Timestamp) -> Timestamp {
        let after = self.starts.partition_point(|run| run.from <= t);
        after.checked_sub(1).map_or(0, |at| self.starts[at].start)
    }

    /// Adds a float after all others.
    #[inline]
    pub fn push(&mut self, t: Timestamp, v: f64) {
        debug_assert!(self.timestamps.last().is_none_or(|last| *last < t), "timestamps must ascend");
        self.timestamps.push(t);
        self.values.push(v);
    }
}

/// Drops of ascending samples those outside `range`. Returns whether there were any.
fn keep<T>(timestamps: &mut Vec<Timestamp>, values: &mut Vec<T>, range: TimeRange) -> bool {
    let (inside, len) = (range.positions(timestamps), timestamps.len());
    timestamps.truncate(inside.end);
    values.truncate(inside.end);
    timestamps.drain(..inside.start);
    values.drain(..inside.start);
    timestamps.len() < len
}

/// Why storage could not answer.
#[derive(Debug, Error)]
pub enum StorageError {
    /// The query was ended or used its budget up.
    #[error(transparent)]
    Interrupted(#[from] Interrupt),
    /// Bytes on disk are not what they should be.
    #[error("storage: {0}")]
    Failed(String),
}

/// Something that holds series and can be asked for them: the store, or a test's memory.
pub trait Queryable: Send + Sync {
    /// Finds the series that match all `matchers` and have a sample in `range`, or may have one.
    ///
    /// Errors: interrupts of `budget`, and unreadable storage. A `StorageError::Failed` ends the query.
    fn select(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Selected, StorageError>;
}

/// The answer to one selection.
pub struct Selected {
    /// The series found.
    pub series: Box<dyn SeriesSet>,
    /// What the caller should be told, such as a block that could not be read.
    pub warnings: Vec<String>,
}

/// Series found by one selection, read one at a time and in any order, also from several threads.
pub trait SeriesSet: Send + Sync {
    /// The number of series.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of series `series_idx`. Two series of one set never share their labels.
    fn labels(&self, series_idx: usize) -> &Labels;

    /// Replaces `into` by the samples of series `series_idx` inside the selection's range.
    ///
    /// Cost: one pass over the series' chunks; one call for each series, never one for each sample.
    fn read(&self, series_idx: usize, into: &mut Columns, budget: &Budget) -> Result<(), StorageError>;
}

/// The empty set.
pub struct NoSeries;

impl SeriesSet for NoSeries {
    fn len(&self) -> usize {
        0
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        unreachable!("series {series_idx} of an empty set")
    }

    fn read(&self, _: usize, into: &mut Columns, _: &Budget) -> Result<(), StorageError> {
        into.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was known of the first ones is not true of those that take their place.
    #[test]
    fn what_is_known_of_samples_goes_when_some_of_them_do() {
        let known = Known { live: 3, rising: 2 };
        for (mint, maxt, times, known_then) in [
            (0, 9, vec![1, 2, 3, 4], known),
            (2, 9, vec![2, 3, 4], Known::default()),
            (0, 3, vec![1, 2, 3], Known::default()),
            (3, 2, vec![], Known::default()),
        ] {
            let mut columns = Columns { known, ..Columns::default() };
            (1..=4).for_each(|t| columns.push(t, 0.5));
            columns.histogram_timestamps = vec![1, 4];
            columns.histograms = vec![Arc::default(); 2];
            columns.keep(TimeRange { mint, maxt });
            let histograms = [1, 4].into_iter().filter(|t| mint <= *t && *t <= maxt).count();
            assert_eq!((columns.timestamps, columns.values.len()), (times.clone(), times.len()));
            assert_eq!((columns.histograms.len(), columns.histogram_timestamps.len()), (histograms, histograms));
            assert_eq!(columns.known, known_then, "{mint} to {maxt}");
        }
    }
}
