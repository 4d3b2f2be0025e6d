//! The one owner of the database: opens it in the background, and hands out readers and writers for a grant.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use control::{Grant, WriteAs};
use model::{ProjectId, Scope, Timestamp};
use tsdb::{Appender, Db, Options, Querier, Quotas, ReplayProgress, Stats, TsdbError};

use crate::config::Config;
use crate::error::{ApiError, ServeError};

/// How often closing looks whether the last reader is gone.
const CLOSE_POLL: Duration = Duration::from_millis(5);

/// Holds the database once its log is replayed.
pub(crate) struct Store {
    db: ArcSwapOption<Db>,
    replay: ReplayProgress,
}

/// What a grant shows of the store.
pub(crate) struct Reader {
    db: Arc<Db>,
    scope: Scope,
}

/// Where a grant's samples go.
pub(crate) struct Writer {
    db: Arc<Db>,
    write_as: WriteAs,
}

impl Store {
    /// A store that is not ready yet.
    pub(crate) fn new() -> Store {
        Store { db: ArcSwapOption::empty(), replay: ReplayProgress::default() }
    }

    /// Opens the database, replaying its log; blocking.
    pub(crate) fn open(&self, config: &Config, quotas: Quotas) -> Result<(), ServeError> {
        let options = Options {
            retention_ms: config.retention.map(milliseconds),
            out_of_order_window_ms: milliseconds(config.out_of_order_window),
            future_ms: milliseconds(config.limits.future_max),
            retention_bytes: config.retention_bytes,
            block_ms_max: config.block_max.map(milliseconds),
            series_per_project_max: config.limits.series_per_project_max,
            exemplars_per_project_max: config.limits.exemplars_per_project_max,
            quotas,
            decoded_cache_bytes: config.limits.decoded_bytes(),
            ..Options::default()
        };
        let db = Db::open_with(disk::Dir::open(&config.data_dir)?, options, &self.replay)?;
        self.db.store(Some(Arc::new(db)));
        Ok(())
    }

    /// Whether queries and writes are answered.
    pub(crate) fn is_ready(&self) -> bool {
        self.db.load().is_some()
    }

    /// How far the replay of the log is.
    pub(crate) fn replay(&self) -> &ReplayProgress {
        &self.replay
    }

    /// The grant's view of the series: what its scope leaves out does not exist for it.
    pub(crate) fn reader(&self, grant: &Grant) -> Result<Reader, ApiError> {
        Ok(Reader { scope: grant.read_scope()?, db: self.db()? })
    }

    /// The grant's view of the series as far as a vendor's answer is computed from them.
    pub(crate) fn analytics_reader(&self, grant: &Grant) -> Result<Reader, ApiError> {
        Ok(Reader { scope: grant.analytics_scope()?, db: self.db()? })
    }

    /// The grant's way in.
    pub(crate) fn writer(&self, grant: &Grant) -> Result<Writer, ApiError> {
        Ok(Writer { write_as: grant.write_as()?, db: self.db()? })
    }

    /// Figures about the whole store, for operators.
    pub(crate) fn stats(&self) -> Result<Stats, ApiError> {
        Ok(self.db()?.stats())
    }

    /// Lets a log that a failed disk has made read-only go on, if it can; blocking.
    pub(crate) fn heal(&self) -> Result<(), TsdbError> {
        self.db.load_full().map_or(Ok(()), |db| db.heal())
    }

    /// Moves full chunks out of memory, and writes an image of the head if one is due, for a quick start; blocking.
    pub(crate) fn image(&self) {
        if let Some(db) = self.db.load_full() {
            db.image();
        }
    }

    /// Does the work that is due; blocking.
    pub(crate) fn maintain(&self, now: Timestamp) -> Result<(), TsdbError> {
        self.db.load_full().map_or(Ok(()), |db| db.maintain(now))
    }

    /// Closes the database, waiting up to `patience` for those who still use it; blocking.
    ///
    /// Whatever was acknowledged is on disk already: giving up costs a replay at the next start, no data.
    pub(crate) fn close(&self, patience: Duration) {
        let Some(mut db) = self.db.swap(None) else { return };
        for _ in 0..=patience.as_millis() / CLOSE_POLL.as_millis() {
            match Arc::try_unwrap(db) {
                Ok(db) => return db.close(),
                Err(shared) => db = shared,
            }
            std::thread::sleep(CLOSE_POLL);
        }
        tracing::warn!("the store is still in use and is left to be replayed at the next start");
    }

    /// The whole database, for operators' requests.
    pub(crate) fn db(&self) -> Result<Arc<Db>, ApiError> {
        self.db.load_full().ok_or_else(|| ApiError::Unavailable("the server is replaying its log".to_owned()))
    }
}

impl Reader {
    /// Reads the series; blocking.
    pub(crate) fn querier(&self) -> Querier<'_> {
        self.db.querier(self.scope.clone())
    }
}

impl Writer {
    /// Collects one request's samples.
    pub(crate) fn appender(&self) -> Appender<'_> {
        self.db.appender()
    }

    /// The project stamped on every series; `None` lets an operator's series keep their own.
    pub(crate) fn project(&self) -> Option<&ProjectId> {
        match &self.write_as {
            WriteAs::Operator => None,
            WriteAs::Project(id) => Some(id),
        }
    }
}

/// Whole milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
