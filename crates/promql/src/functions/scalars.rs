//! Functions between scalars and vectors, and those that tell the query's times.

use model::{Labels, is_stale};

use super::math::{greater, lesser};
use crate::EvalError;
use crate::eval::{Column, Evaluator, Grid, ScalarColumn, Series};
use crate::expr::Call;

type Scalars = Result<ScalarColumn, EvalError>;

pub(super) fn pi(_: &Evaluator<'_>, _: &Call, _: Grid) -> Scalars {
    Ok(ScalarColumn::Constant(std::f64::consts::PI))
}

pub(super) fn time(evaluator: &Evaluator<'_>, _: &Call, grid: Grid) -> Scalars {
    evaluator.charge(1, grid)?;
    Ok(ScalarColumn::Steps((0..grid.len).map(|step_idx| grid.time(step_idx) as f64 / 1000.0).collect()))
}

pub(super) fn start(evaluator: &Evaluator<'_>, _: &Call, _: Grid) -> Scalars {
    Ok(ScalarColumn::Constant(evaluator.span.start as f64 / 1000.0))
}

pub(super) fn end(evaluator: &Evaluator<'_>, _: &Call, _: Grid) -> Scalars {
    Ok(ScalarColumn::Constant(evaluator.span.end as f64 / 1000.0))
}

pub(super) fn range(evaluator: &Evaluator<'_>, _: &Call, _: Grid) -> Scalars {
    Ok(ScalarColumn::Constant(evaluator.span.range_ms() as f64 / 1000.0))
}

pub(super) fn step(evaluator: &Evaluator<'_>, _: &Call, _: Grid) -> Scalars {
    Ok(ScalarColumn::Constant(evaluator.span.step_or_zero_ms() as f64 / 1000.0))
}

pub(super) fn max_of(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Scalars {
    let other = evaluator.scalar(&call.args[1], grid)?;
    Ok(evaluator.scalar(&call.args[0], grid)?.zip(&other, grid.len, greater))
}

pub(super) fn min_of(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Scalars {
    let other = evaluator.scalar(&call.args[1], grid)?;
    Ok(evaluator.scalar(&call.args[0], grid)?.zip(&other, grid.len, lesser))
}

/// The only float of each step, NaN where there is none or more than one.
pub(super) fn scalar(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Scalars {
    let series = evaluator.vector(&call.args[0], grid)?;
    evaluator.charge(1, grid)?;
    let mut values = vec![f64::NAN; grid.len];
    for (step_idx, value) in values.iter_mut().enumerate() {
        evaluator.ctx.budget.check()?;
        let mut floats = series.iter().map(|s| s.column.floats[step_idx]).filter(|v| !is_stale(*v));
        if let (Some(only), None) = (floats.next(), floats.next()) {
            *value = only;
        }
    }
    evaluator.discard(series, grid);
    Ok(ScalarColumn::Steps(values))
}

pub(super) fn vector(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let scalar = evaluator.scalar(&call.args[0], grid)?;
    evaluator.charge(1, grid)?;
    let floats = (0..grid.len).map(|step_idx| scalar.at(step_idx)).collect();
    Ok(vec![Series::new(Labels::empty(), Column { floats, histograms: None })])
}
