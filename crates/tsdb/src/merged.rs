//! One series out of its parts: chunks of several blocks and of the head, in time order, each timestamp once.

use std::sync::Arc;

use model::{Budget, Columns, Labels, Sample, SeriesSet, StorageError, TimeRange, Timestamp};

use crate::block::{Block, ChunkMeta};
use crate::chunk::{Encoding, xor};
use crate::head::{ChunkBytes, Snapshot};

/// The series of one selection with the places of their chunks.
pub(crate) struct MergedSet {
    range: TimeRange,
    blocks: Vec<Arc<Block>>,
    series: Vec<MergedSeries>,
}

/// One series: what each part has of it.
pub(crate) struct MergedSeries {
    labels: Labels,
    chunks: Vec<ChunkAt>,
    late: Vec<Sample>,
}

/// Where a chunk is, and when its samples are.
#[derive(Clone)]
struct ChunkAt {
    range: TimeRange,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// In `blocks[.0]`, at this reference.
    Block(u32, ChunkMeta),
    /// In memory.
    Head(ChunkBytes),
}

impl ChunkAt {
    /// Earlier parts win where times are equal: blocks in their order, then the head.
    fn part(&self) -> u32 {
        match self.place {
            Place::Block(idx, _) => idx,
            Place::Head(_) => u32::MAX,
        }
    }
}

impl MergedSeries {
    /// A series with room for `chunks` chunks.
    pub(crate) fn new(labels: Labels, chunks: usize) -> MergedSeries {
        MergedSeries { labels, chunks: Vec::with_capacity(chunks), late: Vec::new() }
    }

    /// Adds a block's chunks inside `range`. Blocks come before the head: at equal times the earlier part wins.
    pub(crate) fn add_block(&mut self, block_idx: u32, chunks: &[ChunkMeta], range: TimeRange) {
        let inside = chunks.iter().map(|chunk| ChunkAt {
            range: TimeRange { mint: chunk.mint, maxt: chunk.maxt },
            place: Place::Block(block_idx, *chunk),
        });
        self.chunks.extend(inside.filter(|chunk| chunk.range.overlaps(range)));
    }

    /// Adds what the head has.
    pub(crate) fn add_head(&mut self, snapshot: Snapshot) {
        self.chunks.extend(snapshot.chunks.into_iter().map(|c| ChunkAt { range: c.range, place: Place::Head(c) }));
        self.late = snapshot.late;
    }
}

impl MergedSet {
    /// Finishes a selection: sorts the series by labels and their chunks by time.
    pub(crate) fn new(range: TimeRange, blocks: Vec<Arc<Block>>, mut series: Vec<MergedSeries>) -> MergedSet {
        for series in &mut series {
            series.chunks.sort_unstable_by_key(|chunk| (chunk.range.mint, chunk.part()));
        }
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        MergedSet { range, blocks, series }
    }

    fn decode(&self, chunk: &ChunkAt, into: &mut Columns) -> Result<(), StorageError> {
        let failed = |e: &dyn std::fmt::Display| StorageError::Failed(e.to_string());
        match &chunk.place {
            Place::Head(chunk) => xor::decode(&chunk.bytes, self.range, into).map_err(|e| failed(&e)),
            Place::Block(idx, meta) => {
                let (encoding, bytes) = self.blocks[*idx as usize].chunk(meta).map_err(|e| failed(&e))?;
                match encoding {
                    Encoding::Xor => xor::decode(bytes, self.range, into).map_err(|e| failed(&e)),
                    // Native histograms cannot be written yet; a foreign block's floats are served without them.
                    Encoding::Histogram | Encoding::FloatHistogram => Ok(()),
                }
            }
        }
    }

    /// Decodes chunks that overlap, or that late samples fall among, into one ascending run.
    fn decode_overlapping(&self, chunks: &[ChunkAt], late: &[Sample], into: &mut Columns) -> Result<(), StorageError> {
        let mut run: Vec<(Timestamp, f64)> = Vec::new();
        let mut one = Columns::default();
        let mut by_part: Vec<&ChunkAt> = chunks.iter().collect();
        by_part.sort_by_key(|chunk| chunk.part());
        for chunk in by_part {
            one.clear();
            self.decode(chunk, &mut one)?;
            run.extend(one.timestamps.iter().copied().zip(one.values.iter().copied()));
        }
        run.extend(late.iter().map(|s| (s.t, s.v)));
        // Stable, so that of equal times the first part's sample comes first and stays.
        run.sort_by_key(|(t, _)| *t);
        run.dedup_by_key(|(t, _)| *t);
        for (t, v) in run {
            into.push(t, v);
        }
        Ok(())
    }
}

impl SeriesSet for MergedSet {
    fn len(&self) -> usize {
        self.series.len()
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        &self.series[series_idx].labels
    }

    fn read(&self, series_idx: usize, into: &mut Columns, budget: &Budget) -> Result<(), StorageError> {
        into.clear();
        let MergedSeries { chunks, late, .. } = &self.series[series_idx];
        let (mut chunks, mut late) = (chunks.as_slice(), late.as_slice());
        while let Some(first) = chunks.first() {
            budget.check()?;
            let (together, end) = overlapping(chunks, first.range.maxt);
            let before = late.partition_point(|s| s.t < first.range.mint);
            let until = late.partition_point(|s| s.t <= end).max(before);
            self.decode_overlapping(&[], &late[..before], into)?;
            if together == 1 && before == until {
                self.decode(first, into)?;
            } else {
                self.decode_overlapping(&chunks[..together], &late[before..until], into)?;
            }
            (chunks, late) = (&chunks[together..], &late[until..]);
        }
        self.decode_overlapping(&[], late, into)
    }
}

/// How many of `chunks`, sorted by their start, form one overlapping group, and when it ends.
fn overlapping(chunks: &[ChunkAt], mut end: Timestamp) -> (usize, Timestamp) {
    let mut count = 1;
    while let Some(next) = chunks.get(count).filter(|next| next.range.mint <= end) {
        end = end.max(next.range.maxt);
        count += 1;
    }
    (count, end)
}
