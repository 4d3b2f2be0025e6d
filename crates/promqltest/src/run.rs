//! Runs a script: evaluates over the series of each stage and compares; one failed evaluation does not end the script.

use std::panic::{AssertUnwindSafe, catch_unwind};

use model::{Budget, Queryable, Value};
use promql::{Answer, Context, Query, Steps, TextLimits};

use crate::compare::{column_at, compare};
use crate::error::ScriptError;
use crate::expectation::Outcome;
use crate::script::{Eval, Script, StepGrid, When};
use crate::stage::Stage;

/// The lookback delta of the test language.
const LOOKBACK_MS: i64 = 5 * 60 * 1000;
/// The distance of the steps around an instant evaluation that is run again as a range query.
const AROUND_MS: i64 = 60 * 1000;
/// Calls that mean something else in a range query.
const RANGE_CALLS: [&str; 4] = ["start()", "end()", "step()", "range()"];

/// What became of a script's evaluations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many there are.
    pub evals: usize,
    /// Those that failed, in order.
    pub failures: Vec<Failure>,
}

/// One evaluation whose answer is not what the script states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the command, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// What was expected and what was got.
    pub why: String,
}

impl Report {
    /// How many evaluations gave what the script states.
    pub fn passed(&self) -> usize {
        self.evals - self.failures.len()
    }
}

/// When an expression loses the metric names of its series; tests of Prometheus itself are written for the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// As soon as a value is no longer what the name says.
    DroppedAtOnce,
    /// At the end, so that functions of labels still see them: the feature `promql-delayed-name-removal`.
    DroppedLate,
    /// At the end, and the labels `__type__` and `__unit__` with them.
    DroppedLateWithTypeAndUnit,
}

/// Runs all commands of `script` over a memory store.
///
/// Errors: series that cannot be loaded. A wrong answer, an error or a panic of the engine is a failure of its evaluation.
pub fn run(script: &Script, names: Names) -> Result<Report, ScriptError> {
    let mut report = Report::default();
    for stage in script.stages() {
        let store = stage.memory_store()?;
        report.evals += stage.evals.len();
        report.failures.extend(stage.failures(&store, names));
    }
    Ok(report)
}

impl Stage<'_> {
    /// The evaluations that do not give over `store` what the script states, or at which the engine panics.
    pub fn failures(&self, store: &dyn Queryable, names: Names) -> Vec<Failure> {
        let failure = |eval: &&Eval| {
            let checked = catch_unwind(AssertUnwindSafe(|| check(store, eval, names)));
            let why = checked.unwrap_or_else(|_| Err("the engine panicked".to_owned())).err()?;
            Some(Failure { line: eval.line, expr: eval.expr.clone(), why })
        };
        self.evals.iter().filter_map(failure).collect()
    }
}

/// Evaluates and compares, an instant vector or scalar a second time as one step of a range query.
fn check(store: &dyn Queryable, eval: &Eval, names: Names) -> Result<(), String> {
    let answer = match (evaluate(store, eval, eval.when, names), &eval.expected.outcome) {
        (Ok(answer), Outcome::Fail(text)) => {
            return Err(format!("expected an error {text}, got {:?}", answer.value));
        }
        (Err(error), Outcome::Fail(text)) if text.accepts(&error) => return Ok(()),
        (Err(error), Outcome::Fail(text)) => return Err(format!("expected an error {text}, got {error:?}")),
        (Err(error), _) => return Err(error),
        (Ok(answer), _) => answer,
    };
    let expected = &eval.expected;
    expected.warnings.check("warning", &answer.warnings)?;
    expected.infos.check("info", &answer.infos)?;
    let (grid, at) = match eval.when {
        When::Range(grid) => (grid, None),
        When::Instant(t) => (StepGrid { start: t, end: t, step_ms: AROUND_MS }, Some(t)),
    };
    compare(&expected.outcome, expected.ordered, grid, &answer.value)?;
    match (at, &expected.outcome) {
        (Some(t), Outcome::Scalar(_) | Outcome::Series(_)) if !means_otherwise_in_range(&eval.expr) => {
            check_as_step(store, eval, t, names).map_err(|why| format!("as a step of a range query: {why}"))
        }
        _ => Ok(()),
    }
}

/// Evaluates a range query around `t` and compares its step at `t`.
fn check_as_step(store: &dyn Queryable, eval: &Eval, t: i64, names: Names) -> Result<(), String> {
    let around = StepGrid { start: t - AROUND_MS, end: t + AROUND_MS, step_ms: AROUND_MS };
    let Value::Matrix(series) = evaluate(store, eval, When::Range(around), names)?.value else {
        return Err("expected a matrix".to_owned());
    };
    if eval.expected.ordered {
        // A range query sorts by labels, whatever order the expression asks for.
        return Ok(());
    }
    let step = match (&eval.expected.outcome, &column_at(&series, t)[..]) {
        (Outcome::Scalar(_), [only]) => match only.point {
            model::Point::Float(v) => Value::Scalar { t, v },
            model::Point::Histogram(_) => return Err("expected a scalar, got a histogram".to_owned()),
        },
        (_, all) => Value::Vector(all.to_vec()),
    };
    compare(&eval.expected.outcome, false, around, &step)
}

fn means_otherwise_in_range(expr: &str) -> bool {
    RANGE_CALLS.iter().any(|call| expr.contains(call))
}

fn evaluate(store: &dyn Queryable, eval: &Eval, when: When, names: Names) -> Result<Answer, String> {
    let query = Query::parse(&eval.expr, &TextLimits::default()).map_err(|error| error.to_string())?;
    // Series of which nobody says since when they count are not affected.
    let query = query.with_start_timestamps();
    let query = match names {
        Names::DroppedAtOnce => query,
        Names::DroppedLate => query.with_late_names(),
        Names::DroppedLateWithTypeAndUnit => query.with_late_names().with_type_and_unit_labels(),
    };
    let budget = Budget::unlimited();
    let ctx = Context { store, budget: &budget, lookback_ms: LOOKBACK_MS };
    let answer = match when {
        When::Instant(t) => query.instant(t, &ctx),
        When::Range(StepGrid { start, end, step_ms }) => query.range(Steps { start, end, step_ms }, &ctx),
    };
    answer.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passed, total and the lines that failed.
    #[track_caller]
    fn check(text: &str, passed: usize, failed: &[usize]) {
        let report = run(&Script::parse(text).unwrap(), Names::DroppedAtOnce).unwrap();
        assert_eq!(report.failures.iter().map(|f| f.line).collect::<Vec<_>>(), failed, "{:?}", report.failures);
        assert_eq!(report.passed(), passed);
    }

    #[test]
    fn a_failed_evaluation_does_not_end_the_script() {
        check("eval instant at 0 1 + 1\n  3\n\neval instant at 0 1 + 1\n  2\n", 1, &[1]);
    }

    #[test]
    fn clear_forgets_what_was_loaded() {
        check("load 30s\n  up 1\n\neval instant at 0 up\n  up 1\n\nclear\n\neval instant at 0 up\n", 2, &[]);
    }

    #[test]
    fn an_expected_error_needs_an_error_with_its_text() {
        check("eval instant at 0 sum(\n  expect fail\n\neval instant at 0 1\n  expect fail\n", 1, &[4]);
        check("eval instant at 0 sum(\n  expect fail msg: no such text\n", 0, &[1]);
    }

    #[test]
    fn a_missing_or_surplus_series_fails() {
        let load = "load 30s\n  up{a=\"1\"} 1\n  up{a=\"2\"} 2\n\n";
        check(&format!("{load}eval instant at 0 up\n  up{{a=\"1\"}} 1\n"), 0, &[5]);
        check(&format!("{load}eval instant at 0 up{{a=\"1\"}}\n"), 0, &[5]);
    }

    #[test]
    fn series_that_contradict_each_other_are_an_error() {
        let script = Script::parse("load 30s\n  up 1\n\nload 1m\n  up 2\n").unwrap();
        assert_eq!(run(&script, Names::DroppedAtOnce).unwrap_err().line, 4);
    }
}
