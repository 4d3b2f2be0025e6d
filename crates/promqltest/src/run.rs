//! Runs a script: evaluates over the series of each stage and compares; one failed evaluation does not end the script.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::compare::{column_at, compare};
use crate::engine::{Engine, Names, Over};
use crate::error::ScriptError;
use crate::expectation::Outcome;
use crate::script::{Eval, Script, StepGrid, When};
use crate::shown::{Shown, ShownPoint};
use crate::stage::Stage;

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

/// Runs all commands of `script` over a memory store.
///
/// Errors: series that cannot be loaded. A wrong answer, an error or a panic of the engine is a failure of its evaluation.
pub fn run(script: &Script, names: Names) -> Result<Report, ScriptError> {
    let mut report = Report::default();
    for stage in script.stages() {
        let store = stage.memory_store()?;
        report.evals += stage.evals.len();
        report.failures.extend(stage.failures(&Over { store: &store, names }));
    }
    Ok(report)
}

impl Stage<'_> {
    /// The evaluations at which `engine` does not give what the script states, or panics.
    pub fn failures(&self, engine: &dyn Engine) -> Vec<Failure> {
        let failure = |eval: &&Eval| {
            let checked = catch_unwind(AssertUnwindSafe(|| check(engine, eval)));
            let why = checked.unwrap_or_else(|_| Err("the engine panicked".to_owned())).err()?;
            Some(Failure { line: eval.line, expr: eval.expr.clone(), why })
        };
        self.evals.iter().filter_map(failure).collect()
    }
}

/// Evaluates and compares, an instant vector or scalar a second time as one step of a range query.
fn check(engine: &dyn Engine, eval: &Eval) -> Result<(), String> {
    let answer = match (engine.ask(&eval.expr, eval.when), &eval.expected.outcome) {
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
            check_as_step(engine, eval, t).map_err(|why| format!("as a step of a range query: {why}"))
        }
        _ => Ok(()),
    }
}

/// Evaluates a range query around `t` and compares its step at `t`.
fn check_as_step(engine: &dyn Engine, eval: &Eval, t: i64) -> Result<(), String> {
    let around = StepGrid { start: t - AROUND_MS, end: t + AROUND_MS, step_ms: AROUND_MS };
    let Shown::Matrix(series) = engine.ask(&eval.expr, When::Range(around))?.value else {
        return Err("expected a matrix".to_owned());
    };
    if eval.expected.ordered {
        // A range query sorts by labels, whatever order the expression asks for.
        return Ok(());
    }
    let step = match (&eval.expected.outcome, &column_at(&series, t)[..]) {
        (Outcome::Scalar(_), [(_, ShownPoint::Float(v))]) => Shown::Scalar(*v),
        (_, all) => Shown::Vector(all.to_vec()),
    };
    compare(&eval.expected.outcome, false, around, &step)
}

fn means_otherwise_in_range(expr: &str) -> bool {
    RANGE_CALLS.iter().any(|call| expr.contains(call))
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
