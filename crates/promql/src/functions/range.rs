//! What a function of ranges gets: a series' samples and the windows to look through.

use std::sync::Arc;

use model::{Budget, Columns, Histogram, Labels, Timestamp};

use super::extended::Extended;
use crate::EvalError;
use crate::annotation::{Notes, Remark};
use crate::eval::{Bounds, Column, Cursor, Naming, ScalarColumn, Shared, Windows};
use crate::expr::Offset;
use crate::interpolate::Subject;

/// Computes a series' column from its samples.
pub(crate) type RangeKernel = fn(&RangeInput<'_>, &mut Column, &mut Notes) -> Result<(), EvalError>;

/// A function of ranges.
#[derive(Clone, Copy)]
pub(crate) struct RangeFunction {
    pub(crate) kernel: RangeKernel,
    /// Whether the result is still what the metric name says.
    pub(crate) keeps_name: bool,
}

/// The samples of one series and how to look at them.
pub(crate) struct RangeInput<'a> {
    /// Samples without staleness markers.
    pub(crate) columns: &'a Columns,
    pub(crate) windows: Windows,
    /// How far around its windows an anchored or smoothed range looks.
    pub(crate) extended: Option<Extended>,
    /// What says of which type a metric is.
    pub(crate) naming: Naming,
    /// The scalar arguments, in order.
    pub(crate) args: &'a [ScalarColumn],
    pub(crate) labels: &'a Labels,
    /// Where the range argument starts.
    pub(crate) at: Offset,
    pub(crate) budget: &'a Budget,
    /// What is known from the series before.
    pub(crate) shared: &'a Shared,
}

/// The samples inside one window; at least one.
#[derive(Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) step_idx: usize,
    /// Last timestamp before the window.
    pub(crate) start: Timestamp,
    /// Last timestamp inside.
    pub(crate) end: Timestamp,
    /// Position of the first float in the series.
    pub(crate) first: usize,
    pub(crate) timestamps: &'a [Timestamp],
    pub(crate) values: &'a [f64],
    pub(crate) histogram_timestamps: &'a [Timestamp],
    pub(crate) histograms: &'a [Arc<Histogram>],
}

/// Samples between two looks at the budget.
const SAMPLES_PER_CHECK: usize = 4096;

impl<'a> RangeInput<'a> {
    /// Calls `f` for each window that holds a sample. Cost: two positions move along the samples once; not even that for
    /// floats at the times of the series before.
    #[inline]
    pub(crate) fn each_window(&self, mut f: impl FnMut(Window<'a>)) -> Result<(), EvalError> {
        let columns: &'a Columns = self.columns;
        if columns.histograms.is_empty() {
            return self.each_window_of_floats(f);
        }
        let (mut floats, mut histograms, mut seen) = (Cursor::default(), Cursor::default(), 0);
        for step_idx in 0..self.windows.grid.len {
            let (start, end) = (self.windows.start(step_idx), self.windows.end(step_idx));
            floats.advance(&columns.timestamps, start, end);
            histograms.advance(&columns.histogram_timestamps, start, end);
            let n = floats.end - floats.first + histograms.end - histograms.first;
            // Empty windows take time too.
            seen += n + 1;
            if seen >= SAMPLES_PER_CHECK {
                self.budget.check()?;
                seen = 0;
            }
            if n == 0 {
                continue;
            }
            f(Window {
                step_idx,
                start,
                end,
                first: floats.first,
                timestamps: &columns.timestamps[floats.first..floats.end],
                values: &columns.values[floats.first..floats.end],
                histogram_timestamps: &columns.histogram_timestamps[histograms.first..histograms.end],
                histograms: &columns.histograms[histograms.first..histograms.end],
            });
        }
        Ok(())
    }

    /// The same of floats alone.
    #[inline]
    fn each_window_of_floats(&self, mut f: impl FnMut(Window<'a>)) -> Result<(), EvalError> {
        let columns: &'a Columns = self.columns;
        let mut bounds = self.shared.bounds.borrow_mut();
        let mut seen = 0;
        for Bounds { step_idx, first, end } in bounds.bounds(&columns.timestamps, &self.windows, self.budget)? {
            seen += end - first;
            if seen >= SAMPLES_PER_CHECK {
                self.budget.check()?;
                seen = 0;
            }
            f(Window {
                step_idx: *step_idx,
                start: self.windows.start(*step_idx),
                end: self.windows.end(*step_idx),
                first: *first,
                timestamps: &columns.timestamps[*first..*end],
                values: &columns.values[*first..*end],
                histogram_timestamps: &[],
                histograms: &[],
            });
        }
        Ok(())
    }

    /// The metric name, for remarks.
    pub(crate) fn name(&self) -> &'a str {
        self.labels.metric_name().unwrap_or("")
    }

    /// What remarks are about.
    pub(crate) fn subject(&self) -> Subject<'a> {
        Subject { at: self.at, metric: self.name() }
    }

    /// Leaves the remark that a window held both floats and histograms.
    pub(crate) fn note_mixed(&self, notes: &mut Notes) {
        notes.add(self.at, Remark::MixedFloatsHistograms(self.name()));
    }

    /// Leaves the remark that the histograms of a window were passed over.
    pub(crate) fn note_ignored(&self, window: &Window<'_>, notes: &mut Notes) {
        if !window.histograms.is_empty() {
            notes.add(self.at, Remark::HistogramIgnoredInRange(self.name()));
        }
    }

    /// Calls `f` for each window with floats, and remarks on histograms beside them.
    pub(crate) fn each_float_window(
        &self,
        notes: &mut Notes,
        mut f: impl FnMut(Window<'a>, &mut Notes),
    ) -> Result<(), EvalError> {
        self.each_window(|window| {
            if !window.values.is_empty() {
                self.note_ignored(&window, notes);
                f(window, notes);
            }
        })
    }
}
