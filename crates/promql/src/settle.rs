//! Computes the lengths of time that follow the query's step and range, before an evaluation.

use crate::EvalError;
use crate::eval::QuerySpan;
use crate::expr::Expr;
use crate::span::Span;

/// The message for a range or a step that is no time at all.
pub(crate) const NOT_POSITIVE: &str = "duration must be greater than 0";

/// Gives every length of time in `expr` its value in the query of `span`.
///
/// Errors: one that is not finite, out of range, or not positive where it has to be.
pub(crate) fn settle(expr: &mut Expr, span: &QuerySpan) -> Result<(), EvalError> {
    match expr {
        Expr::Number { .. } | Expr::Text { .. } => Ok(()),
        Expr::Selector(selector) => compute(&mut selector.offset, span),
        Expr::Range(range) => {
            compute(&mut range.selector.offset, span)?;
            compute_positive(&mut range.range, span)
        }
        Expr::Subquery(subquery) => {
            compute(&mut subquery.offset, span)?;
            compute_positive(&mut subquery.range, span)?;
            subquery.step.iter_mut().try_for_each(|step| compute_positive(step, span))?;
            settle(&mut subquery.expr, span)
        }
        Expr::Call(call) => call.args.iter_mut().try_for_each(|arg| settle(arg, span)),
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter_mut().try_for_each(|param| settle(param, span))?;
            settle(&mut aggregate.expr, span)
        }
        Expr::Binary(binary) => {
            settle(&mut binary.lhs, span)?;
            settle(&mut binary.rhs, span)
        }
        Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => settle(inner, span),
    }
}

fn compute(length: &mut Span, span: &QuerySpan) -> Result<(), EvalError> {
    if let Some(expr) = &length.expr {
        let computed = expr.ms(span.step_or_zero_ms(), span.range_ms());
        length.ms = computed.map_err(|message| EvalError::Invalid(message.to_owned()))?;
    }
    Ok(())
}

fn compute_positive(length: &mut Span, span: &QuerySpan) -> Result<(), EvalError> {
    compute(length, span)?;
    if length.ms > 0 { Ok(()) } else { Err(EvalError::Invalid(NOT_POSITIVE.to_owned())) }
}
