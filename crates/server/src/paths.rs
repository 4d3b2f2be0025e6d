//! Paths as clients glue them together: doubled and trailing slashes mean nothing.

use axum::extract::Request;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;

/// Cleans the request's path before routing; a redirect would turn a POST into a GET.
pub(crate) fn normalise(mut request: Request) -> Request {
    if let Some(uri) = cleaned(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The URI with its path cleaned; `None` if it was clean, as nearly all are.
fn cleaned(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let is_clean = !path.contains("//") && (path.len() <= 1 || !path.ends_with('/'));
    if is_clean {
        return None;
    }
    let mut clean = String::with_capacity(path.len());
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        clean.push('/');
        clean.push_str(segment);
    }
    if clean.is_empty() {
        clean.push('/');
    }
    if let Some(query) = uri.query() {
        clean.push('?');
        clean.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(clean).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_collapse_and_the_query_stays() {
        let table = [
            ("//api/v1/query?query=a//b/", Some("/api/v1/query?query=a//b/")),
            ("/api/v1/labels/", Some("/api/v1/labels")),
            ("///", Some("/")),
            ("/", None),
            ("/api/v1/query?query=a//b", None),
            ("/a%2F%2Fb", None),
        ];
        for (uri, expect) in table {
            let cleaned = cleaned(&uri.parse().unwrap()).map(|uri| uri.to_string());
            assert_eq!(cleaned.as_deref(), expect, "{uri}");
        }
    }
}
