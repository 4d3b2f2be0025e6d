//! The store as a whole: opens, appends, queries, and keeps itself in shape when told the time.

mod delete;
mod snapshot;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use disk::{Dir, Lock};
use model::{BlockRange, Scope, TimeRange, Timestamp};
use parking_lot::Mutex;

use crate::block::{Block, BlockError, BlockMeta, CREATION_SUFFIX};
use crate::error::TsdbError;
use crate::flush;
use crate::head::{Appender, CHUNKS_HEAD_DIR, ChunkFiles, Head, WalCovers};
use crate::integrity::{Finding, Findings};
use crate::options::{BLOCK_MS, GRACE_MS, Options};
use crate::querier::Querier;
use crate::stats::Stats;
use crate::wal::{ReplayProgress, WAL_DIR};

pub use delete::Deleted;

/// A block being removed; a crash leaves it behind.
const DELETION_SUFFIX: &str = ".tmp-for-deletion";
/// Samples older than the last flush that make another one due before the next block range ends.
const LATE_SAMPLES_MAX: u64 = 20_000_000;

/// A time-series store in one directory.
pub struct Db {
    dir: Dir,
    options: Options,
    head: Head,
    /// Oldest first; replaced as a whole, so that a reader keeps the blocks it started with.
    blocks: ArcSwap<Vec<Arc<Block>>>,
    findings: Findings,
    /// Held by the one that flushes or removes blocks.
    maintenance: Mutex<()>,
    /// Up to where the head was last flushed on its schedule.
    flushed: AtomicI64,
    /// Out-of-order samples at the last flush.
    late_at_flush: AtomicU64,
    _lock: Lock,
}

impl Db {
    /// Opens the store in `dir`, replaying its log; the one process that has it open holds a lock on it.
    pub fn open(dir: Dir, options: Options) -> Result<Db, TsdbError> {
        Db::open_with(dir, options, &ReplayProgress::default())
    }

    /// The same, and `progress` tells another thread how far the replay of the log is.
    pub fn open_with(dir: Dir, options: Options, progress: &ReplayProgress) -> Result<Db, TsdbError> {
        let lock = dir.lock("lock")?;
        snapshot::remove_remains(&dir)?;
        let findings = Findings::default();
        let blocks = open_blocks(&dir, &options, &findings)?;
        let covers = WalCovers::new(&blocks, findings.all().is_empty());
        let maxt = blocks.iter().map(|block| block.range().closed().maxt).max().unwrap_or(Timestamp::MIN);
        let chunk_files = ChunkFiles::open(dir.sub(CHUNKS_HEAD_DIR)?, options.head_chunk_file_bytes, findings.clone())?;
        let (head, replayed) = Head::restore(&dir, chunk_files, options.clone(), &covers, maxt, progress)?;
        dir.sync()?;
        replayed.findings.into_iter().for_each(|finding| findings.add(finding));
        tracing::info!(store = %head.log().store(), records = replayed.records, blocks = blocks.len(), "store opened");
        Ok(Db {
            dir,
            options,
            head,
            blocks: ArcSwap::from_pointee(blocks),
            findings,
            maintenance: Mutex::new(()),
            flushed: AtomicI64::new(maxt),
            late_at_flush: AtomicU64::new(0),
            _lock: lock,
        })
    }

    /// Starts a request's commit.
    pub fn appender(&self) -> Appender<'_> {
        Appender::new(&self.head)
    }

    /// Reads inside `scope`.
    pub fn querier(&self, scope: Scope) -> Querier<'_> {
        Querier::new(self, scope)
    }

    /// Does what is due at `now`: writes finished block ranges, removes blocks past retention. Cheap when nothing is.
    pub fn maintain(&self, now: Timestamp) -> Result<(), TsdbError> {
        let Some(_one) = self.maintenance.try_lock() else { return Ok(()) };
        // Whatever becomes of it: a flush that fails on a full disk needs the room.
        let removed = self.remove_expired(now);
        self.head.heal_log()?;
        if let Some(before) = self.due() {
            self.flush_before(before)?;
        }
        if let Err(e) = self.head.offload() {
            tracing::warn!(error = %e, "sealed chunks stay in memory");
        }
        removed
    }

    /// Writes everything in the head to blocks, finished ranges or not.
    pub fn flush(&self) -> Result<(), TsdbError> {
        let _one = self.maintenance.lock();
        self.flush_before(Timestamp::MAX)
    }

    /// Figures for metrics and the status page. Cost: a lock on each series of the head.
    pub fn stats(&self) -> Stats {
        Stats::collect(&self.head, &self.blocks())
    }

    /// What was found damaged since the start, the oldest first; at most a thousand findings.
    pub fn integrity(&self) -> Vec<Finding> {
        self.findings.all()
    }

    /// What was found damaged, each as a sentence.
    pub fn damages(&self) -> Vec<String> {
        self.findings.all().into_iter().map(|Finding { file, what, .. }| format!("{file}: {what}")).collect()
    }

    /// The blocks and their bytes, the oldest first.
    pub fn block_list(&self) -> Vec<(BlockMeta, u64)> {
        self.blocks().iter().map(|block| (block.meta().clone(), block.size_bytes())).collect()
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn blocks(&self) -> Arc<Vec<Arc<Block>>> {
        self.blocks.load_full()
    }

    /// What a query over `range` should be told: which damaged files it misses.
    pub(crate) fn warnings(&self, range: TimeRange) -> Vec<String> {
        let blocks = self
            .findings
            .all()
            .into_iter()
            .filter(|finding| !finding.file.starts_with(WAL_DIR) && finding.touches(range));
        blocks.map(|finding| finding.warning()).collect::<BTreeSet<_>>().into_iter().collect()
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

    fn flush_before(&self, before: Timestamp) -> Result<(), TsdbError> {
        let late = self.head.out_of_order();
        flush::flush_head(&self.dir, &self.head, before, &mut |meta: &BlockMeta| {
            let block = self.open_block(&meta.ulid.to_string())?;
            self.swap_blocks(|blocks| blocks.push(Arc::new(block)));
            Ok(())
        })?;
        if before != Timestamp::MAX {
            self.flushed.store(before, Relaxed);
        }
        self.late_at_flush.store(late, Relaxed);
        Ok(())
    }

    fn open_block(&self, name: &str) -> Result<Block, BlockError> {
        Block::open_telling(&self.dir, name, self.options.series_cache_bytes, self.findings.clone())
    }

    fn remove_expired(&self, now: Timestamp) -> Result<(), TsdbError> {
        let Some(retention_ms) = self.options.retention_ms else { return Ok(()) };
        let oldest = now.saturating_sub(retention_ms);
        let (expired, _): (Vec<_>, Vec<_>) =
            self.blocks().iter().cloned().partition(|block| block.range().end <= oldest);
        for block in expired {
            let name = block.meta().ulid.to_string();
            self.swap_blocks(|blocks| blocks.retain(|b| b.meta().ulid != block.meta().ulid));
            let doomed = format!("{name}{DELETION_SUFFIX}");
            self.dir.publish(&name, &doomed)?;
            self.dir.remove(&doomed)?;
            tracing::info!(block = name, "block is past retention and was removed");
        }
        Ok(())
    }

    fn swap_blocks(&self, change: impl FnOnce(&mut Vec<Arc<Block>>)) {
        let mut blocks = self.blocks().to_vec();
        change(&mut blocks);
        sort(&mut blocks);
        self.blocks.store(Arc::new(blocks));
    }
}

fn open_blocks(dir: &Dir, options: &Options, findings: &Findings) -> Result<Vec<Arc<Block>>, TsdbError> {
    let mut blocks = Vec::new();
    for entry in dir.list()?.into_iter().filter(|entry| entry.is_dir) {
        if entry.name.ends_with(CREATION_SUFFIX) || entry.name.ends_with(DELETION_SUFFIX) {
            dir.remove(&entry.name)?;
            continue;
        }
        if ulid::Ulid::from_string(&entry.name).is_err() {
            continue;
        }
        match Block::open_telling(dir, &entry.name, options.series_cache_bytes, findings.clone()) {
            Ok(block) => blocks.push(Arc::new(block)),
            Err(e) => {
                let (file, lost) = (format!("block {}", entry.name), "its samples are missing".to_owned());
                findings.add(Finding { file, what: e.to_string(), lost, range: None, quarantined: None });
            }
        }
    }
    sort(&mut blocks);
    Ok(blocks)
}

/// By time; of blocks that start together the one that was written first is first.
fn sort(blocks: &mut [Arc<Block>]) {
    let segment = |block: &Block| block.meta().wal_cover().map(|cover| cover.segment);
    blocks.sort_by_key(|block| (block.range().start, segment(block), block.range().end, block.meta().ulid));
}
