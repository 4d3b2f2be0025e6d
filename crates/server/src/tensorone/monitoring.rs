//! `GET /v2/monitoring/performance` and `GET /v2/monitoring/performance/optimization`.

use axum::extract::State;
use axum::response::Response;
use clouds::tensorone::monitoring::{self, Failure, OptimizationAsk, PerformanceAsk, Targets};
use clouds::{EndpointFacts, RateCard};

use super::VendorError;
use super::answer::{self, Kept};
use crate::auth::Granted;
use crate::clock;
use crate::params::Params;
use crate::state::App;

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
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = PerformanceAsk::parse(params.pairs(), now)?;
    let targets = Targets { latency_s: app.config().latency_target.as_secs_f64() };
    let question = answer::question(&grant, "performance", &ask, ask.frame.cached_ms(), now);
    let kept = answer::answer(&app, &grant, question, move |batch| {
        Ok(Kept::new(JSON, monitoring::performance(batch, &ask, targets)?.to_string()))
    });
    Ok(kept.await?.into_response())
}

/// What could be better, and what it would save.
pub(crate) async fn optimization(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = OptimizationAsk::parse(params.pairs(), now)?;
    let question = answer::question(&grant, "optimization", &ask, ask.frame().cached_ms(), now);
    let kept = answer::answer(&app, &grant, question, move |batch| {
        let value = monitoring::optimization(batch, &ask, EndpointFacts::new, &RateCard::default(), now)?;
        Ok(Kept::new(JSON, value.to_string()))
    });
    Ok(kept.await?.into_response())
}
