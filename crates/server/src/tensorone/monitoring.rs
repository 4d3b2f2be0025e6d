//! `GET /v2/monitoring/performance` and `GET /v2/monitoring/performance/optimization`.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use clouds::EndpointFacts;
use clouds::tensorone::monitoring::{self, Failure, OptimizationAsk, PerformanceAsk, Targets};

use super::VendorError;
use super::answer::{self, Kept};
use crate::auth::{Allowance, Granted};
use crate::params::Params;
use crate::state::App;
use crate::{clock, endpoints};

const JSON: &str = "application/json";

impl From<Failure> for VendorError {
    fn from(failure: Failure) -> VendorError {
        match failure {
            Failure::Refused(refusal) => refusal.into(),
            Failure::Eval(error) => error.into(),
        }
    }
}

/// Performance of clusters, endpoints and the platform.
pub(crate) async fn performance(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = PerformanceAsk::parse(params.pairs(), now)?;
    let targets = Targets { latency_s: app.config().latency_target.as_secs_f64() };
    let question = answer::question(&grant, "performance", &ask, ask.frame.cached_ms(), now);
    let kept = answer::answer(&app, &grant, &allowance, question, move |batch| {
        Ok(Kept::new(JSON, monitoring::performance(batch, &ask, targets)?.to_string()))
    });
    Ok(kept.await?.into_response())
}

/// What could be better, and what it would save.
pub(crate) async fn optimization(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = OptimizationAsk::parse(params.pairs(), now)?;
    // Of two projects' endpoints of one id an operator is told the first one's facts.
    let all = app.endpoints().all(&grant);
    let registered: BTreeMap<String, EndpointFacts> =
        all.iter().rev().map(|endpoint| (endpoint.id.clone(), endpoints::facts(endpoint))).collect();
    let rates = app.prices();
    let question = answer::question(&grant, "optimization", &ask, ask.frame().cached_ms(), now);
    let kept = answer::answer(&app, &grant, &allowance, question, move |batch| {
        let facts = |id: &str| registered.get(id).cloned().unwrap_or_else(|| EndpointFacts::new(id));
        let value = monitoring::optimization(batch, &ask, facts, &rates, now)?;
        Ok(Kept::new(JSON, value.to_string()))
    });
    Ok(kept.await?.into_response())
}
