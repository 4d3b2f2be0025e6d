//! What every handler shares: one value made at start, passed explicitly, never global.

use std::sync::Arc;

use clouds::Catalog;
use control::Authority;
use model::Timestamp;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pool::QueryPool;
use crate::store::Store;
use crate::tensorone::AnswerCache;
use crate::write::WritePool;

/// An unknown token makes the server look whether it is new, at most this often: strangers must not choose how often.
const LOOK_AGAIN_MS: i64 = 50;

/// The running server, shared by all requests.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

struct Parts {
    config: Config,
    authority: Authority,
    /// When an unknown token last made the server look at the registry.
    looked_again: Mutex<Timestamp>,
    store: Store,
    metrics: Metrics,
    queries: QueryPool,
    writes: WritePool,
    catalog: Arc<Catalog>,
    answers: AnswerCache,
    /// Held by the one request that changes the store itself.
    admin: Arc<tokio::sync::Mutex<()>>,
}

impl App {
    pub(crate) fn new(config: Config, authority: Authority, catalog: Catalog) -> App {
        App(Arc::new(Parts {
            store: Store::new(),
            metrics: Metrics::new(),
            queries: QueryPool::new(&config.limits),
            writes: WritePool::new(&config.limits),
            catalog: Arc::new(catalog),
            answers: AnswerCache::default(),
            admin: Arc::default(),
            authority,
            looked_again: Mutex::new(Timestamp::MIN),
            config,
        }))
    }

    /// The settings as checked at start.
    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// Checks tokens.
    pub(crate) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// Reads the tokens again for one that is not known: it may have been made since the last look. Returns whether
    /// anything has changed; blocking.
    pub(crate) fn look_for_new_token(&self, now: Timestamp) -> bool {
        {
            let mut last = self.0.looked_again.lock();
            if now < last.saturating_add(LOOK_AGAIN_MS) {
                return false;
            }
            *last = now;
        }
        self.authority().refresh().unwrap_or_else(|error| {
            tracing::error!("read tokens: {error}");
            false
        })
    }

    /// The door to the data.
    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    /// What the server counts about itself.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// Where queries run.
    pub(crate) fn queries(&self) -> &QueryPool {
        &self.0.queries
    }

    /// Waits until no other request changes the store itself, and keeps others waiting while the turn is held.
    pub(crate) async fn admin_turn(&self) -> OwnedMutexGuard<()> {
        self.0.admin.clone().lock_owned().await
    }

    /// Which expressions the vendor APIs' answers are made of.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// Vendor answers that may be given again.
    pub(crate) fn answers(&self) -> &AnswerCache {
        &self.0.answers
    }

    /// Where writes run.
    pub(crate) fn writes(&self) -> &WritePool {
        &self.0.writes
    }
}
