//! How many samples an evaluation looks at, step by step, as Prometheus counts them for `stats=all`.
//!
//! Each selector counts what it finds for the steps it is evaluated at. A part that is evaluated over steps of its own,
//! once for all steps or as a subquery, has a tally of its own there, which is then added to that of the whole.
//! Source: Prometheus `promql/engine.go` and `util/stats/query_stats.go`.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Columns, Histogram};

use super::{Column, Cursor, Evaluator, Grid, PointRef, Series, Windows, columns_bytes, samples};
use crate::EvalError;

/// Samples that a query looked at, by step; a native histogram counts as many as it takes the room of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// What the query at each step alone would look at: of a range all of it, each time.
    pub queryable: Vec<u64>,
    /// What is read for each step: of a range what the step before has not.
    pub read: Vec<u64>,
}

/// The counts of one grid while it is evaluated.
#[derive(Debug)]
pub(crate) struct Tally {
    queryable: Vec<AtomicU64>,
    read: Vec<AtomicU64>,
}

/// The tally of the grid that is being evaluated.
#[derive(Debug)]
pub(crate) struct Tallies(Mutex<Arc<Tally>>);

/// Bytes of a tally for each step.
const STEP_BYTES: usize = 2 * size_of::<AtomicU64>();

impl Tally {
    fn new(len: usize) -> Tally {
        let zeros = || (0..len).map(|_| AtomicU64::new(0)).collect();
        Tally { queryable: zeros(), read: zeros() }
    }

    fn look_at(&self, step_idx: usize, n: u64) {
        self.queryable[step_idx].fetch_add(n, Relaxed);
    }

    fn read(&self, step_idx: usize, n: u64) {
        self.read[step_idx].fetch_add(n, Relaxed);
    }

    fn counts(&self) -> SampleCounts {
        let all = |counts: &[AtomicU64]| counts.iter().map(|n| n.load(Relaxed)).collect();
        SampleCounts { queryable: all(&self.queryable), read: all(&self.read) }
    }

    /// Adds what a subquery's expression read at the steps of `fine` to the first step of `windows` that sees each.
    fn merge_read(&self, inner: &Tally, fine: Grid, windows: &Windows) {
        let grid = windows.grid;
        for (at, n) in inner.read.iter().map(|n| n.load(Relaxed)).enumerate().filter(|(_, n)| *n != 0) {
            let t = fine.time(at).saturating_add(windows.offset_ms);
            let behind = t.saturating_sub(grid.start).max(0);
            let step_idx = usize::try_from((behind + grid.step_ms - 1) / grid.step_ms).unwrap_or(usize::MAX);
            let step_idx = if grid.len == 1 { 0 } else { step_idx.min(grid.len - 1) };
            // What lies between two windows is not looked at.
            if grid.len == 1 || grid.time(step_idx).saturating_sub(windows.range_ms) < t {
                self.read(step_idx, n);
            }
        }
    }
}

impl Tallies {
    /// A tally of `len` steps.
    pub(crate) fn new(len: usize) -> Tallies {
        Tallies(Mutex::new(Arc::new(Tally::new(len))))
    }

    /// What was counted.
    pub(crate) fn counts(&self) -> SampleCounts {
        self.current().counts()
    }

    fn current(&self) -> Arc<Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, tally: Arc<Tally>) -> Arc<Tally> {
        mem::replace(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner), tally)
    }
}

impl Evaluator<'_> {
    /// Counts the points that a selector found.
    pub(crate) fn count_points(&self, column: &Column) {
        let Some(tally) = self.tallies.as_ref().map(Tallies::current) else { return };
        for step_idx in 0..column.len() {
            let n = match column.get(step_idx) {
                None => continue,
                Some(PointRef::Float(_)) => 1,
                Some(PointRef::Histogram(histogram)) => weight(histogram),
            };
            tally.look_at(step_idx, n);
            tally.read(step_idx, n);
        }
    }

    /// Counts the samples of one series that a function of ranges sees.
    pub(super) fn count_windows(&self, columns: &Columns, windows: &Windows) {
        let Some(tally) = self.tallies.as_ref().map(Tallies::current) else { return };
        each_window(columns, windows, |step_idx, seen, new| {
            tally.look_at(step_idx, seen);
            tally.read(step_idx, new);
        });
    }

    /// Counts samples that are an answer as they are.
    pub(crate) fn count_answer(&self, columns: &Columns) {
        let Some(tally) = self.tallies.as_ref().map(Tallies::current) else { return };
        let n = columns.timestamps.len() as u64 + columns.histograms.iter().map(|h| weight(h)).sum::<u64>();
        tally.look_at(0, n);
        tally.read(0, n);
    }

    /// Evaluates what is the same at all of `len` steps, once: each step looks at all of it, the first reads it.
    pub(super) fn once<T>(&self, len: usize, evaluate: impl FnOnce() -> Result<T, EvalError>) -> Result<T, EvalError> {
        let (value, inner) = self.apart(1, evaluate)?;
        if let (Some(tallies), Some(inner)) = (&self.tallies, inner) {
            let tally = tallies.current();
            let n = inner.queryable[0].load(Relaxed);
            (0..len).for_each(|step_idx| tally.look_at(step_idx, n));
            tally.read(0, inner.read[0].load(Relaxed));
        }
        Ok(value)
    }

    /// Evaluates a subquery's expression over `fine`. If a function sees what comes of it, each step of `windows` looks
    /// at its part of that; else the only step looks at all that the expression looked at.
    pub(super) fn count_subquery(
        &self,
        fine: Grid,
        windows: &Windows,
        is_answer: bool,
        evaluate: impl FnOnce() -> Result<Vec<Series>, EvalError>,
    ) -> Result<Vec<Series>, EvalError> {
        let (series, inner) = self.apart(fine.len, evaluate)?;
        let (Some(tallies), Some(inner)) = (&self.tallies, inner) else { return Ok(series) };
        let (tally, mut columns) = (tallies.current(), Columns::default());
        tally.merge_read(&inner, fine, windows);
        if is_answer {
            inner.queryable.iter().for_each(|n| tally.look_at(0, n.load(Relaxed)));
            return Ok(series);
        }
        // Times, values, and what histograms add up to.
        let bytes = columns_bytes(3, fine.len);
        self.ctx.budget.charge(bytes)?;
        for s in &series {
            self.ctx.budget.check()?;
            samples(&s.column, fine, &mut columns);
            each_window(&columns, windows, |step_idx, seen, _| tally.look_at(step_idx, seen));
        }
        self.ctx.budget.release(bytes);
        Ok(series)
    }

    /// Evaluates with a tally of `len` steps of its own.
    fn apart<T>(
        &self,
        len: usize,
        evaluate: impl FnOnce() -> Result<T, EvalError>,
    ) -> Result<(T, Option<Arc<Tally>>), EvalError> {
        let Some(tallies) = &self.tallies else { return Ok((evaluate()?, None)) };
        self.ctx.budget.charge(len.saturating_mul(STEP_BYTES))?;
        let outer = tallies.replace(Arc::new(Tally::new(len)));
        let value = evaluate();
        let inner = tallies.replace(outer);
        self.ctx.budget.release(len.saturating_mul(STEP_BYTES));
        Ok((value?, Some(inner)))
    }
}

/// Tells for each step how much is in its window, and how much of that was not in the one before.
fn each_window(columns: &Columns, windows: &Windows, mut tell: impl FnMut(usize, u64, u64)) {
    let mut total = 0;
    let weights = columns.histograms.iter().map(|histogram| {
        total += weight(histogram);
        total
    });
    let totals: Vec<u64> = [0].into_iter().chain(weights).collect();
    let (mut floats, mut histograms) = (Cursor::default(), Cursor::default());
    for step_idx in 0..windows.grid.len {
        let (start, end) = (windows.start(step_idx), windows.end(step_idx));
        let (old_floats, old_histograms) = (floats.end, histograms.end);
        floats.advance(&columns.timestamps, start, end);
        histograms.advance(&columns.histogram_timestamps, start, end);
        let since =
            |float: usize, histogram: usize| (floats.end - float) as u64 + totals[histograms.end] - totals[histogram];
        let seen = since(floats.first, histograms.first);
        let new = since(floats.first.max(old_floats), histograms.first.max(old_histograms));
        tell(step_idx, seen, new);
    }
}

/// How many floats take the room of a histogram in Prometheus, its time included.
fn weight(histogram: &Histogram) -> u64 {
    let spans = histogram.positive_spans.len() + histogram.negative_spans.len();
    let buckets = histogram.positive_buckets.len() + histogram.negative_buckets.len();
    let bounds = histogram.custom_bounds.len();
    (168 + 8 * (spans + buckets + bounds + 1)) as u64 / 16
}
