//! The answer to a write: its status, its text, and the counts that version 2 promises its senders.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tsdb::Kinds;
use wire::remote_write::WriteMessage;

use super::refusals::Refusals;
use crate::error::ApiError;

/// What of a request is in the store, durably, before or since: samples, histograms, exemplars.
const WRITTEN: [HeaderName; 3] = [
    HeaderName::from_static("x-prometheus-remote-write-samples-written"),
    HeaderName::from_static("x-prometheus-remote-write-histograms-written"),
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written"),
];

/// What became of a request that could be read.
pub(super) struct Stored {
    /// What the store has of it, duplicates included: they were written when they came first.
    pub(super) written: Kinds,
    /// What it has not.
    pub(super) refusals: Refusals,
}

/// Answers a request that announced `message`. Errors are text: senders log the first bytes of a body as they are.
///
/// A sender of version 2 takes missing counts for zeros; one of version 1 takes any for a mistake.
pub(super) fn answer(message: WriteMessage, outcome: Result<Stored, ApiError>) -> Response {
    let (written, refusal) = match outcome {
        Ok(Stored { written, refusals }) if refusals.is_empty() => (written, None),
        Ok(Stored { written, refusals }) if refusals.has_reached_limit() => {
            (written, Some(ApiError::Limited(refusals.to_string())))
        }
        Ok(Stored { written, refusals }) => (written, Some(ApiError::BadData(refusals.to_string()))),
        Err(error) => (Kinds::default(), Some(error)),
    };
    let mut response = refusal.map_or_else(|| StatusCode::NO_CONTENT.into_response(), ApiError::into_text);
    if message == WriteMessage::V2 {
        for (name, n) in WRITTEN.into_iter().zip([written.floats, written.histograms, written.exemplars]) {
            response.headers_mut().insert(name, HeaderValue::from(n));
        }
    }
    response
}
