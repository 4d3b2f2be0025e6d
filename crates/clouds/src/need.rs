//! What an answer needs to know: a family, over which window, when, under which name.

use model::Timestamp;
use promql::Steps;

use crate::Family;

const MINUTE_MS: i64 = 60_000;
/// Evaluations of a subquery over one window, at most: each minute of a day.
const RESOLUTIONS_MAX: i64 = 1440;

/// One expression of an answer, before the catalog says over which metrics.
#[derive(Clone, Debug)]
pub struct Need {
    /// Under which name its values are found.
    pub name: &'static str,
    /// What is measured.
    pub family: Family,
    /// The time that each value covers, in ms.
    pub window_ms: i64,
    /// How the values of a window become one, where the family lets the caller choose.
    pub over: Over,
    /// When it is evaluated.
    pub when: When,
}

/// When to evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At one time.
    At(Timestamp),
    /// At each step.
    Steps(Steps),
}

impl When {
    /// The same as steps.
    pub(crate) fn steps(self) -> Steps {
        match self {
            When::At(t) => Steps { start: t, end: t, step_ms: 1 },
            When::Steps(steps) => steps,
        }
    }
}

/// How the samples of a gauge in a window become one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Over {
    /// Their mean.
    #[default]
    Avg,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

impl Over {
    /// Every method by its name in requests.
    pub const ALL: [(&'static str, Over); 6] = [
        ("avg", Over::Avg),
        ("sum", Over::Sum),
        ("min", Over::Min),
        ("max", Over::Max),
        ("p95", Over::P95),
        ("p99", Over::P99),
    ];

    /// The call up to its range argument.
    pub(crate) fn call(self) -> &'static str {
        match self {
            Over::Avg => "avg_over_time(",
            Over::Sum => "sum_over_time(",
            Over::Min => "min_over_time(",
            Over::Max => "max_over_time(",
            Over::P95 => "quantile_over_time(0.95, ",
            Over::P99 => "quantile_over_time(0.99, ",
        }
    }
}

impl Need {
    /// `family` over the `window_ms` before `t`.
    pub fn at(name: &'static str, family: Family, t: Timestamp, window_ms: i64) -> Need {
        Need { name, family, window_ms, over: Over::Avg, when: When::At(t) }
    }

    /// `family` over the `window_ms` before each step.
    pub fn each(name: &'static str, family: Family, steps: Steps, window_ms: i64) -> Need {
        Need { name, family, window_ms, over: Over::Avg, when: When::Steps(steps) }
    }

    /// The same, the samples of each window joined by `over`.
    #[must_use]
    pub fn joined(self, over: Over) -> Need {
        Need { over, ..self }
    }

    /// The step of a subquery over the window, in ms: a minute, or more when the window is longer than a day.
    pub fn resolution_ms(&self) -> i64 {
        resolution_ms(self.window_ms)
    }
}

/// The step at which a window is looked through.
pub(crate) fn resolution_ms(window_ms: i64) -> i64 {
    let minutes = (window_ms / RESOLUTIONS_MAX / MINUTE_MS).max(1).saturating_mul(MINUTE_MS);
    // A window shorter than that has one value.
    minutes.min(window_ms.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_windows_are_looked_through_in_longer_steps() {
        const DAY_MS: i64 = 86_400_000;
        for (window_ms, expect) in
            [(10_000, 10_000), (DAY_MS, MINUTE_MS), (2 * DAY_MS, 2 * MINUTE_MS), (30 * DAY_MS, 30 * MINUTE_MS)]
        {
            assert_eq!(resolution_ms(window_ms), expect);
        }
    }
}
