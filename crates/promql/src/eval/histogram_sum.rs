//! Sums and averages of native histograms in one group, step by step.

use std::sync::Arc;

use model::{Histogram, HistogramError, HistogramTotal, Labels, ResetHint, is_stale};

use super::Column;
use crate::annotation::{Notes, Remark};
use crate::expr::Offset;

/// The running total of each step.
pub(crate) struct HistogramSums {
    cells: Vec<Option<Box<Cell>>>,
    average: bool,
}

struct Cell {
    total: HistogramTotal,
    /// Exponential and custom buckets met: there is no result.
    incompatible: bool,
    resets: Resets,
}

/// Which reset hints were seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Resets {
    reset: bool,
    no_reset: bool,
}

impl Resets {
    pub(crate) fn see(&mut self, histogram: &Histogram) {
        self.reset |= histogram.reset_hint == ResetHint::Reset;
        self.no_reset |= histogram.reset_hint == ResetHint::NoReset;
    }

    /// Whether histograms with and without a reset before them were put together.
    pub(crate) fn collide(self) -> bool {
        self.reset && self.no_reset
    }
}

impl HistogramSums {
    pub(crate) fn new(len: usize, average: bool) -> HistogramSums {
        HistogramSums { cells: std::iter::repeat_with(|| None).take(len).collect(), average }
    }

    /// Adds one series' histograms.
    pub(crate) fn add(&mut self, column: &[Option<Arc<Histogram>>], labels: &Labels, at: Offset, notes: &mut Notes) {
        for (cell, histogram) in self.cells.iter_mut().zip(column) {
            let Some(histogram) = histogram else { continue };
            let Some(cell) = cell else {
                let mut resets = Resets::default();
                resets.see(histogram);
                let first = if self.average { HistogramTotal::averaging } else { HistogramTotal::summing };
                let total = first(histogram);
                *cell = Some(Box::new(Cell { total, incompatible: false, resets }));
                continue;
            };
            if cell.incompatible {
                continue;
            }
            cell.resets.see(histogram);
            match cell.total.add(histogram) {
                Ok(true) => notes.add(at, Remark::CustomBucketsReconciled("aggregation")),
                Ok(false) => {}
                Err(HistogramError::IncompatibleSchemas) => {
                    notes.add(at, Remark::MixedExponentialCustom(labels.metric_name().unwrap_or("")));
                    cell.incompatible = true;
                }
            }
        }
    }

    /// Adds the totals of the next chunk of series.
    pub(crate) fn merge(&mut self, other: HistogramSums, at: Offset, notes: &mut Notes) {
        for (cell, other) in self.cells.iter_mut().zip(other.cells) {
            let Some(other) = other else { continue };
            let Some(cell) = cell else {
                *cell = Some(other);
                continue;
            };
            cell.resets.reset |= other.resets.reset;
            cell.resets.no_reset |= other.resets.no_reset;
            cell.incompatible |= other.incompatible;
            if cell.incompatible {
                continue;
            }
            match cell.total.merge(&other.total) {
                Ok(true) => notes.add(at, Remark::CustomBucketsReconciled("aggregation")),
                Ok(false) => {}
                Err(HistogramError::IncompatibleSchemas) => {
                    notes.add(at, Remark::MixedExponentialCustom(""));
                    cell.incompatible = true;
                }
            }
        }
    }

    /// Puts the results where no floats are; a group of both kinds has none.
    pub(crate) fn finish(self, column: &mut Column, at: Offset, notes: &mut Notes) {
        for (step_idx, cell) in self.cells.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            if !is_stale(column.floats[step_idx]) {
                notes.add(at, Remark::MixedFloatsHistogramsInAggregation);
                column.unset(step_idx);
                continue;
            }
            if cell.incompatible {
                continue;
            }
            if cell.resets.collide() {
                notes.add(at, Remark::CounterResetCollision("aggregation"));
            }
            let mut result = cell.total.finish();
            result.compact();
            column.set_histogram(step_idx, Arc::new(result));
        }
    }
}
