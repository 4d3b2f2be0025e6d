//! What the server counts about itself: requests by route, ingest and refusals; `/metrics` prints it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use hdrhistogram::Histogram;
use model::Timestamp;
use parking_lot::Mutex;
use tsdb::{AppendReport, Kinds};

use crate::error::client_closed_request;
use crate::state::App;
use crate::write::Refusals;

/// Latencies are forgotten after one to two of these, so that quantiles tell of now and not of last week.
const LATENCY_WINDOW: Duration = Duration::from_secs(300);
/// Significant digits of latencies: 1 % is finer than anybody reads off a graph.
const LATENCY_DIGITS: u8 = 2;

/// Counters of the running server.
pub(crate) struct Metrics {
    /// When the server started, by its clock.
    pub(crate) started: Timestamp,
    /// One entry for each route that was asked so far; routes are few, so are entries.
    routes: Mutex<BTreeMap<&'static str, RouteMetrics>>,
    /// What came in.
    pub(crate) ingest: IngestMetrics,
    /// Maintenance that failed.
    pub(crate) maintenance_failures: AtomicU64,
    /// Series that lost samples to deletions.
    pub(crate) deleted_series: AtomicU64,
    /// The end of the newest minute recorded; 0 before the first.
    pub(crate) recorded_until: AtomicI64,
    /// Rounds of the recorder that failed.
    pub(crate) recorder_failures: AtomicU64,
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            started: crate::clock::now_ms(),
            routes: Mutex::new(BTreeMap::new()),
            ingest: IngestMetrics::default(),
            maintenance_failures: AtomicU64::new(0),
            deleted_series: AtomicU64::new(0),
            recorded_until: AtomicI64::new(0),
            recorder_failures: AtomicU64::new(0),
        }
    }

    /// Counts one answered request.
    fn observe(&self, route: &'static str, status: StatusCode, took: Duration) {
        self.routes.lock().entry(route).or_default().observe(status, took);
    }

    /// Shows each route's figures to `show`, in order of paths.
    pub(crate) fn for_each_route(&self, mut show: impl FnMut(&'static str, &mut RouteMetrics)) {
        for (route, metrics) in self.routes.lock().iter_mut() {
            show(route, metrics);
        }
    }
}

/// A request in progress; when it ends it is counted with the time it took.
///
/// A request whose client left is counted too, as status 499: its future is dropped before it has an answer.
pub(crate) struct Pending {
    app: App,
    route: &'static str,
    start: Instant,
    status: StatusCode,
}

impl Pending {
    /// A request of `route` that begins now.
    pub(crate) fn new(app: App, route: &'static str) -> Pending {
        Pending { app, route, start: Instant::now(), status: client_closed_request() }
    }

    /// Ends with an answer.
    pub(crate) fn answered(mut self, response: Response) -> Response {
        self.status = response.status();
        response
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.app.metrics().observe(self.route, self.status, self.start.elapsed());
    }
}

/// Requests of one route.
pub(crate) struct RouteMetrics {
    /// Answers by status.
    pub(crate) by_status: BTreeMap<u16, u64>,
    /// All answers.
    pub(crate) count: u64,
    /// Time spent on all of them.
    pub(crate) total: Duration,
    recent: Histogram<u64>,
    before: Histogram<u64>,
    turned: Instant,
}

impl Default for RouteMetrics {
    fn default() -> RouteMetrics {
        let empty = || Histogram::new(LATENCY_DIGITS).expect("two digits are within the histogram's bounds");
        RouteMetrics {
            by_status: BTreeMap::new(),
            count: 0,
            total: Duration::ZERO,
            recent: empty(),
            before: empty(),
            turned: Instant::now(),
        }
    }
}

impl RouteMetrics {
    fn observe(&mut self, status: StatusCode, took: Duration) {
        *self.by_status.entry(status.as_u16()).or_default() += 1;
        self.count += 1;
        self.total += took;
        self.turn();
        self.recent.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// The latencies of the last one to two windows at `quantiles`, in seconds; NaN when nothing was asked.
    pub(crate) fn latencies<const N: usize>(&mut self, quantiles: [f64; N]) -> [f64; N] {
        self.turn();
        let mut both = self.recent.clone();
        // Both resize on their own, so adding one to the other cannot fail.
        let _ = both.add(&self.before);
        if both.is_empty() {
            return [f64::NAN; N];
        }
        quantiles.map(|q| Duration::from_micros(both.value_at_quantile(q)).as_secs_f64())
    }

    /// Starts a new window when the current one is over.
    fn turn(&mut self) {
        let age = self.turned.elapsed();
        if age < LATENCY_WINDOW {
            return;
        }
        std::mem::swap(&mut self.recent, &mut self.before);
        self.recent.reset();
        if 2 * LATENCY_WINDOW <= age {
            self.before.reset();
        }
        self.turned = Instant::now();
    }
}

/// What writes brought.
#[derive(Default)]
pub(crate) struct IngestMetrics {
    /// What was stored.
    pub(crate) written: KindCounters,
    /// What was there already.
    pub(crate) duplicates: KindCounters,
    /// What was refused, by reason; the reasons are a fixed few.
    pub(crate) refused: Mutex<BTreeMap<&'static str, u64>>,
    /// What was written beside it as copies, and which copies were refused.
    pub(crate) copies: AtomicU64,
    pub(crate) copies_refused: AtomicU64,
}

/// Counters of samples and exemplars.
#[derive(Default)]
pub(crate) struct KindCounters {
    pub(crate) floats: AtomicU64,
    pub(crate) histograms: AtomicU64,
    pub(crate) exemplars: AtomicU64,
}

impl KindCounters {
    fn add(&self, kinds: Kinds) {
        self.floats.fetch_add(kinds.floats, Relaxed);
        self.histograms.fetch_add(kinds.histograms, Relaxed);
        self.exemplars.fetch_add(kinds.exemplars, Relaxed);
    }
}

impl IngestMetrics {
    /// Counts one write.
    pub(crate) fn count(&self, report: &AppendReport, refusals: &Refusals) {
        self.written.add(report.written);
        self.duplicates.add(report.duplicates);
        self.copies.fetch_add(report.copies.written, Relaxed);
        self.copies_refused.fetch_add(report.copies.refused, Relaxed);
        if !refusals.is_empty() {
            let mut refused = self.refused.lock();
            for (reason, n) in refusals.counts() {
                *refused.entry(reason).or_default() += n;
            }
        }
    }
}
