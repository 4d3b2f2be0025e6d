//! `/federate`: the newest sample of each selected series, as text for another server to scrape.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use model::{Budget, Columns, Labels, METRIC_NAME, Matcher, Queryable, Sample, TimeRange, is_plain_name, is_stale};
use wire::exposition::{ExpositionFormat, encode_series};
use wire::json::{self, Sink};

use crate::answer::{self, Pieces};
use crate::auth::Granted;
use crate::clock;
use crate::error::ApiError;
use crate::params::Params;
use crate::pool::Ask;
use crate::state::App;
use crate::store::Reader;

/// Answers in the best of the formats that the caller reads.
pub(crate) async fn show(
    State(app): State<App>,
    Granted(grant): Granted,
    headers: HeaderMap,
    params: Params,
) -> Result<Response, ApiError> {
    let sets = params.selectors()?;
    let style = Style::negotiate(headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or(""));
    let (reader, limits) = (app.store().reader(&grant)?, &app.config().limits);
    let (now, lookback_ms) = (clock::now_ms(), i64::try_from(limits.lookback.as_millis()).unwrap_or(i64::MAX));
    let range = TimeRange { mint: now.saturating_sub(lookback_ms).saturating_add(1), maxt: now };
    let (bytes_max, text) = (limits.answer_bytes_max, params.selectors_text());
    let body = app.queries().stream(Ask::new(&grant, "federate", &text), move |budget, inlet| {
        let found = newest(&reader, &sets, range, budget)?;
        let bytes = |(labels, _): &(Labels, Sample)| {
            192 + 2 * labels.metric_name().map_or(0, str::len) + 2 * labels.as_bytes().len()
        };
        answer::send(inlet, budget, bytes_max, found.iter().map(bytes).sum(), |into| write_all(&found, style, into))
    });
    Ok(([(header::CONTENT_TYPE, style.content_type())], body.await?).into_response())
}

/// The newest float of each series, unless it is a marker of the series' end: text knows neither markers nor native
/// histograms. Series without a name have no place in a text.
fn newest(
    reader: &Reader,
    sets: &[Vec<Matcher>],
    range: TimeRange,
    budget: &Budget,
) -> Result<Vec<(Labels, Sample)>, ApiError> {
    let (mut found, mut columns) = (Vec::new(), Columns::default());
    for matchers in sets {
        let series = reader.querier().select(matchers, range, budget)?.series;
        for series_idx in 0..series.len() {
            budget.check()?;
            series.read(series_idx, &mut columns, budget)?;
            budget.count_samples(columns.len())?;
            let labels = series.labels(series_idx);
            let (Some(t), Some(v)) = (columns.timestamps.last(), columns.values.last()) else { continue };
            let is_newest = columns.histogram_timestamps.last().is_none_or(|other| other < t);
            if is_newest && !is_stale(*v) && labels.metric_name().is_some() {
                budget.charge(SERIES_BYTES + labels.as_bytes().len())?;
                found.push((labels.clone(), Sample { t: *t, v: *v }));
            }
        }
    }
    // Each selection comes sorted by labels, and a name is nearly always the first of them: little is left to do.
    found.sort_by(|(a, _), (b, _)| a.metric_name().cmp(&b.metric_name()).then_with(|| a.cmp(b)));
    found.dedup_by(|(a, _), (b, _)| a == b);
    Ok(found)
}

/// What a series takes in the list beside its labels.
const SERIES_BYTES: usize = 128;

/// A format, and what becomes of names that were not allowed before UTF-8 ones were.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Style {
    format: ExpositionFormat,
    keeps_utf8: bool,
}

impl Style {
    /// The best of the `Accept` header's ranges that is a text format; Prometheus' own if there is none.
    fn negotiate(accept: &str) -> Style {
        let mut best: Option<(f64, Style)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => ExpositionFormat::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => ExpositionFormat::Prometheus,
                _ => continue,
            };
            let (mut q, mut keeps_utf8) = (1.0, false);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim() {
                    "q" => q = value.trim().parse().unwrap_or(0.0),
                    "escaping" => keeps_utf8 = value.trim() == "allow-utf-8",
                    _ => {}
                }
            }
            if q > 0.0 && best.as_ref().is_none_or(|(found, _)| *found < q) {
                best = Some((q, Style { format, keeps_utf8 }));
            }
        }
        best.map_or(Style { format: ExpositionFormat::Prometheus, keeps_utf8: false }, |(_, style)| style)
    }

    fn content_type(self) -> &'static str {
        match (self.format, self.keeps_utf8) {
            (ExpositionFormat::OpenMetrics, true) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
            }
            (ExpositionFormat::OpenMetrics, false) => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
            }
            (ExpositionFormat::Prometheus, true) => "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            (ExpositionFormat::Prometheus, false) => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
        }
    }

    /// The type of a family of which nothing is known.
    fn unknown(self) -> &'static str {
        match self.format {
            ExpositionFormat::OpenMetrics => "unknown",
            ExpositionFormat::Prometheus => "untyped",
        }
    }
}

fn write_all(found: &[(Labels, Sample)], style: Style, into: &mut Pieces<'_>) -> Result<(), ApiError> {
    let mut family = "";
    for (labels, sample) in found {
        let name = labels.metric_name().unwrap_or_default();
        if family != name {
            family = name;
            into.bytes().extend_from_slice(b"# TYPE ");
            push_name(name, style, into.bytes());
            into.bytes().extend_from_slice(format!(" {}\n", style.unknown()).as_bytes());
        }
        push_series(labels, style, into.bytes());
        into.bytes().push(b' ');
        json::push_number(sample.v, into.bytes());
        into.bytes().push(b' ');
        match style.format {
            ExpositionFormat::OpenMetrics => json::push_timestamp(sample.t, into.bytes()),
            ExpositionFormat::Prometheus => into.bytes().extend_from_slice(sample.t.to_string().as_bytes()),
        }
        into.bytes().push(b'\n');
        into.pause()?;
    }
    if style.format == ExpositionFormat::OpenMetrics {
        into.bytes().extend_from_slice(b"# EOF\n");
    }
    Ok(())
}

fn push_name(name: &str, style: Style, into: &mut Vec<u8>) {
    if style.keeps_utf8 && !is_plain_name(name, true) {
        json::push_string(name, into);
    } else {
        into.extend_from_slice(escaped(name, true).as_bytes());
    }
}

/// Writes name and labels; `instance` is always among them, so that the scraper does not add its own.
fn push_series(labels: &Labels, style: Style, into: &mut Vec<u8>) {
    let is_plain = |(name, _): (&str, &str)| is_plain_name(name, false);
    if style.keeps_utf8 || (labels.iter().all(is_plain) && is_plain_name(labels.metric_name().unwrap_or(""), true)) {
        encode_series(labels, into);
    } else {
        let pairs: Vec<(String, String)> = labels
            .iter()
            .map(|(name, value)| match name {
                METRIC_NAME => (name.to_owned(), escaped(value, true)),
                name => (escaped(name, false), value.to_owned()),
            })
            .collect();
        let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        encode_series(&Labels::from_pairs(pairs), into);
    }
    if labels.get("instance").is_none() {
        let separator = if into.last() == Some(&b'}') { into.pop().map_or('{', |_| ',') } else { '{' };
        into.extend_from_slice(format!("{separator}instance=\"\"}}").as_bytes());
    }
}

/// A name of the old character set: what is not in it becomes an underscore.
fn escaped(name: &str, with_colons: bool) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || (c == ':' && with_colons);
    let mut plain: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_format_is_chosen() {
        use ExpositionFormat::{OpenMetrics, Prometheus};
        for (accept, format, keeps_utf8) in [
            ("", Prometheus, false),
            ("*/*", Prometheus, false),
            ("application/json", Prometheus, false),
            ("text/plain;version=0.0.4;q=0.5, application/openmetrics-text;version=1.0.0", OpenMetrics, false),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.4", Prometheus, false),
            ("application/openmetrics-text;q=0,text/plain;q=0.1", Prometheus, false),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                 text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,*/*;q=0.1",
                OpenMetrics,
                true,
            ),
        ] {
            assert_eq!(Style::negotiate(accept), Style { format, keeps_utf8 }, "{accept}");
        }
    }

    #[test]
    fn names_fit_the_old_character_set_if_they_must() {
        let labels = Labels::from_pairs([("__name__", "http.requests"), ("a.b", "x"), ("instance", "i")]);
        let mut into = Vec::new();
        push_series(&labels, Style::negotiate(""), &mut into);
        into.push(b' ');
        push_series(&labels, Style::negotiate("text/plain;escaping=allow-utf-8"), &mut into);
        into.push(b' ');
        push_series(&Labels::from_pairs([("__name__", "up")]), Style::negotiate(""), &mut into);
        let expect = r#"http_requests{a_b="x",instance="i"} {"http.requests","a.b"="x",instance="i"} up{instance=""}"#;
        assert_eq!(String::from_utf8(into).unwrap(), expect);
        assert_eq!(escaped("1a:b", false), "_1a_b");
    }
}
