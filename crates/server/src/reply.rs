//! Answers that are not query results: Prometheus' success envelope around small values, and plain text.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::ApiError;

/// Said when `limit=` cut the answer. Source: the text Prometheus' clients look for.
const TRUNCATED: &str = "results truncated due to limit";

/// A success whose data is a small value.
pub(crate) fn small(data: &impl Serialize) -> Result<Response, ApiError> {
    Ok(encoded(&serde_json::to_vec(data).map_err(ApiError::internal)?))
}

/// A success whose data is JSON already.
pub(crate) fn encoded(data: &[u8]) -> Response {
    let mut body = Vec::new();
    wire::json::push_success(|into| into.extend_from_slice(data), &[], &[], &mut body);
    json(body)
}

/// A body that is JSON. Clients compare the type with exactly this text.
pub(crate) fn json(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

/// Plain text with status 200.
pub(crate) fn text(body: impl Into<String>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body.into()).into_response()
}

/// Cuts `items` to `limit`, and returns the warning to give if that lost any.
pub(crate) fn truncate<T>(items: &mut Vec<T>, limit: usize) -> Vec<String> {
    if items.len() <= limit {
        return Vec::new();
    }
    items.truncate(limit);
    vec![TRUNCATED.to_owned()]
}
