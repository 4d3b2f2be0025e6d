//! Blocks: immutable directories of chunks and their index, as Prometheus lays them out.

mod cache;
mod error;
pub(crate) mod file;
mod meta;
pub(crate) mod output;
mod segments;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::Dir;
use model::{BlockRange, Budget, Matcher, TimeRange};
use roaring::RoaringBitmap;

use crate::chunk::Encoding;
use crate::index::Index;
use crate::select;
use cache::SeriesCache;
use segments::Segments;

pub use crate::index::{BlockSeries, ChunkMeta};
pub use error::BlockError;
pub use meta::{BlockDesc, BlockMeta, BlockSpec, BlockStats, Compaction, WalCover};
pub use writer::{SeriesChunks, write_block};

/// What a block's directory is called while it is written.
pub(crate) const CREATION_SUFFIX: &str = ".tmp-for-creation";
/// Series between two looks at the budget.
const SERIES_PER_CHECK: usize = 256;
/// Up to so many series their labels are read; of more, the postings are searched.
const SERIES_READ_MAX: u64 = 4096;

/// A published block, open for reading. It never changes.
#[derive(Debug)]
pub struct Block {
    meta: BlockMeta,
    size_bytes: u64,
    index: Index,
    segments: Segments,
    cache: SeriesCache,
}

impl Block {
    /// Opens block `name` inside `parent`; up to `series_cache_bytes` of decoded series stay in memory.
    ///
    /// Errors: a block that is cut, corrupt or of an unknown version. Chunks, series and postings have checksums of
    /// their own, verified at each read.
    pub fn open(parent: &Dir, name: &str, series_cache_bytes: usize) -> Result<Block, BlockError> {
        let dir = parent.sub(name)?;
        let meta = BlockMeta::read(&dir, name)?;
        if meta.stats.num_tombstones > 0 {
            tracing::warn!(
                block = name,
                "the block has deleted ranges, which are not honoured: their samples are back"
            );
        }
        Ok(Block {
            size_bytes: dir.size_bytes()?,
            index: Index::open(&dir, name)?,
            segments: Segments::open(&dir, name)?,
            cache: SeriesCache::new(series_cache_bytes),
            meta,
        })
    }

    /// The block's description.
    pub fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// The timestamps that the block may hold.
    pub fn range(&self) -> BlockRange {
        self.meta.range()
    }

    /// The bytes of all its files.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The series that satisfy all of `matchers` and have a chunk that overlaps `range`, sorted by labels.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Arc<BlockSeries>>, BlockError> {
        let refs = select::select(&self.index, matchers, budget)?;
        let mut series = self.series(&refs, budget)?;
        series.retain(|series| series.overlaps(range));
        Ok(series)
    }

    /// The bytes of a chunk, its checksum verified.
    ///
    /// Errors: `Unsupported` for a chunk encoding of the future.
    pub fn chunk(&self, chunk: &ChunkMeta) -> Result<(Encoding, &[u8]), BlockError> {
        self.segments.chunk(chunk.reference)
    }

    /// The names of the labels of series that satisfy `matchers`, sorted, the first `limit` of them.
    pub fn label_names(&self, matchers: &[Matcher], limit: usize, budget: &Budget) -> Result<Vec<String>, BlockError> {
        if matchers.is_empty() {
            return Ok(self.index.names().take(limit).map(str::to_owned).collect());
        }
        let refs = select::select(&self.index, matchers, budget)?;
        if refs.len() <= SERIES_READ_MAX {
            let series = self.series(&refs, budget)?;
            let names: BTreeSet<&str> = series.iter().flat_map(|s| s.labels.iter()).map(|(name, _)| name).collect();
            return Ok(names.into_iter().take(limit).map(str::to_owned).collect());
        }
        let mut names = Vec::new();
        for name in self.index.names() {
            if names.len() == limit {
                break;
            }
            if !self.values_among(name, &refs, 1, budget)?.is_empty() {
                names.push(name.to_owned());
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
    ) -> Result<Vec<String>, BlockError> {
        if matchers.is_empty() {
            return self.index.values(name).take(limit).map(|value| Ok(value?.text().to_owned())).collect();
        }
        let refs = select::select(&self.index, matchers, budget)?;
        if refs.len() <= SERIES_READ_MAX.min(self.index.values_count(name) as u64) {
            let series = self.series(&refs, budget)?;
            let values: BTreeSet<&str> = series.iter().filter_map(|s| s.labels.get(name)).collect();
            return Ok(values.into_iter().take(limit).map(str::to_owned).collect());
        }
        self.values_among(name, &refs, limit, budget)
    }

    /// The first `limit` values of `name` that a series of `refs` has.
    fn values_among(
        &self,
        name: &str,
        refs: &RoaringBitmap,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<String>, BlockError> {
        let mut values = Vec::new();
        for value in self.index.values(name) {
            if values.len() == limit {
                break;
            }
            budget.check()?;
            let value = value?;
            if value.is_among(refs)? {
                values.push(value.text().to_owned());
            }
        }
        Ok(values)
    }

    /// The series at `refs`, from the cache or from the index.
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
                None => {
                    let series = Arc::new(reader.read(reference)?);
                    read.push((reference, series.clone()));
                    series
                }
            });
        }
        self.cache.insert(read);
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
