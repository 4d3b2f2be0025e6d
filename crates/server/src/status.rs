//! `/api/v1/status/*`: what the server is and holds.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use model::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tsdb::Finding;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::{Params, invalid};
use crate::pool::Ask;
use crate::state::App;
use crate::{clock, reply};

/// The level of Prometheus' API that is served: clients choose by it what they ask for.
const PROMETHEUS_LEVEL: &str = "3.5.0";
const OWN_VERSION: &str = concat!("promenade-", env!("CARGO_PKG_VERSION"));

/// `/api/v1/status/buildinfo`.
///
/// There is no `features` key, not even an empty one: Grafana takes a server that has it for Mimir.
pub(crate) async fn buildinfo() -> Result<Response, ApiError> {
    reply::small(&build())
}

/// `/version`: the same, by itself.
pub(crate) async fn version() -> Response {
    reply::json(build().to_string())
}

fn build() -> Value {
    json!({
        "version": PROMETHEUS_LEVEL,
        "revision": OWN_VERSION,
        "branch": "promenade",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    })
}

/// `/api/v1/status/runtimeinfo`; what only a Go program has is empty.
pub(crate) async fn runtimeinfo(State(app): State<App>) -> Result<Response, ApiError> {
    let config = app.config();
    let retention = config.retention.map_or_else(|| "forever".to_owned(), |r| format!("{}s", r.as_secs()));
    let started = clock::rfc_3339(app.metrics().started);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let data = json!({
        "startTime": started,
        "serverTime": clock::rfc_3339(clock::now_ms()),
        "CWD": std::env::current_dir().unwrap_or_default(),
        "hostname": hostname.trim_end(),
        "reloadConfigSuccess": true,
        "lastConfigTime": started,
        "corruptionCount": app.store().db()?.integrity().len(),
        "goroutineCount": Handle::current().metrics().num_alive_tasks(),
        "GOMAXPROCS": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "GOMEMLIMIT": 0,
        "GOGC": "",
        "GODEBUG": "",
        "storageRetention": retention,
    });
    reply::small(&data)
}

/// `/api/v1/status/flags`: the settings.
pub(crate) async fn flags(State(app): State<App>) -> Result<Response, ApiError> {
    let flags: BTreeMap<String, String> = app.config().shown().into_iter().collect();
    reply::small(&flags)
}

/// Entries of each list of `/api/v1/status/tsdb`, unless told, and at most.
const TOP_DEFAULT: usize = 10;
const TOP_MAX: usize = 10_000;

/// `/api/v1/status/tsdb`: the size of what the caller's projects have in the head, and which names are many.
pub(crate) async fn tsdb(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let most = match params.get("limit") {
        None => TOP_DEFAULT,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=TOP_MAX).contains(limit));
            limit.ok_or_else(|| invalid("limit", format!("{text:?} is not a number of 1 to {TOP_MAX}")))?
        }
    };
    let reader = app.store().reader(&grant)?;
    let found = app.queries().run(Ask::new(&grant, "status/tsdb", ""), move |budget| {
        let found = reader.querier().cardinality(most, budget)?;
        let pairs = |list: Vec<(String, u64)>| -> Vec<Value> {
            list.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
        };
        reply::small(&json!({
            "headStats": {
                "numSeries": found.series,
                "numLabelPairs": found.label_pairs,
                "chunkCount": found.chunks,
                "minTime": found.range.map_or(0, |range| range.mint),
                "maxTime": found.range.map_or(0, |range| range.maxt),
            },
            "seriesCountByMetricName": pairs(found.series_by_name),
            "labelValueCountByLabelName": pairs(found.values_by_label),
            "memoryInBytesByLabelName": pairs(found.bytes_by_label),
            "seriesCountByLabelValuePair": pairs(found.series_by_pair),
        }))
    });
    found.await
}

/// `/api/v1/status/tsdb/blocks`: the blocks on disk, whosever series are in them.
pub(crate) async fn blocks(State(app): State<App>) -> Result<Response, ApiError> {
    let blocks: Vec<_> = app.store().db()?.block_list().into_iter().map(|(meta, _)| meta).collect();
    reply::small(&json!({"blocks": blocks}))
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
