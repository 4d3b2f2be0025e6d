//! Import: samples of any age from elsewhere, written as blocks into a store that no server has open.

mod foreign;
mod runs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use disk::{Dir, Lock};
use hashbrown::HashMap;
use model::{BlockRange, Budget, Labels, SampleValue, TimeRange, Timestamp};
use ulid::Ulid;

use crate::block::{
    Block, BlockError, BlockMeta, BlockSeries, BlockSpec, ChunkMeta, LogCovers, SeriesChunks, WalCover, new_ulid,
    write_block,
};
use crate::chunk::EncodedChunk;
use crate::error::TsdbError;
use crate::head::SeriesKey;
use crate::options::BLOCK_MS;
use crate::wal;
use runs::{SeriesParts, SeriesRuns, join};

pub use foreign::{Foreign, ForeignPart};

/// Where blocks wait until all are written. What an interrupted import left here the next one removes.
const STAGING_DIR: &str = "import.tmp";
/// Bytes that a known series takes beside its labels and its chunks: its open chunk and its places in tables.
const SERIES_BYTES: usize = 512;
/// Compressed samples and series in memory, nearly; about a hundred million samples of steady series.
const MEMORY_BYTES_MAX: usize = 256 << 20;

/// An import in progress.
///
/// Samples are compressed in memory, in any order; when that is full, and at the end, they are written as blocks of two
/// hours to a directory aside. [`Import::finish`] makes them blocks of the store, so an import that was interrupted left
/// nothing, or, interrupted just then, whole blocks; either way it can be done again, since equal samples are one.
/// The first sample of a series at a time stays; those that the blocks of the store have already were first.
pub struct Import {
    dir: Dir,
    staging: Dir,
    bytes_max: usize,
    known: HashMap<SeriesKey, u32>,
    series: Vec<SeriesRuns>,
    /// Memory in use, nearly.
    bytes: usize,
    /// Blocks aside that hold samples of one block range each, by its start.
    ranges: BTreeMap<Timestamp, Vec<Ulid>>,
    /// Blocks aside that were copied from another store.
    copies: Vec<Ulid>,
    samples: u64,
    /// What the blocks say of the log.
    rank: LogCovers,
    _lock: Lock,
}

/// A series known to an [`Import`], until [`Import::known`] says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportSeries(u32);

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Samples handed in.
    pub samples: u64,
    /// Samples written: those handed in without those that their series had at the same time.
    pub written: u64,
    /// Blocks they are in.
    pub blocks: u64,
    /// When the samples were taken; `None` when there are none.
    pub range: Option<TimeRange>,
}

impl Import {
    /// Begins an import into the store in `dir`. Errors: a server, or another import, has the store open.
    pub fn start(dir: Dir) -> Result<Import, TsdbError> {
        let lock = dir.lock("lock")?;
        dir.remove(STAGING_DIR)?;
        let staging = dir.sub(STAGING_DIR)?;
        Ok(Import {
            rank: rank_after_all(&dir)?,
            dir,
            staging,
            bytes_max: MEMORY_BYTES_MAX,
            known: HashMap::new(),
            series: Vec::new(),
            bytes: 0,
            ranges: BTreeMap::new(),
            copies: Vec::new(),
            samples: 0,
            _lock: lock,
        })
    }

    /// The series that was introduced under `key`, unless memory was cleared since.
    pub fn known(&self, key: SeriesKey) -> Option<ImportSeries> {
        self.known.get(&key).copied().map(ImportSeries)
    }

    /// Introduces a series under `key`.
    pub fn series(&mut self, key: SeriesKey, labels: Labels) -> ImportSeries {
        // More series than a 32-bit number can count do not fit the memory by far.
        let number = u32::try_from(self.series.len()).expect("series are spilled long before 2^32 of them");
        self.bytes += labels.as_bytes().len() + SERIES_BYTES;
        self.series.push(SeriesRuns::new(labels));
        self.known.insert(key, number);
        ImportSeries(number)
    }

    /// Adds a sample to a series that is known.
    pub fn sample(&mut self, series: ImportSeries, t: Timestamp, value: &SampleValue) {
        let Some(runs) = self.series.get_mut(series.0 as usize) else {
            debug_assert!(false, "the series was introduced before memory was cleared");
            return;
        };
        self.bytes += runs.push(t, value);
        self.samples += 1;
    }

    /// Writes what is in memory aside if that is full; no series is known afterwards. To be called now and then.
    pub fn relieve(&mut self) -> Result<(), TsdbError> {
        if self.bytes < self.bytes_max { Ok(()) } else { self.spill() }
    }

    /// Makes everything handed in part of the store.
    pub fn finish(mut self) -> Result<Imported, TsdbError> {
        self.spill()?;
        let mut imported = Imported { samples: self.samples, ..Imported::default() };
        for (start, names) in std::mem::take(&mut self.ranges) {
            let meta = match names.as_slice() {
                [one] => self.publish(*one)?,
                several => self.merge(BlockRange::around(start, BLOCK_MS), several)?,
            };
            imported.add(&meta);
        }
        for ulid in std::mem::take(&mut self.copies) {
            imported.add(&self.publish(ulid)?);
        }
        self.dir.remove(STAGING_DIR)?;
        Ok(imported)
    }

    /// Writes what is in memory to blocks aside, one for each block range.
    fn spill(&mut self) -> Result<(), TsdbError> {
        self.known.clear();
        self.bytes = 0;
        let mut series = std::mem::take(&mut self.series);
        series.sort_by(|a, b| a.labels().cmp(b.labels()));
        let mut parts: Vec<SeriesParts> = Vec::with_capacity(series.len());
        for runs in series {
            match parts.last_mut() {
                // One series may be known under several keys.
                Some(last) if last.labels() == runs.labels() => last.absorb(runs),
                _ => parts.push(runs.into_parts()),
            }
        }
        let starts: BTreeSet<Timestamp> = parts.iter().flat_map(SeriesParts::starts).collect();
        for start in starts {
            let mut of_range = Vec::new();
            for part in &mut parts {
                let chunks = part.take(start);
                if !chunks.is_empty() {
                    of_range.push(SeriesChunks {
                        labels: part.labels().clone(),
                        chunks: join(chunks)?,
                        starts: Vec::new(),
                    });
                }
            }
            let range = until_last(BlockRange::around(start, BLOCK_MS), &of_range);
            let ulid = new_ulid(range)?;
            write_block(&self.staging, self.spec(ulid, range), of_range.into_iter().map(Ok))?;
            self.ranges.entry(start).or_default().push(ulid);
        }
        Ok(())
    }

    fn spec(&self, ulid: Ulid, range: BlockRange) -> BlockSpec {
        BlockSpec { log: self.rank.clone(), ..BlockSpec::new(ulid, range) }
    }

    /// Moves a block from aside into the store.
    fn publish(&self, ulid: Ulid) -> Result<BlockMeta, TsdbError> {
        let name = ulid.to_string();
        self.staging.move_to(&name, &self.dir)?;
        Ok(Block::open(&self.dir, &name, 0)?.meta().clone())
    }

    /// Writes the blocks aside of one range as one block of the store.
    fn merge(&self, range: BlockRange, names: &[Ulid]) -> Result<BlockMeta, TsdbError> {
        let open = |ulid: &Ulid| Block::open(&self.staging, &ulid.to_string(), 0);
        let blocks: Vec<Block> = names.iter().map(open).collect::<Result<_, _>>()?;
        let mut series: Vec<(Arc<BlockSeries>, &Block)> = Vec::new();
        for block in &blocks {
            let all = all_series(block, TimeRange::ALL)?;
            series.extend(all.into_iter().map(|series| (series, block)));
        }
        // Stable: of one series the blocks stay in the order they were written in.
        series.sort_by(|(a, _), (b, _)| a.labels.cmp(&b.labels));
        let merged = series.chunk_by(|(a, _), (b, _)| a.labels == b.labels).map(|same| {
            let chunks = same.iter().flat_map(|(series, block)| series.chunks.iter().map(|meta| read(block, meta)));
            let (labels, chunks) = (same[0].0.labels.clone(), join(chunks.collect::<Result<_, _>>()?)?);
            Ok(SeriesChunks { labels, chunks, starts: Vec::new() })
        });
        let end = blocks.iter().map(|block| block.range().end).max().unwrap_or(range.end);
        let range = BlockRange { end, ..range };
        let ulid = new_ulid(range)?;
        Ok(write_block(&self.dir, self.spec(ulid, range), merged)?)
    }
}

impl Drop for Import {
    /// Removes what was not finished. If that fails, the next import does.
    fn drop(&mut self) {
        let _ = self.dir.remove(STAGING_DIR);
    }
}

impl Imported {
    fn add(&mut self, meta: &BlockMeta) {
        self.blocks += 1;
        self.written += meta.stats.num_samples;
        let new = meta.range().closed();
        let old = self.range.unwrap_or(new);
        self.range = Some(TimeRange { mint: old.mint.min(new.mint), maxt: old.maxt.max(new.maxt) });
    }
}

/// A range that ends with the last of its samples: a block that claims times which have not been would make samples
/// that come next look old.
fn until_last(range: BlockRange, series: &[SeriesChunks]) -> BlockRange {
    let maxt = series.iter().filter_map(|series| series.chunks.last()).map(|chunk| chunk.maxt).max();
    BlockRange { end: maxt.map_or(range.end, |maxt| range.end.min(maxt.saturating_add(1))), ..range }
}

/// Blocks rank by the last segment of the log that they cover: one that covers nothing of the newest segment comes after
/// all that are there, so that their samples stay.
fn rank_after_all(dir: &Dir) -> Result<LogCovers, TsdbError> {
    let store = wal::store_of(dir)?;
    let mut newest = wal::segments(dir)?.into_iter().max();
    for entry in dir.list()?.iter().filter(|entry| entry.is_dir && Ulid::from_string(&entry.name).is_ok()) {
        let block = Block::open(dir, &entry.name, 0)?;
        newest = newest.max(block.meta().log_covers().covers.last().map(|cover| cover.segment));
    }
    let covers = newest.map(|segment| WalCover { segment, before: Timestamp::MIN });
    Ok(LogCovers { store, covers: covers.into_iter().collect() })
}

/// The series of `block` with a chunk in `range`. Errors: damage, since nobody would notice what an import left out.
fn all_series(block: &Block, range: TimeRange) -> Result<Vec<Arc<BlockSeries>>, BlockError> {
    let all = block.select(&[], range, &Budget::unlimited())?;
    match block.is_damaged() {
        true => Err(BlockError::invalid(format!("block {} is damaged", block.meta().ulid))),
        false => Ok(all),
    }
}

fn read(block: &Block, meta: &ChunkMeta) -> Result<EncodedChunk, BlockError> {
    let (encoding, bytes) = block.chunk(meta)?;
    Ok(EncodedChunk { mint: meta.mint, maxt: meta.maxt, encoding, bytes: bytes.to_vec() })
}
