//! A store in memory, for tests of the language.

use model::{Budget, Columns, Labels, Matcher, Queryable, Selected, SeriesSet, StorageError, TimeRange, Timestamp};

/// Series with their samples.
#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) Vec<(Labels, Columns)>);

impl Memory {
    /// A series of floats at even distances from time 0.
    pub(crate) fn with(
        mut self,
        labels: &[(&str, &str)],
        step_ms: i64,
        values: impl IntoIterator<Item = f64>,
    ) -> Memory {
        let mut columns = Columns::default();
        for (idx, v) in values.into_iter().enumerate() {
            columns.push(step_ms * idx as Timestamp, v);
        }
        self.0.push((Labels::from_pairs(labels.iter().copied()), columns));
        self
    }
}

struct Found {
    series: Vec<(Labels, Columns)>,
    range: TimeRange,
}

impl Queryable for Memory {
    fn select(&self, matchers: &[Matcher], range: TimeRange, _: &Budget) -> Result<Selected, StorageError> {
        let matching = self.0.iter().filter(|(labels, _)| matchers.iter().all(|m| m.matches_labels(labels)));
        let series = matching.cloned().collect();
        Ok(Selected { series: Box::new(Found { series, range }), warnings: Vec::new() })
    }
}

impl SeriesSet for Found {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        &self.series[series_idx].0
    }

    fn read(&self, series_idx: usize, into: &mut Columns, _: &Budget) -> Result<(), StorageError> {
        into.clear();
        let columns = &self.series[series_idx].1;
        for (t, v) in columns.timestamps.iter().zip(&columns.values).filter(|(t, _)| self.range.contains(**t)) {
            into.push(*t, *v);
        }
        Ok(())
    }
}
