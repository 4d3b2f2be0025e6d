//! The series of several blocks as one sorted sequence, each with the chunks it will have.

use std::sync::Arc;

use model::{Budget, SampleValue, StartRun, TimeRange, Timestamp};

use crate::block::{Block, BlockError, BlockSeries, ChunkMeta, DeletedRanges, Scan, SeriesChunks, Tombstones};
use crate::block::{covers, deletes, touches};
use crate::chunk::{self, EncodedChunk};
use crate::steps::{self, PartSteps};

/// Walks over all series of its blocks, in the order of labels. Those without a sample are left out.
pub(super) struct MergedSeries<'a> {
    parts: Vec<Part<'a>>,
}

/// One block and how far it is read.
struct Part<'a> {
    block: &'a Block,
    tombstones: Arc<Tombstones>,
    rest: Scan<'a>,
    next: Option<BlockSeries>,
}

/// A chunk of one part.
struct ChunkOf<'a> {
    /// The position of its part: the lower one wins at equal times.
    part: u32,
    block: &'a Block,
    meta: ChunkMeta,
    deleted: Option<DeletedRanges>,
}

impl<'a> MergedSeries<'a> {
    pub(super) fn new(blocks: &'a [Arc<Block>]) -> Result<MergedSeries<'a>, BlockError> {
        let part = |block: &'a Arc<Block>| {
            let mut rest = block.scan()?;
            Ok(Part { block, tombstones: block.tombstones(), next: rest.next(), rest })
        };
        Ok(MergedSeries { parts: blocks.iter().map(part).collect::<Result<_, BlockError>>()? })
    }

    /// The chunks of the next series, from every part that has it, and since when the samples of each part count.
    fn next_chunks(&mut self) -> Option<(model::Labels, Vec<ChunkOf<'a>>, PartSteps)> {
        let labels =
            self.parts.iter().filter_map(|part| part.next.as_ref()).map(|series| &series.labels).min()?.clone();
        let (mut chunks, mut starts) = (Vec::new(), PartSteps::default());
        for (idx, part) in (0..).zip(&mut self.parts) {
            if let Some(series) = part.next.take_if(|series| series.labels == labels) {
                part.next = part.rest.next();
                starts.add(idx, part.block.starts(series.reference, TimeRange::ALL));
                let deleted = part.tombstones.of(series.reference).cloned();
                let whole = |meta: &&ChunkMeta| deleted.as_ref().is_none_or(|deleted| !covers(deleted, meta.range()));
                chunks.extend(series.chunks.iter().filter(whole).map(|meta| ChunkOf {
                    part: idx,
                    block: part.block,
                    meta: *meta,
                    deleted: deleted.clone().filter(|deleted| touches(deleted, meta.range())),
                }));
            }
        }
        chunks.sort_by_key(|chunk| (chunk.meta.mint, chunk.part));
        Some((labels, chunks, starts))
    }
}

impl Iterator for MergedSeries<'_> {
    type Item = Result<SeriesChunks, BlockError>;

    fn next(&mut self) -> Option<Result<SeriesChunks, BlockError>> {
        loop {
            let (labels, of_parts, steps) = self.next_chunks()?;
            let (mut chunks, mut starts) = (Vec::with_capacity(of_parts.len()), Vec::new());
            let mut join = |together: &[ChunkOf<'_>]| join(together, &steps, &mut chunks, &mut starts);
            if let Err(e) = overlapping(&of_parts).try_for_each(&mut join) {
                return Some(Err(e));
            }
            if !chunks.is_empty() {
                return Some(Ok(SeriesChunks { labels, chunks, starts }));
            }
        }
    }
}

/// Splits chunks, sorted by their start, into groups that share no time.
fn overlapping<'b, 'a>(chunks: &'b [ChunkOf<'a>]) -> impl Iterator<Item = &'b [ChunkOf<'a>]> {
    let mut end = Timestamp::MIN;
    chunks.chunk_by(move |a, b| {
        end = end.max(a.meta.maxt);
        let together = b.meta.mint <= end;
        if !together {
            end = Timestamp::MIN;
        }
        together
    })
}

/// Adds the chunks of one group to `into`: a chunk alone as it is, others decoded, merged and encoded again. Adds to
/// `starts` since when their samples count: each since when the part says that it is from.
fn join(
    chunks: &[ChunkOf<'_>],
    steps: &PartSteps,
    into: &mut Vec<EncodedChunk>,
    starts: &mut Vec<StartRun>,
) -> Result<(), BlockError> {
    if let [alone] = chunks
        && alone.deleted.is_none()
    {
        steps::note_range(starts, steps.of(alone.part), alone.meta.range());
        into.extend(alone.read()?.map(|(encoding, bytes)| EncodedChunk {
            mint: alone.meta.mint,
            maxt: alone.meta.maxt,
            encoding,
            bytes: bytes.to_vec(),
        }));
        return Ok(());
    }
    let mut by_part: Vec<&ChunkOf<'_>> = chunks.iter().collect();
    by_part.sort_by_key(|chunk| chunk.part);
    let mut samples: Vec<(Timestamp, u32, SampleValue)> = Vec::new();
    for chunk in by_part {
        samples.extend(chunk.samples()?.into_iter().map(|(t, value)| (t, chunk.part, value)));
    }
    // Stable: of equal times the sample of the first part stays.
    samples.sort_by_key(|(t, ..)| *t);
    samples.dedup_by_key(|(t, ..)| *t);
    if !steps.is_empty() {
        samples.iter().for_each(|(t, part, _)| steps::note(starts, *t, steps::at(steps.of(*part), *t)));
    }
    into.extend(chunk::encode(samples.into_iter().map(|(t, _, value)| (t, value))));
    Ok(())
}

impl ChunkOf<'_> {
    /// The bytes, unless they are damaged: then the block notes it. Those that only a later version can read are an error:
    /// they must not be left out.
    fn read(&self) -> Result<Option<(chunk::Encoding, &[u8])>, BlockError> {
        match self.block.chunk(&self.meta) {
            Ok(read) => Ok(Some(read)),
            Err(e @ BlockError::Unsupported { .. }) => Err(e),
            Err(e) => {
                self.tell(&e);
                Ok(None)
            }
        }
    }

    /// The samples that are not deleted.
    fn samples(&self) -> Result<Vec<(Timestamp, SampleValue)>, BlockError> {
        let Some((encoding, bytes)) = self.read()? else { return Ok(Vec::new()) };
        let mut samples = chunk::samples(encoding, bytes, self.meta.range()).unwrap_or_else(|e| {
            self.tell(&self.block.corrupt_chunk(&self.meta, &e));
            Vec::new()
        });
        if let Some(deleted) = &self.deleted {
            samples.retain(|(t, _)| !deletes(deleted, *t));
        }
        Ok(samples)
    }

    fn tell(&self, error: &BlockError) {
        self.block.tell(error, "samples of a series are missing", self.meta.range(), &Budget::unlimited());
    }
}
