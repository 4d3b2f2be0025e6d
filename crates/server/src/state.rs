//! What every handler shares: one value made at start, passed explicitly, never global.

use std::sync::Arc;

use control::Authority;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::pool::QueryPool;
use crate::store::Store;
use crate::write::WritePool;

/// The running server, shared by all requests.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

struct Parts {
    config: Config,
    authority: Authority,
    store: Store,
    metrics: Metrics,
    queries: QueryPool,
    writes: WritePool,
}

impl App {
    pub(crate) fn new(config: Config, authority: Authority) -> App {
        App(Arc::new(Parts {
            store: Store::new(),
            metrics: Metrics::new(),
            queries: QueryPool::new(&config.limits),
            writes: WritePool::new(&config.limits),
            authority,
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

    /// Where writes run.
    pub(crate) fn writes(&self) -> &WritePool {
        &self.0.writes
    }
}
