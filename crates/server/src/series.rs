//! `/api/v1/series`: the label sets that selectors find.

use axum::extract::State;
use axum::response::Response;
use wire::json;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
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
    let reader = app.store().reader(&grant)?;
    let list = app.queries().run(None, move |budget| {
        let mut series = reader.querier().series(&sets, range, limit, budget)?;
        let warnings = reply::truncate(&mut series, limit);
        Ok(reply::success(|into| json::push_label_sets(&series, into), &warnings))
    });
    list.await
}
