//! Compares a value with what a script states, with Prometheus' tolerance for floats.

use std::collections::HashMap;

use model::{Labels, Timestamp, is_stale};

use crate::expectation::Outcome;
use crate::histogram;
use crate::script::StepGrid;
use crate::series::{SeriesLine, Slot};
use crate::shown::{Shown, ShownPoint, ShownSeries};

/// The relative difference from which two floats differ. Source: Prometheus `promqltest/test.go`.
const EPSILON: f64 = 1e-6;

/// Compares `got` with the stated result; `grid` places the values of a range query.
pub(crate) fn compare(outcome: &Outcome, ordered: bool, grid: StepGrid, got: &Shown) -> Result<(), String> {
    match (outcome, got) {
        (Outcome::Scalar(expected), Shown::Scalar(v)) if almost_equal(*expected, *v) => Ok(()),
        (Outcome::Scalar(expected), Shown::Scalar(v)) => Err(format!("expected {expected}, got {v}")),
        (Outcome::String(expected), Shown::String(text)) if expected == text => Ok(()),
        (Outcome::String(expected), Shown::String(text)) => Err(format!("expected {expected:?}, got {text:?}")),
        (Outcome::Series(lines), Shown::Vector(got)) => compare_vector(lines, ordered, got),
        (Outcome::Series(_), Shown::Matrix(_)) if ordered => Err("expected an ordered vector, got a matrix".to_owned()),
        (Outcome::Series(lines), Shown::Matrix(got)) => compare_matrix(lines, grid, got),
        (Outcome::Samples(grid, lines), Shown::Matrix(got)) => compare_matrix(lines, *grid, got),
        (_, got) => Err(format!("expected {}, got {}", print_kind(outcome), print_value(got))),
    }
}

/// Whether two floats are the same but for their last digits; NaN equals NaN, a staleness marker only its like.
pub(crate) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < EPSILON * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < EPSILON
}

/// The points that a range query gives at `t`, as an instant vector.
pub(crate) fn column_at(series: &[ShownSeries], t: Timestamp) -> Vec<(Labels, ShownPoint)> {
    let at = |(labels, points): &ShownSeries| {
        let at = points.binary_search_by_key(&t, |(t, _)| *t).ok()?;
        Some((labels.clone(), points[at].1.clone()))
    };
    series.iter().filter_map(at).collect()
}

fn compare_vector(lines: &[SeriesLine], ordered: bool, got: &[(Labels, ShownPoint)]) -> Result<(), String> {
    let positions = match_labels(lines, got.iter().map(|(labels, _)| labels), |at| got[at].1.to_string())?;
    for (got_idx, (line_idx, (labels, point))) in positions.iter().zip(got).enumerate() {
        if ordered && *line_idx != got_idx {
            return Err(format!("expected {labels} at position {}, got it at {}", line_idx + 1, got_idx + 1));
        }
        let expected = &lines[*line_idx].slots[0];
        if !same_point(expected, point) {
            return Err(format!("{labels}: expected {}, got {point}", print_slot(expected)));
        }
    }
    Ok(())
}

fn compare_matrix(lines: &[SeriesLine], grid: StepGrid, got: &[ShownSeries]) -> Result<(), String> {
    if let Some(pair) = got.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(format!("a matrix is sorted by labels, got {} before {}", pair[0].0, pair[1].0));
    }
    let positions = match_labels(lines, got.iter().map(|(labels, _)| labels), |at| print_points(&got[at].1))?;
    for (line_idx, (labels, points)) in positions.iter().zip(got) {
        let expected = expected_points(&lines[*line_idx], grid)?;
        let same = |((t, expected), (got_t, got)): (&(Timestamp, &Slot), &(Timestamp, ShownPoint))| {
            t == got_t && same_point(expected, got)
        };
        if expected.len() != points.len() || !expected.iter().zip(points).all(same) {
            let texts: Vec<_> = expected.iter().map(|(t, slot)| format!("{}@{t}", print_slot(slot))).collect();
            return Err(format!("{labels}: expected {}, got {}", texts.join(" "), print_points(points)));
        }
    }
    Ok(())
}

/// The line for each series that was got; every line must have its series and every series its line.
fn match_labels<'a>(
    lines: &[SeriesLine],
    got: impl Iterator<Item = &'a Labels>,
    print: impl Fn(usize) -> String,
) -> Result<Vec<usize>, String> {
    let mut open: HashMap<&Labels, usize> = lines.iter().enumerate().map(|(idx, line)| (&line.labels, idx)).collect();
    let mut positions = Vec::new();
    for (got_idx, labels) in got.enumerate() {
        match open.remove(labels) {
            Some(line_idx) => positions.push(line_idx),
            None => return Err(format!("unexpected {labels} {}", print(got_idx))),
        }
    }
    match open.values().min() {
        Some(line_idx) => {
            let line = &lines[*line_idx];
            let texts: Vec<_> = line.slots.iter().map(print_slot).collect();
            Err(format!("expected {} {}, got no such series", line.labels, texts.join(" ")))
        }
        None => Ok(positions),
    }
}

/// The samples that a line puts on the grid.
fn expected_points(line: &SeriesLine, grid: StepGrid) -> Result<Vec<(Timestamp, &Slot)>, String> {
    let mut all = Vec::new();
    let mut t = grid.start;
    for slot in &line.slots {
        if t > grid.end {
            return Err(format!(
                "{}: {} values are expected, more than there are steps",
                line.labels,
                line.slots.len()
            ));
        }
        if *slot != Slot::Missing {
            all.push((t, slot));
        }
        t += grid.step_ms;
    }
    Ok(all)
}

fn same_point(expected: &Slot, got: &ShownPoint) -> bool {
    match (expected, got) {
        (Slot::Float(expected), ShownPoint::Float(got)) => almost_equal(*expected, *got),
        (Slot::Histogram { histogram, hint_given }, ShownPoint::Histogram(got)) => {
            histogram::same(histogram, got, *hint_given)
        }
        (Slot::Histogram { histogram, .. }, ShownPoint::Buckets(got)) => got.shows(histogram),
        (Slot::Missing | Slot::Float(_) | Slot::Histogram { .. }, _) => false,
    }
}

fn print_slot(slot: &Slot) -> String {
    match slot {
        Slot::Missing => "_".to_owned(),
        Slot::Float(v) if is_stale(*v) => "stale".to_owned(),
        Slot::Float(v) => v.to_string(),
        Slot::Histogram { histogram, .. } => histogram::print(histogram),
    }
}

fn print_points(points: &[(Timestamp, ShownPoint)]) -> String {
    let texts: Vec<_> = points.iter().map(|(t, point)| format!("{point}@{t}")).collect();
    texts.join(" ")
}

fn print_kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Fail(_) => "an error",
        Outcome::Scalar(_) => "a scalar",
        Outcome::String(_) => "a string",
        Outcome::Series(_) => "a vector or a matrix",
        Outcome::Samples(..) => "a matrix of samples",
    }
}

fn print_value(value: &Shown) -> String {
    match value {
        Shown::Scalar(v) => format!("scalar {v}"),
        Shown::String(text) => format!("string {text:?}"),
        Shown::Vector(all) => {
            let texts: Vec<_> = all.iter().map(|(labels, point)| format!("{labels} {point}")).collect();
            format!("vector [{}]", texts.join(", "))
        }
        Shown::Matrix(all) => {
            let texts: Vec<_> =
                all.iter().map(|(labels, points)| format!("{labels} {}", print_points(points))).collect();
            format!("matrix [{}]", texts.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_may_differ_in_their_last_digits_only() {
        for (a, b, same) in [
            (1.0, 1.000_000_1, true),
            (1.0, 1.000_01, false),
            (0.0, 1e-12, false),
            (f64::NAN, f64::NAN, true),
            (f64::NAN, model::STALE_NAN, false),
            (f64::INFINITY, f64::INFINITY, true),
            (f64::INFINITY, f64::MAX, false),
        ] {
            assert_eq!(almost_equal(a, b), same, "{a} {b}");
        }
    }

    fn check(line: &str, labels: &str, v: f64) -> Result<(), String> {
        let outcome = Outcome::Series(vec![SeriesLine::parse(line).unwrap()]);
        let labels = SeriesLine::parse(labels).unwrap().labels;
        let grid = StepGrid { start: 0, end: 0, step_ms: 1 };
        compare(&outcome, false, grid, &Shown::Vector(vec![(labels, ShownPoint::Float(v))]))
    }

    #[test]
    fn a_difference_names_both_sides() {
        assert_eq!(check("up 1", "up", 1.0), Ok(()));
        assert_eq!(check("up 1", "up", 2.0), Err("up: expected 1, got 2".to_owned()));
        assert_eq!(check("up 1", "down", 1.0), Err("unexpected down 1".to_owned()));
        let empty =
            compare(&Outcome::Scalar(1.0), false, StepGrid { start: 0, end: 0, step_ms: 1 }, &Shown::Vector(vec![]));
        assert_eq!(empty, Err("expected a scalar, got vector []".to_owned()));
    }

    #[test]
    fn a_matrix_is_compared_step_by_step() {
        let grid = StepGrid { start: 10, end: 30, step_ms: 10 };
        let labels = SeriesLine::parse("up").unwrap().labels;
        let got = [(labels, vec![(10, ShownPoint::Float(1.0)), (30, ShownPoint::Float(3.0))])];
        let lines = |line: &str| [SeriesLine::parse(line).unwrap()];
        assert_eq!(compare_matrix(&lines("up 1 _ 3"), grid, &got), Ok(()));
        for wrong in ["up 1 3", "up 1 _ 4", "up 1 _ 3 4"] {
            assert!(compare_matrix(&lines(wrong), grid, &got).is_err(), "{wrong}");
        }
        assert_eq!(column_at(&got, 20).len(), 0);
        assert_eq!(column_at(&got, 30).len(), 1);
    }
}
