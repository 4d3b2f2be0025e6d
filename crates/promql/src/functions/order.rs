//! Functions that put the elements of an instant answer in order.

use std::cmp::Ordering;

use model::is_stale;

use crate::EvalError;
use crate::annotation::Remark;
use crate::eval::{Evaluator, Grid, Series};
use crate::expr::Call;

type Vectors = Result<Vec<Series>, EvalError>;

/// Whether the function decides the order of an instant answer.
pub(crate) fn decides_order(name: &str) -> bool {
    matches!(name, "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc")
}

pub(super) fn sort(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    by_value(evaluator, call, grid, |a, b| a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

pub(super) fn sort_desc(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    by_value(evaluator, call, grid, |a, b| b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

fn note_range(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) {
    if grid.len > 1 {
        evaluator.note(call.at, Remark::SortInRange);
    }
}

/// NaN comes last either way; histograms are left out.
fn by_value(evaluator: &Evaluator<'_>, call: &Call, grid: Grid, order: fn(f64, f64) -> Ordering) -> Vectors {
    note_range(evaluator, call, grid);
    let mut series = evaluator.vector(&call.args[0], grid)?;
    for s in &mut series {
        s.column.drop_histograms();
    }
    series.retain(|s| s.column.floats.iter().any(|v| !is_stale(*v)));
    if grid.len == 1 {
        series = evaluator.sorted(series, |a, b| {
            let (a, b) = (a.column.floats[0], b.column.floats[0]);
            a.is_nan().cmp(&b.is_nan()).then_with(|| order(a, b))
        })?;
    }
    Ok(series)
}

pub(super) fn sort_by_label(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    let mut series = by_label(evaluator, call, grid)?;
    series.reverse();
    Ok(series)
}

pub(super) fn sort_by_label_desc(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    by_label(evaluator, call, grid)
}

/// In descending order of the named labels, then of all.
fn by_label(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Vectors {
    note_range(evaluator, call, grid);
    let mut names = Vec::new();
    for arg in &call.args[1..] {
        names.push(evaluator.text(arg)?);
    }
    let series = evaluator.vector(&call.args[0], grid)?;
    evaluator.sorted(series, |a, b| {
        let value = |s: &'_ Series, name: &str| s.labels.get(name).unwrap_or("").to_owned();
        let by_names = names.iter().map(|name| natural(&value(b, name), &value(a, name)));
        by_names.fold(Ordering::Equal, Ordering::then).then_with(|| b.labels.cmp(&a.labels))
    })
}

/// Compares texts with the numbers in them as numbers: `a2` before `a10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        if a.is_empty() || b.is_empty() {
            return a.len().cmp(&b.len());
        }
        let (a_part, a_rest, a_number) = leading_part(a);
        let (b_part, b_rest, b_number) = leading_part(b);
        let order = if a_number && b_number {
            let (a_digits, b_digits) = (a_part.trim_start_matches('0'), b_part.trim_start_matches('0'));
            let by_number = a_digits.len().cmp(&b_digits.len()).then_with(|| a_digits.cmp(b_digits));
            by_number.then_with(|| a_part.len().cmp(&b_part.len()))
        } else {
            a_part.cmp(b_part)
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
}

/// The digits, or the rest up to the next digit, that a text starts with.
fn leading_part(text: &str) -> (&str, &str, bool) {
    let number = text.as_bytes()[0].is_ascii_digit();
    let end = text.bytes().position(|b| b.is_ascii_digit() != number).unwrap_or(text.len());
    let (part, rest) = text.split_at(end);
    (part, rest, number)
}
