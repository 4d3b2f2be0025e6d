//! `/api/v1/query_exemplars`: the exemplars of the series that an expression names.

use axum::extract::State;
use axum::response::Response;
use model::{Exemplar, Labels};
use promql::{Query, TextLimits};
use wire::json;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::reply;
use crate::state::App;

/// Lists exemplars by series.
///
/// Grafana asks once with times in milliseconds and turns exemplars off for good if that is an error.
pub(crate) async fn list(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let range = params.range()?;
    let query = Query::parse(params.query(), &TextLimits::default())?;
    let reader = app.store().reader(&grant)?;
    let list = app.queries().run(None, move |budget| {
        let found = match query.selectors()? {
            // An expression without a selector names no series; to the store no selector means all of them.
            sets if sets.is_empty() => Vec::new(),
            sets => reader.querier().exemplars(&sets, range, budget)?,
        };
        Ok(reply::success(|into| push_all(&found, into), &[]))
    });
    list.await
}

fn push_all(found: &[(Labels, Vec<Exemplar>)], into: &mut Vec<u8>) {
    into.push(b'[');
    for (i, (labels, exemplars)) in found.iter().enumerate() {
        into.extend_from_slice(if i == 0 { b"" } else { b"," });
        into.extend_from_slice(b"{\"seriesLabels\":");
        json::push_labels(labels, into);
        into.extend_from_slice(b",\"exemplars\":[");
        for (i, exemplar) in exemplars.iter().enumerate() {
            into.extend_from_slice(if i == 0 { b"" } else { b"," });
            push_exemplar(exemplar, into);
        }
        into.extend_from_slice(b"]}");
    }
    into.push(b']');
}

fn push_exemplar(exemplar: &Exemplar, into: &mut Vec<u8>) {
    into.extend_from_slice(b"{\"labels\":");
    json::push_labels(&exemplar.labels, into);
    into.extend_from_slice(b",\"value\":\"");
    json::push_number(exemplar.v, into);
    into.extend_from_slice(b"\",\"timestamp\":");
    json::push_timestamp(exemplar.t, into);
    into.push(b'}');
}
