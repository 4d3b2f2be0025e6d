//! Blocks: immutable directories of chunks and their index, as Prometheus lays them out.

mod cache;
mod decoded;
mod error;
pub(crate) mod file;
mod meta;
pub(crate) mod output;
mod repair;
mod segments;
mod starts;
mod tombstones;
mod writer;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use arc_swap::ArcSwap;
use disk::Dir;
use model::{BlockRange, Budget, Matcher, StartRun, TimeRange};
use roaring::RoaringBitmap;
use ulid::Ulid;

use crate::chunk::{ChunkError, Encoding};
use crate::error::TsdbError;
use crate::index::{Index, SeriesReader};
use crate::integrity::{Finding, Findings};
use crate::select::{self, LabelIndex};
use cache::SeriesCache;
use segments::Segments;
use starts::{BlockStarts, STARTS_LOST};

pub use crate::index::{BlockSeries, ChunkMeta};
pub(crate) use decoded::{Decoded, DecodedCache};
#[cfg(feature = "fuzzing")]
pub(crate) use starts::verify_starts;
pub(crate) use tombstones::{DeletedRanges, Tombstones, covers, deletes, touches};

pub use error::BlockError;
pub use meta::{BlockDesc, BlockMeta, BlockSpec, BlockStats, Compaction, LogCovers, WalCover};
pub(crate) use writer::withdraw_block;
pub use writer::{SeriesChunks, write_block};

/// What a block's directory is called while it is written.
pub(crate) const CREATION_SUFFIX: &str = ".tmp-for-creation";
/// What damaged postings cost.
pub(crate) const POSTINGS_LOST: &str = "series are not found by their labels";
/// Series between two looks at the budget.
const SERIES_PER_CHECK: usize = 256;
/// Bytes of a series that was read beside its labels: its chunks and their places.
const SERIES_BYTES: usize = 256;
/// Up to so many series their labels are read; of more, the postings are searched.
const SERIES_READ_MAX: u64 = 4096;

/// What blocks keep in memory of what was read.
#[derive(Clone, Debug)]
pub(crate) struct Caches {
    /// For the series of each.
    series_bytes: usize,
    /// For the samples of all.
    decoded: Arc<DecodedCache>,
}

impl Caches {
    /// So many bytes for the series of each block, and for the samples of all together.
    pub(crate) fn new(series_bytes: usize, decoded_bytes: usize) -> Caches {
        Caches { series_bytes, decoded: DecodedCache::new(decoded_bytes) }
    }
}

/// A published block, open for reading. Its samples never change, only what is deleted of them grows.
#[derive(Debug)]
pub struct Block {
    dir: Dir,
    meta: BlockMeta,
    tombstones: ArcSwap<Tombstones>,
    size_bytes: u64,
    index: Index,
    segments: Segments,
    /// Since when samples count, if somebody said so.
    starts: Option<BlockStarts>,
    cache: SeriesCache,
    decoded: Arc<DecodedCache>,
    /// Where damage is told; shared with the store.
    findings: Findings,
    /// Something in it cannot be read: it should be written anew without that.
    damaged: AtomicBool,
}

impl Block {
    /// Opens block `name` inside `parent`; up to `series_cache_bytes` of decoded series stay in memory.
    ///
    /// Errors: a block without symbols or series, or of an unknown version. Chunks, series and postings have checksums
    /// of their own, verified at each read; of what is damaged, all that the rest tells is made anew.
    pub fn open(parent: &Dir, name: &str, series_cache_bytes: usize) -> Result<Block, BlockError> {
        Block::open_telling(parent, name, &Caches::new(series_cache_bytes, 0), Findings::default())
    }

    /// The same, and what is found damaged is told to `findings`.
    pub(crate) fn open_telling(
        parent: &Dir,
        name: &str,
        caches: &Caches,
        findings: Findings,
    ) -> Result<Block, BlockError> {
        let dir = parent.sub(name)?;
        let (meta, mut meta_damage) = Block::read_meta(&dir, name)?;
        let mut block = Block {
            meta,
            size_bytes: dir.size_bytes()?,
            index: Index::open(&dir, name)?,
            segments: Segments::open(&dir, name)?,
            starts: None,
            cache: SeriesCache::new(caches.series_bytes),
            decoded: caches.decoded.clone(),
            tombstones: ArcSwap::default(),
            findings,
            damaged: AtomicBool::new(false),
            dir,
        };
        if let Some(error) = meta_damage.take() {
            meta_damage = Some(block.describe_anew(error)?);
        }
        let mut tombstones = block.read_tombstones(name)?;
        block.tell_opened(meta_damage.as_ref(), &tombstones);
        block.starts = block.read_starts(name)?;
        for series in block.series(&tombstones.references().collect(), &Budget::unlimited())? {
            tombstones.note_hidden(&series);
        }
        block.tombstones.store(Arc::new(tombstones));
        Ok(block)
    }

    /// The block's description.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// The description with the deletions so far, which the one that was read does not count.
    pub(crate) fn meta_now(&self) -> BlockMeta {
        let mut meta = self.meta.clone();
        meta.stats.num_tombstones = self.tombstones().len() as u64;
        meta
    }

    /// The timestamps that the block may hold.
    pub fn range(&self) -> BlockRange {
        self.meta.range()
    }

    /// The bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The series that satisfy all of `matchers` and have a chunk that overlaps `range`, sorted by labels. A damaged series
    /// is left out, and told.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Arc<BlockSeries>>, BlockError> {
        let refs = self.with_postings(budget, || select::select(&self.index, matchers, budget))?;
        let tombstones = self.tombstones();
        let mut series = self.series(&refs, budget)?;
        series.retain(|series| series.overlaps(range) && !tombstones.hide(series, range));
        Ok(series)
    }

    /// Notes damage, and says so to whoever came upon it if something is `lost`.
    pub(crate) fn tell(&self, error: &BlockError, lost: &str, range: TimeRange, budget: &Budget) {
        let (file, what) = match error {
            BlockError::Corrupt { file, offset, what } => (file.clone(), format!("byte {offset}: {what}")),
            BlockError::Unsupported { file, .. } => (file.clone(), error.to_string()),
            _ => (self.meta.ulid.to_string(), error.to_string()),
        };
        if !matches!(error, BlockError::Unsupported { .. }) {
            self.damaged.store(true, Relaxed);
        }
        let finding = Finding { file, what, lost: lost.to_owned(), range: Some(range), quarantined: None };
        if !lost.is_empty() {
            budget.warn(finding.warning());
        }
        self.findings.add(finding);
    }

    /// Whether something in it could not be read so far.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged.load(Relaxed)
    }

    /// The index.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// Reads all series, one after the other, those that cannot be read too.
    pub(crate) fn read_series(&self) -> Result<impl Iterator<Item = Result<BlockSeries, BlockError>>, BlockError> {
        let mut reader = self.index.series();
        Ok(self.index.all()?.into_iter().map(move |reference| reader.read(reference)))
    }

    /// Reads all series, one after the other, past the cache; those that cannot be read are told.
    pub(crate) fn scan(&self) -> Result<Scan<'_>, BlockError> {
        let refs = self.with_postings(&Budget::unlimited(), || self.index.all())?;
        Ok(Scan { block: self, refs: refs.into_iter(), reader: self.index.series() })
    }

    /// Reads series from `from` on with all their chunks, about `bytes_max` of them, and notes what is damaged. Returns the
    /// bytes read, and the series to go on with, or nothing at the end, where postings are read too.
    pub(crate) fn scrub(&self, from: u32, bytes_max: u64) -> (u64, Option<u32>) {
        let (mut bytes, budget) = (0, Budget::unlimited());
        let Ok(mut scan) = self.scan() else { return (0, None) };
        scan.refs.advance_to(from);
        for series in scan {
            if bytes_max < bytes {
                return (bytes, Some(series.reference));
            }
            for meta in &series.chunks {
                match self.chunk(meta) {
                    Ok((_, chunk)) => bytes += chunk.len() as u64,
                    Err(e) => self.tell(&e, "samples of a series are missing", meta.range(), &budget),
                }
            }
        }
        for name in self.index.names() {
            for value in self.index.values(name) {
                // Whoever asks for them has them made anew.
                if let Err(e) = value.and_then(|value| value.is_among(&RoaringBitmap::new())) {
                    self.tell(&e, "", self.range().closed(), &budget);
                }
            }
        }
        if let Some(Err(e)) = self.starts.as_ref().map(BlockStarts::verify) {
            self.tell(&e, STARTS_LOST, self.range().closed(), &budget);
        }
        (bytes, None)
    }

    /// Where decoded samples are kept.
    pub(crate) fn decoded_cache(&self) -> &Arc<DecodedCache> {
        &self.decoded
    }

    /// The error that a chunk whose checksum is right does not decode.
    pub(crate) fn corrupt_chunk(&self, chunk: &ChunkMeta, error: &ChunkError) -> BlockError {
        self.segments.corrupt(chunk.reference, error.to_string())
    }

    /// Whether the block says since when samples of the series at `reference` count.
    pub(crate) fn has_starts(&self, reference: u32) -> bool {
        self.starts.as_ref().is_some_and(|starts| starts.has(reference))
    }

    /// Since when the samples of the series at `reference` count: the last step before `range`, and those inside.
    pub(crate) fn starts(&self, reference: u32, range: TimeRange) -> Vec<StartRun> {
        self.starts.as_ref().map_or_else(Vec::new, |starts| starts.read(reference, range))
    }

    /// What is deleted now.
    pub(crate) fn tombstones(&self) -> Arc<Tombstones> {
        self.tombstones.load_full()
    }

    /// Deletes the samples inside `range` of the series that satisfy one of `sets`; durable when it returns, and invisible
    /// to whoever asks from then on. Returns the number of series that lost something. One caller at a time.
    pub(crate) fn delete(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<u64, BlockError> {
        let mut tombstones = Tombstones::clone(&self.tombstones());
        let mut deleted = RoaringBitmap::new();
        for matchers in sets {
            for series in self.select(matchers, range, &Budget::unlimited())? {
                if tombstones.delete(&series, range) {
                    deleted.insert(series.reference);
                }
            }
        }
        if !deleted.is_empty() {
            tombstones.write(&self.dir)?;
            self.tombstones.store(Arc::new(tombstones));
            if let Err(error) = self.meta_now().replace(&self.dir) {
                tracing::warn!(block = %self.meta.ulid, %error, "meta.json does not count the last deletion");
            }
        }
        Ok(deleted.len())
    }

    /// The bytes of a chunk, its checksum verified.
    ///
    /// Errors: `Unsupported` for a chunk encoding of the future.
    pub fn chunk(&self, chunk: &ChunkMeta) -> Result<(Encoding, &[u8]), BlockError> {
        self.segments.chunk(chunk.reference)
    }

    /// The names of the labels of series that satisfy `matchers`, sorted, the first `limit` of them.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<Cow<'_, str>>, BlockError> {
        let tombstones = self.tombstones();
        if matchers.is_empty() && tombstones.hidden().is_empty() {
            return Ok(self.index.names().take(limit).map(Cow::Borrowed).collect());
        }
        let refs = self.with_postings(budget, || select::select(&self.index, matchers, budget))? - tombstones.hidden();
        if refs.len() <= SERIES_READ_MAX {
            let series = self.series(&refs, budget)?;
            let names: BTreeSet<&str> = series.iter().flat_map(|s| s.labels.iter()).map(|(name, _)| name).collect();
            return Ok(names.into_iter().take(limit).map(owned).collect());
        }
        let mut names = Vec::new();
        for name in self.index.names() {
            if names.len() == limit {
                break;
            }
            if !self.with_postings(budget, || self.values_among(name, &refs, 1, budget))?.is_empty() {
                names.push(Cow::Borrowed(name));
            }
        }
        Ok(names)
    }

    /// The values of label `name` among series that satisfy `matchers`, sorted, the first `limit` of them.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<Cow<'_, str>>, BlockError> {
        let tombstones = self.tombstones();
        if matchers.is_empty() && tombstones.hidden().is_empty() {
            return self.index.values(name).take(limit).map(|value| Ok(Cow::Borrowed(value?.text()))).collect();
        }
        let refs = self.with_postings(budget, || select::select(&self.index, matchers, budget))? - tombstones.hidden();
        if refs.len() <= SERIES_READ_MAX.min(self.index.values_count(name) as u64) {
            let series = self.series(&refs, budget)?;
            let values: BTreeSet<&str> = series.iter().filter_map(|s| s.labels.get(name)).collect();
            return Ok(values.into_iter().take(limit).map(owned).collect());
        }
        self.with_postings(budget, || self.values_among(name, &refs, limit, budget))
    }

    /// The first `limit` values of `name` that a series of `refs` has.
    fn values_among(
        &self,
        name: &str,
        refs: &RoaringBitmap,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<Cow<'_, str>>, BlockError> {
        let mut values = Vec::new();
        for value in self.index.values(name) {
            if values.len() == limit {
                break;
            }
            budget.check()?;
            let value = value?;
            if value.is_among(refs)? {
                values.push(Cow::Borrowed(value.text()));
            }
        }
        Ok(values)
    }

    /// The series at `refs`, from the cache or from the index; those that were not cached are charged.
    fn series(&self, refs: &RoaringBitmap, budget: &Budget) -> Result<Vec<Arc<BlockSeries>>, BlockError> {
        let refs: Vec<u32> = refs.iter().collect();
        let mut reader = self.index.series();
        let (mut found, mut read) = (Vec::with_capacity(refs.len()), Vec::new());
        for (known, reference) in self.cache.get(&refs).into_iter().zip(refs) {
            if found.len().is_multiple_of(SERIES_PER_CHECK) {
                budget.check()?;
            }
            found.push(match known {
                Some(series) => series,
                None => match reader.read(reference) {
                    Ok(series) => {
                        budget.charge(SERIES_BYTES + series.labels.as_bytes().len())?;
                        let series = Arc::new(series);
                        read.push((reference, series.clone()));
                        series
                    }
                    Err(e) => {
                        self.tell(&e, "a series is missing", self.range().closed(), budget);
                        continue;
                    }
                },
            });
        }
        self.cache.insert(read);
        Ok(found)
    }
}

/// The series of a block, sorted by labels; those that cannot be read are told and left out.
pub(crate) struct Scan<'a> {
    block: &'a Block,
    refs: roaring::bitmap::IntoIter,
    reader: SeriesReader<'a>,
}

impl Iterator for Scan<'_> {
    type Item = BlockSeries;

    fn next(&mut self) -> Option<BlockSeries> {
        loop {
            match self.reader.read(self.refs.next()?) {
                Ok(series) => return Some(series),
                Err(e) => {
                    let range = self.block.range().closed();
                    self.block.tell(&e, "a series is missing", range, &Budget::unlimited());
                }
            }
        }
    }
}

/// A fresh name for a block. Its time part is the end of the block's range: the store knows no clock.
pub(crate) fn new_ulid(range: BlockRange) -> Result<Ulid, TsdbError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| TsdbError::NoRandomness)?;
    Ok(Ulid::from_parts(range.end.max(0).cast_unsigned(), u128::from_le_bytes(random)))
}

/// A text of a series that is let go of.
fn owned<'a>(text: &str) -> Cow<'a, str> {
    Cow::Owned(text.to_owned())
}

#[cfg(test)]
mod tests;
