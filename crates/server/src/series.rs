//! `/api/v1/series`: the label sets that selectors find.

use axum::extract::State;
use axum::response::Response;
use wire::json;

use crate::answer;
use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::pool::Ask;
use crate::reply;
use crate::state::App;

/// Lists series.
pub(crate) async fn list(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let (sets, range, limit) = (params.selectors()?, params.range()?, params.limit("limit")?);
    if sets.is_empty() {
        return Err(ApiError::BadData("no match[] parameter provided".to_owned()));
    }
    let (reader, bytes_max) = (app.store().reader(&grant)?, app.config().limits.answer_bytes_max);
    let text = params.selectors_text();
    let body = app.queries().stream(Ask::new(&grant, "series", &text), move |budget, inlet| {
        let mut series = reader.querier().series(&sets, range, limit, budget)?;
        let warnings = reply::truncate(&mut series, limit);
        let likely_most = series.iter().map(answer::labels_bytes).sum();
        answer::send(inlet, budget, bytes_max, likely_most, |into| {
            json::write_success(|into| json::write_label_sets(&series, into), &warnings, &[], into)
        })
    });
    Ok(reply::json(body.await?))
}
