//! From matchers to series: set algebra over the postings of an index, the same for the head and for blocks.

use model::{Budget, Interrupt, MatchOp, Matcher};
use roaring::RoaringBitmap;

/// The labels of a set of series, from either side: which values a name has, which series have a pair.
pub(crate) trait LabelIndex {
    /// Why a lookup fails, beside an interrupt.
    type Error: From<Interrupt>;

    /// Every series.
    fn all(&self) -> Result<RoaringBitmap, Self::Error>;

    /// The series with `name="value"`.
    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Self::Error>;

    /// Unites the series with `name` and a value for which `accept` says so. Values are not empty. `prefix` is what
    /// every accepted value starts with: an index with ordered values visits only those.
    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, Interrupt>,
    ) -> Result<RoaringBitmap, Self::Error>;
}

/// The series that satisfy all of `matchers`.
///
/// Cost: equality first, smallest set last; a matcher that accepts the absent label subtracts the series that it
/// refuses, so that absent labels need no postings of their own.
pub(crate) fn select<I: LabelIndex>(
    index: &I,
    matchers: &[Matcher],
    budget: &Budget,
) -> Result<RoaringBitmap, I::Error> {
    let mut selected: Option<RoaringBitmap> = None;
    let mut order: Vec<&Matcher> = matchers.iter().collect();
    order.sort_by_key(|matcher| (matcher.matches_empty(), matcher.op() != MatchOp::Equal));
    for matcher in order {
        budget.check().map_err(I::Error::from)?;
        if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
        if matcher.matches_empty() {
            let refused = refused(index, matcher, budget)?;
            let mut set = match selected.take() {
                Some(set) => set,
                None => index.all()?,
            };
            set -= refused;
            selected = Some(set);
        } else {
            let accepted = accepted(index, matcher, budget)?;
            selected = Some(match selected.take() {
                Some(set) => set & accepted,
                None => accepted,
            });
        }
    }
    match selected {
        Some(set) => Ok(set),
        None => index.all(),
    }
}

/// The series whose present value satisfies a matcher that refuses the empty value.
fn accepted<I: LabelIndex>(index: &I, matcher: &Matcher, budget: &Budget) -> Result<RoaringBitmap, I::Error> {
    match (matcher.op(), matcher.pattern()) {
        (MatchOp::Equal, _) => index.postings(matcher.name(), matcher.value()),
        (MatchOp::Regex, Some(pattern)) => {
            if let Some(literals) = pattern.literals() {
                let mut set = RoaringBitmap::new();
                for literal in literals {
                    set |= index.postings(matcher.name(), literal)?;
                }
                return Ok(set);
            }
            index.postings_where(matcher.name(), pattern.prefix(), &mut checked(budget, |value| pattern.matches(value)))
        }
        _ => index.postings_where(matcher.name(), "", &mut checked(budget, |value| matcher.matches(value))),
    }
}

/// The series whose present value fails a matcher that accepts the empty value.
fn refused<I: LabelIndex>(index: &I, matcher: &Matcher, budget: &Budget) -> Result<RoaringBitmap, I::Error> {
    match (matcher.op(), matcher.pattern()) {
        (MatchOp::NotEqual, _) if !matcher.value().is_empty() => index.postings(matcher.name(), matcher.value()),
        (MatchOp::Regex, Some(pattern)) if pattern.matches_all() => Ok(RoaringBitmap::new()),
        _ => index.postings_where(matcher.name(), "", &mut checked(budget, |value| !matcher.matches(value))),
    }
}

/// Makes a test of values notice, every so often, that the query was ended.
fn checked<'a>(
    budget: &'a Budget,
    mut test: impl FnMut(&str) -> bool + 'a,
) -> impl FnMut(&str) -> Result<bool, Interrupt> + 'a {
    let mut trials = 0u32;
    move |value| {
        trials += 1;
        if trials.is_multiple_of(256) {
            budget.check()?;
        }
        Ok(test(value))
    }
}
