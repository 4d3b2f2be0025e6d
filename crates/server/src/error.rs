//! Every error of the server, and the only map from an error to an HTTP answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::{Action, ControlError, Denied, Scopes, SeveralProjects};
use model::{Interrupt, StorageError};
use promql::{EvalError, ParseError};
use thiserror::Error;
use tsdb::{AppendError, TsdbError};
use wire::{ReadError, UnsupportedMedia, WireError};

use crate::rates::Exceeded;

/// Why the server could not start, or ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// A setting is outside its bounds.
    #[error("{0}")]
    Config(String),
    /// The address cannot be listened on.
    #[error("listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The data directory cannot be used.
    #[error("open the data directory")]
    Dir(#[from] disk::DiskError),
    /// The file of projects and tokens cannot be used.
    #[error("open the projects and tokens")]
    Control(#[from] ControlError),
    /// The store cannot be opened or closed.
    #[error("open the store")]
    Store(#[from] TsdbError),
    /// The catalog of the vendor APIs is refused.
    #[error("catalog {path}")]
    Catalog {
        /// The file, or `embedded`.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: clouds::CatalogError,
    },
    /// The process lacks something it needs from the system.
    #[error("start the server")]
    System(#[from] io::Error),
}

/// Why a request was not answered as asked: one variant for each thing a client can tell apart.
#[derive(Clone, Debug)]
pub(crate) enum ApiError {
    /// 400: a parameter, a body or an expression is wrong.
    BadData(String),
    /// 401: no token, or not a valid one; which of the two is nobody's business.
    Unauthorized,
    /// 403: a valid token that may not do this.
    Forbidden(String),
    /// 403: a valid token without the scope that this needs.
    Scope {
        /// The scope.
        needed: Action,
        /// What the token has.
        held: Scopes,
    },
    /// 404: what the path names is not there.
    NotFound(String),
    /// 408: the body did not arrive in time.
    BodyTimeout(Duration),
    /// 413: the body is too large.
    TooLarge(String),
    /// 429: the project has as much of something as it may have.
    Limited(String),
    /// 429: the token has asked as often as it may.
    RateLimited(Exceeded),
    /// 415: the body is of a kind this server does not read.
    Unsupported(String),
    /// 422: a well-formed query that cannot be answered.
    Execution(String),
    /// 499: the client left.
    Canceled,
    /// 503: the query's time is up.
    Timeout,
    /// 503 with `Retry-After`: the same request may succeed later.
    Unavailable(String),
    /// 500: our fault; the detail is in the log alone, since it may name paths.
    Internal,
}

/// Seconds after which a refused client should come back; remote-write senders add their own backoff.
const RETRY_AFTER_S: &str = "1";
/// Seconds after which room may have come where a project has as much as it may have: series leave by the hour.
const LIMIT_RETRY_AFTER_S: &str = "60";
/// What nginx answers a client that left; only logs and metrics ever see it.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// The status of a request whose client left before its answer.
pub(crate) fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(CLIENT_CLOSED_REQUEST).unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
}

impl ApiError {
    /// Logs a failure of ours and hides it.
    pub(crate) fn internal(detail: impl std::fmt::Display) -> ApiError {
        tracing::error!("{detail}");
        ApiError::Internal
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            ApiError::BadData(_) => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(_) | ApiError::Scope { .. } => StatusCode::FORBIDDEN,
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::BodyTimeout(_) => StatusCode::REQUEST_TIMEOUT,
            ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ApiError::Limited(_) | ApiError::RateLimited(_) => StatusCode::TOO_MANY_REQUESTS,
            ApiError::Execution(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::Canceled => client_closed_request(),
            ApiError::Timeout | ApiError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The `errorType` of Prometheus' envelope.
    fn kind(&self) -> &'static str {
        match self {
            ApiError::BadData(_) | ApiError::BodyTimeout(_) | ApiError::TooLarge(_) | ApiError::Unsupported(_) => {
                "bad_data"
            }
            ApiError::Unauthorized => "unauthorized",
            ApiError::Forbidden(_) | ApiError::Scope { .. } => "forbidden",
            ApiError::NotFound(_) => "not_found",
            ApiError::Limited(_) | ApiError::RateLimited(_) => "too_many_requests",
            ApiError::Execution(_) => "execution",
            ApiError::Canceled => "canceled",
            ApiError::Timeout => "timeout",
            ApiError::Unavailable(_) => "unavailable",
            ApiError::Internal => "internal",
        }
    }

    pub(crate) fn message(&self) -> String {
        match self {
            ApiError::Scope { needed, .. } => format!("token lacks scope {needed}"),
            ApiError::RateLimited(Exceeded { limit, retry_after_s }) => {
                format!("more than {limit} requests an hour by one token; come back in {retry_after_s} s")
            }
            ApiError::BadData(what)
            | ApiError::Forbidden(what)
            | ApiError::NotFound(what)
            | ApiError::TooLarge(what)
            | ApiError::Unsupported(what)
            | ApiError::Limited(what)
            | ApiError::Execution(what)
            | ApiError::Unavailable(what) => what.clone(),
            ApiError::Unauthorized => {
                "a valid monitoring token is needed, as the header Authorization: Bearer TOKEN".to_owned()
            }
            ApiError::BodyTimeout(limit) => format!("body did not arrive within {limit:?}"),
            ApiError::Canceled => Interrupt::Canceled.to_string(),
            ApiError::Timeout => Interrupt::TimedOut.to_string(),
            ApiError::Internal => "internal error; the server's log has the detail".to_owned(),
        }
    }

    /// The answer in TensorOne's envelope.
    pub(crate) fn into_envelope(self) -> Response {
        let code = match &self {
            ApiError::BadData(_) | ApiError::BodyTimeout(_) | ApiError::TooLarge(_) | ApiError::Unsupported(_) => {
                "INVALID_PARAMETERS"
            }
            ApiError::Unauthorized => "UNAUTHORIZED",
            ApiError::Forbidden(_) | ApiError::Scope { .. } => "INSUFFICIENT_PERMISSIONS",
            ApiError::NotFound(_) => "NOT_FOUND",
            ApiError::Limited(_) | ApiError::RateLimited(_) => "RATE_LIMIT_EXCEEDED",
            ApiError::Execution(_) => "QUERY_FAILED",
            ApiError::Canceled => "CANCELED",
            ApiError::Timeout => "TIMEOUT",
            ApiError::Unavailable(_) => "UNAVAILABLE",
            ApiError::Internal => "INTERNAL_ERROR",
        };
        let body = serde_json::json!({"error": code, "message": self.message(), "details": {}});
        self.answer("application/json", body.to_string().into_bytes())
    }

    /// The answer as text, for write endpoints: senders log the first bytes of a body as they are.
    pub(crate) fn into_text(self) -> Response {
        let body = self.message() + "\n";
        self.answer("text/plain; charset=utf-8", body.into_bytes())
    }

    /// The answer with `body`; the headers say what the status alone does not. The error goes along, so that a path of
    /// another vendor can put it into that vendor's words.
    pub(crate) fn answer(&self, content_type: &'static str, body: Vec<u8>) -> Response {
        let mut response = (self.status(), [(header::CONTENT_TYPE, content_type)], body).into_response();
        match self {
            ApiError::Unauthorized => {
                let challenge = HeaderValue::from_static("Bearer realm=\"promenade\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            ApiError::Unavailable(_) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
            }
            ApiError::Limited(_) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(LIMIT_RETRY_AFTER_S));
            }
            ApiError::RateLimited(exceeded) => {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(exceeded.retry_after_s));
            }
            // The rest of the body is still on its way: the connection cannot be used again.
            ApiError::BodyTimeout(_) | ApiError::TooLarge(_) => {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            ApiError::BadData(_)
            | ApiError::Forbidden(_)
            | ApiError::Scope { .. }
            | ApiError::NotFound(_)
            | ApiError::Unsupported(_)
            | ApiError::Execution(_)
            | ApiError::Canceled
            | ApiError::Timeout
            | ApiError::Internal => {}
        }
        response.extensions_mut().insert(self.clone());
        response
    }
}

impl IntoResponse for ApiError {
    /// Prometheus' error envelope.
    fn into_response(self) -> Response {
        let mut body = Vec::new();
        wire::json::push_error(self.kind(), &self.message(), &mut body);
        self.answer("application/json", body)
    }
}

impl From<Interrupt> for ApiError {
    fn from(interrupt: Interrupt) -> ApiError {
        match interrupt {
            Interrupt::Canceled => ApiError::Canceled,
            Interrupt::TimedOut => ApiError::Timeout,
            Interrupt::PoolBytes { .. } | Interrupt::QueryBytes { .. } | Interrupt::Samples { .. } => {
                ApiError::Execution(interrupt.to_string())
            }
        }
    }
}

impl From<StorageError> for ApiError {
    fn from(error: StorageError) -> ApiError {
        match error {
            StorageError::Interrupted(interrupt) => interrupt.into(),
            StorageError::Failed(detail) => ApiError::internal(detail),
        }
    }
}

impl From<EvalError> for ApiError {
    fn from(error: EvalError) -> ApiError {
        match error {
            EvalError::Interrupted(interrupt) => interrupt.into(),
            EvalError::Storage(detail) => ApiError::internal(detail),
            EvalError::Invalid(what) => ApiError::Execution(what),
        }
    }
}

impl From<ParseError> for ApiError {
    fn from(error: ParseError) -> ApiError {
        crate::params::invalid("query", error)
    }
}

impl From<UnsupportedMedia> for ApiError {
    fn from(media: UnsupportedMedia) -> ApiError {
        ApiError::Unsupported(media.to_string())
    }
}

impl From<WireError> for ApiError {
    fn from(error: WireError) -> ApiError {
        match error {
            WireError::TooLarge { .. } => ApiError::TooLarge(error.to_string()),
            WireError::Snappy { .. }
            | WireError::Malformed { .. }
            | WireError::Symbols { .. }
            | WireError::TooMany { .. } => ApiError::BadData(error.to_string()),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> ApiError {
        match error {
            ReadError::Wire(error) => error.into(),
            ReadError::Pattern(_) | ReadError::MatcherType { .. } | ReadError::NotUtf8 | ReadError::Answer { .. } => {
                ApiError::BadData(error.to_string())
            }
        }
    }
}

impl From<AppendError> for ApiError {
    /// Nothing was acknowledged, and the same request may be sent again: duplicates are success.
    fn from(error: AppendError) -> ApiError {
        tracing::error!("write refused: {error}");
        ApiError::Unavailable("the store cannot write now".to_owned())
    }
}

impl From<TsdbError> for ApiError {
    /// A full disk passes; anything else is a failure of ours.
    fn from(error: TsdbError) -> ApiError {
        if matches!(error, TsdbError::BlocksUnread) {
            return ApiError::Unavailable(error.to_string());
        }
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            let system = error.downcast_ref::<io::Error>();
            if system.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
                tracing::error!("{error}");
                return ApiError::Unavailable("the disk is full".to_owned());
            }
            cause = error.source();
        }
        ApiError::internal(error)
    }
}

impl From<SeveralProjects> for ApiError {
    fn from(several: SeveralProjects) -> ApiError {
        ApiError::BadData(several.to_string())
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> ApiError {
        match denied {
            Denied::Missing | Denied::Invalid => ApiError::Unauthorized,
            Denied::Project(_) | Denied::Scope(_) => ApiError::Forbidden(denied.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_error(kind: io::ErrorKind) -> disk::DiskError {
        disk::DiskError { op: "sync", path: "x".into(), source: kind.into() }
    }

    #[test]
    fn what_passes_asks_to_come_back_and_the_rest_says_nothing_of_the_disk() {
        assert!(matches!(ApiError::from(TsdbError::BlocksUnread), ApiError::Unavailable(_)));
        let full = TsdbError::from(disk_error(io::ErrorKind::StorageFull));
        let broken = TsdbError::from(disk_error(io::ErrorKind::PermissionDenied));
        let log = AppendError::from(std::sync::Arc::new(disk_error(io::ErrorKind::StorageFull)));
        for (error, status, retry) in [
            (ApiError::from(full), 503, Some("1")),
            (ApiError::from(log), 503, Some("1")),
            (ApiError::from(broken), 500, None),
            (ApiError::Limited("full".to_owned()), 429, Some("60")),
            (ApiError::BadData("bad".to_owned()), 400, None),
        ] {
            let response = error.into_text();
            assert_eq!(response.status().as_u16(), status);
            let header = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap());
            assert_eq!(header, retry, "{status}");
        }
    }
}
