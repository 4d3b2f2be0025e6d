//! What a query may use: time (a stop flag), bytes and samples; inner loops check it, the server sets it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::breath::breathe;

const RUNNING: u8 = 0;
const CANCELED: u8 = 1;
const TIMED_OUT: u8 = 2;

/// A flag that ends a query from outside; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicU8>);

impl Stop {
    /// Ends the query because nobody waits for it any more.
    pub fn cancel(&self) {
        let _ = self.0.compare_exchange(RUNNING, CANCELED, Relaxed, Relaxed);
    }

    /// Ends the query because its deadline passed.
    pub fn time_out(&self) {
        let _ = self.0.compare_exchange(RUNNING, TIMED_OUT, Relaxed, Relaxed);
    }

    /// Fails once the query was ended. Cost: one relaxed load.
    #[inline]
    pub fn check(&self) -> Result<(), Interrupt> {
        match self.0.load(Relaxed) {
            RUNNING => Ok(()),
            CANCELED => Err(Interrupt::Canceled),
            _ => Err(Interrupt::TimedOut),
        }
    }
}

/// Why a query ended before its answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Interrupt {
    /// The client left, or an operator ended the query.
    #[error("query was canceled")]
    Canceled,
    /// The deadline passed.
    #[error("query timed out in expression evaluation")]
    TimedOut,
    /// The query's own byte budget is used up.
    #[error("query needs more than its {limit} bytes of memory; narrow the selection, the range or the step")]
    QueryBytes {
        /// The budget.
        limit: u64,
    },
    /// All queries together use the global pool.
    #[error("queries in progress use the whole pool of {limit} bytes; try again later or narrow the query")]
    PoolBytes {
        /// The pool's size.
        limit: u64,
    },
    /// Too many samples were read.
    #[error("query processing would load too many samples into memory in query execution: limit {limit}")]
    Samples {
        /// The limit.
        limit: u64,
    },
}

/// The bytes that all queries share.
#[derive(Debug)]
pub struct Pool {
    bytes_max: u64,
    bytes: AtomicU64,
}

impl Pool {
    /// A pool of `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Arc<Pool> {
        Arc::new(Pool { bytes_max, bytes: AtomicU64::new(0) })
    }

    /// Bytes in use now.
    pub fn bytes_used(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

/// One query's allowance. Charges count until the budget is dropped, so a query's peak is its sum of charges
/// less what it released.
#[derive(Debug)]
pub struct Budget {
    stop: Stop,
    pool: Arc<Pool>,
    bytes_max: u64,
    bytes: AtomicU64,
    /// The most that was charged at one time.
    bytes_most: AtomicU64,
    samples_max: u64,
    samples: AtomicU64,
    warnings: Mutex<BTreeSet<String>>,
}

/// So many warnings say that much is wrong; more say nothing else.
const WARNINGS_MAX: usize = 100;

impl Budget {
    /// A budget over `pool` with its own limits, ended by `stop`.
    pub fn new(stop: Stop, pool: Arc<Pool>, bytes_max: u64, samples_max: u64) -> Budget {
        let [bytes, bytes_most, samples] = [const { AtomicU64::new(0) }; 3];
        Budget { stop, pool, bytes_max, bytes, bytes_most, samples_max, samples, warnings: Mutex::default() }
    }

    /// A budget that nothing exhausts: for tests and offline tools.
    pub fn unlimited() -> Budget {
        Budget::new(Stop::default(), Pool::new(u64::MAX), u64::MAX, u64::MAX)
    }

    /// Fails once the query was ended, and lets others run; call it at least every few thousand samples.
    ///
    /// Cost: a look at the clock.
    #[inline]
    pub fn check(&self) -> Result<(), Interrupt> {
        breathe();
        self.stop.check()
    }

    /// Takes `bytes` from the query and the pool, or fails and takes nothing.
    pub fn charge(&self, bytes: usize) -> Result<(), Interrupt> {
        let bytes = bytes as u64;
        let before = self.bytes.fetch_add(bytes, Relaxed);
        if self.bytes_max.saturating_sub(before) < bytes {
            self.bytes.fetch_sub(bytes, Relaxed);
            return Err(Interrupt::QueryBytes { limit: self.bytes_max });
        }
        let charged = before + bytes;
        let before = self.pool.bytes.fetch_add(bytes, Relaxed);
        if self.pool.bytes_max.saturating_sub(before) < bytes {
            self.pool.bytes.fetch_sub(bytes, Relaxed);
            self.bytes.fetch_sub(bytes, Relaxed);
            return Err(Interrupt::PoolBytes { limit: self.pool.bytes_max });
        }
        self.bytes_most.fetch_max(charged, Relaxed);
        Ok(())
    }

    /// Gives back `bytes` charged before.
    pub fn release(&self, bytes: usize) {
        debug_assert!(bytes as u64 <= self.bytes.load(Relaxed), "released more than was charged");
        self.bytes.fetch_sub(bytes as u64, Relaxed);
        self.pool.bytes.fetch_sub(bytes as u64, Relaxed);
    }

    /// Gives back all but `bytes`: what the query computed is gone, and this much of its answer is still to be sent.
    pub fn settle(&self, bytes: usize) {
        let bytes = bytes as u64;
        let before = self.bytes.fetch_min(bytes, Relaxed);
        self.pool.bytes.fetch_sub(before.saturating_sub(bytes), Relaxed);
    }

    /// Counts samples read, or fails beyond the limit.
    pub fn count_samples(&self, n: usize) -> Result<(), Interrupt> {
        let before = self.samples.fetch_add(n as u64, Relaxed);
        if self.samples_max.saturating_sub(before) < n as u64 {
            return Err(Interrupt::Samples { limit: self.samples_max });
        }
        Ok(())
    }

    /// Samples read so far.
    pub fn samples(&self) -> u64 {
        self.samples.load(Relaxed)
    }

    /// Leaves a word for whoever asked, such as that a damaged chunk was left out: storage finds that while it reads.
    pub fn warn(&self, text: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        if warnings.len() < WARNINGS_MAX {
            warnings.insert(text);
        }
    }

    /// The words left so far, each once, sorted.
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The most bytes that were charged at one time.
    pub fn bytes_most(&self) -> u64 {
        self.bytes_most.load(Relaxed)
    }

    /// Bytes charged now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.pool.bytes.fetch_sub(*self.bytes.get_mut(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_budget_gives_its_bytes_back_to_the_pool() {
        let pool = Pool::new(100);
        let budget = Budget::new(Stop::default(), pool.clone(), 80, 10);
        budget.charge(60).unwrap();
        assert_eq!(budget.charge(30), Err(Interrupt::QueryBytes { limit: 80 }));
        let other = Budget::new(Stop::default(), pool.clone(), 80, 10);
        assert_eq!(other.charge(41), Err(Interrupt::PoolBytes { limit: 100 }));
        other.charge(40).unwrap();
        drop(budget);
        assert_eq!(pool.bytes_used(), 40);
        other.settle(7);
        assert_eq!((pool.bytes_used(), other.bytes(), other.bytes_most()), (7, 7, 40));
        other.settle(9);
        assert_eq!(pool.bytes_used(), 7, "settling takes nothing");
    }

    #[test]
    fn the_first_reason_to_stop_stays() {
        let stop = Stop::default();
        assert_eq!(stop.check(), Ok(()));
        stop.time_out();
        stop.cancel();
        assert_eq!(stop.check(), Err(Interrupt::TimedOut));
    }
}
