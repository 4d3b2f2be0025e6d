//! The series of a script in memory, behind the same read seam as the real store.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    Budget, Columns, Histogram, Labels, Matcher, Queryable, Selected, SeriesSet, StartRun, StorageError, TimeRange,
    Timestamp,
};
use thiserror::Error;

use crate::histogram;

/// A sample that does not fit beside those its series already has.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{labels} already has a sample at {t} ms, or a later one")]
pub struct SampleConflict {
    /// The series.
    pub labels: Labels,
    /// The timestamp.
    pub t: Timestamp,
}

/// Series by labels.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    series: BTreeMap<Labels, Arc<Columns>>,
}

impl MemoryStore {
    /// The number of series.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds a float after all other samples of its series.
    pub fn push_float(&mut self, labels: &Labels, t: Timestamp, v: f64) -> Result<(), SampleConflict> {
        self.columns_before(labels, t)?.push(t, v);
        Ok(())
    }

    /// Adds a histogram after all other samples of its series, with the reset hint that a store would keep.
    pub fn push_histogram(&mut self, labels: &Labels, t: Timestamp, h: Arc<Histogram>) -> Result<(), SampleConflict> {
        let columns = self.columns_before(labels, t)?;
        let follows_float = columns.timestamps.last() > columns.histogram_timestamps.last();
        let previous = columns.histograms.last().filter(|_| !follows_float);
        let mut kept = Histogram::clone(&h);
        kept.reset_hint = histogram::stored_hint(previous.map(|previous| &**previous), &h);
        columns.histogram_timestamps.push(t);
        columns.histograms.push(Arc::new(kept));
        Ok(())
    }

    /// Notes since when the sample at `t`, after all others, counts; 0 when that is not known.
    pub fn push_start(&mut self, labels: &Labels, t: Timestamp, start: Timestamp) {
        let starts = &mut Arc::make_mut(self.series.entry(labels.clone()).or_default()).starts;
        if starts.last().map_or(0, |run| run.start) != start {
            starts.push(StartRun { from: t, start });
        }
    }

    /// The columns of a series that has no sample at `t` or later.
    fn columns_before(&mut self, labels: &Labels, t: Timestamp) -> Result<&mut Columns, SampleConflict> {
        let columns = Arc::make_mut(self.series.entry(labels.clone()).or_default());
        match columns.timestamps.last().max(columns.histogram_timestamps.last()) {
            Some(last) if *last >= t => Err(SampleConflict { labels: labels.clone(), t }),
            _ => Ok(columns),
        }
    }
}

impl Queryable for MemoryStore {
    fn select(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Selected, StorageError> {
        budget.check()?;
        let hit = |labels: &Labels| matchers.iter().all(|matcher| matcher.matches_labels(labels));
        let found = self.series.iter().filter(|(labels, _)| hit(labels));
        let series = found.map(|(labels, columns)| (labels.clone(), columns.clone())).collect();
        Ok(Selected { series: Box::new(Found { series, range }), warnings: Vec::new() })
    }
}

/// The series of one selection.
struct Found {
    series: Vec<(Labels, Arc<Columns>)>,
    range: TimeRange,
}

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        &self.series[series_idx].0
    }

    fn read(&self, series_idx: usize, into: &mut Columns, budget: &Budget) -> Result<(), StorageError> {
        budget.check()?;
        into.clear();
        let columns = &self.series[series_idx].1;
        let floats = self.range.positions(&columns.timestamps);
        into.timestamps.extend_from_slice(&columns.timestamps[floats.clone()]);
        into.values.extend_from_slice(&columns.values[floats]);
        let histograms = self.range.positions(&columns.histogram_timestamps);
        into.histogram_timestamps.extend_from_slice(&columns.histogram_timestamps[histograms.clone()]);
        into.histograms.extend_from_slice(&columns.histograms[histograms]);
        into.starts.extend_from_slice(&columns.starts);
        budget.count_samples(into.len())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_reads_only_what_matches_and_lies_in_range() {
        let mut store = MemoryStore::default();
        let (up, down) = (Labels::from_pairs([("__name__", "up")]), Labels::from_pairs([("__name__", "down")]));
        for t in [10, 20, 30] {
            store.push_float(&up, t, t as f64).unwrap();
        }
        store.push_histogram(&up, 35, Arc::default()).unwrap();
        store.push_float(&down, 10, 1.0).unwrap();
        let budget = Budget::unlimited();
        let matchers = [Matcher::equal("__name__", "up")];
        let selected = store.select(&matchers, TimeRange { mint: 11, maxt: 35 }, &budget).unwrap();
        assert_eq!(selected.series.len(), 1);
        let mut columns = Columns::default();
        selected.series.read(0, &mut columns, &budget).unwrap();
        assert_eq!(columns.timestamps, [20, 30]);
        assert_eq!(columns.histogram_timestamps, [35]);
        assert_eq!(budget.samples(), 3);
    }

    #[test]
    fn samples_come_in_the_order_of_time() {
        let mut store = MemoryStore::default();
        let up = Labels::from_pairs([("__name__", "up")]);
        store.push_float(&up, 1, 1.0).unwrap();
        let conflict = Err(SampleConflict { labels: up.clone(), t: 1 });
        assert_eq!(store.push_float(&up, 1, 2.0), conflict);
        assert_eq!(store.push_histogram(&up, 1, Arc::default()), conflict);
        store.push_histogram(&up, 2, Arc::default()).unwrap();
        assert!(store.push_float(&up, 2, 2.0).is_err());
    }
}
