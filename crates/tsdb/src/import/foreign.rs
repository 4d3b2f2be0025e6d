//! The data directory of a stopped Prometheus, or of a store like this one, as a source: its blocks and its log.

use std::sync::Arc;

use disk::{Dir, DiskError, Lock};
use model::{Labels, StartRun, TimeRange, Timestamp};
use ulid::Ulid;

use super::runs::join;
use super::{Import, all_series, read};
use crate::block::{
    Block, BlockError, BlockMeta, BlockSeries, BlockSpec, ChunkMeta, SeriesChunks, covers, deletes, new_ulid, touches,
    write_block,
};
use crate::chunk::{self, EncodedChunk};
use crate::db::{Db, adopted, note_covers, replaces};
use crate::error::TsdbError;
use crate::options::Options;

/// Directories of a log: what came in order, and what Prometheus writes of the rest.
const LOGS: [&str; 2] = ["wal", "wbl"];
/// Where a copy of the log is replayed.
const REPLAY_DIR: &str = "replay";
/// What the process that has a data directory open holds.
const LOCK_FILE: &str = "lock";

/// A data directory that is read and never changed.
pub struct Foreign {
    dir: Dir,
    parts: Vec<ForeignPart>,
    /// Held when its owner uses one, so that it cannot start meanwhile.
    _lock: Option<Lock>,
}

/// A part of a data directory that is imported as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignPart {
    /// A block, by its name.
    Block(Ulid),
    /// The log: samples that are in no block yet, or not only.
    Log,
}

impl Foreign {
    /// Looks at `dir`. Errors: its owner is running.
    pub fn open(dir: Dir) -> Result<Foreign, TsdbError> {
        let entries = dir.list()?;
        let lock = entries.iter().any(|entry| entry.name == LOCK_FILE).then(|| dir.lock(LOCK_FILE)).transpose()?;
        let blocks = entries.iter().filter(|entry| entry.is_dir).filter_map(|entry| {
            // Other spellings of a ULID are not names of blocks.
            Ulid::from_string(&entry.name).ok().filter(|ulid| ulid.to_string() == entry.name)
        });
        let names: Vec<Ulid> = blocks.collect();
        // One that cannot be read replaces none; that it cannot be read is told when it is copied.
        let meta = |ulid: &Ulid| BlockMeta::read(&dir.sub(&ulid.to_string()).ok()?, &ulid.to_string()).ok();
        let metas: Vec<BlockMeta> = names.iter().filter_map(meta).collect();
        let is_replaced = |ulid: &Ulid| {
            let old = metas.iter().find(|meta| meta.ulid == *ulid);
            old.is_some_and(|old| metas.iter().any(|new| replaces(new, old)))
        };
        let mut parts: Vec<ForeignPart> =
            names.iter().filter(|ulid| !is_replaced(ulid)).copied().map(ForeignPart::Block).collect();
        if entries.iter().any(|entry| entry.is_dir && entry.name == LOGS[0]) {
            parts.push(ForeignPart::Log);
        }
        Ok(Foreign { dir, parts, _lock: lock })
    }

    /// What there is to import, blocks first.
    pub fn parts(&self) -> &[ForeignPart] {
        &self.parts
    }

    fn block_metas(&self) -> Result<Vec<BlockMeta>, BlockError> {
        let open = |part: &ForeignPart| match part {
            ForeignPart::Block(ulid) => Some(Block::open(&self.dir, &ulid.to_string(), 0)),
            ForeignPart::Log => None,
        };
        self.parts.iter().filter_map(open).map(|block| Ok(block?.meta().clone())).collect()
    }
}

impl Import {
    /// Copies one part of `from`, its series under the labels that `relabel` makes of theirs; deleted samples stay behind.
    ///
    /// Errors: those of the file systems, damage, and those of `relabel`.
    pub fn copy<E: From<TsdbError>>(
        &mut self,
        from: &Foreign,
        part: &ForeignPart,
        relabel: &mut dyn FnMut(&Labels) -> Result<Labels, E>,
    ) -> Result<(), E> {
        match part {
            ForeignPart::Block(ulid) => {
                let block = Block::open(&from.dir, &ulid.to_string(), 0).map_err(TsdbError::from)?;
                self.copy_block(&block, relabel)
            }
            ForeignPart::Log => {
                for block in &self.replay(from)? {
                    self.copy_block(block, relabel)?;
                }
                Ok(self.staging.remove(REPLAY_DIR).map_err(TsdbError::from)?)
            }
        }
    }

    /// Replays a copy of the log into blocks aside.
    fn replay(&self, from: &Foreign) -> Result<Vec<Block>, TsdbError> {
        let dir = self.staging.sub(REPLAY_DIR)?;
        for name in LOGS {
            if from.dir.list()?.iter().any(|entry| entry.is_dir && entry.name == name) {
                copy_files(&from.dir.sub(name)?, &dir.sub(name)?)?;
            }
        }
        // What the blocks say of the log is noted beside it: they are not here.
        let metas = from.block_metas()?;
        adopted(&dir, metas.iter())?;
        note_covers(&dir, &metas)?;
        let options = Options { out_of_order_window_ms: i64::MAX, ..Options::default() };
        let db = Db::open(dir.clone(), options)?;
        db.flush()?;
        let names: Vec<Ulid> = db.block_list().into_iter().map(|(meta, _)| meta.ulid).collect();
        drop(db);
        names.iter().map(|name| Ok(Block::open(&dir, &name.to_string(), 0)?)).collect()
    }

    fn copy_block<E: From<TsdbError>>(
        &mut self,
        block: &Block,
        relabel: &mut dyn FnMut(&Labels) -> Result<Labels, E>,
    ) -> Result<(), E> {
        let all = all_series(block, TimeRange::ALL).map_err(TsdbError::from)?;
        let mut series = Vec::with_capacity(all.len());
        for from in all {
            series.push((relabel(&from.labels)?, from));
        }
        self.write_copy(block, series).map_err(E::from)
    }

    fn write_copy(&mut self, block: &Block, mut series: Vec<(Labels, Arc<BlockSeries>)>) -> Result<(), TsdbError> {
        // Other labels, another order; and series that differed may be one now.
        series.sort_by(|(a, _), (b, _)| a.cmp(b));
        let copied = series.chunk_by(|(a, _), (b, _)| a == b).filter_map(|same| {
            let chunks = same.iter().map(|(_, from)| surviving(block, from)).collect::<Result<Vec<_>, _>>();
            let joined = chunks.and_then(|chunks| join(chunks.concat()));
            let of_series = |chunks| SeriesChunks { labels: same[0].0.clone(), chunks, starts: starts(block, same) };
            Some(joined.map(of_series)).filter(|series| !matches!(series, Ok(series) if series.chunks.is_empty()))
        });
        let mut copied = copied.peekable();
        if copied.peek().is_none() {
            return Ok(());
        }
        let range = block.range();
        let ulid = new_ulid(range)?;
        let level = block.meta().compaction.level.max(1);
        let spec = BlockSpec { level, ..self.spec(ulid, range) };
        let meta = write_block(&self.staging, spec, copied)?;
        self.samples += meta.stats.num_samples;
        self.copies.push(ulid);
        Ok(())
    }
}

/// Since when samples count, as a store of ours knows it. Of series that became one it is not known any more: each may
/// have its own.
fn starts(block: &Block, same: &[(Labels, Arc<BlockSeries>)]) -> Vec<StartRun> {
    match same {
        [(_, alone)] => block.starts(alone.reference, TimeRange::ALL),
        _ => Vec::new(),
    }
}

/// The chunks of a series without its deleted samples.
fn surviving(block: &Block, series: &BlockSeries) -> Result<Vec<EncodedChunk>, BlockError> {
    let tombstones = block.tombstones();
    let deleted = tombstones.of(series.reference);
    let mut chunks = Vec::with_capacity(series.chunks.len());
    for meta in &series.chunks {
        match deleted {
            Some(deleted) if covers(deleted, meta.range()) => {}
            Some(deleted) if touches(deleted, meta.range()) => {
                chunks.extend(thinned(block, meta, &read(block, meta)?, |t| !deletes(deleted, t))?);
            }
            _ => chunks.push(read(block, meta)?),
        }
    }
    Ok(chunks)
}

fn thinned(
    block: &Block,
    meta: &ChunkMeta,
    chunk: &EncodedChunk,
    keep: impl Fn(Timestamp) -> bool,
) -> Result<Vec<EncodedChunk>, BlockError> {
    let samples = chunk::samples(chunk.encoding, &chunk.bytes, TimeRange::ALL);
    let samples = samples.map_err(|e| block.corrupt_chunk(meta, &e))?;
    Ok(chunk::encode(samples.into_iter().filter(|(t, _)| keep(*t))))
}

/// Copies the files below `from`, and returns their bytes. Replaying cuts a torn tail, so links will not do.
fn copy_files(from: &Dir, to: &Dir) -> Result<u64, DiskError> {
    let mut copied = 0;
    for entry in from.list()? {
        if entry.is_dir {
            copied += copy_files(&from.sub(&entry.name)?, &to.sub(&entry.name)?)?;
            continue;
        }
        let (bytes, file) = (from.map(&entry.name)?, to.create(&entry.name)?);
        file.append(&bytes)?;
        copied += bytes.len() as u64;
    }
    Ok(copied)
}
