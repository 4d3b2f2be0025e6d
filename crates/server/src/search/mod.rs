//! `/api/v1/search/*`: names and values that resemble what somebody is typing, as lines of JSON.

mod score;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::{Budget, METRIC_NAME, Matcher, Metadata, TimeRange};
use serde::Serialize;
use wire::json::Sink;

use crate::answer::{self, Pieces};
use crate::auth::Granted;
use crate::clock;
use crate::error::ApiError;
use crate::params::{Params, invalid};
use crate::pool::Ask;
use crate::state::App;
use control::Grant;
use score::Scorer;

/// Terms of one search: a person types one, a program a few.
const TERMS_MAX: usize = 32;
/// Results, and results in one line, unless told.
const LIMIT_DEFAULT: usize = 100;
/// How far back series are looked for unless told.
const RANGE_MS: i64 = 3_600_000;

/// The order of results.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Alphabetical,
    Reverse,
    Score,
}

/// What to look for and how to show it.
struct Search {
    sets: Vec<Vec<Matcher>>,
    range: TimeRange,
    scorer: Scorer,
    order: Order,
    shows_score: bool,
    shows_metadata: bool,
    limit: usize,
    batch: usize,
}

/// A result as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    help: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    unit: &'a str,
}

#[derive(Serialize)]
struct Batch<'a> {
    results: &'a [Shown<'a>],
}

#[derive(Serialize)]
struct End {
    status: &'static str,
    has_more: bool,
}

/// Names of metrics, with what is known of them if that is asked for.
pub(crate) async fn metric_names(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    answer(&app, &grant, &params, "search/metric_names", Some(METRIC_NAME.to_owned())).await
}

/// Names of labels.
pub(crate) async fn label_names(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    answer(&app, &grant, &params, "search/label_names", None).await
}

/// Values of the label `label`.
pub(crate) async fn label_values(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let label =
        params.get("label").ok_or_else(|| ApiError::BadData("missing required parameter \"label\"".to_owned()))?;
    answer(&app, &grant, &params, "search/label_values", Some(label.to_owned())).await
}

impl Search {
    fn parse(params: &Params) -> Result<Search, ApiError> {
        let terms: Vec<&str> = params.all("search[]").collect();
        if TERMS_MAX < terms.len() {
            return Err(invalid("search[]", format!("{} terms, limit {TERMS_MAX}", terms.len())));
        }
        let order = match (params.get("sort_by"), params.get("sort_dir")) {
            (None, Some(_)) => return Err(ApiError::BadData("sort_dir is only valid when sort_by is set".to_owned())),
            (Some("score"), Some(_)) => {
                return Err(ApiError::BadData("sort_dir is not supported for sort_by=score".to_owned()));
            }
            (Some("score"), None) if terms.is_empty() => {
                return Err(ApiError::BadData("sort_by=score requires search[] to be set".to_owned()));
            }
            (Some("score"), None) => Order::Score,
            (Some("alpha"), Some("dsc")) => Order::Reverse,
            (None | Some("alpha"), None) | (Some("alpha"), Some("asc")) => Order::Alphabetical,
            (Some("alpha"), Some(other)) => return Err(invalid("sort_dir", format!("{other:?} is not asc or dsc"))),
            (Some(other), _) => return Err(invalid("sort_by", format!("{other:?} is not alpha or score"))),
        };
        let threshold: u8 = match params.get("fuzz_threshold") {
            None => 0,
            Some(text) => {
                let threshold = text.parse().ok().filter(|threshold| *threshold <= 100);
                threshold.ok_or_else(|| invalid("fuzz_threshold", format!("{text:?} is not a number of 0 to 100")))?
            }
        };
        let is_subsequence = match params.get("fuzz_alg") {
            None | Some("subsequence") => true,
            Some("jarowinkler") => false,
            Some(other) => return Err(invalid("fuzz_alg", format!("{other:?} is not subsequence or jarowinkler"))),
        };
        let now = clock::now_ms();
        let mint = params.time("start")?.unwrap_or(now.saturating_sub(RANGE_MS));
        let maxt = params.time("end")?.unwrap_or(now);
        if maxt < mint {
            return Err(invalid("end", "end timestamp must not be before start time"));
        }
        Ok(Search {
            sets: params.selectors()?,
            range: TimeRange { mint, maxt },
            scorer: Scorer::new(
                &terms,
                is_subsequence,
                f64::from(threshold) / 100.0,
                params.flag("case_sensitive", true)?,
            ),
            order,
            shows_score: params.flag("include_score", false)?,
            shows_metadata: params.flag("include_metadata", false)?,
            limit: or_default(params.limit("limit")?),
            batch: or_default(params.limit("batch_size")?),
        })
    }

    /// The best results in order, one more than the limit if there are more.
    fn pick(&self, names: Vec<String>, budget: &Budget) -> Result<Vec<(f64, String)>, ApiError> {
        let mut found = Vec::new();
        for name in names {
            budget.check()?;
            if let Some(score) = self.scorer.score(&name) {
                found.push((score, name));
            }
        }
        match self.order {
            Order::Alphabetical => {}
            Order::Reverse => found.reverse(),
            // Stable: of equals the first by name stays first.
            Order::Score => found.sort_by(|(a, _), (b, _)| b.partial_cmp(a).unwrap_or(Ordering::Equal)),
        }
        found.truncate(self.limit.saturating_add(1));
        Ok(found)
    }
}

fn or_default(limit: usize) -> usize {
    if limit == usize::MAX { LIMIT_DEFAULT } else { limit }
}

async fn answer(
    app: &App,
    grant: &Grant,
    params: &Params,
    what: &'static str,
    label: Option<String>,
) -> Result<Response, ApiError> {
    let search = Search::parse(params)?;
    let (reader, bytes_max) = (app.store().reader(grant)?, app.config().limits.answer_bytes_max);
    let text = params.all("search[]").collect::<Vec<_>>().join(" ");
    let body = app.queries().stream(Ask::new(grant, what, &text), move |budget, inlet| {
        let querier = reader.querier();
        let names = match &label {
            Some(label) => querier.label_values(label, &search.sets, search.range, 0, budget)?,
            None => querier.label_names(&search.sets, search.range, 0, budget)?,
        };
        let found = search.pick(names, budget)?;
        let families = if search.shows_metadata && label.as_deref() == Some(METRIC_NAME) {
            querier.metadata(None).into_iter().collect()
        } else {
            BTreeMap::new()
        };
        let bytes = |(_, name): &(f64, String)| {
            let known = families.get(name).map_or(0, |known| 2 * known.help.len() + 2 * known.unit.len());
            192 + answer::text_bytes(name) + known
        };
        let likely_most = found.iter().map(bytes).sum();
        answer::send(inlet, budget, bytes_max, likely_most, |into| write_all(&search, &found, &families, into))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson; charset=utf-8")], body.await?).into_response())
}

fn write_all(
    search: &Search,
    found: &[(f64, String)],
    families: &BTreeMap<String, Metadata>,
    into: &mut Pieces<'_>,
) -> Result<(), ApiError> {
    let shown = |(score, name): &'_ (f64, String)| (*score, families.get(name.as_str()));
    let results: Vec<Shown<'_>> = found
        .iter()
        .take(search.limit)
        .map(|item| {
            let (score, known) = shown(item);
            Shown {
                name: &item.1,
                score: search.shows_score.then_some(score),
                r#type: known.map(|known| known.kind.as_str()),
                help: known.map_or("", |known| &known.help),
                unit: known.map_or("", |known| &known.unit),
            }
        })
        .collect();
    let mut batches = results.chunks(search.batch.max(1)).peekable();
    if batches.peek().is_none() {
        write_line(&Batch { results: &[] }, into)?;
    }
    for results in batches {
        write_line(&Batch { results }, into)?;
    }
    write_line(&End { status: "success", has_more: search.limit < found.len() }, into)
}

fn write_line(line: &impl Serialize, into: &mut Pieces<'_>) -> Result<(), ApiError> {
    serde_json::to_writer(into.bytes(), line).map_err(ApiError::internal)?;
    into.bytes().push(b'\n');
    into.pause()
}
