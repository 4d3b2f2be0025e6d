//! Series as they were written: samples of every kind, one after the other, for those that hand them on.

use model::{Budget, Labels, SampleValue, SeriesSet, StorageError, Timestamp};

use crate::merged::MergedSet;

/// The series of one selection, sorted by labels.
pub struct SeriesValues(MergedSet);

impl SeriesValues {
    pub(crate) fn new(series: MergedSet) -> SeriesValues {
        SeriesValues(series)
    }

    /// The number of series.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The labels of series `series_idx`.
    pub fn labels(&self, series_idx: usize) -> &Labels {
        self.0.labels(series_idx)
    }

    /// The samples of series `series_idx` inside the selection's range, ascending, each of the kind it was written as.
    ///
    /// A damaged chunk adds none, and the budget's owner is told.
    pub fn read(&self, series_idx: usize, budget: &Budget) -> Result<Vec<(Timestamp, SampleValue)>, StorageError> {
        self.0.values(series_idx, budget)
    }
}
