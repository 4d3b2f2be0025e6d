//! Selection: each selector's time range is worked out first, then each distinct selection is asked for once.

use model::{SeriesSet, TimeRange, Timestamp};

use super::{Grid, QuerySpan};
use crate::expr::{Expr, Extent, Selector};
use crate::{Context, EvalError};

/// The series sets of a query, by selector.
pub(crate) struct Selections {
    sets: Vec<Box<dyn SeriesSet>>,
    /// For each selector, its position in `sets`.
    set_of: Vec<usize>,
}

impl Selections {
    /// Asks the store for all that `expr` selects over `grid`; also returns the store's warnings.
    pub(crate) fn new(
        expr: &Expr,
        n_selectors: usize,
        grid: Grid,
        span: QuerySpan,
        ctx: &Context<'_>,
    ) -> Result<(Selections, Vec<String>), EvalError> {
        let mut plan = Plan { span, lookback_ms: ctx.lookback_ms, wanted: Vec::with_capacity(n_selectors) };
        plan.visit(expr, grid.start, grid.last());
        let mut out = Selections { sets: Vec::new(), set_of: vec![0; n_selectors] };
        let (mut asked, mut warnings) = (Vec::<(&Selector, TimeRange)>::new(), Vec::new());
        for (selector, range) in plan.wanted {
            let same = |(other, other_range): &(&Selector, TimeRange)| {
                *other_range == range && other.matchers == selector.matchers
            };
            let at = match asked.iter().position(same) {
                Some(at) => at,
                None => {
                    let selected = ctx.store.select(&selector.matchers, range, ctx.budget)?;
                    warnings.extend(selected.warnings);
                    asked.push((selector, range));
                    out.sets.push(selected.series);
                    out.sets.len() - 1
                }
            };
            out.set_of[selector.selector_idx] = at;
        }
        warnings.sort();
        warnings.dedup();
        Ok((out, warnings))
    }

    /// The matchers of each selector of `expr` and the range it needs over `grid`, without asking any store.
    pub(crate) fn wanted(
        expr: &Expr,
        grid: Grid,
        span: QuerySpan,
        lookback_ms: i64,
    ) -> Vec<(Vec<model::Matcher>, TimeRange)> {
        let mut plan = Plan { span, lookback_ms, wanted: Vec::new() };
        plan.visit(expr, grid.start, grid.last());
        plan.wanted.into_iter().map(|(selector, range)| (selector.matchers.clone(), range)).collect()
    }

    pub(crate) fn set(&self, selector_idx: usize) -> &dyn SeriesSet {
        self.sets[self.set_of[selector_idx]].as_ref()
    }
}

/// The grid of a subquery whose windows end between `first` and `last`: multiples of its step after the first
/// window's start.
pub(crate) fn subquery_bounds(
    first: Timestamp,
    last: Timestamp,
    range_ms: i64,
    step_ms: i64,
) -> (Timestamp, Timestamp) {
    let after = first.saturating_sub(range_ms);
    let start = after.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
    (start, last)
}

struct Plan<'e> {
    span: QuerySpan,
    lookback_ms: i64,
    wanted: Vec<(&'e Selector, TimeRange)>,
}

impl<'e> Plan<'e> {
    /// Notes what `expr` needs when it is evaluated at times from `first` to `last`.
    fn visit(&mut self, expr: &'e Expr, first: Timestamp, last: Timestamp) {
        match expr {
            Expr::Number { .. } | Expr::Text { .. } => {}
            Expr::Selector(selector) => self.want(selector, self.lookback_ms, first, last),
            Expr::Range(range) => self.want(&range.selector, range.range.ms, first, last),
            Expr::Subquery(subquery) => {
                let pinned = self.span.pin(subquery.pinned);
                let first = pinned.unwrap_or(first).saturating_sub(subquery.offset.ms);
                let last = pinned.unwrap_or(last).saturating_sub(subquery.offset.ms);
                let step_ms = subquery.step_ms();
                let (start, end) = subquery_bounds(first, last, subquery.range.ms, step_ms);
                self.visit(&subquery.expr, start.min(end), end);
            }
            // The second argument of `info` is a set of matchers and is not evaluated.
            Expr::Call(call) if call.function.name == "info" => self.visit(&call.args[0], first, last),
            Expr::Call(call) => call.args.iter().for_each(|arg| self.visit(arg, first, last)),
            Expr::Aggregate(aggregate) => {
                if let Some(param) = &aggregate.param {
                    self.visit(param, first, last);
                }
                self.visit(&aggregate.expr, first, last);
            }
            Expr::Binary(binary) => {
                self.visit(&binary.lhs, first, last);
                self.visit(&binary.rhs, first, last);
            }
            Expr::Negate(_, inner) | Expr::Paren(_, inner) => self.visit(inner, first, last),
            // An invariant part is evaluated at the first step alone.
            Expr::Invariant(inner) => self.visit(inner, first, first),
        }
    }

    fn want(&mut self, selector: &'e Selector, back_ms: i64, first: Timestamp, last: Timestamp) {
        let pinned = self.span.pin(selector.pinned);
        let first = pinned.unwrap_or(first).saturating_sub(selector.offset.ms);
        let last = pinned.unwrap_or(last).saturating_sub(selector.offset.ms);
        let (more_back_ms, ahead_ms) = match selector.extent {
            None => (0, 0),
            Some(Extent::Anchored) => (self.lookback_ms, 0),
            Some(Extent::Smoothed) => (self.lookback_ms, self.lookback_ms),
        };
        let mint = first.saturating_sub(back_ms).saturating_sub(more_back_ms).saturating_add(1);
        self.wanted.push((selector, TimeRange { mint, maxt: last.saturating_add(ahead_ms) }));
    }
}
