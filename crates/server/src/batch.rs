//! The batch executor of the vendor APIs: all expressions of one answer as one job on the query pool, with one deadline
//! and one byte budget, ended when the client leaves.

use std::sync::Arc;

use clouds::Batch;
use control::Endpoint;
use promql::Context;

use crate::endpoints::{self, Slug};
use crate::error::ApiError;
use crate::pool::Ask;
use crate::state::App;

/// Runs `work` with a batch over what `grant` may read, on the query pool.
///
/// `work` may run several batches one after the other: what one has read, the next finds read.
/// Errors: those of `work`, and the query pool's.
pub(crate) async fn run<T: Send + 'static>(
    app: &App,
    grant: &control::Grant,
    work: impl FnOnce(&Batch<'_>) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let reader = app.store().analytics_reader(grant)?;
    let catalog = Arc::clone(app.catalog());
    let lookback_ms = i64::try_from(app.config().limits.lookback.as_millis()).unwrap_or(i64::MAX);
    let answer = app.queries().run(Ask::new(grant, "vendor answer", ""), move |budget| {
        let querier = reader.querier();
        let ctx = Context { store: &querier, budget, lookback_ms };
        work(&Batch::new(&catalog, &ctx))
    });
    answer.await
}

/// The endpoint that `slug` means for `grant`, looked for on the query pool.
pub(crate) async fn find(app: &App, grant: &control::Grant, slug: Slug) -> Result<Arc<Endpoint>, ApiError> {
    let reader = app.store().analytics_reader(grant)?;
    let (looking, asking) = (app.clone(), grant.clone());
    let found = app.queries().run(Ask::new(grant, "endpoint", ""), move |budget| {
        endpoints::find(&looking, &asking, &reader, &slug, crate::clock::now_ms(), budget)
    });
    found.await
}
