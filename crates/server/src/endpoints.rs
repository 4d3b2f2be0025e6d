//! Which endpoint a path means: one that is registered, or one that the labels of the caller's series tell of.

use std::collections::HashMap;
use std::sync::Arc;

use clouds::EndpointFacts;
use control::{Access, Endpoint, Grant};
use model::{Budget, MatchOp, Matcher, PROJECT_LABEL, ProjectId, TimeRange, Timestamp};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::error::ApiError;
use crate::state::App;
use crate::store::Reader;

/// How far back the series of an endpoint are looked for: one that was idle for longer has to be registered.
const LOOK_BACK_MS: i64 = 24 * 3_600_000;
/// How long it is believed what the labels told, and that they told nothing.
const REMEMBERED_MS: i64 = 10_000;
/// Names remembered; then all are forgotten.
const REMEMBERED_MAX: usize = 10_000;
/// Values of one label that are looked at.
const VALUES_MAX: usize = 100;

/// What Hugging Face's paths call an endpoint.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Hash)]
pub(crate) struct Slug {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What labels told, for a moment.
#[derive(Default)]
pub(crate) struct Discovered(Mutex<HashMap<(Access, Slug), Remembered>>);

struct Remembered {
    at: Timestamp,
    endpoint: Option<Arc<Endpoint>>,
}

impl Discovered {
    fn recall(&self, key: &(Access, Slug), now: Timestamp) -> Option<Option<Arc<Endpoint>>> {
        let remembered = self.0.lock();
        let found = remembered.get(key).filter(|found| now.saturating_sub(found.at) < REMEMBERED_MS)?;
        Some(found.endpoint.clone())
    }

    fn remember(&self, key: (Access, Slug), now: Timestamp, endpoint: Option<Arc<Endpoint>>) {
        let mut remembered = self.0.lock();
        if REMEMBERED_MAX <= remembered.len() {
            remembered.clear();
        }
        remembered.insert(key, Remembered { at: now, endpoint });
    }
}

/// The endpoint that `slug` means for `grant`; blocking.
///
/// Errors: not found, in the same words and after the same look-ups whether it is nobody's or another project's; and
/// several projects' for an operator.
pub(crate) fn find(
    app: &App,
    grant: &Grant,
    reader: &Reader,
    slug: &Slug,
    now: Timestamp,
    budget: &Budget,
) -> Result<Arc<Endpoint>, ApiError> {
    if let Some(endpoint) = app.endpoints().by_slug(grant, &slug.namespace, &slug.name)? {
        return Ok(endpoint);
    }
    let key = (grant.access().clone(), slug.clone());
    let found = match app.discovered().recall(&key, now) {
        Some(found) => found,
        None => {
            let found = discover(reader, slug, now, budget)?.map(Arc::new);
            app.discovered().remember(key, now, found.clone());
            found
        }
    };
    found.ok_or_else(|| ApiError::NotFound("no such endpoint".to_owned()))
}

/// What the vendors' answers are told of an endpoint.
pub(crate) fn facts(endpoint: &Endpoint) -> EndpointFacts {
    let Endpoint { id, name, tier, region, cluster, gpu_model, gpu_count, budget_usd_month, warm_replicas, .. } =
        endpoint.clone();
    EndpointFacts { id, name: Some(name), tier, region, cluster, gpu_model, gpu_count, budget_usd_month, warm_replicas }
}

/// What the labels of the reader's series tell of an endpoint.
fn discover(reader: &Reader, slug: &Slug, now: Timestamp, budget: &Budget) -> Result<Option<Endpoint>, ApiError> {
    let querier = reader.querier();
    let range = TimeRange { mint: now.saturating_sub(LOOK_BACK_MS), maxt: now };
    let values = |label: &str, matchers: &[Matcher]| {
        querier.label_values(label, &[matchers.to_vec()], range, VALUES_MAX, budget).map_err(ApiError::from)
    };
    for matchers in selections(slug)? {
        let projects = values(PROJECT_LABEL, &matchers)?;
        let ids = values("endpoint_id", &matchers)?;
        let (project, id) = match (projects.as_slice(), ids.as_slice()) {
            ([], _) | (_, []) => continue,
            ([project], [id, ..]) => (project, id),
            (several, _) => return Err(control::SeveralProjects(several.len()).into()),
        };
        let project = ProjectId::parse(project).map_err(ApiError::internal)?;
        let known = |label: &str| values(label, &matchers).map(|values| only(&values));
        let gpu_model = match known("gpu_model")? {
            Some(model) => Some(model),
            None => known("modelName")?,
        };
        return Ok(Some(Endpoint {
            model: known("model_name")?,
            tier: known("service_tier")?,
            region: known("region")?,
            cluster: known("cluster_id")?,
            gpu_model,
            ..Endpoint::new(project, id, &slug.namespace, &slug.name)
        }));
    }
    Ok(None)
}

/// How the series of an endpoint are selected: the first that selects any is it.
///
/// A slug's namespace is a label of the series, or, without such a label, their project.
fn selections(slug: &Slug) -> Result<[Vec<Matcher>; 2], ApiError> {
    let has_id = Matcher::new("endpoint_id", MatchOp::NotEqual, "").map_err(ApiError::internal)?;
    let named = |namespace: &str| {
        vec![Matcher::equal("endpoint", &slug.name), has_id.clone(), Matcher::equal("namespace", namespace)]
    };
    let mut without = named("");
    without.push(Matcher::equal(PROJECT_LABEL, &slug.namespace));
    Ok([named(&slug.namespace), without])
}

/// The value, if there is just one.
fn only(values: &[String]) -> Option<String> {
    match values {
        [value] => Some(value.clone()),
        _ => None,
    }
}
