//! `/api/v1/metadata`: type, help and unit of metric families, as agents told them.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use model::Metadata;
use serde::Serialize;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::Params;
use crate::pool::Ask;
use crate::reply;
use crate::state::App;

/// One description; clients read its fields as strings without asking.
#[derive(Serialize, PartialEq)]
struct Description {
    r#type: &'static str,
    help: String,
    unit: String,
}

impl From<Metadata> for Description {
    fn from(metadata: Metadata) -> Description {
        Description { r#type: metadata.kind.as_str(), help: metadata.help, unit: metadata.unit }
    }
}

/// Lists families. Unlike Prometheus, `limit=0` lists all: Grafana sends it for "no limit".
pub(crate) async fn list(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let (limit, per_family) = (params.limit("limit")?, params.limit("limit_per_metric")?);
    let family = params.get("metric").map(str::to_owned);
    let reader = app.store().reader(&grant)?;
    let text = family.clone().unwrap_or_default();
    let list = app.queries().run(Ask::new(&grant, "metadata", &text), move |_| {
        let mut families: BTreeMap<String, Vec<Description>> = BTreeMap::new();
        // An operator sees a family once for each project that describes it differently.
        for (name, metadata) in reader.querier().metadata(family.as_deref()) {
            if families.len() == limit && !families.contains_key(&name) {
                continue;
            }
            let descriptions = families.entry(name).or_default();
            let description = Description::from(metadata);
            if descriptions.len() < per_family && !descriptions.contains(&description) {
                descriptions.push(description);
            }
        }
        reply::small(&families)
    });
    list.await
}
