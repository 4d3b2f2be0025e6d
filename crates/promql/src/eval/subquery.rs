//! Subqueries: an expression over a finer grid becomes the samples of ranges.

use std::sync::Arc;

use model::{Columns, ResetHint};

use super::select::subquery_bounds;
use super::{Column, Evaluator, Grid, PointRef, STEPS_MAX, Series, Shared, Windows, columns_bytes};
use crate::EvalError;
use crate::annotation::Notes;
use crate::expr::{Call, Expr, Subquery};
use crate::functions::{RangeFunction, RangeInput};

impl Evaluator<'_> {
    /// A function of ranges over a subquery, and the functions whose ranges are not taken series by series.
    pub(crate) fn range_over_subquery(
        &self,
        call: &Call,
        function: RangeFunction,
        grid: Grid,
    ) -> Result<Vec<Series>, EvalError> {
        let arg = call.args.iter().map(Expr::bare).find(|arg| matches!(arg, Expr::Subquery(_)));
        let Some(Expr::Subquery(subquery)) = arg else { return Err(self.mistyped(&Expr::Call(call.clone()))) };
        let (inner, fine, windows) = self.subquery(subquery, grid, false)?;
        let args = self.scalar_args(call, grid)?;
        let (mut out, mut notes, mut buf) = (Vec::new(), Notes::default(), String::new());
        let (mut columns, shared) = (Columns::default(), Shared::default());
        let samples_bytes = columns_bytes(2, fine.len);
        self.ctx.budget.charge(samples_bytes)?;
        for series in &inner {
            self.ctx.budget.check()?;
            samples(&series.column, fine, &mut columns);
            let mut column = Column::absent(grid.len);
            let (labels, budget) = (&series.labels, self.ctx.budget);
            let input = RangeInput {
                columns: &columns,
                windows,
                extended: None,
                naming: self.naming,
                args: &args,
                labels,
                at: call.args[0].bare().at(),
                budget,
                shared: &shared,
            };
            (function.kernel)(&input, &mut column, &mut notes)?;
            if column.is_void() {
                continue;
            }
            self.charge(1, grid)?;
            self.charge_histograms(&column)?;
            let mut result = Series { labels: labels.clone(), column, nameless: series.nameless };
            if !function.keeps_name {
                self.drop_name(&mut result, &mut buf);
            }
            out.push(result);
        }
        self.merge_notes(notes);
        self.ctx.budget.release(samples_bytes + shared.into_charged());
        self.discard(inner, fine);
        let n_before = out.len();
        if self.late_names {
            return Ok(out);
        }
        let merged = self.merge_same_labels(out, grid)?;
        if merged.len() < n_before { Err(EvalError::Invalid(super::SAME_LABELS.to_owned())) } else { Ok(merged) }
    }

    /// Evaluates a subquery's expression over its own grid, and says which windows of it each outer step sees. For the
    /// counts of samples it matters whether that is the answer.
    pub(crate) fn subquery(
        &self,
        subquery: &Subquery,
        grid: Grid,
        is_answer: bool,
    ) -> Result<(Vec<Series>, Grid, Windows), EvalError> {
        let windows = Windows {
            grid,
            pinned: self.span.pin(subquery.pinned),
            offset_ms: subquery.offset.ms,
            range_ms: subquery.range.ms,
        };
        let step_ms = subquery.step_ms();
        let last = windows.end(grid.len.saturating_sub(1));
        let (start, end) = subquery_bounds(windows.end(0), last, subquery.range.ms, step_ms);
        let Some(fine) = Grid::between(start, end, step_ms, STEPS_MAX) else {
            return Err(EvalError::Invalid(format!("subquery has more than {STEPS_MAX} steps")));
        };
        // Fail before the columns are made rather than after.
        self.ctx.budget.charge(columns_bytes(1, fine.len))?;
        self.ctx.budget.release(columns_bytes(1, fine.len));
        let evaluate = || self.vector(&subquery.expr, fine);
        let mut series = self.count_subquery(fine, &windows, is_answer, evaluate)?;
        for s in &mut series {
            forget_resets(&mut s.column);
        }
        Ok((series, fine, windows))
    }
}

/// A window may start between two samples or see one sample twice, so what a sample says of a reset before it no
/// longer holds.
fn forget_resets(column: &mut Column) {
    for histogram in column.histograms.iter_mut().flatten().flatten() {
        if matches!(histogram.reset_hint, ResetHint::Reset | ResetHint::NoReset) {
            Arc::make_mut(histogram).reset_hint = ResetHint::Unknown;
        }
    }
}

/// A column as samples.
pub(crate) fn samples(column: &Column, grid: Grid, into: &mut Columns) {
    into.clear();
    // As long as the column at most, which is what was charged: growing could take twice as much.
    let present = (0..column.len()).filter(|step_idx| column.has(*step_idx)).count();
    into.timestamps.reserve_exact(present);
    into.values.reserve_exact(present);
    for step_idx in 0..column.len() {
        match column.get(step_idx) {
            None => {}
            Some(PointRef::Float(float)) => into.push(grid.time(step_idx), float),
            Some(PointRef::Histogram(histogram)) => {
                into.histogram_timestamps.push(grid.time(step_idx));
                into.histograms.push(histogram.clone());
            }
        }
    }
}
