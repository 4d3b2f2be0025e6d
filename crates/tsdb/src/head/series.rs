//! One series of the head: its chunks, the samples that came late, and what may be added.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use model::{BlockRange, Labels, Sample, TimeRange, Timestamp};
use parking_lot::Mutex;

use crate::chunk::SAMPLES_PER_CHUNK;
use crate::chunk::xor::{self, XorAppender};
use crate::wal::SeriesRef;

/// A series that has, or soon will have, samples in the head.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: SeriesRef,
    /// Its position in the head's index.
    pub(crate) slot: u32,
    pub(crate) labels: Labels,
    /// One more than the last log segment that describes the series; 0 for none.
    logged_in: AtomicU64,
    samples: Mutex<HeadSamples>,
}

/// What became of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Newer than all others, now in the open chunk.
    InOrder,
    /// Older than the newest, now among the late ones.
    OutOfOrder,
    /// The series has this very sample.
    Duplicate,
    /// The series has another value at this time, and keeps it.
    Conflict,
    /// The series left the head; look it up again.
    Gone,
}

/// The samples of a series.
///
/// Invariants: chunks ascend by time and do not overlap; no chunk spans two block ranges; `late` ascends strictly;
/// no timestamp is in a chunk and in `late`.
#[derive(Debug, Default)]
struct HeadSamples {
    newest: Option<Sample>,
    open: Option<OpenChunk>,
    sealed: Vec<ChunkBytes>,
    late: Vec<Sample>,
    /// The series was removed from the head's index; nothing may be added any more.
    gone: bool,
}

#[derive(Debug)]
struct OpenChunk {
    mint: Timestamp,
    /// End of the block range that the chunk must not cross.
    range_end: Timestamp,
    xor: XorAppender,
}

/// An encoded chunk that no longer changes.
#[derive(Clone, Debug)]
pub(crate) struct ChunkBytes {
    pub(crate) range: TimeRange,
    pub(crate) bytes: Arc<[u8]>,
}

/// A copy of what a series had at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Ascending, not overlapping.
    pub(crate) chunks: Vec<ChunkBytes>,
    /// Ascending; at other times than those in `chunks`.
    pub(crate) late: Vec<Sample>,
}

impl Snapshot {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.late.is_empty()
    }

    /// The newest timestamp in it.
    pub(crate) fn maxt(&self) -> Option<Timestamp> {
        let in_order = self.chunks.last().map(|chunk| chunk.range.maxt);
        in_order.max(self.late.last().map(|s| s.t))
    }

    fn range_of_chunks(&self) -> Option<TimeRange> {
        Some(TimeRange { mint: self.chunks.first()?.range.mint, maxt: self.chunks.last()?.range.maxt })
    }
}

impl Series {
    pub(crate) fn new(id: SeriesRef, slot: u32, labels: Labels) -> Series {
        Series { id, slot, labels, logged_in: AtomicU64::new(0), samples: Mutex::default() }
    }

    /// Notes that log segment `segment` describes the series; only the one commit calls it. Returns whether it did not
    /// before.
    pub(crate) fn mark_logged(&self, segment: u64) -> bool {
        let news = !self.is_logged(segment);
        if news {
            self.logged_in.store(segment + 1, Relaxed);
        }
        news
    }

    /// Whether log segment `segment` is the last one that describes the series.
    pub(crate) fn is_logged(&self, segment: u64) -> bool {
        self.logged_in.load(Relaxed) == segment + 1
    }

    /// Adds a sample by the rules of the head: in order, late, or refused.
    pub(crate) fn add(&self, sample: Sample, block_ms: i64) -> Admission {
        let mut samples = self.samples.lock();
        if samples.gone {
            return Admission::Gone;
        }
        match samples.newest {
            Some(newest) if sample.t == newest.t => same_time(newest.v, sample.v),
            Some(newest) if sample.t < newest.t => samples.add_late(sample),
            _ => {
                samples.push(sample, block_ms);
                Admission::InOrder
            }
        }
    }

    /// What the series has inside `range`.
    pub(crate) fn snapshot(&self, range: TimeRange) -> Snapshot {
        let samples = self.samples.lock();
        let open = samples.open.as_ref().filter(|open| open.range().overlaps(range)).map(OpenChunk::bytes);
        let sealed = samples.sealed.iter().filter(|chunk| chunk.range.overlaps(range)).cloned();
        let chunks = sealed.chain(open).collect();
        let from = samples.late.partition_point(|s| s.t < range.mint);
        let to = samples.late.partition_point(|s| s.t <= range.maxt).max(from);
        Snapshot { chunks, late: samples.late[from..to].to_vec() }
    }

    /// Whether the series has a chunk or a late sample that may lie inside `range`.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        let samples = self.samples.lock();
        let open = samples.open.as_ref().is_some_and(|open| open.range().overlaps(range));
        open || samples.sealed.iter().any(|chunk| chunk.range.overlaps(range))
            || samples.late.iter().any(|s| range.contains(s.t))
    }

    /// Forgets what `taken` has: it is in a block now. Samples that came after the snapshot stay.
    pub(crate) fn forget(&self, taken: &Snapshot) {
        let mut samples = self.samples.lock();
        if let Some(range) = taken.range_of_chunks() {
            // A chunk of the snapshot may have grown, and even been sealed, since. A chunk before those of the snapshot
            // came after it, to a series that was empty.
            let sealed = std::mem::take(&mut samples.sealed);
            samples.sealed = sealed.into_iter().filter_map(|chunk| chunk.without(range)).collect();
            samples.open = samples.open.take().and_then(|open| open.without(range));
        }
        if !taken.late.is_empty() {
            samples.late.retain(|s| taken.late.binary_search_by_key(&s.t, |taken| taken.t).is_err());
        }
    }

    /// Marks the series as removed, if it is empty and its newest sample is older than `before`.
    pub(crate) fn retire(&self, before: Timestamp) -> bool {
        let mut samples = self.samples.lock();
        let empty = samples.open.is_none() && samples.sealed.is_empty() && samples.late.is_empty();
        samples.gone = empty && samples.newest.is_none_or(|newest| newest.t < before);
        samples.gone
    }

    /// Notes the starts of the block ranges before `before` that the series has samples in.
    pub(crate) fn block_starts(&self, before: Timestamp, block_ms: i64, into: &mut BTreeSet<Timestamp>) {
        let samples = self.samples.lock();
        let sealed = samples.sealed.iter().map(|chunk| chunk.range.mint);
        let open = samples.open.as_ref().map(|open| open.mint);
        let late = samples.late.iter().map(|s| s.t);
        for t in sealed.chain(open).chain(late).filter(|t| *t < before) {
            into.insert(BlockRange::around(t, block_ms).start);
        }
    }

    /// Whether the series was removed from the head.
    pub(crate) fn is_gone(&self) -> bool {
        self.samples.lock().gone
    }

    /// The number of chunks and the bytes in them.
    pub(crate) fn size(&self) -> (usize, usize) {
        let samples = self.samples.lock();
        let sealed: usize = samples.sealed.iter().map(|chunk| chunk.bytes.len()).sum();
        let open = samples.open.as_ref().map_or(0, |open| open.xor.bytes().len());
        let chunks = samples.sealed.len() + usize::from(samples.open.is_some());
        (chunks, sealed + open + samples.late.len() * size_of::<Sample>())
    }

    /// The range of all samples, if there are any.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        let samples = self.samples.lock();
        let first = samples.sealed.first().map(|chunk| chunk.range.mint);
        let first = first.or(samples.open.as_ref().map(|open| open.mint));
        let mint = [first, samples.late.first().map(|s| s.t)].into_iter().flatten().min()?;
        let last = samples.open.as_ref().map(|open| open.range().maxt);
        let last = last.or(samples.sealed.last().map(|chunk| chunk.range.maxt));
        let maxt = [last, samples.late.last().map(|s| s.t)].into_iter().flatten().max()?;
        Some(TimeRange { mint, maxt })
    }
}

fn same_time(kept: f64, offered: f64) -> Admission {
    if kept.to_bits() == offered.to_bits() { Admission::Duplicate } else { Admission::Conflict }
}

impl HeadSamples {
    fn push(&mut self, sample: Sample, block_ms: i64) {
        let full = |open: &OpenChunk| open.xor.num_samples() >= SAMPLES_PER_CHUNK || open.range_end <= sample.t;
        if self.open.as_ref().is_some_and(full) {
            let open = self.open.take();
            self.sealed.extend(open.as_ref().map(OpenChunk::bytes));
        }
        let open = self.open.get_or_insert_with(|| OpenChunk {
            mint: sample.t,
            range_end: BlockRange::around(sample.t, block_ms).end,
            xor: XorAppender::new(),
        });
        open.xor.append(sample.t, sample.v);
        self.newest = Some(sample);
    }

    fn add_late(&mut self, sample: Sample) -> Admission {
        let at = match self.late.binary_search_by_key(&sample.t, |s| s.t) {
            Ok(at) => return same_time(self.late[at].v, sample.v),
            Err(at) => at,
        };
        if let Some(v) = self.value_at(sample.t) {
            return same_time(v, sample.v);
        }
        self.late.insert(at, sample);
        Admission::OutOfOrder
    }

    /// The value at `t` among the chunks. Cost: decodes the one chunk that may have it.
    fn value_at(&self, t: Timestamp) -> Option<f64> {
        let at = TimeRange { mint: t, maxt: t };
        let mut found = model::Columns::default();
        let open = self.open.as_ref().filter(|open| open.range().contains(t));
        let bytes = match open {
            Some(open) => open.xor.bytes(),
            None => {
                let idx = self.sealed.partition_point(|chunk| chunk.range.maxt < t);
                &self.sealed.get(idx).filter(|chunk| chunk.range.contains(t))?.bytes
            }
        };
        xor::decode(bytes, at, &mut found).expect("the head's own chunks decode");
        found.values.first().copied()
    }
}

impl ChunkBytes {
    /// The chunk without its samples inside `taken`, which are its first ones, or none.
    fn without(self, taken: TimeRange) -> Option<ChunkBytes> {
        if !self.range.overlaps(taken) {
            return Some(self);
        }
        let (mint, xor) = rest_after(&self.bytes, taken.maxt)?;
        Some(ChunkBytes { range: TimeRange { mint, ..self.range }, bytes: xor.bytes().into() })
    }
}

/// Encodes the samples of a chunk after `last` again.
fn rest_after(chunk: &[u8], last: Timestamp) -> Option<(Timestamp, XorAppender)> {
    let mut rest = model::Columns::default();
    let range = TimeRange { mint: last.saturating_add(1), maxt: Timestamp::MAX };
    xor::decode(chunk, range, &mut rest).expect("the head's own chunks decode");
    let mut xor = XorAppender::new();
    for (t, v) in rest.timestamps.iter().zip(&rest.values) {
        xor.append(*t, *v);
    }
    rest.timestamps.first().map(|mint| (*mint, xor))
}

impl OpenChunk {
    /// The chunk without its samples inside `taken`, which are its first ones, or none.
    fn without(self, taken: TimeRange) -> Option<OpenChunk> {
        if !self.range().overlaps(taken) {
            return Some(self);
        }
        let (mint, xor) = rest_after(self.xor.bytes(), taken.maxt)?;
        Some(OpenChunk { mint, range_end: self.range_end, xor })
    }

    fn range(&self) -> TimeRange {
        TimeRange { mint: self.mint, maxt: self.xor.last().map_or(self.mint, |last| last.t) }
    }

    fn bytes(&self) -> ChunkBytes {
        ChunkBytes { range: self.range(), bytes: self.xor.bytes().into() }
    }
}
