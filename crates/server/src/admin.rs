//! `/api/v1/admin/*`: what an operator has done to the store.

use axum::extract::State;
use axum::http::StatusCode;

use crate::error::ApiError;
use crate::state::App;

/// `POST /api/v1/admin/tsdb/flush`: writes everything in the head to blocks, and answers when they are on disk.
pub(crate) async fn flush(State(app): State<App>) -> Result<StatusCode, ApiError> {
    let flushed = tokio::task::spawn_blocking(move || app.store().flush()).await;
    flushed.map_err(|panic| ApiError::internal(format!("flush ended by a bug: {panic}")))??;
    Ok(StatusCode::NO_CONTENT)
}
