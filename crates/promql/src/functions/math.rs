//! Arithmetic on each value, beyond what the standard library names.

use std::f64::consts::PI;

use crate::EvalError;
use crate::eval::{Evaluator, Grid, ScalarColumn, Series, Stage};
use crate::expr::{Call, Expr};

pub(super) fn sgn(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// Keeps the sign of zero, as Go does.
pub(super) fn asinh(v: f64) -> f64 {
    if v == 0.0 { v } else { v.asinh() }
}

pub(super) fn rad(v: f64) -> f64 {
    v * PI / 180.0
}

pub(super) fn deg(v: f64) -> f64 {
    v * 180.0 / PI
}

pub(super) fn clamp(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let least = evaluator.scalar(&call.args[1], grid)?;
    let most = evaluator.scalar(&call.args[2], grid)?;
    clamped(evaluator, &call.args[0], least, most, grid)
}

pub(super) fn clamp_max(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let most = evaluator.scalar(&call.args[1], grid)?;
    clamped(evaluator, &call.args[0], ScalarColumn::Constant(f64::NEG_INFINITY), most, grid)
}

pub(super) fn clamp_min(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let least = evaluator.scalar(&call.args[1], grid)?;
    clamped(evaluator, &call.args[0], least, ScalarColumn::Constant(f64::INFINITY), grid)
}

fn clamped(
    evaluator: &Evaluator<'_>,
    vector: &Expr,
    least: ScalarColumn,
    most: ScalarColumn,
    grid: Grid,
) -> Result<Vec<Series>, EvalError> {
    let mut series = evaluator.vector(vector, grid)?;
    // Bounds the wrong way round leave nothing.
    for step_idx in (0..grid.len).filter(|step_idx| most.at(*step_idx) < least.at(*step_idx)) {
        for s in &mut series {
            s.column.unset(step_idx);
        }
    }
    let clamp = move |v: f64, step_idx: usize| greater(least.at(step_idx), lesser(most.at(step_idx), v));
    evaluator.map_series(series, &Stage::MapWith(Box::new(clamp)), grid)
}

/// The lesser of two numbers as Go's `math.Min`: nothing is less than -Inf, not even NaN; else NaN if one is.
pub(super) fn lesser(a: f64, b: f64) -> f64 {
    match (a.is_nan() || b.is_nan(), a == f64::NEG_INFINITY || b == f64::NEG_INFINITY) {
        (_, true) => f64::NEG_INFINITY,
        (true, false) => f64::NAN,
        (false, false) => a.min(b),
    }
}

/// The greater of two numbers, in the same way.
pub(super) fn greater(a: f64, b: f64) -> f64 {
    -lesser(-a, -b)
}

pub(super) fn round(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let nearest = match call.args.get(1) {
        Some(nearest) => evaluator.scalar(nearest, grid)?,
        None => ScalarColumn::Constant(1.0),
    };
    let series = evaluator.vector(&call.args[0], grid)?;
    let round = move |v: f64, step_idx: usize| {
        // The inverse is closer to a whole number than the parts that people round to.
        let inverse = 1.0 / nearest.at(step_idx);
        (v * inverse + 0.5).floor() / inverse
    };
    evaluator.map_series(series, &Stage::MapWith(Box::new(round)), grid)
}
