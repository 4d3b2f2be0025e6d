//! The store as a whole: opens, appends, queries, and keeps itself in shape when told the time.

mod adoption;
mod blocks;
mod covers;
mod delete;
mod image;
mod maintain;
mod retention;
mod scrub;
mod snapshot;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering::Relaxed};

use arc_swap::ArcSwap;
use disk::{Dir, Lock};
use model::{Scope, TimeRange};
use parking_lot::{Mutex, MutexGuard};
use ulid::Ulid;

use crate::block::{Block, BlockMeta, Caches, LogCovers};
use crate::error::TsdbError;
use crate::head::{self, Appender, CHUNKS_HEAD_DIR, ChunkFiles, Head, Image, Kept, Known, ReplayLimits, WalCovers};
use crate::integrity::{Finding, Findings};
use crate::options::Options;
use crate::querier::Querier;
use crate::stats::Stats;
use crate::wal::{self, ReplayProgress, WAL_DIR};
use image::Imaged;
use scrub::Scrub;

pub(crate) use adoption::adopted;
pub(crate) use blocks::replaces;
pub(crate) use covers::note_covers;
pub use delete::Deleted;

/// A time-series store in one directory.
pub struct Db {
    dir: Dir,
    options: Options,
    head: Head,
    caches: Caches,
    /// In the order they were written; replaced as a whole, so that a reader keeps the blocks it started with.
    blocks: ArcSwap<Vec<Arc<Block>>>,
    findings: Findings,
    /// Blocks that could not be opened and stand where they were; on their way to the quarantine.
    unreadable: Mutex<Vec<String>>,
    /// Whether the disk did not hand out a block that may be sound; the next start tries again.
    some_unread: bool,
    /// Blocks on their way off the disk, the first to go in front.
    retired: Mutex<VecDeque<Arc<Block>>>,
    /// What blocks that are gone said of the log.
    gone: Mutex<LogCovers>,
    /// Held by the one that flushes, merges, removes or deletes.
    maintenance: Mutex<()>,
    /// Those that wait for it: a long compaction gives up for them.
    waiting: AtomicUsize,
    /// Blocks that no compaction can better.
    settled: Mutex<BTreeSet<Ulid>>,
    scrub: Mutex<Scrub>,
    imaged: Mutex<Imaged>,
    /// Up to where the head was last flushed on its schedule.
    flushed: AtomicI64,
    /// Out-of-order samples at the last flush.
    late_at_flush: AtomicU64,
    /// Compactions done.
    compactions: AtomicU64,
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
        let caches = Caches::new(options.series_cache_bytes, options.decoded_cache_bytes);
        let blocks::Found { blocks, unreadable, all_opened, some_unread } =
            blocks::open_blocks(&dir, &caches, &findings)?;
        let adopted = adoption::adopted(&dir, blocks.iter().map(|block| block.meta()))?;
        let gone = covers::read(&dir, &findings)?;
        let said = blocks.iter().map(|block| block.meta().log_covers()).chain([&gone]);
        let covers = WalCovers::new(said, all_opened, wal::store_of(&dir)?).and_adopted(adopted);
        let maxt = blocks::newest(&blocks);
        let kept = Kept::none(findings.clone());
        let image = Image::open(&dir, &covers, &kept);
        let mut known = Known { image, covers, maxt };
        let (head, replayed) = loop {
            if known.image.is_none() {
                head::remove_image(&dir)?;
            }
            let kept = kept.with(known.image.as_ref().map(Image::files).unwrap_or_default());
            let chunk_files = ChunkFiles::open(dir.sub(CHUNKS_HEAD_DIR)?, options.head_chunk_file_bytes, kept)?;
            let limits = ReplayLimits::default();
            match Head::restore(&dir, chunk_files, options.clone(), &known, progress, &limits)? {
                Some(restored) => break restored,
                None => known.image = None,
            }
        };
        let imaged = Imaged::at_start(known.image.as_ref(), progress.bytes().0);
        dir.sync()?;
        replayed.findings.into_iter().for_each(|finding| findings.add(finding));
        tracing::info!(store = %head.log().store(), records = replayed.records, blocks = blocks.len(), "store opened");
        let mut seed = [0; 16];
        getrandom::fill(&mut seed).map_err(|_| TsdbError::NoRandomness)?;
        let seed = u128::from_le_bytes(seed);
        let db = Db {
            dir,
            options,
            head,
            caches,
            blocks: ArcSwap::from_pointee(blocks),
            findings,
            some_unread,
            unreadable: Mutex::new(unreadable),
            retired: Mutex::default(),
            gone: Mutex::new(gone),
            maintenance: Mutex::new(()),
            waiting: AtomicUsize::new(0),
            settled: Mutex::default(),
            scrub: Mutex::new(Scrub::new(seed)),
            imaged: Mutex::new(imaged),
            flushed: AtomicI64::new(maxt),
            late_at_flush: AtomicU64::new(0),
            compactions: AtomicU64::new(0),
            _lock: lock,
        };
        if let Err(error) = db.set_aside_unreadable() {
            tracing::error!(%error, "unreadable blocks stay where they are for now");
        }
        Ok(db)
    }

    /// Starts a request's commit.
    pub fn appender(&self) -> Appender<'_> {
        Appender::new(&self.head)
    }

    /// Reads inside `scope`.
    pub fn querier(&self, scope: Scope) -> Querier<'_> {
        Querier::new(self, scope)
    }

    /// Figures for metrics and the status page. Cost: a lock on each series of the head.
    pub fn stats(&self) -> Stats {
        let compactions = self.compactions.load(Relaxed);
        Stats { compactions, ..Stats::collect(&self.head, &self.blocks()) }
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
        self.blocks().iter().map(|block| (block.meta_now(), block.size_bytes())).collect()
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

    /// Waits until nothing else flushes, merges, removes or deletes; a compaction makes way.
    fn exclusive(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Relaxed);
        let guard = self.maintenance.lock();
        self.waiting.fetch_sub(1, Relaxed);
        guard
    }

    /// Closes the store. Everything acknowledged is durable already; if the disk takes it, the log says so.
    pub fn close(self) {
        if let Err(error) = self.head.close_log() {
            tracing::warn!(%error, "the log ends without saying so");
        }
        if let Err(error) = self.image_at_end() {
            tracing::warn!(%error, "the next start reads the log without an image of the head");
        }
    }

    /// Makes a compaction that is running give up, and lets none start: the store is about to be closed.
    pub fn wind_down(&self) {
        self.waiting.fetch_add(1, Relaxed);
    }
}
