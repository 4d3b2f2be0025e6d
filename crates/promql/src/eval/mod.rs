//! Evaluation: an expression over a grid of steps becomes columns.

mod aggregate;
mod aggregate_each;
mod aggregate_pick;
mod binary;
mod binary_fill;
mod binary_match;
mod by_times;
mod column;
mod grid;
mod group;
mod histogram_sum;
mod operator;
mod raw;
mod select;
mod smoothed;
mod sorted;
mod stage;
mod stream;
mod subquery;
mod tally;
mod wide;

use std::sync::{Arc, Mutex, PoisonError};

use hashbrown::HashMap;
use model::{Histogram, Labels, SeriesSet, Timestamp};

pub(crate) use by_times::{Bounds, Shared, WINDOWS_PER_CHECK};
pub(crate) use column::{Column, Naming, PointRef, ScalarColumn, Series, TYPE_LABEL};
pub(crate) use grid::{Cursor, Grid, Windows};
pub(crate) use histogram_sum::Resets;
pub(crate) use select::Selections;
pub(crate) use stage::Stage;
pub(crate) use stream::{mark_windows, timestamps};
pub(crate) use subquery::samples;
pub use tally::SampleCounts;
pub(crate) use tally::Tallies;
pub(crate) use wide::wide;

use crate::annotation::{Notes, Remark};
use crate::expr::{At, Call, Expr, Offset, Selector, ValueType};
use crate::functions::Body;
use crate::{Context, EvalError};

/// Steps a subquery may have: a year of 7 s. One column of more takes so long that ending the query is not noticed
/// within a tenth of a second.
pub(crate) const STEPS_MAX: usize = 5_000_000;

/// Bytes of one float point.
pub(crate) const POINT_BYTES: usize = size_of::<f64>();

/// Bytes that one series costs beside its points: its vectors, its place in lists and tables, and usual labels.
pub(crate) const SERIES_BYTES: usize = 384;

/// Bytes that a series costs while groups are made: its place in one, and a group of its own at worst.
pub(crate) const GROUP_BYTES: usize = 256;

/// What every part of one evaluation shares.
pub(crate) struct Evaluator<'a> {
    pub(crate) ctx: &'a Context<'a>,
    pub(crate) span: QuerySpan,
    pub(crate) selections: Selections,
    pub(crate) notes: Mutex<Notes>,
    /// Counts samples, if that was asked for.
    pub(crate) tallies: Option<Tallies>,
    /// Whether metric names stay until the end, for functions of labels to see, and are dropped from the answer.
    pub(crate) late_names: bool,
    /// Whether functions see since when samples count.
    pub(crate) start_timestamps: bool,
    /// What goes with a metric name.
    pub(crate) naming: Naming,
}

/// The times the query itself was asked for: what `start()` and `end()` mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QuerySpan {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
    pub(crate) step_ms: i64,
}

impl QuerySpan {
    /// The distance of the steps in ms, 0 when there is one step.
    pub(crate) fn step_or_zero_ms(&self) -> i64 {
        if self.start == self.end { 0 } else { self.step_ms }
    }

    /// From the first to the last time, in ms.
    pub(crate) fn range_ms(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }

    pub(crate) fn pin(&self, pinned: Option<At>) -> Option<Timestamp> {
        pinned.map(|at| match at {
            At::Time(t) => t,
            At::Start => self.start,
            At::End => self.end,
        })
    }
}

/// The message for two series that would share their labels.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

impl Evaluator<'_> {
    /// Keeps a remark.
    pub(crate) fn note(&self, at: Offset, remark: Remark<'_>) {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).add(at, remark);
    }

    pub(crate) fn merge_notes(&self, notes: Notes) {
        if !notes.is_empty() {
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).merge(notes);
        }
    }

    /// The series a selector found.
    pub(crate) fn set(&self, selector: &Selector) -> &dyn SeriesSet {
        self.selections.set(selector.selector_idx)
    }

    /// Takes the memory of `n_series` columns.
    pub(crate) fn charge(&self, n_series: usize, grid: Grid) -> Result<(), EvalError> {
        Ok(self.ctx.budget.charge(columns_bytes(n_series, grid.len))?)
    }

    /// Takes the memory of the histograms in `column`, until the query ends.
    pub(crate) fn charge_histograms(&self, column: &Column) -> Result<(), EvalError> {
        let Some(histograms) = &column.histograms else { return Ok(()) };
        let places = size_of_val(histograms.as_slice());
        Ok(self.ctx.budget.charge(places.saturating_add(histogram_bytes(histograms.iter().flatten())))?)
    }

    /// `items` in order; of equals the first stays first. Unlike a sort of the standard library it notices that the
    /// query was ended.
    pub(crate) fn sorted<T>(
        &self,
        items: Vec<T>,
        order: impl FnMut(&T, &T) -> std::cmp::Ordering,
    ) -> Result<Vec<T>, EvalError> {
        sorted::sorted(items, self.ctx.budget, order)
    }

    /// Lets go of `series` and of the memory charged for them.
    pub(crate) fn discard(&self, series: Vec<Series>, grid: Grid) {
        self.ctx.budget.release(columns_bytes(series.len(), grid.len));
    }

    /// Evaluates an expression whose type is scalar.
    pub(crate) fn scalar(&self, expr: &Expr, grid: Grid) -> Result<ScalarColumn, EvalError> {
        self.ctx.budget.check()?;
        match expr {
            Expr::Number { value, .. } => Ok(ScalarColumn::Constant(*value)),
            Expr::Paren(_, inner) => self.scalar(inner, grid),
            Expr::Invariant(inner) if grid.len > 1 => {
                let only = self.once(grid.len, || self.scalar(inner, Grid { len: 1, ..grid }))?;
                Ok(ScalarColumn::Constant(only.at(0)))
            }
            Expr::Invariant(inner) => self.scalar(inner, grid),
            Expr::Negate(_, inner) => Ok(self.scalar(inner, grid)?.map(|v| -v)),
            Expr::Binary(binary) => {
                let lhs = self.scalar(&binary.lhs, grid)?;
                let rhs = self.scalar(&binary.rhs, grid)?;
                Ok(lhs.zip(&rhs, grid.len, |a, b| operator::scalars(binary.op, a, b)))
            }
            Expr::Call(call) => match call.function.body {
                Body::Scalar(body) => body(self, call, grid),
                _ => Err(self.mistyped(expr)),
            },
            _ => Err(self.mistyped(expr)),
        }
    }

    /// Evaluates an expression whose type is instant vector. Series come in the order they were found; the same
    /// labels never come twice.
    pub(crate) fn vector(&self, expr: &Expr, grid: Grid) -> Result<Vec<Series>, EvalError> {
        self.ctx.budget.check()?;
        if grid.len == 0 {
            return Ok(Vec::new());
        }
        if let Some(stream) = self.stream(expr, grid)? {
            return self.collect(&stream);
        }
        match expr {
            Expr::Paren(_, inner) => self.vector(inner, grid),
            Expr::Invariant(inner) => self.invariant(inner, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Negate(_, inner) => {
                let series = self.vector(inner, grid)?;
                self.map_series(series, &Stage::Negate, grid)
            }
            Expr::Call(call) => self.call(expr, call, grid),
            _ => Err(self.mistyped(expr)),
        }
    }

    fn invariant(&self, inner: &Expr, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let once = Grid { len: 1, ..grid };
        if grid.len == 1 {
            return self.vector(inner, once);
        }
        let series = self.once(grid.len, || self.vector(inner, once))?;
        self.charge(series.len(), grid)?;
        self.ctx.budget.release(columns_bytes(series.len(), 1));
        let mut out = Vec::with_capacity(series.len());
        for s in series {
            self.ctx.budget.check()?;
            out.push(Series { column: s.column.repeat(grid.len), ..s });
        }
        Ok(out)
    }

    fn call(&self, expr: &Expr, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
        match call.function.body {
            Body::Map(map) => {
                let series = self.vector(&call.args[0], grid)?;
                self.map_series(series, &Stage::Map(map), grid)
            }
            Body::HistogramMap(map) => {
                let series = self.vector(&call.args[0], grid)?;
                self.map_series(series, &Stage::HistogramMap(map), grid)
            }
            Body::Range(range) => self.range_over_subquery(call, range, grid),
            Body::Vector(body) => body(self, call, grid),
            Body::Scalar(_) => Err(self.mistyped(expr)),
        }
    }

    /// Applies a stage to each series of a vector, and drops those without points.
    pub(crate) fn map_series(&self, series: Vec<Series>, stage: &Stage, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let (n_before, mut out, mut notes) = (series.len(), Vec::with_capacity(series.len()), Notes::default());
        let mut buf = String::new();
        for mut s in series {
            self.ctx.budget.check()?;
            stage.apply(&mut s.column, &mut notes);
            if s.column.is_void() {
                continue;
            }
            if stage.drops_name() {
                self.drop_name(&mut s, &mut buf);
            }
            out.push(s);
        }
        self.merge_notes(notes);
        self.ctx.budget.release(columns_bytes(n_before - out.len(), grid.len));
        if stage.drops_name() && !self.late_names { self.merge_same_labels(out, grid) } else { Ok(out) }
    }

    /// Takes the metric name away, now or at the end.
    pub(crate) fn drop_name(&self, series: &mut Series, buf: &mut String) {
        if self.late_names {
            series.nameless = true;
        } else {
            series.labels = self.naming.strip(&series.labels, buf);
        }
    }

    /// Drops the names that were kept until the end.
    pub(crate) fn drop_late_names(&self, mut series: Vec<Series>, grid: Grid) -> Result<Vec<Series>, EvalError> {
        if !self.late_names {
            return Ok(series);
        }
        let mut buf = String::new();
        for s in series.iter_mut().filter(|s| s.nameless) {
            s.labels = self.naming.strip(&s.labels, &mut buf);
        }
        self.merge_same_labels(series, grid)
    }

    /// Joins series that came to share their labels; two points at one step are an error.
    pub(crate) fn merge_same_labels(&self, series: Vec<Series>, grid: Grid) -> Result<Vec<Series>, EvalError> {
        let mut seen: HashMap<Labels, usize, ahash::RandomState> =
            HashMap::with_capacity_and_hasher(series.len(), Default::default());
        let n_before = series.len();
        let mut out: Vec<Series> = Vec::with_capacity(series.len());
        for s in series {
            self.ctx.budget.check()?;
            let Some(at) = seen.get(&s.labels).copied() else {
                seen.insert(s.labels.clone(), out.len());
                out.push(s);
                continue;
            };
            for step_idx in 0..s.column.len() {
                let Some(point) = s.column.get(step_idx) else { continue };
                if out[at].column.has(step_idx) {
                    return Err(EvalError::Invalid(SAME_LABELS.to_owned()));
                }
                out[at].column.set(step_idx, point);
            }
        }
        self.ctx.budget.release(columns_bytes(n_before - out.len(), grid.len));
        Ok(out)
    }

    /// The text of a string literal.
    pub(crate) fn text<'e>(&self, expr: &'e Expr) -> Result<&'e str, EvalError> {
        match expr.bare() {
            Expr::Text { text, .. } => Ok(text),
            other => Err(self.mistyped(other)),
        }
    }

    /// The error for a tree that `check` should have refused.
    pub(crate) fn mistyped(&self, expr: &Expr) -> EvalError {
        let found: ValueType = expr.value_type();
        EvalError::Invalid(format!("unexpected {} expression", found.describe()))
    }
}

/// Bytes of `n_series` columns of `len` steps.
pub(crate) fn columns_bytes(n_series: usize, len: usize) -> usize {
    n_series.saturating_mul(len.saturating_mul(POINT_BYTES).saturating_add(SERIES_BYTES))
}

/// Bytes of histograms; one that comes several times in a row is there once.
pub(crate) fn histogram_bytes<'a>(histograms: impl Iterator<Item = &'a Arc<Histogram>>) -> usize {
    let (mut bytes, mut last) = (0usize, None::<&Arc<Histogram>>);
    for histogram in histograms {
        if last.is_none_or(|last| !Arc::ptr_eq(last, histogram)) {
            bytes += histogram.size_bytes();
        }
        last = Some(histogram);
    }
    bytes
}

/// Whether a histogram is a staleness marker.
pub(crate) fn is_stale_histogram(histogram: &Histogram) -> bool {
    model::is_stale(histogram.sum)
}
