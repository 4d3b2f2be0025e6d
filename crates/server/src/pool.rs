//! Where queries run: a bounded number of blocking threads, each query with a deadline, a byte budget and a stop flag.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use model::{Budget, Pool, Stop};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;
use crate::error::ApiError;
use crate::outflow::{self, Inlet};

/// Runs CPU work beside the async threads, so that a heavy query never delays another request's bytes.
pub(crate) struct QueryPool {
    turns: Arc<Semaphore>,
    bytes: Arc<Pool>,
    query_bytes_max: u64,
    query_samples_max: u64,
    timeout: Duration,
}

/// Ends the query when the request's future is dropped, which is how a lost connection shows.
struct CancelOnDrop(Stop);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl QueryPool {
    pub(crate) fn new(limits: &Limits) -> QueryPool {
        let turns = match limits.queries_max {
            0 => 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            turns => turns,
        };
        QueryPool {
            turns: Arc::new(Semaphore::new(turns)),
            bytes: Pool::new(limits.queries_bytes_max as u64),
            query_bytes_max: limits.query_bytes_max as u64,
            query_samples_max: limits.query_samples_max,
            timeout: limits.query_timeout,
        }
    }

    /// Bytes held by all queries in progress.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.bytes.bytes_used()
    }

    /// Queries that could start without waiting.
    pub(crate) fn turns_free(&self) -> usize {
        self.turns.available_permits()
    }

    /// Waits for a turn and runs `query` on a blocking thread.
    ///
    /// Errors: those of `query`; a time-out once `timeout` or the server's own limit has passed, waiting included.
    /// A query that is timed out or whose client left keeps its turn until it has noticed, so the bound holds.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        timeout: Option<Duration>,
        query: impl FnOnce(&Budget) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let deadline = Instant::now() + timeout.unwrap_or(self.timeout).min(self.timeout);
        let turn = self.turn(deadline).await?;

        let stop = Stop::default();
        let _guard = CancelOnDrop(stop.clone());
        let budget = Budget::new(stop.clone(), self.bytes.clone(), self.query_bytes_max, self.query_samples_max);
        let running = tokio::task::spawn_blocking(move || {
            let answer = query(&budget);
            drop(turn);
            answer
        });
        match tokio::time::timeout_at(deadline.into(), running).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => Err(ApiError::internal(format!("query ended by a bug: {panic}"))),
            Err(_) => {
                stop.time_out();
                Err(ApiError::Timeout)
            }
        }
    }

    /// Waits for a turn and runs `query` on a blocking thread, which sends its answer piece by piece.
    ///
    /// Errors: those before the first piece. Later ones, a time-out among them, break the body off.
    pub(crate) async fn stream(
        &self,
        query: impl FnOnce(&Budget, &Inlet) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Body, ApiError> {
        let deadline = Instant::now() + self.timeout;
        let turn = self.turn(deadline).await?;
        let stop = Stop::default();
        let budget = Budget::new(stop.clone(), self.bytes.clone(), self.query_bytes_max, self.query_samples_max);
        let (inlet, outlet) = outflow::queue(deadline, stop.clone());
        let watch = tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            stop.time_out();
        });
        tokio::task::spawn_blocking(move || {
            let outcome = query(&budget, &inlet);
            inlet.end(outcome);
            watch.abort();
            drop(turn);
        });
        outlet.into_body().await
    }

    async fn turn(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, ApiError> {
        let turn = tokio::time::timeout_at(deadline.into(), self.turns.clone().acquire_owned());
        turn.await.map_err(|_| ApiError::Timeout)?.map_err(ApiError::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_turn(timeout: Duration) -> QueryPool {
        QueryPool::new(&Limits { queries_max: 1, query_timeout: timeout, ..Limits::default() })
    }

    /// Runs until stopped from outside, like an inner loop of a query.
    fn spin(budget: &Budget) -> Result<(), ApiError> {
        loop {
            budget.check()?;
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn deadline_ends_the_query_and_frees_its_turn() {
        let pool = one_turn(Duration::from_millis(20));
        assert!(matches!(pool.run(None, spin).await, Err(ApiError::Timeout)));
        let long = QueryPool { timeout: Duration::from_secs(60), ..pool };
        assert_eq!(long.run(None, |_| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn dropped_request_cancels_the_query() {
        let pool = one_turn(Duration::from_secs(60));
        let dropped = tokio::time::timeout(Duration::from_millis(20), pool.run(None, spin)).await;
        assert!(dropped.is_err(), "the spinning query must not have ended by itself");
        assert_eq!(pool.run(None, |_| Ok(7)).await.unwrap(), 7, "its turn came back");
    }

    #[tokio::test]
    async fn waiting_for_a_turn_is_part_of_the_time() {
        let pool = Arc::new(one_turn(Duration::from_secs(60)));
        let busy = tokio::spawn({
            let pool = pool.clone();
            async move { pool.run(None, spin).await }
        });
        while pool.turns_free() != 0 {
            tokio::task::yield_now().await;
        }
        let waited = pool.run(Some(Duration::from_millis(20)), |_| Ok(())).await;
        assert!(matches!(waited, Err(ApiError::Timeout)));
        busy.abort();
    }
}
