//! Writes a block: everything in a temporary directory, made durable, and published by one rename.

use disk::Dir;
use model::{BlockRange, Labels, StartRun};

use super::CREATION_SUFFIX;
use super::error::BlockError;
use super::meta::{BlockMeta, BlockSpec, BlockStats};
use super::output::Output;
use super::segments::SegmentWriter;
use super::starts::StartsWriter;
use super::tombstones::{TOMBSTONES_FILE, Tombstones};
use crate::chunk::EncodedChunk;
use crate::index::{ChunkMeta, IndexWriter};

/// A series on its way into a block.
#[derive(Clone, Debug)]
pub struct SeriesChunks {
    /// Its labels, after those of the series before it.
    pub labels: Labels,
    /// Its chunks, at least one: ascending, not overlapping, inside the block's range.
    pub chunks: Vec<EncodedChunk>,
    /// Since when its samples count, ascending; empty when that is not known.
    pub starts: Vec<StartRun>,
}

/// Writes a block into `parent` and publishes it under its ULID; after this returns, it is durable.
///
/// Errors: those of `series`, of the file system, and `Invalid` when the series break a rule of the format: then
/// nothing was published. A crash leaves a directory that ends in [`CREATION_SUFFIX`], to be removed at the start.
/// Cost: one pass over the series; memory for the distinct label strings and one batch of postings.
pub fn write_block(
    parent: &Dir,
    spec: BlockSpec,
    series: impl Iterator<Item = Result<SeriesChunks, BlockError>>,
) -> Result<BlockMeta, BlockError> {
    let name = spec.ulid.to_string();
    let temporary = format!("{name}{CREATION_SUFFIX}");
    parent.remove(&temporary)?;
    let published = write_files(&parent.sub(&temporary)?, &spec, series).and_then(|meta| {
        parent.publish(&temporary, &name)?;
        Ok(meta)
    });
    if published.is_err() {
        withdraw_block(parent, &name);
    }
    published
}

/// Takes back block `name`, of which nothing is known but that its writing failed, perhaps after its publication: a
/// block outside the list of blocks hears of no deletion, and would bring the deleted samples back at the next start.
pub(crate) fn withdraw_block(parent: &Dir, name: &str) {
    let temporary = format!("{name}{CREATION_SUFFIX}");
    let withdrawn = parent.list().and_then(|entries| {
        if entries.iter().any(|entry| entry.name == name) {
            parent.publish(name, &temporary)?;
        }
        parent.remove(&temporary)
    });
    if let Err(error) = withdrawn {
        tracing::warn!(block = name, %error, "the remains of a block that was not written cannot be removed");
    }
}

fn write_files(
    dir: &Dir,
    spec: &BlockSpec,
    series: impl Iterator<Item = Result<SeriesChunks, BlockError>>,
) -> Result<BlockMeta, BlockError> {
    let mut segments = SegmentWriter::create(dir)?;
    let mut index = IndexWriter::create(dir)?;
    let mut starts = StartsWriter::new(dir);
    let mut stats = BlockStats::default();
    let mut last = Labels::empty();
    let mut metas = Vec::new();
    for series in series {
        let series = series?;
        if series.labels <= last {
            return Err(BlockError::invalid(format!("series {} comes after {last}", series.labels)));
        }
        metas.clear();
        for chunk in &series.chunks {
            check_chunk(&series.labels, metas.last(), chunk, spec.range)?;
            let reference = segments.append(chunk)?;
            metas.push(ChunkMeta { mint: chunk.mint, maxt: chunk.maxt, reference });
            stats.count(chunk.encoding, chunk.num_samples());
        }
        if metas.is_empty() {
            return Err(BlockError::invalid(format!("series {} has no chunk", series.labels)));
        }
        index.add(&series.labels, &metas)?;
        starts.add(&series.starts)?;
        stats.num_series += 1;
        last = series.labels;
    }
    if stats.num_series == 0 {
        return Err(BlockError::invalid("there is no series"));
    }
    segments.finish()?;
    index.finish()?;
    starts.finish()?;
    write_no_tombstones(dir)?;
    let meta = BlockMeta::new(spec, stats);
    meta.write(dir)?;
    Ok(meta)
}

fn check_chunk(
    labels: &Labels,
    last: Option<&ChunkMeta>,
    chunk: &EncodedChunk,
    range: BlockRange,
) -> Result<(), BlockError> {
    let EncodedChunk { mint, maxt, .. } = chunk;
    let refuse = |why: String| Err(BlockError::invalid(format!("chunk [{mint}, {maxt}] of series {labels} {why}")));
    if chunk.num_samples() == 0 {
        return refuse("has no sample".to_owned());
    }
    if maxt < mint {
        return refuse("ends before it starts".to_owned());
    }
    if !range.contains(*mint) || !range.contains(*maxt) {
        return refuse(format!("leaves the block's range [{}, {})", range.start, range.end));
    }
    match last {
        Some(last) if *mint <= last.maxt => refuse(format!("overlaps the one before, which ends at {}", last.maxt)),
        _ => Ok(()),
    }
}

/// An empty list of deleted ranges, as Prometheus writes one with every block.
fn write_no_tombstones(dir: &Dir) -> Result<(), BlockError> {
    let mut output = Output::create(dir, TOMBSTONES_FILE)?;
    output.put(&Tombstones::default().encode())?;
    output.finish()
}
