//! Asking the fleet as a server does: parameters, needs, batch, answer.

use clouds::tensorone::monitoring::{self, OptimizationAsk, PerformanceAsk, Targets};
use clouds::tensorone::{self, MetricsAsk};
use clouds::{Batch, Catalog, EndpointFacts, Found, GpuPrice, RateCard, Subject};
use model::Budget;
use promql::Context;
use promqltest::MemoryStore;
use serde_json::Value;

use crate::fleet::{END, ENDPOINT};

/// The lookback of selectors.
pub(crate) const LOOKBACK_MS: i64 = 300_000;

/// Names and values of `a=b&c=d`.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// Runs `work` over a batch.
pub(crate) fn with_batch<T>(store: &MemoryStore, work: impl FnOnce(&Batch<'_>) -> T) -> T {
    let (catalog, budget) = (Catalog::embedded().unwrap(), Budget::unlimited());
    let ctx = Context { store, budget: &budget, lookback_ms: LOOKBACK_MS };
    work(&Batch::new(&catalog, &ctx))
}

/// What the registry would say of the endpoint.
pub(crate) fn facts() -> EndpointFacts {
    EndpointFacts {
        tier: Some("premium".to_owned()),
        gpu_count: Some(1),
        budget_usd_month: Some(5000.0),
        warm_replicas: Some(1),
        ..EndpointFacts::new(ENDPOINT)
    }
}

/// Prices of two GPUs.
pub(crate) fn rates() -> RateCard {
    let gpu = |model: &str, usd_hour, gb: f64| GpuPrice { model: model.to_owned(), usd_hour, vram_bytes: gb * 1e9 };
    RateCard { gpus: vec![gpu("h100", 10.0, 85.9), gpu("l40s", 1.8, 51.5)] }
}

/// The values that the answer about the endpoint is made of.
pub(crate) fn found(store: &MemoryStore, parameters: &str) -> (MetricsAsk, Found) {
    let ask = MetricsAsk::parse(&pairs(parameters), END).unwrap();
    let subject = Subject::members(tensorone::ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
    let found = with_batch(store, |batch| batch.run(&subject, &tensorone::needs(&ask)).unwrap());
    (ask, found)
}

/// The text for Prometheus about the endpoint.
pub(crate) fn exposition(store: &MemoryStore, ask: &MetricsAsk) -> String {
    let subject = Subject::members(tensorone::ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
    let found = with_batch(store, |batch| batch.run(&subject, &tensorone::needs(ask)).unwrap());
    tensorone::exposition(found.member(ENDPOINT), &facts())
}

/// The answer about the endpoint.
pub(crate) fn metrics(store: &MemoryStore, parameters: &str) -> Value {
    let ask = MetricsAsk::parse(&pairs(parameters), END).unwrap();
    with_batch(store, |batch| {
        let subject = Subject::members(tensorone::ENDPOINT_LABEL, vec![ENDPOINT.to_owned()]);
        let found = batch.run(&subject, &tensorone::needs(&ask)).unwrap();
        assert_eq!(found.warnings(), <[String; 0]>::default());
        let view = found.member(ENDPOINT);
        match ask.is_basic {
            true => tensorone::basic(&ask, view, &facts(), &rates()),
            false => tensorone::metrics(&ask, view, &facts(), &rates(), END),
        }
    })
}

/// The answer about the platform.
pub(crate) fn performance(store: &MemoryStore, parameters: &str) -> Value {
    let ask = PerformanceAsk::parse(&pairs(parameters), END).unwrap();
    with_batch(store, |batch| monitoring::performance(batch, &ask, Targets::default()).unwrap())
}

/// What could be better.
pub(crate) fn optimization(store: &MemoryStore, parameters: &str) -> Value {
    let ask = OptimizationAsk::parse(&pairs(parameters), END).unwrap();
    with_batch(store, |batch| monitoring::optimization(batch, &ask, |_| facts(), &rates(), END).unwrap())
}
