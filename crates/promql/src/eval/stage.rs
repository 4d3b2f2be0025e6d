//! Steps of computation that take one series at a time and need no other.

use std::sync::Arc;

use model::{Histogram, Keep, is_stale};

use super::{Column, PointRef, ScalarColumn, operator};
use crate::annotation::Notes;
use crate::expr::{BinaryOp, Offset};

/// A computation on each series by itself.
pub(crate) enum Stage {
    /// The unary minus.
    Negate,
    /// A function of each float; histograms are left out.
    Map(fn(f64) -> f64),
    /// A function of each float with scalars beside it; histograms are left out.
    MapWith(Box<dyn Fn(f64, usize) -> f64 + Send + Sync>),
    /// A number for each native histogram; floats are left out.
    HistogramMap(fn(&Histogram) -> f64),
    /// An operator with a scalar on one side.
    Scalar(ScalarStage),
}

/// An operator between each point and a scalar.
pub(crate) struct ScalarStage {
    pub(crate) op: BinaryOp,
    pub(crate) scalar: ScalarColumn,
    /// Whether the scalar stands on the left.
    pub(crate) scalar_left: bool,
    pub(crate) returns_bool: bool,
    /// Where the binary expression starts.
    pub(crate) at: Offset,
}

impl Stage {
    /// Whether the series lose their metric name.
    pub(crate) fn drops_name(&self) -> bool {
        match self {
            Stage::Negate | Stage::Map(_) | Stage::MapWith(_) | Stage::HistogramMap(_) => true,
            Stage::Scalar(stage) => stage.op.drops_name() || stage.returns_bool,
        }
    }

    /// Replaces the column by the result.
    pub(crate) fn apply(&self, column: &mut Column, notes: &mut Notes) {
        match self {
            Stage::Negate => negate(column),
            Stage::Map(map) => {
                column.drop_histograms();
                for float in column.floats.iter_mut().filter(|float| !is_stale(**float)) {
                    *float = map(*float);
                }
            }
            Stage::MapWith(map) => {
                column.drop_histograms();
                for (step_idx, float) in column.floats.iter_mut().enumerate().filter(|(_, float)| !is_stale(**float)) {
                    *float = map(*float, step_idx);
                }
            }
            Stage::HistogramMap(map) => {
                let histograms = column.histograms.take();
                column.reset(column.len());
                for (step_idx, histogram) in histograms.into_iter().flatten().enumerate() {
                    if let Some(histogram) = histogram {
                        column.floats[step_idx] = map(&histogram);
                    }
                }
            }
            Stage::Scalar(stage) => stage.apply(column, notes),
        }
    }
}

fn negate(column: &mut Column) {
    for float in column.floats.iter_mut().filter(|float| !is_stale(**float)) {
        *float = -*float;
    }
    for histogram in column.histograms.iter_mut().flatten().flatten() {
        let mut negated = Histogram::clone(histogram);
        negated.scale(-1.0);
        *histogram = Arc::new(negated);
    }
}

impl ScalarStage {
    fn apply(&self, column: &mut Column, notes: &mut Notes) {
        if let (ScalarColumn::Constant(scalar), None, true) = (&self.scalar, &column.histograms, self.op.drops_name()) {
            return self.arithmetic(*scalar, &mut column.floats);
        }
        for step_idx in 0..column.len() {
            let scalar = self.scalar.at(step_idx);
            match column.get(step_idx) {
                None => {}
                Some(PointRef::Float(_)) if self.op.is_trim() => {
                    operator::incompatible::<()>(notes, self.at, "float", self.op, "float");
                    column.unset(step_idx);
                }
                Some(PointRef::Float(float)) => match self.float(float, scalar) {
                    Some(result) => column.floats[step_idx] = result,
                    None => column.unset(step_idx),
                },
                Some(PointRef::Histogram(histogram)) => {
                    let histogram = histogram.clone();
                    self.histogram(column, step_idx, &histogram, scalar, notes);
                }
            }
        }
    }

    /// The common case without a branch for each operator in the loop.
    fn arithmetic(&self, scalar: f64, floats: &mut [f64]) {
        let each = |floats: &mut [f64], f: &dyn Fn(f64) -> f64| {
            for float in floats.iter_mut().filter(|float| !is_stale(**float)) {
                *float = f(*float);
            }
        };
        match (self.op, self.scalar_left) {
            (BinaryOp::Mul, _) => {
                for float in floats.iter_mut().filter(|float| !is_stale(**float)) {
                    *float *= scalar;
                }
            }
            (BinaryOp::Div, false) => {
                for float in floats.iter_mut().filter(|float| !is_stale(**float)) {
                    *float /= scalar;
                }
            }
            (op, false) => each(floats, &|v| operator::scalars(op, v, scalar)),
            (op, true) => each(floats, &|v| operator::scalars(op, scalar, v)),
        }
    }

    fn float(&self, float: f64, scalar: f64) -> Option<f64> {
        let (lhs, rhs) = if self.scalar_left { (scalar, float) } else { (float, scalar) };
        if !self.op.is_comparison() {
            return Some(operator::scalars(self.op, lhs, rhs));
        }
        let holds = operator::compare(self.op, lhs, rhs);
        if self.returns_bool {
            return Some(f64::from(u8::from(holds)));
        }
        // The vector's own value stays, on whichever side it stands.
        holds.then_some(float)
    }

    fn histogram(
        &self,
        column: &mut Column,
        step_idx: usize,
        histogram: &Arc<Histogram>,
        scalar: f64,
        notes: &mut Notes,
    ) {
        column.unset(step_idx);
        let result = match (self.op, self.scalar_left) {
            (BinaryOp::Mul, _) => operator::scaled(histogram, |h| h.scale(scalar)),
            (BinaryOp::Div, false) => operator::scaled(histogram, |h| h.divide(scalar)),
            (BinaryOp::TrimUpper, false) => operator::trimmed(histogram, scalar, Keep::Below),
            (BinaryOp::TrimLower, false) => operator::trimmed(histogram, scalar, Keep::Above),
            (op, scalar_left) => {
                let (lhs, rhs) = if scalar_left { ("float", "histogram") } else { ("histogram", "float") };
                operator::incompatible::<()>(notes, self.at, lhs, op, rhs);
                return;
            }
        };
        column.set_histogram(step_idx, result);
    }
}
