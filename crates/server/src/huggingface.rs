//! Hugging Face's routes: an endpoint by its namespace and name, as text for scrapers and as lines over time.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use clouds::huggingface::{self, EndpointMetrics, Exposition, LinesAsk, REPLICA_LABEL};
use clouds::tensorone::{ENDPOINT_LABEL, Refusal};
use clouds::{Batch, Subject};
use control::Grant;
use serde::Deserialize;
use wire::exposition::ExpositionFormat;

use crate::auth::{Allowance, Granted};
use crate::endpoints::Slug;
use crate::error::ApiError;
use crate::params::Params;
use crate::state::App;
use crate::{batch, body, clock, reply};

/// Bytes of the body that says which range is wanted.
const BODY_BYTES_MAX: usize = 4096;

/// `GET .../open-metrics`.
pub(crate) async fn open_metrics(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    Path(slug): Path<Slug>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let exposition = exposition(&headers);
    allowance.spend(&grant)?;
    let text = about(&app, &grant, slug, move |batch, endpoint| {
        let now = clock::now_ms();
        let found = batch.run(endpoint, &huggingface::needs(now))?;
        let replicas = Subject::each(REPLICA_LABEL).within(ENDPOINT_LABEL, endpoint.listed().to_vec());
        let replicas = batch.run(&replicas, &huggingface::replica_needs(now))?;
        let id = endpoint.listed().first().map_or("", String::as_str);
        Ok(EndpointMetrics { endpoint: found.member(id), replicas: &replicas }.text(exposition))
    });
    let content_type = match exposition {
        Exposition::Documented => ExpositionFormat::Prometheus.content_type(),
        Exposition::OpenMetrics => ExpositionFormat::OpenMetrics.content_type(),
    };
    Ok(([(header::CONTENT_TYPE, content_type)], text.await?).into_response())
}

/// `GET .../metrics`: all figures between `start` and `stop`.
pub(crate) async fn all(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    Path(slug): Path<Slug>,
    params: Params,
) -> Result<Response, ApiError> {
    let seconds = |name: &str| params.time(name).map(|time| time.map(|ms| ms.div_euclid(1000)));
    let step = params.positive_duration_ms("step")?.map(|ms| ms.div_euclid(1000));
    let ask = LinesAsk::new(None, seconds("start")?, seconds("stop")?, step, clock::now_ms());
    let ask = ask.map_err(|refusal| refused(&refusal))?;
    allowance.spend(&grant)?;
    lines(&app, &grant, slug, ask, LinesAsk::all).await
}

/// `POST .../metrics/{metric}`: one figure between `from` and `to`.
pub(crate) async fn one(
    State(app): State<App>,
    Granted(grant): Granted,
    allowance: Allowance,
    Path(path): Path<MetricPath>,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let range = Range::read(&app, &head.headers, body).await?;
    let ask = LinesAsk::new(Some(&path.metric), range.from, range.to, range.step, clock::now_ms());
    let ask = ask.map_err(|refusal| refused(&refusal))?;
    allowance.spend(&grant)?;
    lines(&app, &grant, Slug { namespace: path.namespace, name: path.name }, ask, LinesAsk::one).await
}

#[derive(Deserialize)]
pub(crate) struct MetricPath {
    namespace: String,
    name: String,
    metric: String,
}

/// The body of a request for one figure; what is left out is chosen.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    from: Option<i64>,
    to: Option<i64>,
    step: Option<i64>,
}

impl Range {
    /// Reads a body; none asks for the last hour.
    async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Range, ApiError> {
        let bytes = body::read(body, headers, BODY_BYTES_MAX, app.config().limits.body_timeout).await?;
        if bytes.is_empty() {
            return Ok(Range::default());
        }
        let read = serde_json::from_slice(&bytes);
        read.map_err(|error| ApiError::BadData(format!("body is no {{\"from\",\"to\",\"step\"}} in seconds: {error}")))
    }
}

async fn lines(
    app: &App,
    grant: &Grant,
    slug: Slug,
    ask: LinesAsk,
    answer: fn(&LinesAsk, clouds::View<'_>) -> serde_json::Value,
) -> Result<Response, ApiError> {
    let json = about(app, grant, slug, move |batch, endpoint| {
        let found = batch.run(endpoint, &ask.needs())?;
        let id = endpoint.listed().first().map_or("", String::as_str);
        Ok(answer(&ask, found.member(id)).to_string())
    });
    Ok(reply::json(json.await?.into_bytes()))
}

/// Runs `work` about the endpoint that a path names, within its project.
async fn about<T: Send + 'static>(
    app: &App,
    grant: &Grant,
    slug: Slug,
    work: impl FnOnce(&Batch<'_>, &Subject) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let endpoint = batch::find(app, grant, slug).await?;
    let narrowed = grant.for_project(&endpoint.project)?;
    let subject = Subject::members(ENDPOINT_LABEL, vec![endpoint.id.clone()]);
    batch::run(app, &narrowed, move |batch| work(batch, &subject)).await
}

/// A parameter that cannot be read, in a sentence: these answers have no place for details.
fn refused(refusal: &Refusal) -> ApiError {
    let allowed = match refusal.allowed.as_slice() {
        [] => String::new(),
        allowed => format!("; allowed are {}", allowed.join(", ")),
    };
    ApiError::BadData(format!("{}: {:?}{allowed}", refusal.message(), refusal.value))
}

/// Which text a scraper wants: OpenMetrics only if it says so, and no less than plain text.
fn exposition(headers: &HeaderMap) -> Exposition {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accepted: Vec<&str> = accepted.flat_map(|value| value.split(',')).collect();
    let quality = |wanted: &str| {
        let ranges = accepted.iter().filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_wanted = parts.next()?.eq_ignore_ascii_case(wanted);
            let quality = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f64>().ok());
            quality.filter(|_| is_wanted)
        });
        ranges.fold(0.0, f64::max)
    };
    let strict = quality("application/openmetrics-text");
    if 0.0 < strict && quality("text/plain") <= strict { Exposition::OpenMetrics } else { Exposition::Documented }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn scrapers_get_what_they_prefer() {
        use Exposition::{Documented, OpenMetrics};
        for (accept, expect) in [
            ("", Documented),
            ("*/*", Documented),
            ("text/plain", Documented),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", OpenMetrics),
            // Prometheus 3.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;\
                 version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;\
                 q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", Documented),
            ("text/plain, application/openmetrics-text;q=0.5", Documented),
            ("application/openmetrics-text;q=0", Documented),
            ("application/openmetrics-text;q=x", Documented),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
            assert_eq!(exposition(&headers), expect, "{accept}");
        }
    }
}
