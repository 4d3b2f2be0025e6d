//! `GET /v2/endpoints/{endpoint_id}/metrics`.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use clouds::tensorone::{self, ENDPOINT_LABEL, MetricsAsk};
use clouds::{Batch, EndpointFacts, Family, Need, RateCard, Subject};

use super::VendorError;
use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::{batch, clock, reply};

/// How far back an endpoint may have been heard of, at least.
const KNOWN_MS: i64 = 90 * 86_400_000;

/// The metrics of one endpoint.
pub(crate) async fn endpoint(
    State(app): State<App>,
    Granted(grant): Granted,
    Path(id): Path<String>,
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = MetricsAsk::parse(params.pairs(), now)?;
    let asked = id.clone();
    let answer = batch::run(&app, &grant, move |batch| {
        let Some(facts) = endpoints_of(batch, std::slice::from_ref(&asked), now)?.pop() else { return Ok(None) };
        let found = batch.run(&Subject::members(ENDPOINT_LABEL, vec![asked]), &tensorone::needs(&ask))?;
        let view = found.member(&facts.id);
        let rates = RateCard::default();
        let answer = match ask.is_basic {
            true => tensorone::basic(&ask, view, &facts, &rates),
            false => tensorone::metrics(&ask, view, &facts, &rates, now),
        };
        Ok(Some(answer.to_string().into_bytes()))
    });
    match answer.await? {
        Some(body) => Ok(reply::json(body).into_response()),
        None => Err(VendorError::UnknownEndpoint(id)),
    }
}

/// What is known of those of `ids` that exist: for the caller an endpoint exists when series with its id do.
pub(crate) fn endpoints_of(batch: &Batch<'_>, ids: &[String], now: i64) -> Result<Vec<EndpointFacts>, ApiError> {
    let subject = Subject::members(ENDPOINT_LABEL, ids.to_vec());
    let found = batch.run(&subject, &[Need::at("info", Family::EndpointInfo, now, KNOWN_MS)])?;
    let facts = ids.iter().filter_map(|id| {
        let row = found.member(id).rows("info").first()?;
        let label = |name: &str| Some(row.label(name).to_owned()).filter(|value| !value.is_empty());
        Some(EndpointFacts {
            name: label("endpoint"),
            tier: label("service_tier"),
            region: label("region"),
            cluster: label("cluster_id"),
            ..EndpointFacts::new(id)
        })
    });
    Ok(facts.collect())
}
