//! Parts of the API whose subject this server does not hold: rightly shaped empty answers, which clients need to start.

use axum::response::Response;
use serde_json::json;

use crate::error::ApiError;
use crate::reply;

/// `/api/v1/rules`: there are no rules.
pub(crate) async fn rules() -> Result<Response, ApiError> {
    reply::small(&json!({"groups": []}))
}

/// `/api/v1/alerts`: there are no alerts.
pub(crate) async fn alerts() -> Result<Response, ApiError> {
    reply::small(&json!({"alerts": []}))
}
