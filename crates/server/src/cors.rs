//! Pages of other origins: any may ask, since a browser adds no token on its own.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::state::App;

/// The layer around all routes: answers preflights, which carry no token, and marks answers as readable.
///
/// A server without tokens tells browsers nothing: every page that a developer opens could read it otherwise.
pub(crate) async fn allow(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_cross_origin = request.headers().contains_key(header::ORIGIN) && !app.config().insecure_no_auth;
    let mut response = if request.method() == Method::OPTIONS {
        StatusCode::NO_CONTENT.into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if is_cross_origin {
        mark(headers);
    }
    response
}

fn mark(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}
