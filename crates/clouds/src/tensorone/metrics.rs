//! The answer about one endpoint, put together from its sections.

use model::Timestamp;
use serde_json::{Map, Value, json};

use super::MetricsAsk;
use super::numbers::time;
use super::summary::{self, Summary};
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
}

/// The full answer about one endpoint.
pub fn metrics(ask: &MetricsAsk, view: View<'_>, facts: &EndpointFacts, rates: &RateCard, now: Timestamp) -> Value {
    let answer = Answer::new(ask, view, facts, rates);
    json!({
        "endpointId": facts.id,
        "timeframe": ask.frame.label,
        "granularity": ask.frame.granularity,
        "generatedAt": time(now),
        "summary": summary::summary(&answer),
    })
}

/// The basic view of one endpoint.
pub fn basic(ask: &MetricsAsk, view: View<'_>, facts: &EndpointFacts, rates: &RateCard) -> Value {
    summary::basic(&Answer::new(ask, view, facts, rates))
}

/// Which metric answered for each family.
pub fn sources(view: View<'_>) -> Value {
    let sources: Map<String, Value> =
        view.sources().map(|(family, source)| (family.as_str().to_owned(), json!(source))).collect();
    Value::Object(sources)
}
