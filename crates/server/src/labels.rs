//! `/api/v1/labels` and `/api/v1/label/{name}/values`: which names and values the caller's series have.

use axum::extract::{RawPathParams, State};
use axum::response::Response;
use model::Budget;
use wire::json;

use crate::answer::{self, Pieces};
use crate::auth::Granted;
use crate::error::ApiError;
use crate::outflow::Inlet;
use crate::params::Params;
use crate::pool::Ask;
use crate::reply;
use crate::state::App;

/// The names of labels.
pub(crate) async fn names(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let (sets, range, limit) = (params.selectors()?, params.range()?, params.limit("limit")?);
    let (reader, bytes_max) = (app.store().reader(&grant)?, app.config().limits.answer_bytes_max);
    let text = params.selectors_text();
    let body = app.queries().stream(Ask::new(&grant, "labels", &text), move |budget, inlet| {
        send(inlet, budget, bytes_max, reader.querier().label_names(&sets, range, limit, budget)?, limit)
    });
    Ok(reply::json(body.await?))
}

/// The values of one label.
pub(crate) async fn values(
    State(app): State<App>,
    Granted(grant): Granted,
    path: RawPathParams,
    params: Params,
) -> Result<Response, ApiError> {
    let (sets, range, limit) = (params.selectors()?, params.range()?, params.limit("limit")?);
    let name = path.iter().find(|(param, _)| *param == "name").map_or("", |(_, name)| name);
    let name = unescape(name).unwrap_or_else(|| name.to_owned());
    if name.is_empty() {
        return Err(ApiError::BadData(format!("invalid label name: {name:?}")));
    }
    let (reader, bytes_max) = (app.store().reader(&grant)?, app.config().limits.answer_bytes_max);
    let text = format!("{name} {}", params.selectors_text());
    let body = app.queries().stream(Ask::new(&grant, "label values", &text), move |budget, inlet| {
        send(inlet, budget, bytes_max, reader.querier().label_values(&name, &sets, range, limit, budget)?, limit)
    });
    Ok(reply::json(body.await?))
}

fn send(
    inlet: &Inlet,
    budget: &Budget,
    bytes_max: usize,
    mut found: Vec<String>,
    limit: usize,
) -> Result<(), ApiError> {
    let warnings = reply::truncate(&mut found, limit);
    let likely_most = found.iter().map(|text| answer::text_bytes(text)).sum();
    answer::send(inlet, budget, bytes_max, likely_most, |into| {
        let data = |into: &mut Pieces<'_>| json::write_strings(found.iter().map(String::as_str), into);
        json::write_success(data, &warnings, &[], into)
    })
}

/// Undoes the escape for names outside the old character set: `U__`, then `__` for `_` and `_2e_` for other characters.
///
/// `None` if the name is not escaped, or not well: it is then meant literally.
/// Source: Prometheus `docs` on UTF-8 names, "value encoding".
pub(crate) fn unescape(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix("U__")?;
    let mut plain = String::with_capacity(rest.len());
    while let Some(at) = rest.find('_') {
        plain.push_str(rest.get(..at)?);
        let (code, after) = rest.get(at + 1..)?.split_once('_')?;
        plain.push(if code.is_empty() { '_' } else { char::from_u32(u32::from_str_radix(code, 16).ok()?)? });
        rest = after;
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_come_back_plain() {
        let table = [
            ("U__http_2e_status", Some("http.status")),
            ("U__a__b", Some("a_b")),
            ("U__", Some("")),
            ("U___1F600_x", Some("\u{1F600}x")),
            ("U__bad_zz_", None),
            ("U__open_2e", None),
            ("U___d800_", None),
            ("plain_name", None),
        ];
        for (name, expect) in table {
            assert_eq!(unescape(name).as_deref(), expect, "{name}");
        }
    }
}
