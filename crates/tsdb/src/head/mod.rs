//! The head: the mutable block of the newest samples, in memory and in the log.
//!
//! One commit at a time validates its samples, adds them to their series and hands them to the log, so the order in
//! the log is the order in memory and replay makes the same decisions again. Readers take short locks on the index
//! and on single series only.

mod append;
mod chunk_files;
mod commit;
mod delete;
mod exemplars;
mod families;
mod follow;
mod hold;
mod image;
mod index;
mod order;
mod restore;
mod same;
mod samples;
mod series;
mod snapshot;
mod starts;

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use dashmap::DashMap;
use disk::{Dir, DiskError};
use model::{Labels, TimeRange, Timestamp};
use parking_lot::{Mutex, RwLock};

use crate::error::{Rejection, TsdbError};
use crate::options::Options;
use crate::wal::{ExemplarRecord, Log, Records, SeriesRef};
use commit::Commit;
use exemplars::Exemplars;
use families::Families;
use order::Order;

pub use append::{AppendBounds, AppendReport, Appender, Copies, Kind, Kinds, Refused, SeriesHandle, SeriesKey};
pub(crate) use chunk_files::{CHUNKS_HEAD_DIR, ChunkFiles, Kept, LOST};
pub use follow::Follower;
pub(crate) use image::{IMAGE_FILE, Image, remove as remove_image};
pub(crate) use index::HeadIndex;
pub(crate) use restore::{Known, ReplayLimits, WalCovers};
pub(crate) use series::Series;
pub(crate) use snapshot::{HeadChunk, Snapshot};

/// More remembered senders than this for each series means that senders vary their encoding: start over.
const SENDERS_PER_SERIES_MAX: usize = 4;

/// The newest samples of every series.
#[derive(Debug)]
pub(crate) struct Head {
    options: Options,
    log: Log,
    /// Held for the whole of a commit; taken for moments to cut the log, to retire series and to delete.
    commit: Mutex<Commit>,
    index: RwLock<HeadIndex>,
    order: Order,
    /// Series by what a known sender calls them, so that its labels are decoded once.
    senders: DashMap<u128, Arc<Series>, BuildHasherDefault<AlreadyHashed>>,
    families: RwLock<Families>,
    exemplars: RwLock<Exemplars>,
    chunk_files: ChunkFiles,
    /// Samples written when sealed chunks were last looked at.
    offloaded_at: AtomicU64,
    next_id: AtomicU64,
    longest_hold_ns: AtomicU64,
    counts: Counts,
}

/// Figures that change with each commit, under its lock, and are read without it.
#[derive(Debug)]
struct Counts {
    /// Newest sample ever accepted here or found in a block; `Timestamp::MIN` for none.
    maxt: AtomicI64,
    /// Oldest sample in the head, or older; `Timestamp::MAX` for none.
    mint: AtomicI64,
    /// Oldest sample added since the last look at every series: lets `mint` rise without missing one.
    mint_added: AtomicI64,
    floats: AtomicU64,
    histograms: AtomicU64,
    exemplars: AtomicU64,
    duplicates: AtomicU64,
    out_of_order: AtomicU64,
    refused: [AtomicU64; Rejection::ALL.len()],
}

impl Counts {
    /// Nothing counted yet, in a store whose newest sample is `maxt` and whose head's oldest one is `mint`.
    fn new(mint: Timestamp, maxt: Timestamp) -> Counts {
        Counts {
            maxt: AtomicI64::new(maxt),
            mint: AtomicI64::new(mint),
            mint_added: AtomicI64::new(Timestamp::MAX),
            floats: AtomicU64::new(0),
            histograms: AtomicU64::new(0),
            exemplars: AtomicU64::new(0),
            duplicates: AtomicU64::new(0),
            out_of_order: AtomicU64::new(0),
            refused: Default::default(),
        }
    }

    fn add(&self, report: &AppendReport) {
        self.floats.fetch_add(report.written.floats, Relaxed);
        self.histograms.fetch_add(report.written.histograms, Relaxed);
        self.exemplars.fetch_add(report.written.exemplars, Relaxed);
        self.duplicates.fetch_add(report.duplicates.samples(), Relaxed);
        for (count, refused) in self.refused.iter().zip(&report.refused) {
            count.fetch_add(refused.samples(), Relaxed);
        }
    }
}

/// The keys are 128-bit hashes already: their low half serves the map.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low half of a hash is a hash")]
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// Figures of the head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HeadStats {
    pub(crate) series: usize,
    pub(crate) label_pairs: usize,
    pub(crate) exemplars: usize,
    pub(crate) mint: Option<Timestamp>,
    pub(crate) maxt: Option<Timestamp>,
    pub(crate) written: Kinds,
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    pub(crate) refused: [u64; Rejection::ALL.len()],
}

impl Head {
    /// The series with these labels, made if it is not there; `None` if its project may have no more.
    fn series(&self, labels: &Labels) -> Option<Arc<Series>> {
        if let Some(series) = self.index.read().get(labels) {
            return Some(series.clone());
        }
        let mut index = self.index.write();
        if let Some(series) = index.get(labels) {
            return Some(series.clone());
        }
        let series_max = self.options.quotas.of(labels).series_max.unwrap_or(self.options.series_per_project_max);
        if series_max <= index.len_of_project(labels) {
            return None;
        }
        Some(index.insert(SeriesRef(self.next_id.fetch_add(1, Relaxed)), labels.clone()))
    }

    /// Reads the index under its lock: keep it short.
    pub(crate) fn with_index<T>(&self, read: impl FnOnce(&HeadIndex) -> T) -> T {
        read(&self.index.read())
    }

    /// Series of the head, sorted by labels.
    ///
    /// Cost: a sort by numbers, but for those that came since many were sorted last.
    pub(crate) fn sorted(&self, series: Vec<Arc<Series>>) -> Vec<Arc<Series>> {
        self.order.sort(series)
    }

    /// Every series, in no order.
    pub(crate) fn all_series(&self) -> Vec<Arc<Series>> {
        self.index.read().iter().cloned().collect()
    }

    /// The families' metadata.
    pub(crate) fn families(&self) -> &RwLock<Families> {
        &self.families
    }

    /// The files of sealed chunks.
    pub(crate) fn chunk_files(&self) -> &ChunkFiles {
        &self.chunk_files
    }

    /// Moves sealed chunks out of memory when enough of them may have gathered, and removes files that none needs.
    ///
    /// Cost: next to nothing if few samples came since the last time, else a lock on each series.
    pub(crate) fn offload(&self) -> Result<(), DiskError> {
        let written = self.counts.floats.load(Relaxed) + self.counts.histograms.load(Relaxed);
        if self.chunk_files.samples_per_file() <= written - self.offloaded_at.load(Relaxed) {
            self.offloaded_at.store(written, Relaxed);
            chunk_files::offload(&self.chunk_files, &self.all_series())?;
        }
        self.chunk_files.remove_unused()
    }

    /// Writes an image of the head to the data directory `root`, which spares the next start the log up to here, of which
    /// blocks cover what `covers` says. Returns its bytes, or nothing if there is none. Flushes and deletions must wait
    /// meanwhile; commits need not.
    pub(crate) fn write_image(&self, root: &Dir, covers: &WalCovers) -> Result<Option<u64>, TsdbError> {
        let Some(place) = self.log.place(self)? else { return Ok(None) };
        let before = covers.before(Some(place.oldest()));
        image::write(self, root, place, before)
    }

    /// Removes the image in the data directory `root`: a flush is about to take from the head what it has.
    pub(crate) fn remove_image(&self, root: &Dir) -> Result<(), DiskError> {
        image::remove(root)?;
        self.chunk_files.keep(Vec::new());
        Ok(())
    }

    /// The highest number that a series got.
    fn newest_id(&self) -> u64 {
        self.next_id.load(Relaxed).saturating_sub(1)
    }

    /// The log.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Adds what the log must keep when its segments go: the families' metadata, and the exemplars with their series.
    pub(crate) fn outliving_records(&self, into: &mut Records) {
        into.metadata(&self.families.read().all());
        let projects = self.exemplars.read().projects();
        for project in projects {
            // The lock is held for one project only: commits wait for it.
            let (mut described, mut records) = (BTreeMap::new(), Vec::new());
            for (series, exemplar) in self.exemplars.read().of_project(&project) {
                described.entry(series.id).or_insert_with(|| series.labels.clone());
                records.push(ExemplarRecord { series: series.id, exemplar: exemplar.clone() });
            }
            into.series(described.iter().map(|(id, labels)| (*id, labels)));
            into.exemplars(&records);
        }
    }

    /// Closes the log's segment between two commits. Returns the last closed one: the head has all its samples.
    pub(crate) fn cut_log(&self) -> Result<Option<u64>, Arc<DiskError>> {
        self.log.cut(self)
    }

    /// If the log is read-only, tries to let it go on in a new segment. If nothing was written of late, has it say so.
    pub(crate) fn heal_log(&self) -> Result<(), Arc<DiskError>> {
        self.log.heal(self)?;
        self.log.seal(self, false)
    }

    /// Has the log say that nothing more comes.
    pub(crate) fn close_log(&self) -> Result<(), Arc<DiskError>> {
        self.log.seal(self, true)
    }

    /// Makes all that the head has durable in the log, the requests that were not acknowledged included.
    pub(crate) fn sync_log(&self) -> Result<(), Arc<DiskError>> {
        let position = {
            let _no_commit = self.hold();
            self.log.ready()?;
            self.log.position()
        };
        self.log.wait_durable(position, self)
    }

    /// Lets a series forget what a block has of it.
    pub(crate) fn forget(&self, series: &Series, taken: &Snapshot) {
        // A sample and since when it counts come one after the other: no commit must be between the two.
        let _no_commit = (!taken.starts.is_empty()).then(|| self.hold());
        series.forget(taken);
    }

    /// Drops the series that are empty and had no sample since `before`, and moves the head's oldest time up.
    pub(crate) fn retire_series(&self, before: Timestamp) {
        self.counts.mint_added.store(Timestamp::MAX, Relaxed);
        let mut mint = Timestamp::MAX;
        let all = self.all_series();
        let mut rest = all.iter();
        while !rest.as_slice().is_empty() {
            let hold = self.hold();
            for series in rest.by_ref() {
                match series.range() {
                    Some(range) => mint = mint.min(range.mint),
                    None if series.retire(before) => self.index.write().remove(series),
                    None => {}
                }
                if hold.is_long() {
                    break;
                }
            }
        }
        let hold = self.hold();
        self.counts.mint.store(mint.min(self.counts.mint_added.load(Relaxed)), Relaxed);
        drop(hold);
        self.senders.retain(|_, series| !series.is_gone());
        drop(all);
        self.order.forget_dropped();
    }

    /// The range of the head's samples, perhaps wider.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        let (mint, maxt) = (self.counts.mint.load(Relaxed), self.counts.maxt.load(Relaxed));
        (mint <= maxt).then_some(TimeRange { mint, maxt })
    }

    /// The newest sample of the whole store.
    pub(crate) fn maxt(&self) -> Option<Timestamp> {
        Some(self.counts.maxt.load(Relaxed)).filter(|t| *t != Timestamp::MIN)
    }

    /// Chunks and their bytes. Cost: a lock on each series.
    pub(crate) fn size(&self) -> (usize, usize) {
        let sizes = self.all_series();
        sizes.iter().map(|series| series.size()).fold((0, 0), |(c, b), (chunks, bytes)| (c + chunks, b + bytes))
    }

    /// Samples that were older than the newest of their series, since the start.
    pub(crate) fn out_of_order(&self) -> u64 {
        self.counts.out_of_order.load(Relaxed)
    }

    /// Cheap figures.
    pub(crate) fn stats(&self) -> HeadStats {
        let (series, label_pairs) = self.with_index(|index| (index.len(), index.pairs()));
        let range = self.range();
        let counts = &self.counts;
        HeadStats {
            series,
            label_pairs,
            exemplars: self.exemplars.read().len(),
            mint: range.map(|r| r.mint),
            maxt: range.map(|r| r.maxt),
            written: Kinds {
                floats: counts.floats.load(Relaxed),
                histograms: counts.histograms.load(Relaxed),
                exemplars: counts.exemplars.load(Relaxed),
            },
            duplicates: counts.duplicates.load(Relaxed),
            out_of_order: self.out_of_order(),
            refused: counts.refused.each_ref().map(|count| count.load(Relaxed)),
        }
    }
}
