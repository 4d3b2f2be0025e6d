//! The scrub: every block is read again from time to time, so that damage is found before somebody needs the bytes.

use model::Timestamp;
use ulid::Ulid;

use super::Db;

/// In such a time all blocks are read once.
const ROUND_MS: u64 = 7 * 24 * 60 * 60 * 1000;
/// Bytes read in one call.
const SCRUB_BYTES_MAX: u64 = 32 << 20;

/// How far the scrub is. It goes round and round, so many bytes in so much time, and begins somewhere: a store that is
/// started every day is read as often as one that never is, no one block first or last.
#[derive(Debug)]
pub(super) struct Scrub {
    /// The next block and its next series: this one, or the one behind it if it is gone.
    at: (Ulid, u32),
    /// When it last read.
    last: Option<Timestamp>,
    /// Bytes that are due; less than none when the last series was larger.
    due: i64,
}

impl Scrub {
    pub(super) fn new(seed: u128) -> Scrub {
        Scrub { at: (Ulid(seed), 0), last: None, due: 0 }
    }
}

impl Db {
    /// Reads as much of the blocks as is due at `now`, in the order of their names.
    pub(super) fn scrub(&self, now: Timestamp) {
        let mut scrub = self.scrub.lock();
        let blocks = self.blocks();
        let all: u64 = blocks.iter().map(|block| block.size_bytes()).sum();
        let elapsed = now.saturating_sub(scrub.last.unwrap_or(now)).max(0).cast_unsigned().min(ROUND_MS);
        scrub.last = Some(now);
        let part = u128::from(all) * u128::from(elapsed) / u128::from(ROUND_MS);
        scrub.due = scrub.due.saturating_add_unsigned(u64::try_from(part).unwrap_or(u64::MAX));
        let mut left = scrub.due.max(0).unsigned_abs().min(all).min(SCRUB_BYTES_MAX);
        // Each block once at most: they may be smaller than their sizes say.
        for _ in 0..blocks.len() {
            if left == 0 {
                break;
            }
            let (ulid, from) = scrub.at;
            let behind = blocks.iter().filter(|block| ulid <= block.meta().ulid).min_by_key(|block| block.meta().ulid);
            let Some(block) = behind.or_else(|| blocks.iter().min_by_key(|block| block.meta().ulid)) else { break };
            let own = block.meta().ulid;
            let (read, next) = block.scrub(if own == ulid { from } else { 0 }, left);
            let (read, at) = match next {
                Some(next) => (read, (own, next)),
                // The index too.
                None => (read.max(1), (Ulid(own.0.wrapping_add(1)), 0)),
            };
            scrub.at = at;
            scrub.due = scrub.due.saturating_sub_unsigned(read);
            left = left.saturating_sub(read);
        }
    }
}
