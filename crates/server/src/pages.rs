//! The few answers that are pages and not data: the root, the probes, and what is not there.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::reply;
use crate::state::App;

const ROOT: &str = "<!doctype html>
<meta charset=\"utf-8\">
<title>Promenade</title>
<h1>Promenade</h1>
<p>A PromQL server for GPU-inference clouds. The Prometheus HTTP API is at <code>/api/v1/</code>; it needs a
monitoring token, as <code>Authorization: Bearer TOKEN</code>.</p>
";

/// `/`: clients check a data source's URL by getting it.
pub(crate) async fn root() -> Html<&'static str> {
    Html(ROOT)
}

/// `/-/healthy`: the process answers.
pub(crate) async fn healthy() -> Response {
    reply::text("Promenade is Healthy.\n")
}

/// `/-/ready`: queries and writes are answered; until then, how far the replay of the log is.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    if app.store().is_ready() {
        return reply::text("Promenade is Ready.\n");
    }
    let (bytes, done) = app.store().replay().bytes();
    let progress = format!("Promenade is not ready: {} of {} MiB of the log are replayed.\n", done >> 20, bytes >> 20);
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], progress).into_response()
}

/// The description of the API, kept by hand; a test holds it against the table of routes.
const OPENAPI: &str = include_str!("openapi.yaml");

/// `/api/v1/openapi.yaml`: what can be asked, for tools that read it.
pub(crate) async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/yaml; charset=utf-8")], OPENAPI).into_response()
}

/// Every path that is not in the table.
pub(crate) async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404 page not found\n").into_response()
}
