//! TensorOne's error envelope: `{"error","message","details"}` with the codes of the vendor's documents.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clouds::tensorone::Refusal;
use serde_json::{Value, json};

use crate::error::ApiError;

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

/// The envelope of one error.
pub(crate) struct Envelope {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) details: Value,
}

impl IntoResponse for VendorError {
    fn into_response(self) -> Response {
        match self {
            VendorError::Parameter(refusal) => {
                let envelope =
                    Envelope { code: "INVALID_PARAMETERS", message: refusal.message(), details: refusal.details() };
                envelope.answer(StatusCode::BAD_REQUEST)
            }
            VendorError::UnknownEndpoint(id) => {
                let message = "No endpoint with this id".to_owned();
                let envelope = Envelope { code: "ENDPOINT_NOT_FOUND", message, details: json!({"endpointId": id}) };
                envelope.answer(StatusCode::NOT_FOUND)
            }
            VendorError::Api(error) => error.into_envelope(),
        }
    }
}

impl Envelope {
    /// The envelope as an answer.
    pub(crate) fn answer(self, status: StatusCode) -> Response {
        let body = json!({"error": self.code, "message": self.message, "details": self.details});
        let mut response = (status, body.to_string()).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
