//! What a query cost, shown with its answer on request.

use std::time::Duration;

use model::Budget;
use promql::{SampleCounts, Steps};
use serde_json::{Value, json};

use crate::params::Params;

/// Said for any other value of `stats=`. Source: Prometheus 3.14 answers it too, and calls it deprecated.
const DEPRECATED: &str = "the stats parameter has a value other than \"true\" and \"all\", which is deprecated";

/// How much of its cost a query shows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Stats {
    /// Nothing.
    None,
    /// Times and samples.
    Some,
    /// The same, and samples for each step.
    All,
    /// The same, asked for in a way that may go.
    Deprecated,
}

/// Where a query's time went.
pub(crate) struct Cost {
    /// Waiting for a turn.
    pub(crate) queue: Duration,
    /// Reading the expression.
    pub(crate) preparation: Duration,
    /// Evaluating it.
    pub(crate) evaluation: Duration,
}

impl Stats {
    /// What `stats=` asks for.
    pub(crate) fn asked(params: &Params) -> Stats {
        match params.get("stats") {
            None => Stats::None,
            Some("true") => Stats::Some,
            Some("all") => Stats::All,
            Some(_) => Stats::Deprecated,
        }
    }

    /// The member of an answer's data that follows the result, with its comma; nothing if it was not asked for.
    ///
    /// Series are sorted while they are evaluated, and held as columns: the time of sorting is part of evaluation,
    /// and the most samples held at once are those that the most bytes charged have room for.
    pub(crate) fn show(
        self,
        cost: &Cost,
        budget: &Budget,
        counts: Option<&SampleCounts>,
        steps: Steps,
        warnings: &mut Vec<String>,
    ) -> String {
        if self == Stats::None {
            return String::new();
        }
        if self == Stats::Deprecated {
            warnings.push(DEPRECATED.to_owned());
        }
        let total = cost.preparation + cost.evaluation;
        let none = SampleCounts::default();
        let counts = counts.unwrap_or(&none);
        let mut samples = json!({
            "totalQueryableSamples": counts.queryable.iter().sum::<u64>(),
            "samplesRead": counts.read.iter().sum::<u64>(),
            "peakSamples": budget.bytes_most() / SAMPLE_BYTES,
        });
        if self == Stats::All {
            samples["totalQueryableSamplesPerStep"] = per_step(&counts.queryable, steps);
            samples["samplesReadPerStep"] = per_step(&counts.read, steps);
        }
        let stats = json!({
            "timings": {
                "evalTotalTime": total.as_secs_f64(),
                "resultSortTime": 0.0,
                "queryPreparationTime": cost.preparation.as_secs_f64(),
                "innerEvalTime": cost.evaluation.as_secs_f64(),
                "execQueueTime": cost.queue.as_secs_f64(),
                "execTotalTime": (cost.queue + total).as_secs_f64(),
            },
            "samples": samples,
        });
        format!(",\"stats\":{stats}")
    }
}

/// Times in seconds with their counts.
fn per_step(counts: &[u64], steps: Steps) -> Value {
    let times = (steps.start..=steps.end).step_by(usize::try_from(steps.step_ms).unwrap_or(1));
    let seconds = |ms: i64| if ms % 1000 == 0 { json!(ms / 1000) } else { json!(ms as f64 / 1000.0) };
    times.zip(counts).map(|(t, n)| json!([seconds(t), n])).collect()
}

/// A time and a value.
const SAMPLE_BYTES: u64 = 16;
