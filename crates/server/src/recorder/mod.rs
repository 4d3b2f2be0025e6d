//! Once a minute: what endpoints used and cost becomes counters that no replica's end makes fall.
//!
//! All of a minute is one commit, so a minute is recorded whole or not at all, and the newest one in the store says
//! where to go on after a restart. Totals go on from there too.

mod card;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use control::{Authority, EndpointView};
use model::{
    Budget, Columns, Labels, METRIC_NAME, MatchOp, Matcher, Metadata, MetricKind, PROJECT_LABEL, ProjectId, Queryable,
    Sample, TimeRange, Timestamp,
};
use xxhash_rust::xxh3::xxh3_128_with_seed;

pub use card::RateCard;
use usage::{Asking, Minute};

use crate::error::ApiError;
use crate::store::Store;

const MINUTE_MS: i64 = 60_000;
/// Minutes that are made up for after a stop, and when recording begins. Beyond it the records have a gap, and say so in the log.
const CATCH_UP_MS: i64 = 6 * 60 * MINUTE_MS;
/// Minutes recorded in one go: the next tick does the rest.
const MINUTES_AT_ONCE: usize = 30;
/// A counter that nothing was added to for so long is not written any more; it begins anew if it comes back.
const IDLE_MS: i64 = 30 * 24 * 60 * MINUTE_MS;
/// Where the last records are looked for at the start: as far back as need be.
const LOOK_BACK_MS: [i64; 3] = [2 * 60 * MINUTE_MS, 24 * 60 * MINUTE_MS, 31 * 24 * 60 * MINUTE_MS];

/// The counters that are recorded.
const COUNTERS: [(&str, MetricKind, &str); 6] = [
    ("inference_cost_usd_total", MetricKind::Counter, "Cost in USD by the rate card."),
    ("tensorone_endpoint_requests_total", MetricKind::Counter, "Total number of requests"),
    ("tensorone_endpoint_latency_seconds_bucket", MetricKind::Histogram, "Request latency in seconds"),
    ("tensorone_endpoint_latency_seconds_sum", MetricKind::Histogram, "Request latency in seconds"),
    ("tensorone_endpoint_latency_seconds_count", MetricKind::Histogram, "Request latency in seconds"),
    ("tensorone_endpoint_cost_total", MetricKind::Counter, "Total cost in USD"),
];
/// How the names begin that only the recorder writes.
const OWN: &str = "tensorone_";
/// The gauges that are recorded.
const GAUGES: [(&str, &str); 2] = [
    ("tensorone_endpoint_gpu_utilization", "GPU utilization percentage"),
    ("crusoe_inference_first_token_latency", "Median time to first token in seconds."),
];

/// Records minute after minute.
pub(crate) struct Recorder {
    card: Option<Arc<RateCard>>,
    /// How long after a minute its samples are taken to be there.
    delay_ms: i64,
    /// Known once the store was looked through.
    ledger: Option<Ledger>,
    /// Told once: GPUs without a price.
    unpriced: BTreeSet<String>,
    /// Projects whose families were described since the start.
    described: BTreeSet<String>,
    /// Tells the keys of recorded series from those of senders.
    seed: u64,
}

/// What was recorded so far.
#[derive(Clone, Debug)]
struct Ledger {
    /// The end of the newest minute.
    until: Timestamp,
    totals: BTreeMap<Labels, Total>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Total {
    value: f64,
    /// When something was added last.
    active: Timestamp,
}

impl Recorder {
    /// A recorder that has not looked into the store yet.
    pub(crate) fn new(card: Option<Arc<RateCard>>, delay_ms: i64, seed: u64) -> Recorder {
        let (unpriced, described) = (BTreeSet::new(), BTreeSet::new());
        Recorder { card, delay_ms, ledger: None, unpriced, described, seed }
    }

    /// The end of the newest minute recorded; none before the first look into the store.
    pub(crate) fn until(&self) -> Option<Timestamp> {
        self.ledger.as_ref().map(|ledger| ledger.until)
    }

    /// Records the minutes that are due at `now`, as many as fit into one go, and returns how many; blocking.
    ///
    /// Errors: the minutes before are recorded, and the one that failed is tried again.
    pub(crate) fn advance(
        &mut self,
        store: &Store,
        endpoints: &EndpointView,
        now: Timestamp,
        budget: &Budget,
    ) -> Result<usize, ApiError> {
        let due = now.saturating_sub(self.delay_ms).div_euclid(MINUTE_MS) * MINUTE_MS;
        let mut ledger = match self.ledger.take() {
            Some(ledger) => ledger,
            None => load(store, now, due, budget)?,
        };
        if ledger.until < due - CATCH_UP_MS {
            tracing::warn!("nothing is recorded for {} minutes", (due - CATCH_UP_MS - ledger.until) / MINUTE_MS);
            ledger.until = due - CATCH_UP_MS;
        }
        let (mut done, mut outcome) = (0, Ok(()));
        while ledger.until < due && done < MINUTES_AT_ONCE {
            match self.record(&ledger, store, endpoints, now, budget) {
                Ok(next) => ledger = next,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            done += 1;
        }
        self.ledger = Some(ledger);
        outcome.map(|()| done)
    }

    /// Records the minute after the ledger's last and returns the ledger with it.
    fn record(
        &mut self,
        ledger: &Ledger,
        store: &Store,
        endpoints: &EndpointView,
        now: Timestamp,
        budget: &Budget,
    ) -> Result<Ledger, ApiError> {
        let (at, grant) = (ledger.until + MINUTE_MS, Authority::server_grant());
        let reader = store.reader(&grant)?;
        let querier = reader.querier();
        let asking = Asking { querier: &querier, endpoints, budget, at };
        let Minute { added, gauges, unpriced } = asking.minute(self.card.as_deref())?;
        for gpu in unpriced {
            if self.unpriced.insert(gpu.clone()) {
                tracing::warn!("GPU {gpu} has no price on the rate card and costs nothing");
            }
        }
        let mut totals = ledger.totals.clone();
        for (labels, amount) in added {
            let total = totals.entry(labels).or_insert(Total { value: 0.0, active: at });
            total.value += amount;
            if amount != 0.0 {
                total.active = at;
            }
        }
        totals.retain(|_, total| at - IDLE_MS <= total.active);
        let counters = totals.iter().map(|(labels, total)| (labels, total.value));
        self.write(store, at, now, counters.chain(gauges.iter().map(|(labels, v)| (labels, *v))))?;
        Ok(Ledger { until: at, totals })
    }

    /// Writes one minute as one commit.
    fn write<'a>(
        &mut self,
        store: &Store,
        at: Timestamp,
        now: Timestamp,
        samples: impl Iterator<Item = (&'a Labels, f64)>,
    ) -> Result<(), ApiError> {
        let writer = store.writer(&Authority::server_grant())?;
        let mut appender = writer.appender();
        for (labels, v) in samples {
            let key = tsdb::SeriesKey(xxh3_128_with_seed(labels.as_bytes(), self.seed));
            let handle = match appender.known(key) {
                Some(handle) => handle,
                None => appender.series(key, labels),
            };
            appender.sample(&handle, Sample { t: at, v });
            let project = labels.get(PROJECT_LABEL).unwrap_or_default();
            if self.described.insert(project.to_owned())
                && let Ok(project) = ProjectId::parse(project)
            {
                for (family, metadata) in families() {
                    appender.metadata(&project, &family, metadata);
                }
            }
        }
        let report = appender.commit(now)?;
        if let Some(refused) = report.examples.first() {
            let n = report.refused_total();
            tracing::warn!(
                "{n} recorded samples were refused, the first because {}: {}",
                refused.reason,
                refused.labels
            );
        }
        Ok(())
    }
}

/// The families that are recorded, and what they are.
fn families() -> impl Iterator<Item = (String, Metadata)> {
    let family = |name: &str, kind, help: &str| {
        let name =
            ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        (name.to_owned(), Metadata { kind, help: help.to_owned(), unit: String::new() })
    };
    let counters = COUNTERS.into_iter().map(move |(name, kind, help)| family(name, kind, help));
    counters.chain(GAUGES.into_iter().map(move |(name, help)| family(name, MetricKind::Gauge, help)))
}

/// The newest minute in the store and the totals at its end. If nothing was recorded for a month, what can be made up
/// for is, from the first sample on.
fn load(store: &Store, now: Timestamp, due: Timestamp, budget: &Budget) -> Result<Ledger, ApiError> {
    let names = COUNTERS.map(|(name, ..)| name).join("|");
    let matcher = Matcher::new(METRIC_NAME, MatchOp::Regex, &names).map_err(ApiError::internal)?;
    for look_back_ms in LOOK_BACK_MS {
        let range = TimeRange { mint: now - look_back_ms, maxt: now };
        let reader = store.reader(&Authority::server_grant())?;
        let selected = reader.querier().select(std::slice::from_ref(&matcher), range, budget)?.series;
        let (mut columns, mut totals, mut until) = (Columns::default(), BTreeMap::new(), None);
        for idx in 0..selected.len() {
            selected.read(idx, &mut columns, budget)?;
            let (labels, last) = (selected.labels(idx), columns.timestamps.last().zip(columns.values.last()));
            let Some((t, value)) = last.filter(|(_, value)| value.is_finite()) else { continue };
            // Costs may have been written by someone else, at any time.
            if labels.metric_name().is_some_and(|name| name.starts_with(OWN)) {
                until = until.max(Some(*t));
            }
            totals.insert(labels.clone(), Total { value: *value, active: *t });
        }
        if let Some(until) = until {
            // No tenant's sample of the future keeps the others waiting.
            let until = until.min(due).div_euclid(MINUTE_MS) * MINUTE_MS;
            return Ok(Ledger { until, totals });
        }
    }
    let stats = store.stats()?;
    let first = [stats.head_mint, stats.blocks_mint].into_iter().flatten().min().unwrap_or(due);
    let first = first.min(due).div_euclid(MINUTE_MS) * MINUTE_MS;
    Ok(Ledger { until: first.max(due - CATCH_UP_MS), totals: BTreeMap::new() })
}

#[cfg(test)]
mod tests;
