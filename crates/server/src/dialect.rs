//! In whose words a path refuses: Prometheus' envelope, TensorOne's, or Hugging Face's.

use axum::response::Response;
use control::Action;
use serde_json::json;

use crate::error::ApiError;
use crate::rates::{Exceeded, Topic};

/// The words of a route's refusals, and what its vendor's documents add to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `{"status":"error","errorType":...,"error":...}`.
    Prometheus,
    /// `{"error":CODE,"message":...,"details":...}`; the header may be the token alone, without `Bearer`.
    TensorOne(Topic),
    /// `{"error":MESSAGE}`.
    HuggingFace,
}

impl Dialect {
    /// Whether the `Authorization` header may be the token alone.
    pub(crate) fn takes_bare_tokens(self) -> bool {
        matches!(self, Dialect::TensorOne(_))
    }

    /// What of a vendor's limits a request counts against.
    pub(crate) fn topic(self) -> Option<Topic> {
        match self {
            Dialect::Prometheus => None,
            Dialect::TensorOne(topic) => Some(topic),
            Dialect::HuggingFace => Some(Topic::Metrics),
        }
    }

    /// The answer of a route, or of the checks before it, with a refusal put into these words.
    pub(crate) fn speak(self, response: Response) -> Response {
        let error = response.extensions().get::<ApiError>();
        error.and_then(|error| self.refuse(error)).unwrap_or(response)
    }

    /// The refusal in these words.
    fn refuse(self, error: &ApiError) -> Option<Response> {
        match self {
            Dialect::Prometheus => None,
            Dialect::TensorOne(topic) => Some(tensorone(topic, error)),
            Dialect::HuggingFace => {
                let body = json!({"error": error.message()});
                Some(error.answer("application/json", body.to_string().into_bytes()))
            }
        }
    }
}

/// TensorOne's envelope of what any of its routes may refuse. Source: the 403 and 429 answers of its documents.
fn tensorone(topic: Topic, error: &ApiError) -> Response {
    let (what, noun, suggestion) = match topic {
        Topic::Metrics => ("Metrics", "metrics", "Use batch endpoints or increase polling interval"),
        Topic::Logs => ("Logs", "log", "Use streaming for real-time logs"),
    };
    let body = match error {
        ApiError::Scope { needed, held } => {
            let held: Vec<&str> = held.iter().map(Action::as_str).collect();
            json!({
                "error": "INSUFFICIENT_PERMISSIONS",
                "message": format!("{what} access requires {needed} permission"),
                "details": {"requiredPermission": needed.as_str(), "currentPermissions": held},
            })
        }
        ApiError::RateLimited(Exceeded { limit, retry_after_s }) => json!({
            "error": "RATE_LIMIT_EXCEEDED",
            "message": format!("Too many {noun} requests"),
            "details": {"limit": limit, "window": "1h", "retryAfter": retry_after_s, "suggestion": suggestion},
        }),
        other => return other.clone().into_envelope(),
    };
    error.answer("application/json", body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use axum::http::header;
    use control::Scopes;
    use serde_json::Value;

    use super::*;

    async fn refused(dialect: Dialect, error: ApiError) -> (u16, Option<String>, Value) {
        let response = dialect.refuse(&error).unwrap();
        let retry = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), 4096).await.unwrap();
        (status, retry, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn refusals_are_the_documented_ones() {
        let metrics = Dialect::TensorOne(Topic::Metrics);
        let held: Scopes = "endpoints:execute,endpoints:read".parse().unwrap();
        let scope = |needed| ApiError::Scope { needed, held };
        let exceeded = ApiError::RateLimited(Exceeded { limit: 60, retry_after_s: 300 });
        for (dialect, error, expect) in [
            (
                metrics,
                scope(Action::AnalyticsRead),
                (
                    403,
                    None,
                    json!({
                        "error": "INSUFFICIENT_PERMISSIONS",
                        "message": "Metrics access requires analytics:read permission",
                        "details": {
                            "requiredPermission": "analytics:read",
                            "currentPermissions": ["endpoints:read", "endpoints:execute"]
                        }
                    }),
                ),
            ),
            (
                metrics,
                exceeded.clone(),
                (
                    429,
                    Some("300".to_owned()),
                    json!({
                        "error": "RATE_LIMIT_EXCEEDED",
                        "message": "Too many metrics requests",
                        "details": {
                            "limit": 60,
                            "window": "1h",
                            "retryAfter": 300,
                            "suggestion": "Use batch endpoints or increase polling interval"
                        }
                    }),
                ),
            ),
            (
                Dialect::TensorOne(Topic::Logs),
                ApiError::RateLimited(Exceeded { limit: 100, retry_after_s: 60 }),
                (
                    429,
                    Some("60".to_owned()),
                    json!({
                        "error": "RATE_LIMIT_EXCEEDED",
                        "message": "Too many log requests",
                        "details": {
                            "limit": 100,
                            "window": "1h",
                            "retryAfter": 60,
                            "suggestion": "Use streaming for real-time logs"
                        }
                    }),
                ),
            ),
            (
                metrics,
                ApiError::NotFound("no endpoint ep_1".to_owned()),
                (404, None, json!({"error": "NOT_FOUND", "message": "no endpoint ep_1", "details": {}})),
            ),
            (
                Dialect::HuggingFace,
                ApiError::NotFound("no endpoint a/b".to_owned()),
                (404, None, json!({"error": "no endpoint a/b"})),
            ),
        ] {
            assert_eq!(refused(dialect, error).await, expect);
        }
    }
}
