//! `/api/v1/query`, `/api/v1/query_range`, and the bare project path that is either of them.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use model::{Budget, Timestamp, Value};
use promql::{Answer, Context, Query, Steps, TextLimits, ValueType};
use wire::json::{self, Sink};

use crate::auth::Granted;
use crate::error::ApiError;
use crate::outflow::Inlet;
use crate::params::{Params, invalid};
use crate::pool::Ask;
use crate::state::App;
use crate::stats::{Cost, Stats};
use crate::{answer, clock, pages, reply};

/// Steps of a range query beyond the first: what a screen can show, and what clients compute their step by.
const STEPS_MAX: i64 = 11_000;

/// When to evaluate.
enum When {
    At(Timestamp),
    Steps(Steps),
}

/// Answers at one time, now unless told.
pub(crate) async fn instant(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let t = params.time("time")?.unwrap_or_else(clock::now_ms);
    evaluate(&app, &grant, &params, When::At(t)).await
}

/// Answers at each step of a range.
pub(crate) async fn range(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    evaluate(&app, &grant, &params, When::Steps(steps(&params)?)).await
}

/// The bare project path: a range query if it has any part of a range, an instant query if it has only an expression,
/// and without one the page that clients get to check the URL.
pub(crate) async fn base(
    State(app): State<App>,
    Granted(grant): Granted,
    method: Method,
    params: Params,
) -> Result<Response, ApiError> {
    if ["start", "end", "step"].into_iter().any(|name| params.get(name).is_some()) {
        return evaluate(&app, &grant, &params, When::Steps(steps(&params)?)).await;
    }
    if params.get("query").is_none() && method != Method::POST {
        return Ok(pages::root().await.into_response());
    }
    let t = params.time("time")?.unwrap_or_else(clock::now_ms);
    evaluate(&app, &grant, &params, When::At(t)).await
}

fn steps(params: &Params) -> Result<Steps, ApiError> {
    let start = params.required_time("start")?;
    let end = params.required_time("end")?;
    if end < start {
        return Err(invalid("end", "end timestamp must not be before start time"));
    }
    let step_ms =
        params.duration_ms("step")?.ok_or_else(|| invalid("step", "cannot parse \"\" to a valid duration"))?;
    if step_ms <= 0 {
        return Err(invalid("step", "the step must be at least 1ms"));
    }
    if STEPS_MAX < (end - start) / step_ms {
        return Err(ApiError::BadData(
            "exceeded maximum resolution of 11,000 points per timeseries; use a larger step or a shorter range"
                .to_owned(),
        ));
    }
    Ok(Steps { start, end, step_ms })
}

async fn evaluate(app: &App, grant: &control::Grant, params: &Params, when: When) -> Result<Response, ApiError> {
    let limit = params.limit("limit")?;
    let timeout = params.positive_duration_ms("timeout")?.map(|ms| Duration::from_millis(ms.unsigned_abs()));
    let lookback = app.config().limits.lookback.as_millis();
    let lookback_ms = match params.positive_duration_ms("lookback_delta")? {
        Some(ms) => ms,
        None => i64::try_from(lookback).unwrap_or(i64::MAX),
    };
    let stats = Stats::asked(params);
    let text = params.query().to_owned();
    let reader = app.store().reader(grant)?;
    let features = app.config().features;
    let (asked, bytes_max) = (Instant::now(), app.config().limits.answer_bytes_max);
    let what = match when {
        When::At(_) => "query",
        When::Steps(_) => "query_range",
    };
    let ask = Ask { timeout, ..Ask::new(grant, what, params.query()) };
    let body = app.queries().stream(ask, move |budget, inlet| {
        let started = Instant::now();
        let mut query = features.apply(Query::parse(&text, &TextLimits::default())?);
        if stats != Stats::None {
            query = query.with_sample_counts();
        }
        let parsed = Instant::now();
        let querier = reader.querier();
        let ctx = Context { store: &querier, budget, lookback_ms };
        let mut answer = match when {
            When::At(t) => query.instant(t, &ctx)?,
            When::Steps(steps) => {
                check_type(&query)?;
                query.range(steps, &ctx)?
            }
        };
        let cost = Cost { queue: started - asked, preparation: parsed - started, evaluation: parsed.elapsed() };
        let steps = match when {
            When::At(t) => Steps { start: t, end: t, step_ms: 1 },
            When::Steps(steps) => steps,
        };
        let stats = stats.show(&cost, budget, answer.samples.as_ref(), steps, &mut answer.warnings);
        send(inlet, budget, bytes_max, answer, limit, &stats)
    });
    Ok(reply::json(body.await?))
}

/// Sends an answer in Prometheus' envelope, its series cut to `limit`, and `stats` beside them if there are any.
fn send(
    inlet: &Inlet,
    budget: &Budget,
    bytes_max: usize,
    mut found: Answer,
    limit: usize,
    stats: &str,
) -> Result<(), ApiError> {
    cap(&mut found.warnings, "warning");
    cap(&mut found.infos, "info");
    let lost = match &mut found.value {
        Value::Vector(series) => reply::truncate(series, limit),
        Value::Matrix(series) => reply::truncate(series, limit),
        Value::Scalar { .. } | Value::String { .. } => Vec::new(),
    };
    found.warnings.extend(lost);
    answer::send(inlet, budget, bytes_max, answer::value_bytes(&found.value), |into| {
        let data = |into: &mut answer::Pieces<'_>| {
            into.bytes().push(b'{');
            json::write_value(&found.value, into)?;
            into.bytes().extend_from_slice(stats.as_bytes());
            into.bytes().push(b'}');
            Ok(())
        };
        json::write_success(data, &found.warnings, &found.infos, into)
    })
}

/// Warnings, and separately infos, that an answer shows; the rest are counted. Source: Prometheus' API does the same.
const ANNOTATIONS_MAX: usize = 10;

fn cap(annotations: &mut Vec<String>, kind: &str) {
    let more = annotations.len().saturating_sub(ANNOTATIONS_MAX);
    if more > 0 {
        annotations.truncate(ANNOTATIONS_MAX);
        annotations.push(format!("{more} more {kind} annotations omitted"));
    }
}

/// Refuses what has no value at each step.
fn check_type(query: &Query) -> Result<(), ApiError> {
    match query.value_type() {
        ValueType::Scalar | ValueType::Vector => Ok(()),
        other @ (ValueType::Matrix | ValueType::String) => {
            let found = other.describe();
            Err(invalid("query", format!("a range query needs a scalar or an instant vector, not a {found}")))
        }
    }
}
