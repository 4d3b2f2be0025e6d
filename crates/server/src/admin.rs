//! `/api/v1/admin/tsdb/*`: changes to the store itself, one at a time.

use std::sync::atomic::Ordering::Relaxed;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tsdb::{Db, TsdbError};

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::reply;
use crate::state::App;

/// `flush`: writes everything in the head to blocks, and answers when they are on disk.
pub(crate) async fn flush(State(app): State<App>) -> Result<StatusCode, ApiError> {
    alone(&app, Db::flush).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `delete_series`: deletes what `match[]` selects of the caller's series between `start` and `end`, durably.
pub(crate) async fn delete_series(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<StatusCode, ApiError> {
    let (scope, sets, range) = (grant.delete_scope()?, params.selectors()?, params.range()?);
    if sets.is_empty() {
        return Err(ApiError::BadData("no match[] parameter provided".to_owned()));
    }
    let deleted = alone(&app, move |db| db.delete(&scope, &sets, range)).await?;
    app.metrics().deleted_series.fetch_add(deleted.series, Relaxed);
    tracing::info!(series = deleted.series, blocks = deleted.blocks, key = ?grant.key_id(), "series deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// `clean_tombstones`: rewrites the blocks that hold deleted samples.
pub(crate) async fn clean_tombstones(State(app): State<App>) -> Result<StatusCode, ApiError> {
    alone(&app, Db::clean_tombstones).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `snapshot`: links all blocks, and those that the head is written to unless told, into a directory of their own.
pub(crate) async fn snapshot(State(app): State<App>, params: Params) -> Result<Response, ApiError> {
    let skip_head = params.flag("skip_head", false)?;
    let name = alone(&app, move |db| db.snapshot(!skip_head)).await?;
    reply::small(&json!({"name": name}))
}

/// Runs `work` on a blocking thread when no other work of this kind runs; it goes on though its client may leave.
async fn alone<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Db) -> Result<T, TsdbError> + Send + 'static,
) -> Result<T, ApiError> {
    let db = app.store().db()?;
    let turn = app.admin_turn().await;
    let worked = tokio::task::spawn_blocking(move || {
        let done = work(&db);
        drop((db, turn));
        done
    });
    Ok(worked.await.map_err(|panic| ApiError::internal(format!("administration ended by a bug: {panic}")))??)
}
