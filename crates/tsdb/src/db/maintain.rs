//! What keeps the store in shape, in the order in which it is done: retention, flush, compaction, scrub.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use model::{BlockRange, Interrupt, Timestamp};
use ulid::Ulid;

use super::Db;
use crate::block::{Block, BlockError, BlockMeta};
use crate::compact::{self, Candidate};
use crate::error::TsdbError;
use crate::flush;
use crate::options::{BLOCK_MS, GRACE_MS};

/// Samples older than the last flush that make another one due before the next block range ends.
const LATE_SAMPLES_MAX: u64 = 20_000_000;
/// Compactions in one call; what is due beyond them waits for the next.
const COMPACTIONS_MAX: usize = 16;
/// The part of the retention that one block may span.
const BLOCK_PART_OF_RETENTION: i64 = 10;
/// The widest block by default, 31 days. Source: Prometheus `cmd/prometheus/main.go`.
const WIDEST_MS: i64 = 31 * 24 * 60 * 60 * 1000;
/// The list of uploaded blocks that a Thanos sidecar keeps in the data directory.
const SHIPPER_FILE: &str = "thanos.shipper.json";

impl Db {
    /// Does what is due at `now`: removes blocks past retention, writes finished block ranges, merges blocks, and reads a
    /// part of them for damage. Cheap when nothing is due. Readers and writers go on meanwhile.
    pub fn maintain(&self, now: Timestamp) -> Result<(), TsdbError> {
        let Some(_one) = self.maintenance.try_lock() else { return Ok(()) };
        // Whatever becomes of it: a flush that fails on a full disk needs the room.
        let removed = self.remove_retired().and_then(|()| self.remove_expired(now));
        let removed = removed.and_then(|()| self.remove_beyond_size());
        self.heal()?;
        if let Some(before) = self.due() {
            self.flush_before(before)?;
        }
        self.offload_and_image();
        self.set_aside_unreadable()?;
        removed?;
        for _ in 0..COMPACTIONS_MAX {
            if !self.compact_once()? {
                break;
            }
        }
        self.scrub(now);
        Ok(())
    }

    /// If the log is read-only since a sync failed, tries to let it go on; if nothing was written since the last call, has
    /// it say that all of it is durable. Cheap when there is nothing to do; merges do not delay it.
    pub fn heal(&self) -> Result<(), TsdbError> {
        Ok(self.head.heal_log()?)
    }

    /// Writes everything in the head to blocks, finished ranges or not.
    pub fn flush(&self) -> Result<(), TsdbError> {
        let _one = self.exclusive();
        self.flush_before(Timestamp::MAX)
    }

    /// Merges blocks until none are due.
    pub fn compact(&self) -> Result<(), TsdbError> {
        let _one = self.exclusive();
        while self.compact_once()? {}
        Ok(())
    }

    /// Writes every block anew that has something deleted, so that the bytes are gone too.
    ///
    /// Errors: besides those of the disk, `Unsupported` if a block has chunks that only a later version can read; the
    /// others are clean then.
    pub fn clean_tombstones(&self) -> Result<(), TsdbError> {
        let (_one, mut done) = (self.exclusive(), Ok(()));
        for block in self.blocks().iter().filter(|block| !block.tombstones().is_empty()) {
            match self.compact_blocks(std::slice::from_ref(block), &|| false) {
                Err(error @ TsdbError::Block(BlockError::Unsupported { .. })) => done = Err(error),
                cleaned => cleaned?,
            }
        }
        done
    }

    /// Up to where the head should be flushed now.
    fn due(&self) -> Option<Timestamp> {
        let range = self.head.range()?;
        let before = BlockRange::around(range.maxt.saturating_sub(GRACE_MS), BLOCK_MS).start;
        if before <= range.mint {
            return None;
        }
        let late = self.head.out_of_order().saturating_sub(self.late_at_flush.load(Relaxed));
        (self.flushed.load(Relaxed) < before || LATE_SAMPLES_MAX < late).then_some(before)
    }

    pub(super) fn flush_before(&self, before: Timestamp) -> Result<(), TsdbError> {
        let late = self.head.out_of_order();
        let had_image = self.remove_image()?;
        flush::flush_head(&self.dir, &self.head, before, &mut |meta: &BlockMeta| {
            self.swap_blocks(Some(self.open_written(&meta.ulid.to_string())?), &[]);
            Ok(())
        })?;
        if before != Timestamp::MAX {
            self.flushed.store(before, Relaxed);
        }
        self.late_at_flush.store(late, Relaxed);
        if had_image && let Err(error) = self.image_again() {
            tracing::warn!(%error, "there is no image of the head for now");
        }
        Ok(())
    }

    /// Does the next compaction. Returns whether there was one to do.
    fn compact_once(&self) -> Result<bool, TsdbError> {
        let (blocks, uploaded) = (self.blocks(), self.uploaded());
        let settled = self.settled.lock().clone();
        let candidate = |block: &Arc<Block>| {
            let ulid = block.meta().ulid;
            Candidate {
                ulid,
                range: block.range(),
                rewrite: block.is_damaged() || !block.tombstones().is_empty(),
                pinned: settled.contains(&ulid) || uploaded.as_ref().is_some_and(|all| !all.contains(&ulid)),
            }
        };
        let candidates: Vec<Candidate> = blocks.iter().map(candidate).collect();
        let Some(chosen) = compact::plan(&candidates, &compact::widths(self.widest_ms())) else { return Ok(false) };
        let parents: Vec<Arc<Block>> = blocks.iter().filter(|b| chosen.contains(&b.meta().ulid)).cloned().collect();
        match self.compact_blocks(&parents, &|| self.waiting.load(Relaxed) > 0) {
            Err(TsdbError::Block(BlockError::Interrupted(Interrupt::Canceled))) => Ok(false),
            // A disk that is full today may not be so tomorrow; blocks that make no block never will.
            Err(TsdbError::Block(
                error @ (BlockError::Invalid { .. } | BlockError::Corrupt { .. } | BlockError::Unsupported { .. }),
            )) => {
                tracing::error!(blocks = ?chosen, %error, "blocks cannot be merged and are left as they are");
                self.settled.lock().extend(chosen);
                Ok(true)
            }
            done => done.map(|()| true),
        }
    }

    /// Replaces `parents`, in the order of their rank, by one block.
    fn compact_blocks(&self, parents: &[Arc<Block>], give_up: &dyn Fn() -> bool) -> Result<(), TsdbError> {
        let Some(meta) = compact::compact(&self.dir, parents, give_up)? else {
            // Of a damaged block the log had better hand out what it still has.
            if !parents.iter().any(|block| block.is_damaged()) {
                self.keep_covers(parents)?;
            }
            return self.retire(None, parents, "nothing is left in it");
        };
        let name = meta.ulid.to_string();
        let merged = self.open_written(&name)?;
        let stats = &meta.stats;
        tracing::info!(block = name, samples = stats.num_samples, series = stats.num_series, "blocks merged");
        self.compactions.fetch_add(1, Relaxed);
        self.retire(Some(merged), parents, "another block replaces it")
    }

    fn widest_ms(&self) -> i64 {
        let part = self.options.retention_ms.map_or(WIDEST_MS, |retention_ms| retention_ms / BLOCK_PART_OF_RETENTION);
        self.options.block_ms_max.unwrap_or(part.min(WIDEST_MS))
    }

    /// The blocks that a sidecar has uploaded: only those may be replaced. `None` when there is no sidecar.
    fn uploaded(&self) -> Option<BTreeSet<Ulid>> {
        let listed = self.dir.read(SHIPPER_FILE).ok()?;
        let listed: serde_json::Value = serde_json::from_slice(&listed).unwrap_or_default();
        let names = listed.get("uploaded").and_then(serde_json::Value::as_array).into_iter().flatten();
        Some(names.filter_map(|name| Ulid::from_string(name.as_str()?).ok()).collect())
    }
}
