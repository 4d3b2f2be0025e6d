//! What every handler shares: one value made at start, passed explicitly, never global.

use std::sync::Arc;

use control::Authority;
use tokio::sync::OwnedMutexGuard;

use crate::config::Config;
use crate::limits::ProjectLimits;
use crate::metrics::Metrics;
use crate::newcomers::Newcomers;
use crate::pool::QueryPool;
use crate::store::Store;
use crate::write::WritePool;

/// The running server, shared by all requests.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

struct Parts {
    config: Config,
    authority: Authority,
    newcomers: Newcomers,
    limits: ProjectLimits,
    store: Store,
    metrics: Metrics,
    queries: QueryPool,
    writes: WritePool,
    /// Held by the one request that changes the store itself.
    admin: Arc<tokio::sync::Mutex<()>>,
}

impl App {
    pub(crate) fn new(config: Config, authority: Authority, limits: ProjectLimits) -> App {
        App(Arc::new(Parts {
            store: Store::new(),
            metrics: Metrics::new(),
            queries: QueryPool::new(&config.limits),
            writes: WritePool::new(&config.limits),
            admin: Arc::default(),
            authority,
            newcomers: Newcomers::new(),
            limits,
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

    /// Waits until the tokens are read again for one that is not known: it may be new. Returns whether they were.
    pub(crate) async fn look_for_new_token(&self) -> bool {
        let app = self.clone();
        let look = move || {
            if let Err(error) = app.authority().refresh() {
                tracing::error!("read tokens: {error}");
            }
        };
        self.0.newcomers.wait_for_look(look).await
    }

    /// What projects may have.
    pub(crate) fn limits(&self) -> &ProjectLimits {
        &self.0.limits
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

    /// Where writes run.
    pub(crate) fn writes(&self) -> &WritePool {
        &self.0.writes
    }
}
