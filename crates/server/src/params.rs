//! A request's parameters: the URL's query merged with a form body, and the readings every endpoint shares.
//!
//! Source: Prometheus `docs/querying/api.md` and Go's `net/http` form rules, which clients rely on: a body value wins
//! over the URL's, an empty value counts as absent, unknown names are ignored, and any Content-Type will do.

use std::borrow::Cow;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use model::{Matcher, Pattern, TimeRange, Timestamp};
use percent_encoding::percent_decode;

use crate::body;
use crate::error::ApiError;
use crate::state::App;

/// Parameters of one request. A relist of a metrics adapter sends hundreds of `match[]`; nobody sends thousands.
const PARAMS_MAX: usize = 4096;
/// Bytes that the patterns of all `match[]` take together: each may be an automaton of a MiB or two, and a dozen bytes
/// ask for it. Hundreds of usual ones take a few MiB.
const PATTERNS_BYTES_MAX: usize = 64 << 20;
/// Bound of every time, positive and negative: a quarter of what `i64` holds, so that sums of times never overflow.
pub(crate) const TIME_MS_MAX: i64 = i64::MAX / 4;
/// How Prometheus' own client writes the earliest and the latest time there is.
const EARLIEST: &str = "-292273086-05-16T16:47:06Z";
const LATEST: &str = "292277025-08-18T07:12:54.999999999Z";

/// The parameters, those of the body first.
#[derive(Debug, Default)]
pub(crate) struct Params {
    pairs: Vec<(String, String)>,
}

impl FromRequest<App> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Params, ApiError> {
        let (head, body) = request.into_parts();
        let mut params = Params::default();
        if matches!(head.method, Method::POST | Method::PUT) {
            let limits = &app.config().limits;
            let bytes = body::read(body, &head.headers, limits.form_bytes_max, limits.body_timeout).await?;
            match boundary(&head.headers) {
                Some(boundary) => params.extend_parts(&bytes, boundary)?,
                None => params.extend(&bytes)?,
            }
        }
        params.extend(head.uri.query().unwrap_or_default().as_bytes())?;
        Ok(params)
    }
}

impl Params {
    /// Adds the parts of a form whose fields stand between boundaries, which is how `curl -F` sends them.
    fn extend_parts(&mut self, form: &[u8], boundary: &str) -> Result<(), ApiError> {
        let form = std::str::from_utf8(form).map_err(|_| not_utf8())?;
        for part in form.split(&format!("--{boundary}")).skip(1) {
            let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
            let name = head.split_once("; name=\"").and_then(|(_, rest)| rest.split_once('"'));
            if let Some((name, _)) = name {
                self.push(name.to_owned(), value.strip_suffix("\r\n").unwrap_or(value).to_owned())?;
            }
        }
        Ok(())
    }

    fn push(&mut self, name: String, value: String) -> Result<(), ApiError> {
        if self.pairs.len() == PARAMS_MAX {
            return Err(ApiError::BadData(format!("request has more than {PARAMS_MAX} parameters")));
        }
        self.pairs.push((name, value));
        Ok(())
    }

    /// Adds the pairs of `a=b&c=d`.
    fn extend(&mut self, form: &[u8]) -> Result<(), ApiError> {
        for pair in form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = match pair.iter().position(|b| *b == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            self.push(decode(name)?, decode(value)?)?;
        }
        Ok(())
    }

    /// All names and values, those of the body first.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value of `name`; `None` when it is absent or empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let first = self.pairs.iter().find(|(n, _)| n == name);
        first.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of `name`, those of the body first.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The expression of `query=`; its parser judges an absent one as the empty text.
    pub(crate) fn query(&self) -> &str {
        self.get("query").unwrap_or_default()
    }

    /// The selectors of `match[]=` as they were sent.
    pub(crate) fn selectors_text(&self) -> String {
        self.all("match[]").collect::<Vec<_>>().join(" ")
    }

    /// The time `name`, if there is one.
    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let time = parse_time(text);
        time.map(Some).ok_or_else(|| invalid(name, format!("cannot parse {text:?} to a valid timestamp")))
    }

    /// The time `name`, which must be there.
    pub(crate) fn required_time(&self, name: &str) -> Result<Timestamp, ApiError> {
        self.time(name)?.ok_or_else(|| invalid(name, "cannot parse \"\" to a valid timestamp"))
    }

    /// The duration `name` in milliseconds, if there is one; the caller judges its sign.
    pub(crate) fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let duration = parse_duration_ms(text);
        duration.map(Some).ok_or_else(|| invalid(name, format!("cannot parse {text:?} to a valid duration")))
    }

    /// The duration `name` in milliseconds, which must be positive if it is there.
    pub(crate) fn positive_duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.duration_ms(name)? {
            Some(ms) if ms <= 0 => Err(invalid(name, "duration must be at least 1ms")),
            duration => Ok(duration),
        }
    }

    /// How many results the caller wants at most; absent and 0 mean all.
    pub(crate) fn limit(&self, name: &str) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(usize::MAX) };
        match text.parse::<u64>() {
            Ok(0) => Ok(usize::MAX),
            Ok(limit) => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            Err(_) => Err(invalid(name, format!("{text:?} is not a number of 0 or more"))),
        }
    }

    /// The flag `name`.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.get(name) {
            None => Ok(default),
            Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(text) => Err(invalid(name, format!("{text:?} is not true or false"))),
        }
    }

    /// The range of `start=` and `end=`; an absent bound is open.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        let mint = self.time("start")?.unwrap_or(-TIME_MS_MAX);
        let maxt = self.time("end")?.unwrap_or(TIME_MS_MAX);
        if maxt < mint {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        Ok(TimeRange { mint, maxt })
    }

    /// The selectors of `match[]=`, each with a matcher that an absent label does not satisfy.
    ///
    /// Errors: among them patterns that take more memory than [`PATTERNS_BYTES_MAX`].
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let (mut selectors, mut bytes) = (Vec::new(), 0);
        for text in self.all("match[]") {
            let matchers = parse_selector(text)?;
            bytes += matchers.iter().filter_map(Matcher::pattern).map(Pattern::heap_bytes).sum::<usize>();
            if PATTERNS_BYTES_MAX < bytes {
                let what = format_args!("regular expressions take more than {PATTERNS_BYTES_MAX} bytes of memory");
                return Err(invalid("match[]", what));
            }
            selectors.push(matchers);
        }
        Ok(selectors)
    }
}

fn parse_selector(text: &str) -> Result<Vec<Matcher>, ApiError> {
    let matchers = promql::parse_selector(text).map_err(|error| invalid("match[]", error))?;
    if matchers.iter().all(Matcher::matches_empty) {
        return Err(invalid("match[]", "match[] must contain at least one non-empty matcher"));
    }
    Ok(matchers)
}

/// A refusal that names the parameter, as Prometheus words it.
pub(crate) fn invalid(name: &str, why: impl std::fmt::Display) -> ApiError {
    ApiError::BadData(format!("invalid parameter {name:?}: {why}"))
}

/// Decodes one name or value: `+` is a space, `%41` is a byte, the whole must be UTF-8.
fn decode(text: &[u8]) -> Result<String, ApiError> {
    let spaced: Cow<'_, [u8]> = if text.contains(&b'+') {
        Cow::Owned(text.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect())
    } else {
        Cow::Borrowed(text)
    };
    let decoded = percent_decode(&spaced).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| not_utf8())
}

fn not_utf8() -> ApiError {
    ApiError::BadData("parameters must be valid UTF-8".to_owned())
}

/// What stands between the fields of a form, if its type says so.
fn boundary(headers: &HeaderMap) -> Option<&str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let (kind, parameters) = kind.split_once(';')?;
    let boundary = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary="))?;
    let is_multipart = kind.trim().eq_ignore_ascii_case("multipart/form-data");
    Some(boundary.trim_matches('"')).filter(|boundary| is_multipart && !boundary.is_empty())
}

/// Reads seconds since the epoch, whole or not, or an RFC 3339 time.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<f64>() {
        return milliseconds(seconds);
    }
    match text {
        EARLIEST => Some(-TIME_MS_MAX),
        LATEST => Some(TIME_MS_MAX),
        _ => {
            let time = text.parse::<jiff::Timestamp>().ok()?;
            i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
        }
    }
}

/// Reads seconds, whole or not, or `1h30m`.
fn parse_duration_ms(text: &str) -> Option<i64> {
    match text.parse::<f64>() {
        Ok(seconds) => milliseconds(seconds),
        Err(_) => promql::parse_duration(text).ok().filter(|ms| ms.unsigned_abs() <= TIME_MS_MAX.unsigned_abs()),
    }
}

/// Seconds to whole milliseconds, if they are a number within [`TIME_MS_MAX`].
fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    #[expect(clippy::cast_precision_loss, reason = "a bound, not a value")]
    let max = TIME_MS_MAX as f64;
    #[expect(clippy::cast_possible_truncation, reason = "whole and within i64, checked first")]
    (ms.abs() < max).then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(body: &str, url: &str) -> Params {
        let mut params = Params::default();
        params.extend(body.as_bytes()).unwrap();
        params.extend(url.as_bytes()).unwrap();
        params
    }

    #[test]
    fn body_and_url_merge_and_the_body_wins() {
        let p = params("query=up&match[]=a&timeout=", "query=down&match%5B%5D=b&timeout=5&x=1+2%2B3");
        assert_eq!(p.get("query"), Some("up"));
        assert_eq!(p.all("match[]").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(p.get("timeout"), None, "present but empty is absent");
        assert_eq!(p.get("x"), Some("1 2+3"));
    }

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        let table = [
            ("0", Some(0)),
            ("1795310698.9294946", Some(1_795_310_698_929)),
            ("1.0005", Some(1001)),
            ("-1.5", Some(-1500)),
            ("1e3", Some(1_000_000)),
            ("1795310698000", Some(1_795_310_698_000_000)),
            ("2026-01-02T03:04:05Z", Some(1_767_323_045_000)),
            ("2026-01-02T03:04:05.123456789+01:00", Some(1_767_319_445_123)),
            (EARLIEST, Some(-TIME_MS_MAX)),
            (LATEST, Some(TIME_MS_MAX)),
            ("NaN", None),
            ("inf", None),
            ("1e300", None),
            ("yesterday", None),
            ("2026-01-02", None),
        ];
        for (text, expect) in table {
            assert_eq!(parse_time(text), expect, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_compound() {
        let table =
            [("15", Some(15_000)), ("0.5", Some(500)), ("1h0m0s", Some(3_600_000)), ("-1", Some(-1000)), ("1y1", None)];
        for (text, expect) in table {
            assert_eq!(parse_duration_ms(text), expect, "{text}");
        }
    }

    /// A relist asks for hundreds of usual patterns; a few hundred hostile ones took half a GB.
    #[test]
    fn patterns_have_a_bound_of_memory() {
        let params = |pattern: &str, n: usize| {
            let pair = ("match[]".to_owned(), format!("{{a=~\"{pattern}\"}}"));
            Params { pairs: vec![pair; n] }.selectors().map(|selectors| selectors.len())
        };
        assert_eq!(params("^container_.*|x", 500).unwrap(), 500);
        let refused = params("((a{100}){10}){9}|xyz*", 500).unwrap_err();
        assert!(format!("{refused:?}").contains("regular expressions take more than"), "{refused:?}");
    }

    #[test]
    fn too_many_parameters_are_refused() {
        assert!(Params::default().extend("a&".repeat(PARAMS_MAX + 1).as_bytes()).is_err());
        assert!(Params::default().extend(b"a=%ff").is_err());
    }
}
