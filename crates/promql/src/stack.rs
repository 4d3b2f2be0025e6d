//! Deep expressions run on a thread with a known stack, so that nesting is bounded by limits and not by the caller.

use crate::expr::Expr;

/// Depth up to which a caller's stack of 2 MiB is enough, in debug builds too.
const SHALLOW: usize = 24;

/// Stack for the deepest expression that the limits let through. Source: about 1,200 levels of 48 KiB; pages that
/// are not touched cost nothing.
const STACK_BYTES: usize = 64 << 20;

/// Runs `work`, which recurses `depth` deep, where the stack is large enough.
///
/// Errors: the system has no thread to give.
pub(crate) fn with_stack<T: Send>(depth: usize, work: impl FnOnce() -> T + Send) -> Result<T, String> {
    if depth <= SHALLOW {
        return Ok(work());
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("promql-deep".to_owned()).stack_size(STACK_BYTES);
        let handle =
            thread.spawn_scoped(scope, work).map_err(|error| format!("no thread for a deep query: {error}"))?;
        match handle.join() {
            Ok(result) => Ok(result),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// How deep `expr` nests. Cost: one pass; the depth is bounded by the text's limits, each level by a small frame.
pub(crate) fn depth(expr: &Expr) -> usize {
    1 + match expr {
        Expr::Number { .. } | Expr::Text { .. } | Expr::Selector(_) | Expr::Range(_) => 0,
        Expr::Subquery(subquery) => depth(&subquery.expr),
        Expr::Call(call) => call.args.iter().map(depth).max().unwrap_or(0),
        Expr::Aggregate(aggregate) => depth(&aggregate.expr).max(aggregate.param.as_ref().map_or(0, depth)),
        Expr::Binary(binary) => depth(&binary.lhs).max(depth(&binary.rhs)),
        Expr::Negate(_, inner) | Expr::Paren(_, inner) | Expr::Invariant(inner) => depth(inner),
    }
}
