//! Functions that tell where there is nothing.

use hashbrown::HashSet;
use model::{Labels, LabelsBuilder, METRIC_NAME, MatchOp, Matcher};

use crate::EvalError;
use crate::eval::{Column, Evaluator, Grid, Series};
use crate::expr::{Call, Expr};
use crate::functions::check_extent;

pub(super) fn absent(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let series = evaluator.vector(&call.args[0], grid)?;
    let present = |step_idx: usize| series.iter().any(|s| s.column.has(step_idx));
    let result = ones(evaluator, &call.args[0], grid, present);
    evaluator.discard(series, grid);
    result
}

/// 1 at each step that is not `present`, under the labels that the argument asks for by `=`.
fn ones(
    evaluator: &Evaluator<'_>,
    arg: &Expr,
    grid: Grid,
    present: impl Fn(usize) -> bool,
) -> Result<Vec<Series>, EvalError> {
    let mut column = Column::absent(grid.len);
    for step_idx in 0..grid.len {
        evaluator.ctx.budget.check()?;
        if !present(step_idx) {
            column.floats[step_idx] = 1.0;
        }
    }
    if column.is_void() {
        return Ok(Vec::new());
    }
    evaluator.charge(1, grid)?;
    Ok(vec![Series::new(asked_labels(arg), column)])
}

fn asked_labels(arg: &Expr) -> Labels {
    let matchers: &[Matcher] = match arg.bare() {
        Expr::Selector(selector) => &selector.matchers,
        Expr::Range(range) => &range.selector.matchers,
        _ => &[],
    };
    let (mut labels, mut seen) = (LabelsBuilder::default(), HashSet::new());
    for matcher in matchers.iter().filter(|matcher| matcher.name() != METRIC_NAME) {
        // A label that is matched twice is left out.
        if matcher.op() == MatchOp::Equal && seen.insert(matcher.name()) {
            labels.set(matcher.name(), matcher.value());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build()
}

pub(super) fn absent_over_time(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let mut present = vec![false; grid.len];
    match call.args[0].bare() {
        Expr::Range(range) => {
            check_extent(call, &range.selector)?;
            let windows = evaluator.windows(&range.selector, range.range.ms, grid);
            evaluator.mark_present(&range.selector, &windows, &mut present)?;
        }
        Expr::Subquery(subquery) => {
            let (inner, fine, windows) = evaluator.subquery(subquery, grid, false)?;
            let mut columns = model::Columns::default();
            for s in &inner {
                evaluator.ctx.budget.check()?;
                crate::eval::samples(&s.column, fine, &mut columns);
                crate::eval::mark_windows(&columns, &windows, &mut present);
            }
            evaluator.discard(inner, fine);
        }
        other => return Err(evaluator.mistyped(other)),
    }
    ones(evaluator, &call.args[0], grid, |step_idx| present[step_idx])
}
