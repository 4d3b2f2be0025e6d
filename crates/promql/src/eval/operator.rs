//! What each binary operator does to two points.

use std::sync::Arc;

use model::{Histogram, HistogramError, Keep};

use super::PointRef;
use crate::annotation::{Notes, Remark};
use crate::expr::{BinaryOp, Offset};

/// A computed point.
pub(crate) enum Outcome {
    Float(f64),
    Histogram(Arc<Histogram>),
}

/// The operator between two numbers; comparisons give 1 or 0.
#[inline]
pub(crate) fn scalars(op: BinaryOp, lhs: f64, rhs: f64) -> f64 {
    match op {
        BinaryOp::Add => lhs + rhs,
        BinaryOp::Sub => lhs - rhs,
        BinaryOp::Mul => lhs * rhs,
        BinaryOp::Div => lhs / rhs,
        BinaryOp::Mod => lhs % rhs,
        BinaryOp::Pow => power(lhs, rhs),
        BinaryOp::Atan2 => lhs.atan2(rhs),
        _ => f64::from(u8::from(compare(op, lhs, rhs))),
    }
}

/// As Go: a base of -1 with an infinite exponent is 1 in both.
fn power(base: f64, exponent: f64) -> f64 {
    base.powf(exponent)
}

/// Whether a comparison holds.
#[inline]
pub(crate) fn compare(op: BinaryOp, lhs: f64, rhs: f64) -> bool {
    match op {
        BinaryOp::Equal => lhs == rhs,
        BinaryOp::NotEqual => lhs != rhs,
        BinaryOp::Less => lhs < rhs,
        BinaryOp::LessEqual => lhs <= rhs,
        BinaryOp::Greater => lhs > rhs,
        BinaryOp::GreaterEqual => lhs >= rhs,
        _ => false,
    }
}

/// The operator between two points of vectors: the value and whether a comparison keeps it; `None` when the types do
/// not fit, which leaves a remark.
pub(crate) fn points(
    op: BinaryOp,
    lhs: PointRef<'_>,
    rhs: PointRef<'_>,
    at: Offset,
    notes: &mut Notes,
) -> Option<(Outcome, bool)> {
    match (lhs, rhs) {
        (PointRef::Float(_), PointRef::Float(_)) if op.is_trim() => incompatible(notes, at, "float", op, "float"),
        (PointRef::Float(l), PointRef::Float(r)) if op.is_comparison() => Some((Outcome::Float(l), compare(op, l, r))),
        (PointRef::Float(l), PointRef::Float(r)) => Some((Outcome::Float(scalars(op, l, r)), true)),
        (PointRef::Float(l), PointRef::Histogram(r)) => match op {
            BinaryOp::Mul => Some((Outcome::Histogram(scaled(r, |h| h.scale(l))), true)),
            _ => incompatible(notes, at, "float", op, "histogram"),
        },
        (PointRef::Histogram(l), PointRef::Float(r)) => match op {
            BinaryOp::Mul => Some((Outcome::Histogram(scaled(l, |h| h.scale(r))), true)),
            BinaryOp::Div => Some((Outcome::Histogram(scaled(l, |h| h.divide(r))), true)),
            BinaryOp::TrimUpper => Some((Outcome::Histogram(trimmed(l, r, Keep::Below)), true)),
            BinaryOp::TrimLower => Some((Outcome::Histogram(trimmed(l, r, Keep::Above)), true)),
            _ => incompatible(notes, at, "histogram", op, "float"),
        },
        (PointRef::Histogram(l), PointRef::Histogram(r)) => histograms(op, l, r, at, notes),
    }
}

fn histograms(
    op: BinaryOp,
    lhs: &Arc<Histogram>,
    rhs: &Arc<Histogram>,
    at: Offset,
    notes: &mut Notes,
) -> Option<(Outcome, bool)> {
    let mut result = Histogram::clone(lhs);
    let (done, operation) = match op {
        BinaryOp::Equal => return Some((Outcome::Histogram(lhs.clone()), lhs.same_as(rhs))),
        BinaryOp::NotEqual => return Some((Outcome::Histogram(lhs.clone()), !lhs.same_as(rhs))),
        BinaryOp::Add => (result.add(rhs), "addition"),
        BinaryOp::Sub => (result.subtract(rhs), "subtraction"),
        _ => return incompatible(notes, at, "histogram", op, "histogram"),
    };
    match done {
        Ok(merged) => {
            // Prometheus keeps one remark of an operation: the reset collision is overwritten by the reconciliation.
            if merged.bounds_reconciled {
                notes.add(at, Remark::CustomBucketsReconciled(operation));
            } else if merged.reset_collision {
                notes.add(at, Remark::CounterResetCollision(operation));
            }
        }
        Err(HistogramError::IncompatibleSchemas) => {
            notes.add(at, Remark::IncompatibleBuckets(op.as_str()));
            return None;
        }
    }
    if op == BinaryOp::Sub {
        result.reset_hint = model::ResetHint::Gauge;
    }
    result.compact();
    Some((Outcome::Histogram(Arc::new(result)), true))
}

/// A changed copy of a histogram.
pub(crate) fn scaled(histogram: &Histogram, change: impl FnOnce(&mut Histogram)) -> Arc<Histogram> {
    let mut result = histogram.clone();
    change(&mut result);
    result.compact();
    Arc::new(result)
}

/// A copy cut off at `value`.
pub(crate) fn trimmed(histogram: &Histogram, value: f64, keep: Keep) -> Arc<Histogram> {
    let mut result = histogram.clone();
    result.trim(value, keep);
    Arc::new(result)
}

/// Leaves the remark that an operator does not go with these types.
pub(crate) fn incompatible<T>(notes: &mut Notes, at: Offset, lhs: &str, op: BinaryOp, rhs: &str) -> Option<T> {
    notes.add(at, Remark::IncompatibleTypes { lhs, op: op.as_str(), rhs });
    None
}
