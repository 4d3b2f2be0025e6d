//! An expression over several lines: what is short stays in one line, what is long is broken at its outermost parts.

use crate::expr::{Aggregate, Binary, Expr};
use crate::print::{aggregate_head, binary_operator, subquery_tail};

/// Longest line that is not broken, in bytes. Source: Prometheus `promql/parser/prettier.go`.
const LINE_BYTES_MAX: usize = 100;
const INDENT: &str = "  ";

/// `expr`, `level` steps to the right.
///
/// Cost: each level prints what is below it once more; text limits bound both.
pub(crate) fn pretty(expr: &Expr, level: usize) -> String {
    let (line, indent) = (expr.to_string(), INDENT.repeat(level));
    if line.len() <= LINE_BYTES_MAX {
        return indent + &line;
    }
    match expr {
        Expr::Number { .. } | Expr::Text { .. } | Expr::Selector(_) | Expr::Range(_) => indent + &line,
        Expr::Subquery(subquery) => pretty(&subquery.expr, level) + &subquery_tail(subquery),
        Expr::Call(call) => format!("{indent}{}(\n{}\n{indent})", call.function.name, list(&call.args, level + 1)),
        Expr::Aggregate(aggregate) => pretty_aggregate(aggregate, &indent, level),
        Expr::Binary(binary) => pretty_binary(binary, &indent, level),
        Expr::Negate(_, inner) => format!("{indent}-{}", pretty(inner, level).trim_start()),
        Expr::Paren(_, inner) => format!("{indent}(\n{}\n{indent})", pretty(inner, level + 1)),
        Expr::Invariant(inner) => pretty(inner, level),
    }
}

fn list(exprs: &[Expr], level: usize) -> String {
    exprs.iter().map(|expr| pretty(expr, level)).collect::<Vec<_>>().join(",\n")
}

fn pretty_aggregate(aggregate: &Aggregate, indent: &str, level: usize) -> String {
    let param = aggregate.param.as_ref().map(|param| pretty(param, level + 1) + ",\n").unwrap_or_default();
    let (head, expr) = (aggregate_head(aggregate), pretty(&aggregate.expr, level + 1));
    format!("{indent}{head}(\n{param}{expr}\n{indent})")
}

fn pretty_binary(binary: &Binary, indent: &str, level: usize) -> String {
    let (lhs, rhs) = (pretty(&binary.lhs, level + 1), pretty(&binary.rhs, level + 1));
    format!("{lhs}\n{indent}{}\n{rhs}", binary_operator(binary))
}
