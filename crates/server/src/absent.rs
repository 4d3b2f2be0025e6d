//! Parts of the API whose subject this server does not hold: rightly shaped empty answers, which clients need to start.

use axum::http::StatusCode;
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

/// `/api/v1/alertmanagers`: alerts go nowhere.
pub(crate) async fn alertmanagers() -> Result<Response, ApiError> {
    reply::small(&json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))
}

/// `/api/v1/notifications`: nothing to be told.
pub(crate) async fn notifications() -> Result<Response, ApiError> {
    reply::small(&json!([]))
}

/// `/api/v1/notifications/live`: no content, by which a browser knows not to ask again.
pub(crate) async fn live_notifications() -> StatusCode {
    StatusCode::NO_CONTENT
}
