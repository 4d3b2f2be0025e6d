//! `/api/v1/query_exemplars`: the exemplars of the series that an expression names.

use axum::extract::State;
use axum::response::Response;
use model::{Exemplar, Labels};
use promql::{Query, TextLimits};
use wire::json::{self, Sink};

use crate::answer::{self, Pieces};
use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::pool::Ask;
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
    let (reader, bytes_max) = (app.store().reader(&grant)?, app.config().limits.answer_bytes_max);
    let body = app.queries().stream(Ask::new(&grant, "query_exemplars", params.query()), move |budget, inlet| {
        let found = match query.selectors()? {
            // An expression without a selector names no series; to the store no selector means all of them.
            sets if sets.is_empty() => Vec::new(),
            sets => reader.querier().exemplars(&sets, range, budget)?,
        };
        let bytes = |(labels, all): &(Labels, Vec<Exemplar>)| {
            let each = all.iter().map(|exemplar| EXEMPLAR_BYTES + answer::labels_bytes(&exemplar.labels));
            EXEMPLAR_BYTES + answer::labels_bytes(labels) + each.sum::<usize>()
        };
        answer::send(inlet, budget, bytes_max, found.iter().map(bytes).sum(), |into| {
            json::write_success(|into| write_all(&found, into), &[], &[], into)
        })
    });
    Ok(reply::json(body.await?))
}

/// What stands around the labels of an exemplar, or of a series of them, at most.
const EXEMPLAR_BYTES: usize = 128;

fn write_all(found: &[(Labels, Vec<Exemplar>)], into: &mut Pieces<'_>) -> Result<(), ApiError> {
    json::write_array(found, into, |(labels, exemplars), into| {
        into.bytes().extend_from_slice(b"{\"seriesLabels\":");
        json::push_labels(labels, into.bytes());
        into.bytes().extend_from_slice(b",\"exemplars\":");
        json::write_array(exemplars, into, |exemplar, into| {
            push_exemplar(exemplar, into.bytes());
            Ok(())
        })?;
        into.bytes().push(b'}');
        Ok(())
    })
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
