//! `/api/v1/status/*`: what the server is and holds.

use axum::extract::State;
use axum::response::Response;
use model::Timestamp;
use serde::Serialize;
use serde_json::json;
use tsdb::Finding;

use crate::error::ApiError;
use crate::reply;
use crate::state::App;

/// The level of Prometheus' API that is served: clients choose by it what they ask for.
const PROMETHEUS_LEVEL: &str = "3.5.0";
const OWN_VERSION: &str = concat!("promenade-", env!("CARGO_PKG_VERSION"));

/// `/api/v1/status/buildinfo`.
///
/// There is no `features` key, not even an empty one: Grafana takes a server that has it for Mimir.
pub(crate) async fn buildinfo() -> Result<Response, ApiError> {
    let data = json!({
        "version": PROMETHEUS_LEVEL,
        "revision": OWN_VERSION,
        "branch": "promenade",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    });
    reply::small(&data)
}

/// `/api/v1/status/runtimeinfo`, without what only a Go program has.
pub(crate) async fn runtimeinfo(State(app): State<App>) -> Result<Response, ApiError> {
    let config = app.config();
    let retention = config.retention.map_or_else(|| "forever".to_owned(), |r| format!("{}s", r.as_secs()));
    let data = json!({
        "startTime": rfc_3339(app.metrics().started),
        "serverTime": rfc_3339(crate::clock::now_ms()),
        "CWD": "",
        "hostname": "",
        "reloadConfigSuccess": true,
        "lastConfigTime": rfc_3339(app.metrics().started),
        "corruptionCount": app.store().db()?.integrity().len(),
        "storageRetention": retention,
    });
    reply::small(&data)
}

/// `/api/v1/status/tsdb`: the head's size. Which names are large is not counted yet; the lists are empty.
pub(crate) async fn tsdb(State(app): State<App>) -> Result<Response, ApiError> {
    let stats = app.store().stats()?;
    let data = json!({
        "headStats": {
            "numSeries": stats.head_series,
            "numLabelPairs": stats.head_label_pairs,
            "chunkCount": stats.head_chunks,
            "minTime": stats.head_mint.unwrap_or_default(),
            "maxTime": stats.head_maxt.unwrap_or_default(),
        },
        "seriesCountByMetricName": [],
        "labelValueCountByLabelName": [],
        "memoryInBytesByLabelName": [],
        "seriesCountByLabelValuePair": [],
    });
    reply::small(&data)
}

/// One damage as operators see it; what is not known is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Damage {
    file: String,
    what: String,
    lost: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined: Option<String>,
}

impl From<Finding> for Damage {
    fn from(finding: Finding) -> Damage {
        let (min_time, max_time) = (finding.range.map(|range| range.mint), finding.range.map(|range| range.maxt));
        let Finding { file, what, lost, quarantined, .. } = finding;
        Damage { file, what, lost, min_time, max_time, quarantined }
    }
}

/// `/api/v1/status/integrity`: what was found damaged since the start, and what it cost.
pub(crate) async fn integrity(State(app): State<App>) -> Result<Response, ApiError> {
    let findings: Vec<Damage> = app.store().db()?.integrity().into_iter().map(Damage::from).collect();
    reply::small(&json!({"findings": findings}))
}

/// `/api/v1/status/walreplay`: the first and last segment of the replay, and how far it is; answered while it goes on.
pub(crate) async fn walreplay(State(app): State<App>) -> Result<Response, ApiError> {
    let replay = app.store().replay();
    let (segments, done) = replay.segments();
    let min = replay.first_segment();
    let nth = |n: u64| min + n.saturating_sub(1);
    let state = match segments {
        _ if app.store().is_ready() => "done",
        0 => "waiting",
        _ => "in progress",
    };
    reply::small(&json!({"min": min, "max": nth(segments), "current": nth(done), "state": state}))
}

fn rfc_3339(ms: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
