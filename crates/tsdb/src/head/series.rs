//! One series of the head: who it is, where the log describes it, and the lock around its samples.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use model::{Labels, Sample, SampleValue, StartRun, TimeRange, Timestamp};
use parking_lot::{Mutex, MutexGuard};

use super::chunk_files::MappedChunk;
use super::follow::Follower;
use super::samples::{HeadSamples, Placed};
use super::snapshot::{HeadChunk, Snapshot};
use crate::chunk::XorState;
use crate::wal::SeriesRef;

/// A series that has, or soon will have, samples in the head.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) id: SeriesRef,
    /// Its position in the head's index.
    pub(crate) slot: u32,
    /// Its place in the order of labels, from one on; 0 while it has none.
    rank: AtomicU32,
    pub(crate) labels: Labels,
    /// One more than the last log segment that describes the series; 0 for none.
    logged_in: AtomicU64,
    samples: Mutex<Guarded>,
    /// Set at most once, and nearly no series has any.
    followers: OnceLock<Box<Followers>>,
}

/// Boxed as a whole, to be one word in each series that has none.
#[derive(Debug)]
struct Followers(Vec<Follower>);

/// The samples, as long as the series is in the head.
#[derive(Debug, Default)]
struct Guarded {
    samples: HeadSamples,
    /// The series was removed from the head's index; nothing may be added any more.
    gone: bool,
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

impl Series {
    /// A series without samples.
    pub(crate) fn new(id: SeriesRef, slot: u32, labels: Labels) -> Series {
        Series::with(id, slot, labels, HeadSamples::default())
    }

    pub(super) fn with(id: SeriesRef, slot: u32, labels: Labels, samples: HeadSamples) -> Series {
        let samples = Mutex::new(Guarded { samples, gone: false });
        let (rank, logged_in) = (AtomicU32::new(0), AtomicU64::new(0));
        Series { id, slot, rank, labels, logged_in, samples, followers: OnceLock::new() }
    }

    /// Its place in the order of labels, if it was given one.
    pub(super) fn rank(&self) -> Option<u32> {
        Some(self.rank.load(Relaxed)).filter(|rank| *rank > 0)
    }

    /// Gives it its place in the order of labels, which is not 0.
    pub(super) fn set_rank(&self, rank: u32) {
        self.rank.store(rank, Relaxed);
    }

    /// A series that is in no head: whoever adds to it is told to look it up again.
    pub(super) fn detached(labels: Labels) -> Series {
        let series = Series::new(SeriesRef(0), u32::MAX, labels);
        series.samples.lock().gone = true;
        series
    }

    /// The series that follow this one.
    #[inline]
    pub(super) fn followers(&self) -> &[Follower] {
        self.followers.get().map_or(&[], |followers| followers.0.as_slice())
    }

    /// Says which series follow this one, if nobody has yet.
    pub(super) fn set_followers(&self, followers: Vec<Follower>) {
        // Whoever was first decided by the same rules.
        let _ = self.followers.set(Box::new(Followers(followers)));
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
    #[inline]
    pub(crate) fn add(&self, t: Timestamp, value: SampleValue) -> Admission {
        self.hold().add(t, value)
    }

    /// Locks the samples, for many changes in a row.
    #[inline]
    pub(super) fn hold(&self) -> Held<'_> {
        Held(self.samples.lock())
    }

    /// Notes since when the sample at `told.from` counts. Returns the steps that are new, to be logged.
    pub(crate) fn tell_start(&self, told: StartRun) -> [Option<StartRun>; 2] {
        let mut guarded = self.samples.lock();
        if guarded.gone { [None, None] } else { guarded.samples.tell_start(told) }
    }

    /// Since when the newest samples count, if that is known.
    pub(crate) fn last_start(&self) -> Option<StartRun> {
        self.samples.lock().samples.last_start()
    }

    /// What the series has inside `range`.
    pub(crate) fn snapshot(&self, range: TimeRange) -> Snapshot {
        self.samples.lock().samples.snapshot(range)
    }

    /// Whether the series has a chunk or a late sample that may lie inside `range`.
    pub(crate) fn overlaps(&self, range: TimeRange) -> bool {
        self.samples.lock().samples.overlaps(range)
    }

    /// Forgets what `taken` has: it is in a block now. Samples that came after the snapshot stay.
    pub(crate) fn forget(&self, taken: &Snapshot) {
        self.samples.lock().samples.forget(taken);
    }

    /// Removes the samples inside `range`. Returns whether there may have been some.
    pub(crate) fn delete(&self, range: TimeRange) -> bool {
        self.hold().delete(range)
    }

    /// Marks the series as removed, if it is empty and its newest sample is older than `before`. Returns whether it is.
    pub(crate) fn retire(&self, before: Timestamp) -> bool {
        let mut guarded = self.samples.lock();
        let samples = &guarded.samples;
        guarded.gone |= samples.is_empty() && samples.newest().is_none_or(|newest| newest < before);
        guarded.gone
    }

    /// Notes the starts of the block ranges before `before` that the series has samples in.
    pub(crate) fn block_starts(&self, before: Timestamp, into: &mut BTreeSet<Timestamp>) {
        self.samples.lock().samples.block_starts(before, into);
    }

    /// The sealed chunks that may go into a head chunk file.
    pub(super) fn sealed_in_memory(&self) -> Vec<HeadChunk> {
        self.samples.lock().samples.sealed_in_memory().to_vec()
    }

    /// Replaces sealed chunks in memory by what a file has of them.
    pub(super) fn map_chunks(&self, written: impl IntoIterator<Item = (Arc<[u8]>, MappedChunk)>) {
        self.samples.lock().samples.map(written);
    }

    /// Whether the series was removed from the head.
    pub(crate) fn is_gone(&self) -> bool {
        self.samples.lock().gone
    }

    /// The number of chunks and the bytes in them.
    pub(crate) fn size(&self) -> (usize, usize) {
        self.samples.lock().samples.size()
    }

    /// The range of all samples, if there are any.
    pub(crate) fn range(&self) -> Option<TimeRange> {
        self.samples.lock().samples.range()
    }
}

/// The samples of a series, locked.
pub(super) struct Held<'a>(MutexGuard<'a, Guarded>);

impl Held<'_> {
    /// Adds a sample by the rules of the head: in order, late, or refused.
    #[inline]
    pub(super) fn add(&mut self, t: Timestamp, value: SampleValue) -> Admission {
        if self.0.gone {
            return Admission::Gone;
        }
        match self.0.samples.add(t, value) {
            Placed::InOrder => Admission::InOrder,
            Placed::Late => Admission::OutOfOrder,
            Placed::Duplicate => Admission::Duplicate,
            Placed::Conflict => Admission::Conflict,
        }
    }

    /// Adds float samples one after the other. Returns the oldest one that was not there.
    pub(super) fn add_floats(&mut self, floats: &[Sample]) -> Option<Timestamp> {
        if self.0.gone { None } else { self.0.samples.add_floats(floats) }
    }

    /// What the series has inside `range`.
    pub(super) fn snapshot(&self, range: TimeRange) -> Snapshot {
        self.0.samples.snapshot(range)
    }

    /// The newest sample ever added, if it is a float, and what the appender of the open chunk knows of floats, if that
    /// sample is its last one.
    pub(super) fn newest_float(&self) -> (Option<Sample>, Option<XorState>) {
        self.0.samples.newest_float()
    }

    /// The sealed chunks.
    pub(super) fn sealed(&self) -> &[HeadChunk] {
        self.0.samples.sealed()
    }

    /// Makes `step` one of the steps of the start timestamps, as the log has it.
    pub(super) fn set_start(&mut self, step: StartRun) {
        self.0.samples.set_start(step);
    }

    /// Forgets all start timestamps.
    pub(super) fn forget_starts(&mut self) {
        self.0.samples.forget_starts();
    }

    /// Removes the samples inside `range`. Returns whether there may have been some. Replay calls it where it comes in
    /// the log: samples that follow stay.
    pub(super) fn delete(&mut self, range: TimeRange) -> bool {
        self.0.samples.delete(range)
    }
}
