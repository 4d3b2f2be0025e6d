//! How often one token may ask one of the vendors' routes.

use std::num::NonZeroU32;
use std::time::Duration;

use control::KeyId;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// What a vendor's route is about, as far as its documents bound how often it may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Figures computed from series.
    Metrics,
    /// Log entries.
    Logs,
}

impl Topic {
    /// Requests an hour. Source: the 429 answers in TensorOne's documents.
    fn documented(self) -> u32 {
        match self {
            Topic::Metrics => 60,
            Topic::Logs => 100,
        }
    }
}

/// How many requests an hour one token may make to one of the vendors' routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// This many to each; at least 1.
    PerHour(u32),
    /// As many as TensorOne's documents say: 60 for metrics and 100 for logs.
    Documented,
}

/// A token that asked too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    /// Requests an hour.
    pub(crate) limit: u32,
    /// Seconds until the next request is let through.
    pub(crate) retry_after_s: u64,
}

/// Who asks what. A server that asks for no tokens has one caller.
type Key = (Option<KeyId>, &'static str);

/// The buckets of all tokens: full at first, refilled evenly over the hour.
///
/// Bounded: only valid tokens get buckets, one for each route, and full ones are dropped by [`Rates::forget_idle`].
pub(crate) struct Rates {
    rate: Rate,
    metrics: DefaultKeyedRateLimiter<Key>,
    logs: DefaultKeyedRateLimiter<Key>,
    clock: DefaultClock,
}

impl Rates {
    pub(crate) fn new(rate: Rate) -> Rates {
        let limiter = |topic| RateLimiter::keyed(Quota::per_hour(rate.of(topic)));
        let (metrics, logs) = (limiter(Topic::Metrics), limiter(Topic::Logs));
        Rates { rate, metrics, logs, clock: DefaultClock::default() }
    }

    /// Takes one request of a token to a route out of its bucket.
    pub(crate) fn take(&self, topic: Topic, token: Option<KeyId>, route: &'static str) -> Result<(), Exceeded> {
        let limiter = match topic {
            Topic::Metrics => &self.metrics,
            Topic::Logs => &self.logs,
        };
        limiter.check_key(&(token, route)).map_err(|not_yet| {
            let wait = not_yet.wait_time_from(self.clock.now());
            Exceeded { limit: self.rate.of(topic).get(), retry_after_s: whole_seconds(wait) }
        })
    }

    /// Drops the buckets that are full again.
    pub(crate) fn forget_idle(&self) {
        for limiter in [&self.metrics, &self.logs] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

impl Rate {
    fn of(self, topic: Topic) -> NonZeroU32 {
        let per_hour = match self {
            Rate::PerHour(n) => n,
            Rate::Documented => topic.documented(),
        };
        NonZeroU32::new(per_hour).unwrap_or(NonZeroU32::MIN)
    }
}

/// Seconds, rounded up and at least one: who comes back after that long is let through.
fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_and_route_has_its_own_bucket() {
        let rates = Rates::new(Rate::Documented);
        let (a, b) = (KeyId::parse("aaaaaaaaaa"), KeyId::parse("bbbbbbbbbb"));
        for _ in 0..60 {
            rates.take(Topic::Metrics, a, "/metrics").unwrap();
        }
        let exceeded = rates.take(Topic::Metrics, a, "/metrics").unwrap_err();
        assert_eq!(exceeded.limit, 60);
        assert!((1..=60).contains(&exceeded.retry_after_s), "a bucket of 60 an hour gains one a minute: {exceeded:?}");
        rates.take(Topic::Metrics, b, "/metrics").unwrap();
        rates.take(Topic::Metrics, a, "/batch").unwrap();
        for _ in 0..100 {
            rates.take(Topic::Logs, a, "/logs").unwrap();
        }
        assert_eq!(rates.take(Topic::Logs, a, "/logs").unwrap_err().limit, 100);
        rates.forget_idle();
        assert!(rates.take(Topic::Metrics, a, "/metrics").is_err(), "a bucket in use is not forgotten");
    }

    #[test]
    fn waiting_is_told_in_whole_seconds_that_suffice() {
        for (wait_ms, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (300_000, 300)] {
            assert_eq!(whole_seconds(Duration::from_millis(wait_ms)), seconds);
        }
    }
}
