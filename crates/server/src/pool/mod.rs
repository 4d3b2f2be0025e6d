//! Where queries run: a bounded number of blocking threads, each query with a deadline, a byte budget and a stop flag.

mod register;
mod threads;
mod turns;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use axum::body::Body;
use control::Grant;
use model::{Budget, Pool, Stop};
use tokio::sync::oneshot;

use crate::config::Limits;
use crate::error::ApiError;
use crate::outflow::{self, Inlet};
use register::Registered;
pub(crate) use register::{Entry, Register};
use threads::Threads;
pub(crate) use turns::Owner;
use turns::{Turn, Turns};

/// Runs CPU work beside the async threads, so that a heavy query never delays another request's bytes.
pub(crate) struct QueryPool {
    turns: Arc<Turns>,
    threads: Threads,
    register: Arc<Register>,
    bytes: Arc<Pool>,
    query_bytes_max: u64,
    query_samples_max: u64,
    timeout: Duration,
}

/// A query as far as the pool has to know it.
pub(crate) struct Ask<'a> {
    /// Whose turn it takes.
    pub(crate) grant: &'a Grant,
    /// The kind of question, for lists and logs.
    pub(crate) what: &'static str,
    /// The question.
    pub(crate) text: &'a str,
    /// The time it may take, if that is less than the server's.
    pub(crate) timeout: Option<Duration>,
}

/// A query that has its turn.
struct Started {
    deadline: Instant,
    stop: Stop,
    budget: Arc<Budget>,
    registered: Registered,
    turn: Turn,
}

/// Ends the query when the request's future is dropped, which is how a lost connection shows.
struct CancelOnDrop(Stop);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<'a> Ask<'a> {
    /// A question with the server's own time limit.
    pub(crate) fn new(grant: &'a Grant, what: &'static str, text: &'a str) -> Ask<'a> {
        Ask { grant, what, text, timeout: None }
    }
}

impl QueryPool {
    pub(crate) fn new(limits: &Limits) -> QueryPool {
        let turns = match limits.queries_max {
            0 => 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            turns => turns,
        };
        QueryPool {
            turns: Turns::new(turns),
            threads: Threads::start(turns),
            register: Register::new(limits.slow_query),
            bytes: Pool::new((limits.queries_bytes_max - limits.decoded_bytes()) as u64),
            query_bytes_max: limits.query_bytes_max as u64,
            query_samples_max: limits.query_samples_max,
            timeout: limits.query_timeout,
        }
    }

    /// Bytes held by all queries in progress, and by answers that are still being sent.
    pub(crate) fn bytes_used(&self) -> u64 {
        self.bytes.bytes_used()
    }

    /// Queries that could start without waiting.
    pub(crate) fn turns_free(&self) -> usize {
        self.turns.free()
    }

    /// The queries that wait or run.
    pub(crate) fn register(&self) -> &Register {
        &self.register
    }

    /// Waits for a turn and runs `query` on a blocking thread.
    ///
    /// Errors: those of `query`; a time-out once the ask's or the server's own limit has passed, waiting included.
    /// A query that is timed out or whose client left keeps its turn until it has noticed, so the bound holds.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        ask: Ask<'_>,
        query: impl FnOnce(&Budget) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Started { deadline, stop, budget, registered, turn } = self.start(ask).await?;
        let _guard = CancelOnDrop(stop.clone());
        let (done, running) = oneshot::channel();
        self.threads.run(move || {
            let answer = query(&budget);
            drop((registered, turn));
            // Nobody waits for the answer of a query that was ended.
            let _ = done.send(answer);
        });
        match tokio::time::timeout_at(deadline.into(), running).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(ApiError::internal("query ended by a bug")),
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
        ask: Ask<'_>,
        query: impl FnOnce(&Budget, &Inlet) -> Result<(), ApiError> + Send + 'static,
    ) -> Result<Body, ApiError> {
        let Started { deadline, stop, budget, registered, turn } = self.start(ask).await?;
        let (inlet, outlet) = outflow::queue(deadline, budget.clone(), stop.clone());
        self.threads.run(move || {
            let outcome = query(&budget, &inlet);
            inlet.end(outcome);
            // What is left is what waits to be sent; it comes back piece by piece, or with the client.
            budget.settle(outflow::ROOM_BYTES);
            drop((registered, turn));
        });
        // Who is late notices the flag; who does not is no reason to keep the client waiting. Later pieces look at the
        // clock themselves: a task for that would wake another thread for each query.
        let body = std::pin::pin!(outlet.into_body());
        match tokio::time::timeout_at(deadline.into(), body).await {
            Ok(body) => body,
            Err(_) => {
                stop.time_out();
                Err(ApiError::Timeout)
            }
        }
    }

    async fn start(&self, ask: Ask<'_>) -> Result<Started, ApiError> {
        let deadline = Instant::now() + ask.timeout.unwrap_or(self.timeout).min(self.timeout);
        let stop = Stop::default();
        let budget = Budget::new(stop.clone(), self.bytes.clone(), self.query_bytes_max, self.query_samples_max);
        let (budget, owner) = (Arc::new(budget), Owner::of(ask.grant));
        let registered = self.register.enter(owner.clone(), ask.what, ask.text, budget.clone(), stop.clone());
        let turn = tokio::select! {
            turn = tokio::time::timeout_at(deadline.into(), self.turns.wait(owner)) => turn,
            () = registered.ended() => return Err(ApiError::Canceled),
        };
        let turn = turn.map_err(|_| ApiError::Timeout)?;
        registered.entry.is_running.store(true, Relaxed);
        Ok(Started { deadline, stop, budget, registered, turn })
    }
}

#[cfg(test)]
mod tests {
    use control::Authority;

    use super::*;

    fn one_turn(timeout: Duration) -> QueryPool {
        QueryPool::new(&Limits { queries_max: 1, query_timeout: timeout, ..Limits::default() })
    }

    fn grant() -> Grant {
        Authority::open_to_all().authorize(None, 0).unwrap()
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
        let (pool, grant) = (one_turn(Duration::from_millis(20)), grant());
        assert!(matches!(pool.run(Ask::new(&grant, "test", ""), spin).await, Err(ApiError::Timeout)));
        let long = QueryPool { timeout: Duration::from_secs(60), ..pool };
        assert_eq!(long.run(Ask::new(&grant, "test", ""), |_| Ok(7)).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn dropped_request_cancels_the_query() {
        let (pool, grant) = (one_turn(Duration::from_secs(60)), grant());
        let asked = pool.run(Ask::new(&grant, "test", ""), spin);
        let dropped = tokio::time::timeout(Duration::from_millis(20), asked).await;
        assert!(dropped.is_err(), "the spinning query must not have ended by itself");
        assert_eq!(pool.run(Ask::new(&grant, "test", ""), |_| Ok(7)).await.unwrap(), 7, "its turn came back");
    }

    #[tokio::test]
    async fn waiting_for_a_turn_is_part_of_the_time() {
        let (pool, grant) = (Arc::new(one_turn(Duration::from_secs(60))), grant());
        let busy = tokio::spawn({
            let (pool, grant) = (pool.clone(), grant.clone());
            async move { pool.run(Ask::new(&grant, "test", ""), spin).await }
        });
        while pool.turns_free() != 0 {
            tokio::task::yield_now().await;
        }
        let ask = Ask { timeout: Some(Duration::from_millis(20)), ..Ask::new(&grant, "test", "") };
        assert!(matches!(pool.run(ask, |_| Ok(())).await, Err(ApiError::Timeout)));
        busy.abort();
    }

    #[tokio::test]
    async fn a_query_that_is_ended_leaves_whether_it_waits_or_runs() {
        let (pool, grant) = (Arc::new(one_turn(Duration::from_secs(60))), grant());
        let ask = || {
            let (pool, grant) = (pool.clone(), grant.clone());
            tokio::spawn(async move { pool.run(Ask::new(&grant, "test", "x"), spin).await })
        };
        let running = ask();
        while pool.turns_free() != 0 {
            tokio::task::yield_now().await;
        }
        let waiting = ask();
        while pool.register().list(&Owner::Operator).len() < 2 {
            tokio::task::yield_now().await;
        }
        let ids: Vec<u64> = pool.register().list(&Owner::Operator).iter().map(|entry| entry.id).collect();
        assert!(!pool.register().end(&Owner::Operator, 99));
        assert!(pool.register().end(&Owner::Operator, ids[1]));
        assert!(matches!(waiting.await.unwrap(), Err(ApiError::Canceled)));
        assert!(pool.register().end(&Owner::Operator, ids[0]));
        assert!(matches!(running.await.unwrap(), Err(ApiError::Canceled)));
        assert_eq!(pool.run(Ask::new(&grant, "test", ""), |_| Ok(7)).await.unwrap(), 7);
        assert!(pool.register().list(&Owner::Operator).is_empty());
    }
}
