//! `GET /v2/endpoints/{endpoint_id}/metrics` and `POST /v2/endpoints/metrics/batch`.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use clouds::tensorone::{self, ENDPOINT_LABEL, Format, MetricsAsk, Refusal};
use clouds::{Batch, EndpointFacts, RateCard, Subject};
use control::Grant;
use model::Interrupt;
use promql::EvalError;
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinSet;

use super::VendorError;
use super::answer::{self, Kept};
use crate::auth::{Allowance, Granted};
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::{batch, body, clock, endpoints};

/// Endpoints of one batch.
const BATCH_MAX: usize = 100;
/// Endpoints of a batch that are asked about at once: what many share is read once, and two parts use two processors.
const PART: usize = 10;
/// Bytes of a batch's body: a hundred ids and a few words.
const BODY_BYTES_MAX: usize = 64 << 10;
const JSON: &str = "application/json";

/// What names the endpoint; a project's path has its project beside.
#[derive(Deserialize)]
pub(crate) struct EndpointPath {
    endpoint_id: String,
}

/// The metrics of one endpoint.
pub(crate) async fn endpoint(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    Path(EndpointPath { endpoint_id: id }): Path<EndpointPath>,
    params: Params,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let ask = MetricsAsk::parse(params.pairs(), now)?;
    let (grant, registered) = match app.endpoints().by_id(&grant, &id)? {
        // An operator sees the series of all projects, and only this one's are meant.
        Some(endpoint) => {
            (grant.for_project(&endpoint.project).map_err(ApiError::from)?, vec![endpoints::facts(&endpoint)])
        }
        None => (grant, Vec::new()),
    };
    let question = answer::question(&grant, "metrics", &(&id, &ask), ask.frame.cached_ms(), now);
    let rates = app.prices();
    let kept = answer::answer(&app, &grant, &allowance, question, move |batch| {
        let ids = [id.clone()];
        let Some(facts) = facts(batch, registered, &ids, now)?.pop() else {
            return Err(VendorError::unknown_endpoint(&id));
        };
        let found = batch.run(&Subject::members(ENDPOINT_LABEL, ids.to_vec()), &tensorone::needs(&ask))?;
        let view = found.member(&facts.id);
        let full = || tensorone::metrics(&ask, view, &facts, &rates, now);
        Ok(match ask.format {
            _ if ask.is_basic => Kept::new(JSON, tensorone::basic(&ask, view, &facts, &rates).to_string()),
            Format::Json => Kept::new(JSON, full().to_string()),
            Format::Csv => Kept::new("text/csv; charset=utf-8", tensorone::csv(&full())),
            Format::Prometheus => {
                Kept::new("text/plain; version=0.0.4; charset=utf-8", tensorone::exposition(view, &facts))
            }
        })
    });
    Ok(kept.await?.into_response())
}

/// The metrics of several endpoints, and their summaries rolled up.
pub(crate) async fn batch(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    request: Request,
) -> Result<Response, VendorError> {
    let now = clock::now_ms();
    let (head, sent) = request.into_parts();
    let bytes = body::read(sent, &head.headers, BODY_BYTES_MAX, app.config().limits.body_timeout).await?;
    let (ids, pairs) = read_batch(&bytes)?;
    let ask = MetricsAsk::parse(&pairs, now)?;
    if ask.format != Format::Json {
        let refusal = Refusal {
            parameter: "format",
            value: format!("{:?}", ask.format).to_lowercase(),
            allowed: vec!["json".to_owned()],
            why: None,
        };
        return Err(refusal.into());
    }
    let question = answer::question(&grant, "batch", &(&ids, &ask), ask.frame.cached_ms(), now);
    let kept = answer::kept_or(&app, &grant, &allowance, question, async {
        let asked = Arc::new(Asked { ask, rates: app.prices(), now });
        let mut answers = in_parts(&app, &grant, &asked, &ids).await?;
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        // In the order of the request.
        for id in &ids {
            match answers.remove(id) {
                Some(answer) => found.push(answer),
                None => errors.push(VendorError::unknown_endpoint(id).to_json()),
            }
        }
        Ok(Kept::new(JSON, tensorone::batch(&asked.ask, found, errors, now).to_string()))
    });
    Ok(kept.await?.into_response())
}

/// What is asked about each endpoint of a batch.
struct Asked {
    ask: MetricsAsk,
    rates: RateCard,
    now: i64,
}

/// The answers about those of `ids` that exist, by id; the parts take turns on the query pool as queries of their own.
async fn in_parts(
    app: &App,
    grant: &Grant,
    asked: &Arc<Asked>,
    ids: &[String],
) -> Result<HashMap<String, Value>, ApiError> {
    // Dropped with the request, the set ends what is left of it.
    let mut parts = JoinSet::new();
    for ids in ids.chunks(PART) {
        parts.spawn(part(app.clone(), grant.clone(), asked.clone(), ids.to_vec()));
    }
    let mut answers = HashMap::new();
    while let Some(part) = parts.join_next().await {
        answers.extend(part.map_err(ApiError::internal)??);
    }
    Ok(answers)
}

/// The answers of one part. If it needs more than a query may use it is asked in halves, so that a batch is refused only
/// if one of its endpoints alone would be.
async fn part(app: App, grant: Grant, asked: Arc<Asked>, ids: Vec<String>) -> Result<Vec<(String, Value)>, ApiError> {
    let (mut open, mut answers) = (vec![ids], Vec::new());
    while let Some(ids) = open.pop() {
        let (known, of, asked) = (registered(&app, &grant, &ids)?, ids.clone(), asked.clone());
        let made = batch::run(&app, &grant, move |batch| match about(batch, known, &of, &asked) {
            Err(EvalError::Interrupted(Interrupt::Samples { .. } | Interrupt::QueryBytes { .. })) if 1 < of.len() => {
                Ok(None)
            }
            made => Ok(Some(made?)),
        });
        match made.await? {
            Some(made) => answers.extend(made),
            None => open.extend(ids.chunks(ids.len().div_ceil(2)).map(<[String]>::to_vec)),
        }
    }
    Ok(answers)
}

/// The answers about those of `ids` that exist, by one batch.
fn about(
    batch: &Batch<'_>,
    registered: Vec<EndpointFacts>,
    ids: &[String],
    Asked { ask, rates, now }: &Asked,
) -> Result<Vec<(String, Value)>, EvalError> {
    let facts = facts(batch, registered, ids, *now)?;
    let known: Vec<String> = facts.iter().map(|facts| facts.id.clone()).collect();
    if known.is_empty() {
        return Ok(Vec::new());
    }
    let found = batch.run(&Subject::members(ENDPOINT_LABEL, known), &tensorone::needs(ask))?;
    let answer = |facts: EndpointFacts| {
        let view = found.member(&facts.id);
        let answer = match ask.is_basic {
            true => tensorone::basic(ask, view, &facts, rates),
            false => tensorone::metrics(ask, view, &facts, rates, *now),
        };
        (facts.id, answer)
    };
    Ok(facts.into_iter().map(answer).collect())
}

/// What the registry knows of those of `ids` that the caller may see.
fn registered(app: &App, grant: &Grant, ids: &[String]) -> Result<Vec<EndpointFacts>, ApiError> {
    let mut facts = Vec::new();
    for id in ids {
        facts.extend(app.endpoints().by_id(grant, id)?.map(|endpoint| endpoints::facts(&endpoint)));
    }
    Ok(facts)
}

/// What is known of those of `ids` that exist, in their order: an endpoint does that is registered, or that the caller
/// has series of. What nobody registered of it, the labels of its series tell.
fn facts(
    batch: &Batch<'_>,
    registered: Vec<EndpointFacts>,
    ids: &[String],
    now: i64,
) -> Result<Vec<EndpointFacts>, EvalError> {
    let heard = clouds::facts_from_labels(batch, ENDPOINT_LABEL, ids, now)?;
    let of = |all: &[EndpointFacts], id: &String| all.iter().find(|facts| facts.id == *id).cloned();
    let known = ids.iter().filter_map(|id| match (of(&registered, id), of(&heard, id)) {
        (Some(registered), Some(heard)) => Some(EndpointFacts {
            tier: registered.tier.or(heard.tier),
            region: registered.region.or(heard.region),
            cluster: registered.cluster.or(heard.cluster),
            gpu_model: registered.gpu_model.or(heard.gpu_model),
            ..registered
        }),
        (registered, heard) => registered.or(heard),
    });
    Ok(known.collect())
}

/// Parameters as names and values.
type Pairs = Vec<(String, String)>;

/// The ids of a batch's body, each once, and its other members as parameters.
fn read_batch(bytes: &[u8]) -> Result<(Vec<String>, Pairs), Refusal> {
    let refuse = |parameter, value: &str, why: &str| Refusal {
        parameter,
        value: value.chars().take(80).collect(),
        allowed: Vec::new(),
        why: Some(why.to_owned()),
    };
    let body: Value = serde_json::from_slice(bytes).map_err(|error| refuse("body", "", &error.to_string()))?;
    let Value::Object(members) = body else { return Err(refuse("body", "", "expected an object")) };
    let Some(Value::Array(given)) = members.get("endpointIds") else {
        return Err(refuse("endpointIds", "", "expected a list of endpoint ids"));
    };
    if given.is_empty() || BATCH_MAX < given.len() {
        let why = format!("{} ids, 1 to {BATCH_MAX}", given.len());
        return Err(refuse("endpointIds", "", &why));
    }
    let mut ids: Vec<String> = Vec::new();
    for id in given {
        match id {
            Value::String(id) if ids.contains(id) => {}
            Value::String(id) => ids.push(id.clone()),
            other => return Err(refuse("endpointIds", &other.to_string(), "an id is a string")),
        }
    }
    let mut pairs = Vec::new();
    for (name, value) in members.iter().filter(|(name, _)| *name != "endpointIds") {
        push_pairs(name, value, &mut pairs);
    }
    Ok((ids, pairs))
}

/// A member of a body as parameters: a list is one for each of its elements.
fn push_pairs(name: &str, value: &Value, pairs: &mut Pairs) {
    match value {
        Value::Null => {}
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        Value::Array(elements) => {
            let flat = elements.iter().filter(|element| !element.is_array());
            flat.for_each(|element| push_pairs(name, element, pairs));
        }
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => pairs.push((name.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_are_ids_and_parameters() {
        let (ids, pairs) = read_batch(
            br#"{"endpointIds":["a","b","a"],"timeframe":"24h","metrics":["performance","costs"],"aggregation":null}"#,
        )
        .unwrap();
        assert_eq!(ids, ["a", "b"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expect = [pair("metrics", "performance"), pair("metrics", "costs"), pair("timeframe", "24h")];
        assert_eq!(pairs, expect);
    }

    #[test]
    fn bad_bodies_are_refused_by_name() {
        let many = json!({"endpointIds": vec!["x"; BATCH_MAX + 1]}).to_string();
        for (body, parameter) in [
            ("", "body"),
            ("[]", "body"),
            ("{}", "endpointIds"),
            (r#"{"endpointIds":"a"}"#, "endpointIds"),
            (r#"{"endpointIds":[]}"#, "endpointIds"),
            (r#"{"endpointIds":[1]}"#, "endpointIds"),
            (&many, "endpointIds"),
        ] {
            assert_eq!(read_batch(body.as_bytes()).unwrap_err().parameter, parameter, "{body}");
        }
    }
}
