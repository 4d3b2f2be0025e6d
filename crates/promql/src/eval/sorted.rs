//! A stable sort that can be ended: runs of a bounded length, merged in pairs, with looks at the budget between.

use std::cmp::Ordering;

use model::Budget;

use crate::EvalError;

/// Items of one run, and items merged between two looks: some thousand comparisons.
const RUN: usize = 2048;

/// `items` in order; of equals the first stays first.
pub(super) fn sorted<T>(
    mut items: Vec<T>,
    budget: &Budget,
    mut order: impl FnMut(&T, &T) -> Ordering,
) -> Result<Vec<T>, EvalError> {
    if items.len() <= RUN {
        items.sort_by(order);
        return Ok(items);
    }
    budget.charge(size_of_val(items.as_slice()))?;
    let charged = size_of_val(items.as_slice());
    let mut runs: Vec<Vec<T>> = Vec::with_capacity(items.len().div_ceil(RUN));
    while items.len() > RUN {
        // From the end, where splitting moves the run alone.
        let mut run = items.split_off(items.len() - (items.len() - 1) % RUN - 1);
        budget.check()?;
        run.sort_by(&mut order);
        runs.push(run);
    }
    items.sort_by(&mut order);
    items.shrink_to_fit();
    runs.push(items);
    runs.reverse();
    while runs.len() > 1 {
        let mut merged = Vec::with_capacity(runs.len().div_ceil(2));
        let mut rest = runs.into_iter();
        while let Some(first) = rest.next() {
            merged.push(match rest.next() {
                Some(second) => merge(first, second, budget, &mut order)?,
                None => first,
            });
        }
        runs = merged;
    }
    budget.release(charged);
    Ok(runs.pop().unwrap_or_default())
}

fn merge<T>(
    first: Vec<T>,
    second: Vec<T>,
    budget: &Budget,
    order: &mut impl FnMut(&T, &T) -> Ordering,
) -> Result<Vec<T>, EvalError> {
    let mut out = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter().peekable(), second.into_iter().peekable());
    loop {
        if out.len().is_multiple_of(RUN) {
            budget.check()?;
        }
        let next = match (first.peek(), second.peek()) {
            (Some(a), Some(b)) if order(a, b) == Ordering::Greater => second.next(),
            (Some(_), _) => first.next(),
            (None, _) => second.next(),
        };
        match next {
            Some(item) => out.push(item),
            None => return Ok(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sorts_as_the_standard_library_does() {
        for n in [0, 1, RUN - 1, RUN, RUN + 1, 3 * RUN, 7 * RUN + 5] {
            let items: Vec<(usize, usize)> = (0..n).map(|i| (i * 7919 % 101, i)).collect();
            let mut expected = items.clone();
            expected.sort_by_key(|(key, _)| *key);
            let budget = Budget::unlimited();
            assert_eq!(sorted(items, &budget, |a, b| a.0.cmp(&b.0)).unwrap(), expected, "{n}");
            assert_eq!(budget.bytes(), 0);
        }
    }
}
