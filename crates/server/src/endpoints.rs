//! Which endpoint a path means: one that is registered, or one that the labels of the caller's series tell of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use clouds::EndpointFacts;
use control::{Access, Endpoint, Grant};
use model::{Budget, Labels, Matcher, PROJECT_LABEL, ProjectId, Queryable, TimeRange, Timestamp};
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

/// What the labels of the reader's series tell of an endpoint; reads no sample.
fn discover(reader: &Reader, slug: &Slug, now: Timestamp, budget: &Budget) -> Result<Option<Endpoint>, ApiError> {
    let range = TimeRange { mint: now.saturating_sub(LOOK_BACK_MS), maxt: now };
    let querier = reader.querier();
    let selected = querier.select(&[Matcher::equal("endpoint", &slug.name)], range, budget)?.series;
    let series = (0..selected.len()).map(|series_idx| selected.labels(series_idx));
    let series: Vec<&Labels> = series.filter(|labels| labels.get("endpoint_id").is_some()).collect();
    for is_meant in [has_namespace, is_of_project] {
        let meant: Vec<&Labels> = series.iter().copied().filter(|labels| is_meant(labels, &slug.namespace)).collect();
        let (projects, ids) = (values(&meant, PROJECT_LABEL), values(&meant, "endpoint_id"));
        let (Some(project), Some(id)) = (projects.first(), ids.first()) else { continue };
        if 1 < projects.len() {
            return Err(control::SeveralProjects(projects.len()).into());
        }
        let project = ProjectId::parse(project).map_err(ApiError::internal)?;
        let known = |label: &str| only(&values(&meant, label));
        return Ok(Some(Endpoint {
            model: known("model_name"),
            tier: known("service_tier"),
            region: known("region"),
            cluster: known("cluster_id"),
            gpu_model: known("gpu_model").or_else(|| known("modelName")),
            ..Endpoint::new(project, id, &slug.namespace, &slug.name)
        }));
    }
    Ok(None)
}

/// Whether a slug's namespace is a label of the series.
fn has_namespace(labels: &Labels, namespace: &str) -> bool {
    labels.get("namespace") == Some(namespace)
}

/// Whether a slug's namespace is the series' project, for want of such a label.
fn is_of_project(labels: &Labels, namespace: &str) -> bool {
    labels.get("namespace").is_none() && labels.get(PROJECT_LABEL) == Some(namespace)
}

/// The values of a label of some series.
fn values<'a>(series: &[&'a Labels], label: &str) -> BTreeSet<&'a str> {
    series.iter().filter_map(|labels| labels.get(label)).collect()
}

/// The value, if there is just one.
fn only(values: &BTreeSet<&str>) -> Option<String> {
    values.first().filter(|_| values.len() == 1).map(|value| (*value).to_owned())
}
