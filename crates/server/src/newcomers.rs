//! Tokens that are not known yet: one look at the registry for however many requests wait, and never many looks.
//!
//! Strangers send tokens that are not known either, and must not choose how often the registry is read or how much
//! waits for it. So looks keep their distance, a request waits for one look at most, and few requests wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

/// The distance between two looks.
const DISTANCE: Duration = Duration::from_millis(50);
/// Requests that wait for a look; further ones are refused as if nothing new was found.
const WAITING_MAX: usize = 128;

/// The queue for the next look.
pub(crate) struct Newcomers {
    waiting: Semaphore,
    /// When the last look began; held from the wait for a look to its end.
    looked: Arc<Mutex<Option<Instant>>>,
}

impl Newcomers {
    pub(crate) fn new() -> Newcomers {
        Newcomers { waiting: Semaphore::new(WAITING_MAX), looked: Arc::default() }
    }

    /// Waits for the end of a look that begins after this call. Returns whether there was one: with too many waiting
    /// there is none for this request.
    ///
    /// Cost: `look`, which blocks, on a thread of its own at most once in [`DISTANCE`].
    pub(crate) async fn wait_for_look(&self, look: impl FnOnce() + Send + 'static) -> bool {
        let Ok(_place) = self.waiting.try_acquire() else { return false };
        let asked = Instant::now();
        let mut looked = self.looked.clone().lock_owned().await;
        if looked.is_some_and(|began| asked < began) {
            return true;
        }
        // A task of its own: if this request's client leaves, the look still ends before the next one's turn.
        let looking = tokio::spawn(async move {
            if let Some(began) = *looked {
                tokio::time::sleep_until(began + DISTANCE).await;
            }
            *looked = Some(Instant::now());
            if let Err(panic) = tokio::task::spawn_blocking(look).await {
                tracing::error!("look for new tokens: {panic}");
            }
        });
        looking.await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use super::*;

    /// Asks `n` times at once. Returns how many were served.
    async fn ask(newcomers: &Arc<Newcomers>, n: usize, looks: &Arc<AtomicUsize>) -> usize {
        let one = |_| {
            let (newcomers, looks) = (newcomers.clone(), looks.clone());
            tokio::spawn(async move { newcomers.wait_for_look(move || _ = looks.fetch_add(1, SeqCst)).await })
        };
        let asked: Vec<_> = (0..n).map(one).collect();
        let mut served = 0;
        for answer in asked {
            served += usize::from(answer.await.unwrap());
        }
        served
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn those_who_come_together_share_a_look() {
        let (newcomers, looks) = (Arc::new(Newcomers::new()), Arc::default());
        for round in 1..=5 {
            assert_eq!(ask(&newcomers, WAITING_MAX, &looks).await, WAITING_MAX);
            // Those who ask while one look runs need another one; nobody needs a third.
            assert!((round..=2 * round).contains(&looks.load(SeqCst)), "{looks:?} looks in {round} rounds");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crowd_neither_queues_up_nor_looks_more_often() {
        let (newcomers, looks) = (Arc::new(Newcomers::new()), Arc::default());
        let began = Instant::now();
        let (mut asked, mut served) = (0, 0);
        while began.elapsed() < 6 * DISTANCE {
            served += ask(&newcomers, 20 * WAITING_MAX, &looks).await;
            asked += 20 * WAITING_MAX;
        }
        let most = began.elapsed().as_millis() / DISTANCE.as_millis() + 1;
        assert!(looks.load(SeqCst) as u128 <= most, "{looks:?} looks, at most {most}");
        assert!(0 < served && served < asked, "{served} of {asked} were served");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_leaves_takes_no_look_with_it() {
        let (newcomers, looks) = (Arc::new(Newcomers::new()), Arc::new(AtomicUsize::new(0)));
        assert_eq!(ask(&newcomers, 1, &looks).await, 1);
        let (leaving, counted) = (newcomers.clone(), looks.clone());
        let leaving =
            tokio::spawn(async move { leaving.wait_for_look(move || _ = counted.fetch_add(1, SeqCst)).await });
        tokio::task::yield_now().await;
        leaving.abort();
        let _ = leaving.await;
        assert_eq!(ask(&newcomers, 1, &looks).await, 1);
        assert_eq!(newcomers.waiting.available_permits(), WAITING_MAX, "whoever leaves gives the place back");
    }
}
