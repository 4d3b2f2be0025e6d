//! One series out of its parts: chunks of several blocks and of the head, in time order, each timestamp once.

use std::ops::Range;
use std::sync::Arc;

use model::{
    Budget, Columns, Histogram, Labels, ResetHint, SampleValue, SeriesSet, StartRun, StorageError, TimeRange,
    Timestamp, breathe,
};

use crate::block::{Block, BlockSeries, ChunkMeta, DeletedRanges, covers, deletes, touches};
use crate::chunk::{self, Encoding};
use crate::head::{CHUNKS_HEAD_DIR, HeadChunk, LOST, Snapshot};
use crate::steps::{self, PartSteps};

/// The part that is the head: blocks have the numbers below.
const HEAD: u32 = u32::MAX;

/// The series of one selection with the places of their chunks.
pub(crate) struct MergedSet {
    range: TimeRange,
    blocks: Vec<Arc<Block>>,
    series: Vec<MergedSeries>,
    /// Whether samples that are decoded may be kept: there are not too many.
    keeps: bool,
}

/// One series: what each part has of it.
pub(crate) struct MergedSeries {
    labels: Labels,
    hash: u64,
    parts: Vec<BlockPart>,
    head_chunks: Vec<HeadChunk>,
    late: Vec<(Timestamp, SampleValue)>,
    /// Since when the samples of the head count.
    head_starts: Vec<StartRun>,
    /// Whether all there is to do is to read one part after the other: none reaches into another one, nothing of them is
    /// deleted, and none says since when its samples count. It is so with nearly every series.
    is_plain: bool,
    /// The newest timestamp of the parts so far.
    maxt: Timestamp,
}

/// What a block has of a series.
struct BlockPart {
    block_idx: u32,
    series: Arc<BlockSeries>,
    /// Positions of its chunks that overlap the selection's range.
    chunks: Range<usize>,
    deleted: Option<DeletedRanges>,
}

impl BlockPart {
    fn chunks(&self) -> &[ChunkMeta] {
        self.series.chunks.get(self.chunks.clone()).unwrap_or(&[])
    }
}

/// Where a chunk is, and when its samples are.
struct ChunkAt<'a> {
    range: TimeRange,
    place: Place<'a>,
}

enum Place<'a> {
    /// In `blocks[.0]`, at this reference.
    Block(u32, &'a ChunkMeta),
    /// There too, and some of its samples are deleted.
    Thinned(u32, &'a ChunkMeta, &'a DeletedRanges),
    /// In memory.
    Head(&'a HeadChunk),
}

/// A sample as answers have it: integer and float histograms are one kind there.
#[derive(Clone)]
enum Value {
    Float(f64),
    Histogram(Arc<Histogram>),
}

impl Value {
    /// The value where another one may have come between it and the one before it: that no counter was reset between
    /// those two is no longer known.
    fn without_neighbour(mut self) -> Value {
        if let Value::Histogram(histogram) = &mut self {
            forget_neighbour(histogram);
        }
        self
    }
}

/// The same for a value as it was written.
fn without_neighbour(mut value: SampleValue) -> SampleValue {
    if let SampleValue::Histogram(histogram) | SampleValue::FloatHistogram(histogram) = &mut value {
        forget_neighbour(histogram);
    }
    value
}

fn forget_neighbour(histogram: &mut Arc<Histogram>) {
    if histogram.reset_hint == ResetHint::NoReset {
        Arc::make_mut(histogram).reset_hint = ResetHint::Unknown;
    }
}

/// What is left of `samples`; one that follows deleted ones has lost its neighbour.
fn kept<V>(
    samples: impl Iterator<Item = (Timestamp, V)>,
    deleted: &DeletedRanges,
    without_neighbour: fn(V) -> V,
) -> impl Iterator<Item = (Timestamp, V)> {
    let mut is_cut = false;
    samples.filter_map(move |(t, value)| {
        if deletes(deleted, t) {
            is_cut = true;
            return None;
        }
        Some((t, if std::mem::take(&mut is_cut) { without_neighbour(value) } else { value }))
    })
}

impl From<&SampleValue> for Value {
    fn from(value: &SampleValue) -> Value {
        match value {
            SampleValue::Float(v) => Value::Float(*v),
            SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => Value::Histogram(h.clone()),
        }
    }
}

impl ChunkAt<'_> {
    /// Earlier parts win where times are equal: blocks in their order, then the head.
    fn part(&self) -> u32 {
        match self.place {
            Place::Block(idx, _) | Place::Thinned(idx, ..) => idx,
            Place::Head(_) => HEAD,
        }
    }
}

impl MergedSeries {
    /// A series with nothing yet, and the hash of its labels.
    pub(crate) fn new(labels: Labels, hash: u64) -> MergedSeries {
        let (parts, head_chunks, late, head_starts) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        MergedSeries { labels, hash, parts, head_chunks, late, head_starts, is_plain: true, maxt: Timestamp::MIN }
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The hash of its labels.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn has_labels(&self, labels: &Labels) -> bool {
        self.labels == *labels
    }

    /// Adds a block's chunks inside `range`. Blocks come before the head: at equal times the earlier part wins.
    pub(crate) fn add_block(
        &mut self,
        block_idx: u32,
        block: &Block,
        series: Arc<BlockSeries>,
        deleted: Option<&DeletedRanges>,
        range: TimeRange,
    ) {
        let part = BlockPart { block_idx, chunks: series.chunks_in(range), deleted: deleted.cloned(), series };
        let [Some(first), Some(last)] = [part.chunks().first(), part.chunks().last()] else { return };
        let all = TimeRange { mint: first.mint, maxt: last.maxt };
        let is_whole = deleted.is_none_or(|deleted| !touches(deleted, all));
        self.is_plain &= is_whole && self.is_behind(all.mint) && !block.has_starts(part.series.reference);
        self.maxt = self.maxt.max(all.maxt);
        self.parts.push(part);
    }

    /// Adds what the head has.
    pub(crate) fn add_head(&mut self, snapshot: Snapshot) {
        let begins_behind = snapshot.chunks.first().is_none_or(|chunk| self.is_behind(chunk.range.mint));
        self.is_plain &= begins_behind && snapshot.late.is_empty() && snapshot.starts.is_empty();
        self.head_chunks = snapshot.chunks;
        self.late = snapshot.late;
        self.head_starts = snapshot.starts;
    }

    /// Whether a part that begins at `mint` is behind all that are there.
    fn is_behind(&self, mint: Timestamp) -> bool {
        self.parts.is_empty() || self.maxt < mint
    }

    /// All chunks, by their start.
    fn chunks(&self) -> Vec<ChunkAt<'_>> {
        let mut all = Vec::new();
        for part in &self.parts {
            for chunk in part.chunks() {
                let place = match &part.deleted {
                    Some(deleted) if covers(deleted, chunk.range()) => continue,
                    Some(deleted) if touches(deleted, chunk.range()) => Place::Thinned(part.block_idx, chunk, deleted),
                    _ => Place::Block(part.block_idx, chunk),
                };
                all.push(ChunkAt { range: chunk.range(), place });
            }
        }
        all.extend(self.head_chunks.iter().map(|chunk| ChunkAt { range: chunk.range, place: Place::Head(chunk) }));
        all.sort_unstable_by_key(|chunk| (chunk.range.mint, chunk.part()));
        all
    }
}

/// Series dropped in one go.
const DROPPED_AT_ONCE: usize = 256;

impl Drop for MergedSet {
    /// Many series take a while.
    fn drop(&mut self) {
        while !self.series.is_empty() {
            self.series.truncate(self.series.len().saturating_sub(DROPPED_AT_ONCE));
            breathe();
        }
    }
}

impl MergedSet {
    /// A selection of `series`, which are sorted by labels.
    pub(crate) fn new(range: TimeRange, blocks: Vec<Arc<Block>>, series: Vec<MergedSeries>) -> MergedSet {
        let chunks = series.iter().flat_map(|series| &series.parts).map(|part| part.chunks.len()).sum::<usize>();
        let samples = chunks.saturating_mul(chunk::SAMPLES_PER_CHUNK.into());
        let keeps = blocks.first().is_some_and(|block| block.decoded_cache().has_room(samples));
        MergedSet { range, blocks, series, keeps }
    }

    /// Adds the samples of a chunk of the head. The head noted its damage, and what is missing.
    fn decode_head(&self, chunk: &HeadChunk, into: &mut Columns, budget: &Budget) {
        if chunk.decode(self.range, into).is_err() {
            budget.warn(format!("{CHUNKS_HEAD_DIR} is damaged: {LOST}"));
        }
    }

    /// Adds the samples of a chunk inside the selection's range. A damaged chunk adds none: the block notes it and the
    /// budget's owner is told.
    fn decode(&self, chunk: &ChunkAt<'_>, into: &mut Columns, budget: &Budget) {
        match &chunk.place {
            Place::Head(chunk) => self.decode_head(chunk, into, budget),
            Place::Block(idx, meta) => self.decode_block(*idx, meta, into, budget),
            Place::Thinned(idx, meta, deleted) => {
                let mut all = Columns::default();
                self.decode_block(*idx, meta, &mut all, budget);
                kept(samples(&all), deleted, Value::without_neighbour).for_each(|(t, value)| push(into, t, value));
            }
        }
    }

    fn decode_block(&self, idx: u32, meta: &ChunkMeta, into: &mut Columns, budget: &Budget) {
        let block = &self.blocks[idx as usize];
        let decoded = block.chunk(meta).and_then(|(encoding, bytes)| {
            chunk::decode(encoding, bytes, self.range, into).map_err(|e| block.corrupt_chunk(meta, &e))
        });
        if let Err(e) = decoded {
            block.tell(&e, "samples of a series are missing", meta.range(), budget);
        }
    }

    /// Adds the samples of a part that stands alone: those that were kept, or else out of its chunks.
    fn read_part(&self, part: &BlockPart, into: &mut Columns, budget: &Budget) -> Result<(), StorageError> {
        let decoded = &part.series.decoded;
        if decoded.read(&part.chunks, self.range, into) {
            return Ok(budget.check()?);
        }
        let block = &self.blocks[part.block_idx as usize];
        if self.keeps
            && decoded.is_worth(&part.chunks)
            && let Some(all) = whole_floats(block, part, budget)?
        {
            block.decoded_cache().keep(&part.series, part.chunks.clone(), &all.timestamps, &all.values);
            let inside = |(t, _): &(&Timestamp, &f64)| self.range.contains(**t);
            all.timestamps.iter().zip(&all.values).filter(inside).for_each(|(t, v)| into.push(*t, *v));
            return Ok(());
        }
        for chunk in part.chunks() {
            budget.check()?;
            self.decode_block(part.block_idx, chunk, into, budget);
        }
        Ok(())
    }

    /// Since when the samples of each part of a series count.
    fn part_steps(&self, series: &MergedSeries) -> PartSteps {
        let mut parts = PartSteps::default();
        for part in &series.parts {
            let (block, reference) = (&self.blocks[part.block_idx as usize], part.series.reference);
            if block.has_starts(reference) {
                parts.add(part.block_idx, block.starts(reference, self.range));
            }
        }
        parts.add(HEAD, series.head_starts.clone());
        parts
    }

    /// Decodes chunks that overlap, or that late samples fall among, into one ascending run. Each sample counts since
    /// when the part says that it is from.
    fn decode_overlapping(
        &self,
        chunks: &[ChunkAt<'_>],
        late: &[(Timestamp, SampleValue)],
        starts: &PartSteps,
        into: &mut Columns,
        budget: &Budget,
    ) {
        let mut run: Vec<(Timestamp, u32, Value)> = Vec::new();
        let mut one = Columns::default();
        let mut by_part: Vec<&ChunkAt<'_>> = chunks.iter().collect();
        by_part.sort_by_key(|chunk| chunk.part());
        for chunk in by_part {
            one.clear();
            self.decode(chunk, &mut one, budget);
            run.extend(samples(&one).map(|(t, value)| (t, chunk.part(), value)));
        }
        run.extend(late.iter().map(|(t, value)| (*t, HEAD, Value::from(value))));
        // Stable, so that of equal times the first part's sample comes first and stays.
        run.sort_by_key(|(t, ..)| *t);
        run.dedup_by_key(|(t, ..)| *t);
        for (t, part, value) in run {
            if !starts.is_empty() {
                steps::note(&mut into.starts, t, steps::at(starts.of(part), t));
            }
            push(into, t, value.without_neighbour());
        }
    }
}

impl MergedSet {
    /// The samples of series `series_idx` inside the selection's range, each of the kind it was written as.
    pub(crate) fn values(
        &self,
        series_idx: usize,
        budget: &Budget,
    ) -> Result<Vec<(Timestamp, SampleValue)>, StorageError> {
        let series = &self.series[series_idx];
        let (chunks, late) = (series.chunks(), &series.late);
        let mut by_part: Vec<&ChunkAt<'_>> = chunks.iter().collect();
        by_part.sort_by_key(|chunk| chunk.part());
        let mut all = Vec::new();
        for chunk in by_part {
            budget.check()?;
            all.extend(self.chunk_values(chunk, budget));
        }
        all.extend(late.iter().cloned());
        budget.count_samples(all.len())?;
        // Stable, so that of equal times the first part's sample comes first and stays.
        all.sort_by_key(|(t, _)| *t);
        all.dedup_by_key(|(t, _)| *t);
        let apart = late.is_empty() && chunks.is_sorted_by(|a, b| a.range.maxt < b.range.mint);
        Ok(if apart { all } else { all.into_iter().map(|(t, value)| (t, without_neighbour(value))).collect() })
    }

    /// The samples of one chunk inside the selection's range; none of a damaged one.
    fn chunk_values(&self, chunk: &ChunkAt<'_>, budget: &Budget) -> Vec<(Timestamp, SampleValue)> {
        let of_block = |idx: u32, meta: &ChunkMeta| {
            let block = &self.blocks[idx as usize];
            let read = block.chunk(meta).and_then(|(encoding, bytes)| {
                chunk::samples(encoding, bytes, self.range).map_err(|e| block.corrupt_chunk(meta, &e))
            });
            read.unwrap_or_else(|e| {
                block.tell(&e, "samples of a series are missing", meta.range(), budget);
                Vec::new()
            })
        };
        match &chunk.place {
            // The head noted the damage, and what is missing.
            Place::Head(chunk) => chunk.samples(self.range).unwrap_or_else(|_| {
                budget.warn(format!("{CHUNKS_HEAD_DIR} is damaged: {LOST}"));
                Vec::new()
            }),
            Place::Block(idx, meta) => of_block(*idx, meta),
            Place::Thinned(idx, meta, deleted) => {
                kept(of_block(*idx, meta).into_iter(), deleted, without_neighbour).collect()
            }
        }
    }
}

/// The samples of `columns`: all floats, then all histograms.
fn samples(columns: &Columns) -> impl Iterator<Item = (Timestamp, Value)> {
    let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, Value::Float(*v)));
    let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
    floats.chain(histograms.map(|(t, h)| (*t, Value::Histogram(h.clone()))))
}

fn push(into: &mut Columns, t: Timestamp, value: Value) {
    match value {
        Value::Float(v) => into.push(t, v),
        Value::Histogram(h) => {
            into.histogram_timestamps.push(t);
            into.histograms.push(h);
        }
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
        let series = &self.series[series_idx];
        if series.is_plain {
            for part in &series.parts {
                self.read_part(part, into, budget)?;
            }
            for chunk in &series.head_chunks {
                budget.check()?;
                self.decode_head(chunk, into, budget);
            }
            return Ok(());
        }
        let starts = self.part_steps(series);
        let (chunks, mut late) = (series.chunks(), series.late.as_slice());
        let mut chunks = chunks.as_slice();
        while let Some(first) = chunks.first() {
            budget.check()?;
            let (together, end) = overlapping(chunks, first.range.maxt);
            let before = late.partition_point(|(t, _)| *t < first.range.mint);
            let until = late.partition_point(|(t, _)| *t <= end).max(before);
            self.decode_overlapping(&[], &late[..before], &starts, into, budget);
            if together == 1 && before == until {
                steps::note_range(&mut into.starts, starts.of(first.part()), first.range);
                self.decode(first, into, budget);
            } else {
                self.decode_overlapping(&chunks[..together], &late[before..until], &starts, into, budget);
            }
            (chunks, late) = (&chunks[together..], &late[until..]);
        }
        self.decode_overlapping(&[], late, &starts, into, budget);
        Ok(())
    }
}

/// All samples of a part's chunks; nothing if one of them is damaged or holds no floats.
fn whole_floats(block: &Block, part: &BlockPart, budget: &Budget) -> Result<Option<Columns>, StorageError> {
    let mut all = Columns::default();
    for chunk in part.chunks() {
        budget.check()?;
        let Ok((Encoding::Xor, bytes)) = block.chunk(chunk) else { return Ok(None) };
        if chunk::decode(Encoding::Xor, bytes, TimeRange::ALL, &mut all).is_err() {
            return Ok(None);
        }
    }
    Ok(all.timestamps.is_sorted_by(|a, b| a < b).then_some(all))
}

/// How many of `chunks`, sorted by their start, form one overlapping group, and when it ends.
fn overlapping(chunks: &[ChunkAt<'_>], mut end: Timestamp) -> (usize, Timestamp) {
    let mut count = 1;
    while let Some(next) = chunks.get(count).filter(|next| next.range.mint <= end) {
        end = end.max(next.range.maxt);
        count += 1;
    }
    (count, end)
}
