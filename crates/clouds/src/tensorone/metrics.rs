//! The answer about one endpoint, put together from its sections.

use model::Timestamp;
use serde_json::{Map, Value, json};

use super::MetricsAsk;
use super::ask::Group;
use super::cold_starts::cold_starts;
use super::costs::costs;
use super::insights::insights;
use super::numbers::time;
use super::performance::{bucket_starts, performance};
use super::resources::resources;
use super::roll_up::roll_up;
use super::summary::{self, Summary};
use super::usage::usage;
use crate::{EndpointFacts, RateCard, View};

/// What the sections are rendered from.
pub(crate) struct Answer<'a> {
    pub(crate) ask: &'a MetricsAsk,
    pub(crate) view: View<'a>,
    pub(crate) facts: &'a EndpointFacts,
    pub(crate) rates: &'a RateCard,
    pub(crate) summary: Summary,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        ask: &'a MetricsAsk,
        view: View<'a>,
        facts: &'a EndpointFacts,
        rates: &'a RateCard,
    ) -> Answer<'a> {
        let nothing = Summary {
            requests: Default::default(),
            average_latency_s: None,
            compute_s: None,
            cold_starts: 0.0,
            cost_usd: None,
        };
        let mut answer = Answer { ask, view, facts, rates, summary: nothing };
        answer.summary = Summary::of(&answer);
        answer
    }

    /// The buckets: position and start.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (usize, Timestamp)> + use<> {
        let frame = &self.ask.frame;
        bucket_starts(frame.start, frame.end, frame.step_ms)
    }

    /// Seconds of a bucket.
    #[expect(clippy::cast_precision_loss, reason = "days of milliseconds are far below what f64 holds")]
    pub(crate) fn bucket_s(&self) -> f64 {
        self.ask.frame.step_ms as f64 / 1000.0
    }

    /// The model of the endpoint's GPUs: registered, or on its series.
    pub(crate) fn gpu_model(&self) -> Option<String> {
        let seen = || self.view.rows("gpu.model").first().map(|row| row.label("gpu_model").to_owned());
        self.facts.gpu_model.clone().or_else(seen).filter(|model| !model.is_empty())
    }
}

/// The full answer about one endpoint.
pub fn metrics(ask: &MetricsAsk, view: View<'_>, facts: &EndpointFacts, rates: &RateCard, now: Timestamp) -> Value {
    let answer = Answer::new(ask, view, facts, rates);
    let mut object = json!({
        "endpointId": facts.id,
        "timeframe": ask.frame.label,
        "granularity": ask.frame.granularity,
        "start": time(ask.frame.start),
        "end": time(ask.frame.end),
        "generatedAt": time(now),
        "summary": summary::summary(&answer),
        "insights": insights(&answer),
    });
    if ask.has(Group::Performance) || ask.has(Group::Errors) {
        object["performance"] = performance(&answer);
    }
    if ask.has(Group::Performance) {
        object["coldStarts"] = cold_starts(&answer);
    }
    if ask.has(Group::Usage) {
        object["usage"] = usage(&answer);
    }
    if ask.has(Group::Costs) {
        object["costs"] = costs(&answer);
    }
    if ask.has(Group::Resources) {
        object["resources"] = resources(&answer);
    }
    if ask.shows_sources {
        object["sources"] = sources(view);
    }
    object
}

/// The basic view of one endpoint.
pub fn basic(ask: &MetricsAsk, view: View<'_>, facts: &EndpointFacts, rates: &RateCard) -> Value {
    summary::basic(&Answer::new(ask, view, facts, rates))
}

/// The answer about several endpoints: theirs, errors for those that do not exist, and the summaries rolled up.
pub fn batch(ask: &MetricsAsk, answers: Vec<Value>, errors: Vec<Value>, now: Timestamp) -> Value {
    json!({
        "timeframe": ask.frame.label,
        "granularity": ask.frame.granularity,
        "generatedAt": time(now),
        "aggregated": roll_up(ask, &answers),
        "endpoints": answers,
        "errors": errors,
    })
}

/// Which metric answered for each family.
pub fn sources(view: View<'_>) -> Value {
    let sources: Map<String, Value> =
        view.sources().map(|(family, source)| (family.as_str().to_owned(), json!(source))).collect();
    Value::Object(sources)
}
