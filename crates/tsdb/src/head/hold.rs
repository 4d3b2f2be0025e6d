//! The commit lock in the hands of maintenance: for moments only, and the longest one is known.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::Head;
use super::commit::Commit;

/// Work on many series lets go of the lock after this long: a tenth of what ingest may be kept waiting.
const HOLD_MAX: Duration = Duration::from_millis(1);

/// The commit lock, held by something that is no commit.
pub(super) struct Hold<'a> {
    commit: MutexGuard<'a, Commit>,
    since: Instant,
    longest_ns: &'a AtomicU64,
}

impl Hold<'_> {
    /// Whether it is time to let others have it.
    pub(super) fn is_long(&self) -> bool {
        HOLD_MAX <= self.since.elapsed()
    }
}

impl Deref for Hold<'_> {
    type Target = Commit;

    fn deref(&self) -> &Commit {
        &self.commit
    }
}

impl DerefMut for Hold<'_> {
    fn deref_mut(&mut self) -> &mut Commit {
        &mut self.commit
    }
}

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        let held = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.longest_ns.fetch_max(held, Relaxed);
    }
}

impl Head {
    /// Keeps commits away until the hold is dropped.
    pub(super) fn hold(&self) -> Hold<'_> {
        let commit = self.commit.lock();
        Hold { commit, since: Instant::now(), longest_ns: &self.longest_hold_ns }
    }

    /// The longest time for which maintenance kept commits away, since the start.
    pub(crate) fn longest_hold(&self) -> Duration {
        Duration::from_nanos(self.longest_hold_ns.load(Relaxed))
    }
}
