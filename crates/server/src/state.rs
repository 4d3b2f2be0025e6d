//! What every handler shares: one value made at start, passed explicitly, never global.

use std::sync::Arc;

use clouds::Catalog;
use control::{Authority, Endpoints};
use tokio::sync::OwnedMutexGuard;

use crate::config::Config;
use crate::endpoints::Discovered;
use crate::limits::ProjectLimits;
use crate::mapping::Mapping;
use crate::metrics::Metrics;
use crate::newcomers::Newcomers;
use crate::pool::QueryPool;
use crate::rates::Rates;
use crate::store::Store;
use crate::tensorone::AnswerCache;
use crate::write::WritePool;

/// The running server, shared by all requests.
#[derive(Clone)]
pub(crate) struct App(Arc<Parts>);

struct Parts {
    config: Config,
    authority: Authority,
    endpoints: Endpoints,
    discovered: Discovered,
    rates: Rates,
    newcomers: Newcomers,
    limits: ProjectLimits,
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
    pub(crate) fn new(
        config: Config,
        authority: Authority,
        endpoints: Endpoints,
        limits: ProjectLimits,
        catalog: Catalog,
    ) -> App {
        App(Arc::new(Parts {
            store: Store::new(),
            metrics: Metrics::new(),
            queries: QueryPool::new(&config.limits),
            writes: WritePool::new(&config.limits),
            catalog: Arc::new(catalog),
            answers: AnswerCache::default(),
            admin: Arc::default(),
            authority,
            endpoints,
            discovered: Discovered::default(),
            rates: Rates::new(config.rate),
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

    /// The registered endpoints.
    pub(crate) fn endpoints(&self) -> &Endpoints {
        &self.0.endpoints
    }

    /// Endpoints that labels told of.
    pub(crate) fn discovered(&self) -> &Discovered {
        &self.0.discovered
    }

    /// How often each token has asked.
    pub(crate) fn rates(&self) -> &Rates {
        &self.0.rates
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

    /// Which expressions the vendor APIs' answers are made of.
    pub(crate) fn catalog(&self) -> &Arc<Catalog> {
        &self.0.catalog
    }

    /// What things cost, as the vendors' answers need it.
    pub(crate) fn prices(&self) -> clouds::RateCard {
        self.0.config.rate_card.as_ref().map(|card| card.prices()).unwrap_or_default()
    }

    /// Vendor answers that may be given again.
    pub(crate) fn answers(&self) -> &AnswerCache {
        &self.0.answers
    }

    /// What is done to series that are seen for the first time.
    pub(crate) fn mapping(&self) -> &Mapping {
        &self.0.config.mapping
    }

    /// Where writes run.
    pub(crate) fn writes(&self) -> &WritePool {
        &self.0.writes
    }
}
