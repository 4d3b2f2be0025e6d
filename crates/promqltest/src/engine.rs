//! Who answers the evaluations of a script: this process over a store, or somebody else's server.

use model::{Budget, Queryable};
use promql::{Context, Query, Steps, TextLimits};

use crate::script::{StepGrid, When};
use crate::shown::Shown;

/// The lookback delta of the test language.
const LOOKBACK_MS: i64 = 5 * 60 * 1000;

/// Answers expressions over the series of a stage.
pub trait Engine {
    /// The answer, or the text of the error.
    fn ask(&self, expr: &str, when: When) -> Result<Told, String>;
}

/// An answer and what is said about it.
#[derive(Clone, Debug)]
pub struct Told {
    /// The result.
    pub value: Shown,
    /// Why it may be wrong or incomplete.
    pub warnings: Vec<String>,
    /// Why it may not be what was meant.
    pub infos: Vec<String>,
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

/// The evaluator of this process.
#[derive(Clone, Copy)]
pub struct Over<'a> {
    /// The series.
    pub store: &'a dyn Queryable,
    /// When they lose their names.
    pub names: Names,
}

impl Engine for Over<'_> {
    fn ask(&self, expr: &str, when: When) -> Result<Told, String> {
        let query = Query::parse(expr, &TextLimits::default()).map_err(|error| error.to_string())?;
        // Series of which nobody says since when they count are not affected.
        let query = query.with_start_timestamps();
        let query = match self.names {
            Names::DroppedAtOnce => query,
            Names::DroppedLate => query.with_late_names(),
            Names::DroppedLateWithTypeAndUnit => query.with_late_names().with_type_and_unit_labels(),
        };
        let budget = Budget::unlimited();
        let ctx = Context { store: self.store, budget: &budget, lookback_ms: LOOKBACK_MS };
        let answer = match when {
            When::Instant(t) => query.instant(t, &ctx),
            When::Range(StepGrid { start, end, step_ms }) => query.range(Steps { start, end, step_ms }, &ctx),
        };
        let answer = answer.map_err(|error| error.to_string())?;
        Ok(Told { value: answer.value.into(), warnings: answer.warnings, infos: answer.infos })
    }
}
