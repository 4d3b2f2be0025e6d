//! The scrub: every block is read again from time to time, so that damage is found before somebody needs the bytes.

use std::collections::BTreeMap;

use model::Timestamp;
use ulid::Ulid;

use super::Db;

/// How often a block is read.
const SCRUB_EVERY_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// Bytes read in one call.
const SCRUB_BYTES: u64 = 32 << 20;

/// How far the scrub is.
#[derive(Debug, Default)]
pub(super) struct Scrub {
    /// When each block was read to its end, or first seen: it was written then, or read by whoever wrote it.
    read: BTreeMap<Ulid, Timestamp>,
    /// The block being read, and its next series.
    at: Option<(Ulid, u32)>,
}

impl Db {
    /// Reads the next bytes of the block that was not read for the longest time, if that is too long.
    pub(super) fn scrub(&self, now: Timestamp) {
        let mut scrub = self.scrub.lock();
        let blocks = self.blocks();
        scrub.read.retain(|ulid, _| blocks.iter().any(|block| block.meta().ulid == *ulid));
        for block in blocks.iter() {
            scrub.read.entry(block.meta().ulid).or_insert(now);
        }
        let due = scrub.read.iter().filter(|(_, read)| SCRUB_EVERY_MS <= now.saturating_sub(**read));
        let oldest = due.min_by_key(|(_, read)| **read).map(|(ulid, _)| (*ulid, 0));
        let Some((ulid, from)) = scrub.at.take().or(oldest) else { return };
        let Some(block) = blocks.iter().find(|block| block.meta().ulid == ulid) else { return };
        match block.scrub(from, SCRUB_BYTES) {
            Some(next) => scrub.at = Some((ulid, next)),
            None => _ = scrub.read.insert(ulid, now),
        }
    }
}
