//! `/api/v1/targets` and what goes with it: who is scraped elsewhere and written here, as far as `up` tells.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::Response;
use control::Grant;
use model::{Budget, Columns, Labels, METRIC_NAME, Matcher, Queryable, TimeRange, Timestamp, is_stale};
use promql::parse_selector;
use serde::Serialize;
use serde_json::json;

use crate::auth::Granted;
use crate::error::ApiError;
use crate::params::{Params, invalid};
use crate::pool::Ask;
use crate::state::App;
use crate::store::Reader;
use crate::{clock, reply};

/// Metric whose samples an agent writes for each target, 1 if it could be scraped.
const UP: &str = "up";
/// Suffixes of the series of one family.
const SUFFIXES: [&str; 6] = ["_bucket", "_count", "_sum", "_total", "_created", "_info"];

/// A target as its newest sample of `up` shows it.
struct Target {
    labels: BTreeMap<String, String>,
    is_up: bool,
    scraped: Timestamp,
    /// The shortest distance of two samples, if there are two.
    interval_ms: Option<i64>,
}

/// A target in the shape of Prometheus' API. What only a scraper knows is empty.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    discovered_labels: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    scrape_pool: String,
    scrape_url: &'static str,
    global_url: &'static str,
    last_error: &'static str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: &'static str,
}

impl Target {
    /// The job, which is what a scraper calls a pool.
    fn pool(&self) -> &str {
        self.labels.get("job").map_or("", String::as_str)
    }

    fn interval(&self) -> String {
        self.interval_ms.map(seconds).unwrap_or_default()
    }
}

impl From<Target> for ActiveTarget {
    fn from(target: Target) -> ActiveTarget {
        ActiveTarget {
            scrape_pool: target.pool().to_owned(),
            scrape_interval: target.interval(),
            last_scrape: clock::rfc_3339(target.scraped),
            health: if target.is_up { "up" } else { "down" },
            discovered_labels: BTreeMap::new(),
            labels: target.labels,
            scrape_url: "",
            global_url: "",
            last_error: "",
            last_scrape_duration: 0.0,
            scrape_timeout: "",
        }
    }
}

/// `/api/v1/targets`: all are active; which were dropped only their scraper knows.
pub(crate) async fn list(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let shows_active = match params.get("state").map(str::to_lowercase).as_deref() {
        None | Some("active" | "any") => true,
        Some("dropped") => false,
        Some(other) => return Err(invalid("state", format!("{other:?} is not active, dropped or any"))),
    };
    let pool = params.get("scrapePool").map(str::to_owned);
    answer(&app, &grant, "targets", move |_, targets, _| {
        let shown = |target: &Target| shows_active && pool.as_deref().is_none_or(|pool| target.pool() == pool);
        let active: Vec<ActiveTarget> = targets.into_iter().filter(shown).map(ActiveTarget::from).collect();
        reply::small(&json!({"activeTargets": active, "droppedTargets": [], "droppedTargetCounts": {}}))
    })
    .await
}

/// `/api/v1/scrape_pools`: the jobs.
pub(crate) async fn pools(State(app): State<App>, Granted(grant): Granted) -> Result<Response, ApiError> {
    answer(&app, &grant, "scrape_pools", |_, targets, _| {
        let pools: BTreeSet<&str> = targets.iter().map(Target::pool).collect();
        reply::small(&json!({"scrapePools": pools}))
    })
    .await
}

/// `/api/v1/status/config`: what a scraper's configuration would say of the caller's targets. Cost reports look up
/// there how far apart the samples of a job are.
pub(crate) async fn config(State(app): State<App>, Granted(grant): Granted) -> Result<Response, ApiError> {
    answer(&app, &grant, "config", |_, targets, _| {
        let mut interval_of: BTreeMap<&str, Option<i64>> = BTreeMap::new();
        for target in &targets {
            let interval = interval_of.entry(target.pool()).or_default();
            *interval = [*interval, target.interval_ms].into_iter().flatten().min();
        }
        let jobs = interval_of.iter().map(|(job, interval)| match interval {
            Some(ms) => json!({"job_name": job, "scrape_interval": seconds(*ms)}),
            None => json!({"job_name": job}),
        });
        // JSON is YAML, and quotes whatever a job may be called.
        let config = json!({"global": {}, "scrape_configs": jobs.collect::<Vec<_>>()});
        reply::small(&json!({"yaml": format!("{config}\n")}))
    })
    .await
}

/// One family that a target has.
#[derive(Serialize)]
struct Described {
    target: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<String>,
    r#type: &'static str,
    help: String,
    unit: String,
}

/// `/api/v1/targets/metadata`: what is known of the families that each target writes.
pub(crate) async fn metadata(
    State(app): State<App>,
    Granted(grant): Granted,
    params: Params,
) -> Result<Response, ApiError> {
    let limit = params.limit("limit")?;
    let metric = params.get("metric").map(str::to_owned);
    let of_targets = match params.get("match_target") {
        None => Vec::new(),
        Some(text) => parse_selector(text).map_err(|error| invalid("match_target", error))?,
    };
    answer(&app, &grant, "targets/metadata", move |recent, targets, budget| {
        let (mut found, querier) = (Vec::new(), recent.reader.querier());
        let families: BTreeMap<_, _> = querier.metadata(metric.as_deref()).into_iter().collect();
        for target in targets {
            let matches = |m: &Matcher| m.matches(target.labels.get(m.name()).map_or("", String::as_str));
            if found.len() == limit || !of_targets.iter().all(matches) {
                continue;
            }
            let own = target.labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
            let names = querier.label_values(METRIC_NAME, &[own], recent.range, 0, budget)?;
            let written: BTreeSet<&str> = names.iter().flat_map(|name| family_names(name)).collect();
            for (family, known) in families.iter().filter(|(family, _)| written.contains(family.as_str())) {
                if found.len() < limit {
                    found.push(Described {
                        target: target.labels.clone(),
                        metric: metric.is_none().then(|| family.clone()),
                        r#type: known.kind.as_str(),
                        help: known.help.clone(),
                        unit: known.unit.clone(),
                    });
                }
            }
        }
        reply::small(&found)
    })
    .await
}

/// The families that a series of this name may belong to.
fn family_names(series: &str) -> impl Iterator<Item = &str> {
    SUFFIXES.into_iter().filter_map(|suffix| series.strip_suffix(suffix)).chain([series])
}

/// The caller's series of late.
struct Recent {
    reader: Reader,
    range: TimeRange,
}

/// Answers with what `show` makes of the caller's targets.
async fn answer(
    app: &App,
    grant: &Grant,
    what: &'static str,
    show: impl FnOnce(&Recent, Vec<Target>, &Budget) -> Result<Response, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let reader = app.store().reader(grant)?;
    let (now, lookback) = (clock::now_ms(), app.config().limits.lookback);
    let lookback_ms = i64::try_from(lookback.as_millis()).unwrap_or(i64::MAX);
    let range = TimeRange { mint: now.saturating_sub(lookback_ms).saturating_add(1), maxt: now };
    let shown = app.queries().run(Ask::new(grant, what, UP), move |budget| {
        let recent = Recent { reader, range };
        let targets = recent.targets(budget)?;
        show(&recent, targets, budget)
    });
    shown.await
}

impl Recent {
    /// The targets, in order of their labels.
    fn targets(&self, budget: &Budget) -> Result<Vec<Target>, ApiError> {
        let matchers = [Matcher::equal(METRIC_NAME, UP)];
        let series = self.reader.querier().select(&matchers, self.range, budget)?.series;
        let (mut targets, mut columns) = (BTreeMap::new(), Columns::default());
        for series_idx in 0..series.len() {
            series.read(series_idx, &mut columns, budget)?;
            budget.count_samples(columns.len())?;
            let labels = series.labels(series_idx);
            if let Some(target) = target(labels, &columns) {
                budget.charge(TARGET_BYTES + 2 * labels.as_bytes().len())?;
                targets.insert(labels.clone(), target);
            }
        }
        Ok(targets.into_values().collect())
    }
}

/// What a target takes beside its labels.
const TARGET_BYTES: usize = 512;

/// The target of one series of `up`; none if its newest sample says that it is gone.
fn target(labels: &Labels, columns: &Columns) -> Option<Target> {
    let (v, scraped) = (columns.values.last().copied()?, columns.timestamps.last().copied()?);
    if is_stale(v) {
        return None;
    }
    let pairs = labels.iter().filter(|(name, _)| *name != METRIC_NAME);
    let labels = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let interval_ms = columns.timestamps.windows(2).map(|pair| pair[1] - pair[0]).min();
    Some(Target { labels, is_up: v == 1.0, scraped, interval_ms })
}

/// A distance of samples as configurations have it.
fn seconds(ms: i64) -> String {
    if ms % 1000 == 0 { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}
