//! TensorOne's error envelope: `{"error","message","details"}` with the codes of the vendor's documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clouds::tensorone::Refusal;
use serde_json::{Value, json};

use crate::error::ApiError;

/// Characters of an unknown id that are shown again.
const ID_CHARS: usize = 128;

/// Why a request to a TensorOne path was not answered as asked.
#[derive(Debug)]
pub(crate) enum VendorError {
    /// 400: a parameter is wrong.
    Parameter(Refusal),
    /// 404: no such endpoint, or none that the caller may know of.
    UnknownEndpoint(String),
    /// Whatever any route may answer.
    Api(ApiError),
}

impl<E: Into<ApiError>> From<E> for VendorError {
    fn from(error: E) -> VendorError {
        VendorError::Api(error.into())
    }
}

impl From<Refusal> for VendorError {
    fn from(refusal: Refusal) -> VendorError {
        VendorError::Parameter(refusal)
    }
}

impl VendorError {
    /// No such endpoint, whoever owns one of that id.
    pub(crate) fn unknown_endpoint(id: &str) -> VendorError {
        VendorError::UnknownEndpoint(id.chars().take(ID_CHARS).collect())
    }

    /// The envelope; none for what any route may answer.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            VendorError::Parameter(refusal) => json!({
                "error": "INVALID_PARAMETERS",
                "message": refusal.message(),
                "details": refusal.details(),
            }),
            VendorError::UnknownEndpoint(id) => json!({
                "error": "ENDPOINT_NOT_FOUND",
                "message": "No endpoint with this id",
                "details": {"endpointId": id},
            }),
            VendorError::Api(_) => Value::Null,
        }
    }
}

impl IntoResponse for VendorError {
    fn into_response(self) -> Response {
        let status = match self {
            VendorError::Parameter(_) => StatusCode::BAD_REQUEST,
            VendorError::UnknownEndpoint(_) => StatusCode::NOT_FOUND,
            VendorError::Api(error) => return error.into_envelope(),
        };
        let mut response = (status, self.to_json().to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
