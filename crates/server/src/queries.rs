//! `/api/v1/status/queries`: the queries in progress, for those whose they are, and an end to one of them.

use std::sync::atomic::Ordering::Relaxed;

use axum::extract::{RawPathParams, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::pool::{Entry, Owner};
use crate::state::App;
use crate::{clock, reply};

/// One query as it is shown; an operator's own have no project.
#[derive(Serialize)]
struct Shown<'a> {
    /// A text: JavaScript's numbers do not hold all of ours.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    what: &'static str,
    query: &'a str,
    state: &'static str,
    started: String,
    seconds: f64,
    samples: u64,
    bytes: u64,
}

impl<'a> From<&'a Entry> for Shown<'a> {
    fn from(entry: &'a Entry) -> Shown<'a> {
        Shown {
            id: entry.id.to_string(),
            project: entry.owner.project().map(model::ProjectId::as_str),
            what: entry.what,
            query: &entry.text,
            state: if entry.is_running.load(Relaxed) { "running" } else { "waiting" },
            started: clock::rfc_3339(entry.started),
            seconds: entry.since.elapsed().as_secs_f64(),
            samples: entry.budget.samples(),
            bytes: entry.budget.bytes(),
        }
    }
}

/// Lists the caller's queries, an operator's list has everybody's.
pub(crate) async fn list(State(app): State<App>, Granted(grant): Granted) -> Result<Response, ApiError> {
    let entries = app.queries().register().list(&Owner::of(&grant));
    let shown: Vec<Shown<'_>> = entries.iter().map(|entry| Shown::from(&**entry)).collect();
    reply::small(&json!({"queries": shown}))
}

/// Ends a query. Whose it is that another project runs, or ran, is not told from one that never was.
pub(crate) async fn end(
    State(app): State<App>,
    Granted(grant): Granted,
    path: RawPathParams,
) -> Result<StatusCode, ApiError> {
    let text = path.iter().find(|(param, _)| *param == "id").map_or("", |(_, id)| id);
    let id: u64 = text.parse().map_err(|_| ApiError::BadData(format!("invalid query id: {text:?}")))?;
    if !app.queries().register().end(&Owner::of(&grant), id) {
        return Err(ApiError::NotFound(format!("no query {id} is in progress")));
    }
    tracing::info!(id, key = ?grant.key_id(), "query ended on request");
    Ok(StatusCode::NO_CONTENT)
}
