//! Marks the parts of an expression that have one value for all steps, so that they are evaluated once, and the
//! selectors of which only counts and sums of histograms are read.

use crate::expr::{Binary, Call, Expr};

/// Wraps the largest invariant parts of `expr`.
pub(crate) fn prepare(mut expr: Expr) -> Expr {
    mark_statistics(&mut expr, Reading::Whole);
    if mark(&mut expr).wrap {
        wrap(&mut expr);
    }
    expr
}

/// What is known of a part.
#[derive(Clone, Copy)]
struct Part {
    /// It has one value for all steps.
    invariant: bool,
    /// Wrapping it saves work: literals and ranges are left as they are.
    wrap: bool,
}

const VARIES: Part = Part { invariant: false, wrap: false };

fn wrap(expr: &mut Expr) {
    let inner = std::mem::replace(expr, Expr::Number { value: 0.0, at: 0 });
    *expr = Expr::Invariant(Box::new(inner));
}

/// Wraps invariant parts below `expr` unless `expr` itself is invariant.
fn mark(expr: &mut Expr) -> Part {
    match expr {
        Expr::Number { .. } | Expr::Text { .. } => Part { invariant: true, wrap: false },
        Expr::Selector(selector) => {
            let invariant = selector.pinned.is_some();
            Part { invariant, wrap: invariant }
        }
        Expr::Range(range) => Part { invariant: range.selector.pinned.is_some(), wrap: false },
        Expr::Subquery(subquery) => {
            if mark(&mut subquery.expr).invariant {
                wrap(&mut subquery.expr);
            }
            Part { invariant: subquery.pinned.is_some(), wrap: false }
        }
        Expr::Aggregate(aggregate) => {
            // A parameter may follow the steps even where the vector does not.
            let param = aggregate.param.as_mut().map(mark);
            let vector = mark(&mut aggregate.expr);
            let invariant = vector.invariant && param.is_none_or(|param| param.invariant);
            if !invariant {
                wrap_if(&mut aggregate.expr, vector);
                if let (Some(expr), Some(param)) = (&mut aggregate.param, param) {
                    wrap_if(expr, param);
                }
                return VARIES;
            }
            Part { invariant: true, wrap: true }
        }
        Expr::Call(call) => mark_call(call),
        Expr::Binary(binary) => {
            let (lhs, rhs) = (mark(&mut binary.lhs), mark(&mut binary.rhs));
            if lhs.invariant && rhs.invariant {
                return Part { invariant: true, wrap: true };
            }
            wrap_if(&mut binary.lhs, lhs);
            wrap_if(&mut binary.rhs, rhs);
            VARIES
        }
        Expr::Negate(_, inner) | Expr::Paren(_, inner) => mark(inner),
        Expr::Invariant(_) => Part { invariant: true, wrap: false },
    }
}

fn wrap_if(expr: &mut Expr, part: Part) {
    if part.wrap {
        wrap(expr);
    }
}

fn mark_call(call: &mut Call) -> Part {
    let parts: Vec<Part> = call.args.iter_mut().map(mark).collect();
    let all = parts.iter().all(|part| part.invariant);
    // The time of a pinned sample does not change; the time of a computed value is that of the step.
    let of_sample = matches!(call.function.name, "timestamp" | "start_timestamp");
    let pinned_timestamp = of_sample && all && matches!(call.args[0].bare(), Expr::Selector(_));
    if pinned_timestamp || (all && !call.function.follows_time()) {
        return Part { invariant: true, wrap: true };
    }
    for (arg, part) in call.args.iter_mut().zip(parts) {
        wrap_if(arg, part);
    }
    VARIES
}

/// What is read of the histograms below an expression.
#[derive(Clone, Copy, PartialEq)]
enum Reading {
    Whole,
    /// Count and sum.
    Statistics,
    /// Buckets, whatever stands further down.
    Buckets,
}

impl Reading {
    fn below_call(self, name: &str) -> Reading {
        match name {
            _ if self == Reading::Buckets => self,
            "histogram_count" | "histogram_sum" | "histogram_avg" => Reading::Statistics,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => Reading::Buckets,
            _ => self,
        }
    }

    fn below_binary(self, binary: &Binary) -> Reading {
        if binary.op.is_trim() { Reading::Buckets } else { self }
    }
}

/// Marks the selectors of which only statistics are read. Source: Prometheus `promql/engine.go`,
/// `detectHistogramStatsDecoding`.
fn mark_statistics(expr: &mut Expr, reading: Reading) {
    match expr {
        Expr::Number { .. } | Expr::Text { .. } => {}
        Expr::Selector(selector) => selector.statistics_only = reading == Reading::Statistics,
        Expr::Range(range) => range.selector.statistics_only = reading == Reading::Statistics,
        Expr::Subquery(subquery) => mark_statistics(&mut subquery.expr, Reading::Buckets),
        Expr::Call(call) => {
            let below = reading.below_call(call.function.name);
            call.args.iter_mut().for_each(|arg| mark_statistics(arg, below));
        }
        Expr::Aggregate(aggregate) => {
            mark_statistics(&mut aggregate.expr, reading);
            aggregate.param.iter_mut().for_each(|param| mark_statistics(param, reading));
        }
        Expr::Binary(binary) => {
            let below = reading.below_binary(binary);
            mark_statistics(&mut binary.lhs, below);
            mark_statistics(&mut binary.rhs, below);
        }
        Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => mark_statistics(inner, reading),
    }
}
