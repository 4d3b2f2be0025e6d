//! From matchers to series: set algebra over the postings of an index, the same for the head and for blocks.

use model::{Budget, Interrupt, Labels, MatchOp, Matcher};
use roaring::RoaringBitmap;

/// So many series are looked at one by one, rather than to unite the sets of many values.
const FEW: u64 = 64;

/// The labels of a set of series, from either side: which values a name has, which series have a pair.
pub(crate) trait LabelIndex {
    /// Why a lookup fails, beside an interrupt.
    type Error: From<Interrupt>;

    /// Every series.
    fn all(&self) -> Result<RoaringBitmap, Self::Error>;

    /// The series with `name="value"`.
    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Self::Error>;

    /// About how many series have `name="value"`, `None` for none; cheaper than the set of them.
    fn count(&self, name: &str, value: &str) -> Result<Option<u64>, Self::Error>;

    /// Keeps in `set` the series with `name="value"`. Cost: follows the smaller of the two sets.
    fn narrow(&self, set: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), Self::Error>;

    /// Unites the series with `name` and a value for which `accept` says so. Values are not empty. `prefix` is what
    /// every accepted value starts with: an index with ordered values visits only those.
    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, Interrupt>,
    ) -> Result<RoaringBitmap, Self::Error>;

    /// The labels of a series; nothing if they cannot be read. Cost: reads the series.
    fn labels(&self, series: u32) -> Option<Labels>;
}

/// The series that satisfy all of `matchers`.
///
/// Cost: the smallest set of an equality first, narrowed by the others; what is left is looked at series by series if that
/// is few. Otherwise patterns come next; then, for matchers that accept an absent label, the series they refuse are taken away, so that absent labels need no postings of their own. Sets are
/// charged until the query ends.
pub(crate) fn select<I: LabelIndex>(
    index: &I,
    matchers: &[Matcher],
    budget: &Budget,
) -> Result<RoaringBitmap, I::Error> {
    budget.check().map_err(I::Error::from)?;
    let (present, absent): (Vec<&Matcher>, Vec<&Matcher>) = matchers.iter().partition(|m| !m.matches_empty());
    let (equal, tested): (Vec<&Matcher>, Vec<&Matcher>) = present.into_iter().partition(|m| m.op() == MatchOp::Equal);
    let mut selected = equalities(index, &equal)?;
    let others: Vec<&Matcher> = tested.iter().chain(&absent).copied().collect();
    if let Some(set) = selected.as_ref().filter(|set| set.len() <= FEW)
        && others.iter().any(|matcher| is_of_many(matcher))
        && let Some(kept) = one_by_one(index, set, &others, budget).map_err(I::Error::from)?
    {
        return Ok(kept);
    }
    for matcher in tested {
        budget.check().map_err(I::Error::from)?;
        if selected.as_ref().is_some_and(RoaringBitmap::is_empty) {
            break;
        }
        let more = accepted(index, matcher, budget)?;
        budget.charge(more.serialized_size()).map_err(I::Error::from)?;
        selected = Some(match selected {
            Some(set) => set & more,
            None => more,
        });
    }
    let mut set = match selected {
        Some(set) => set,
        None => index.all()?,
    };
    for matcher in absent {
        budget.check().map_err(I::Error::from)?;
        if set.is_empty() {
            break;
        }
        let fewer = refused(index, matcher, budget)?;
        budget.charge(fewer.serialized_size()).map_err(I::Error::from)?;
        set -= fewer;
    }
    budget.charge(set.serialized_size()).map_err(I::Error::from)?;
    Ok(set)
}

/// Whether the sets of many values make up what a matcher accepts or refuses.
fn is_of_many(matcher: &Matcher) -> bool {
    match matcher.op() {
        MatchOp::Equal | MatchOp::NotEqual => matcher.value().is_empty(),
        MatchOp::Regex | MatchOp::NotRegex => matcher.pattern().is_none_or(|pattern| pattern.literals().is_none()),
    }
}

/// The series of `set` that satisfy all of `matchers`; nothing if one of them cannot be read.
fn one_by_one<I: LabelIndex>(
    index: &I,
    set: &RoaringBitmap,
    matchers: &[&Matcher],
    budget: &Budget,
) -> Result<Option<RoaringBitmap>, Interrupt> {
    let mut kept = RoaringBitmap::new();
    for series in set {
        let Some(labels) = index.labels(series) else { return Ok(None) };
        let satisfies = |all: bool, matcher: &&Matcher| {
            budget.check()?;
            Ok(all && matcher.matches(labels.get(matcher.name()).unwrap_or_default()))
        };
        if matchers.iter().try_fold(true, satisfies)? {
            kept.insert(series);
        }
    }
    Ok(Some(kept))
}

/// The series that satisfy all equalities; nothing when there is none.
fn equalities<I: LabelIndex>(index: &I, matchers: &[&Matcher]) -> Result<Option<RoaringBitmap>, I::Error> {
    let mut sized = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match index.count(matcher.name(), matcher.value())? {
            Some(count) => sized.push((count, *matcher)),
            None => return Ok(Some(RoaringBitmap::new())),
        }
    }
    sized.sort_by_key(|(count, _)| *count);
    let Some(((_, smallest), others)) = sized.split_first() else { return Ok(None) };
    let mut set = index.postings(smallest.name(), smallest.value())?;
    for (_, matcher) in others {
        index.narrow(&mut set, matcher.name(), matcher.value())?;
    }
    Ok(Some(set))
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

/// Makes a test of values notice that the query was ended: at each value, since a pattern near its limit may take
/// milliseconds for one.
fn checked<'a>(
    budget: &'a Budget,
    mut test: impl FnMut(&str) -> bool + 'a,
) -> impl FnMut(&str) -> Result<bool, Interrupt> + 'a {
    move |value| {
        budget.check()?;
        Ok(test(value))
    }
}
