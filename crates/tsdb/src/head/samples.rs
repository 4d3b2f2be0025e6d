//! The samples of one series in the head: chunks in order, late ones beside them, and what may be added.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{BlockRange, STALE_NAN, Sample, SampleValue, StartRun, TimeRange, Timestamp};

use super::chunk_files::MappedChunk;
use super::same::is_same;
use super::snapshot::{Body, HeadChunk, Snapshot};
use super::starts::Starts;
use crate::chunk::{self, ChunkAppender, Encoding, XorState};
use crate::options::BLOCK_MS;

/// The samples of a series.
///
/// Invariants: chunks ascend by time and do not overlap; no chunk spans two block ranges; no timestamp is in a chunk and
/// among the late ones; no sample is newer than `newest`.
#[derive(Debug, Default)]
pub(super) struct HeadSamples {
    newest: Option<(Timestamp, SampleValue)>,
    open: Option<OpenChunk>,
    sealed: Vec<HeadChunk>,
    aside: Option<Box<Aside>>,
}

/// What few series have, behind one pointer, so that the many do not pay for its size.
#[derive(Debug, Default)]
struct Aside {
    /// Samples that were older than the newest when they came.
    late: BTreeMap<Timestamp, SampleValue>,
    starts: Starts,
}

#[derive(Debug)]
struct OpenChunk {
    mint: Timestamp,
    /// End of the block range that the chunk must not cross.
    range_end: Timestamp,
    chunk: ChunkAppender,
}

/// Where a sample went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// Into the open chunk.
    InOrder,
    /// Among the late ones.
    Late,
    /// Nowhere: it was there.
    Duplicate,
    /// Nowhere: another value was there.
    Conflict,
}

impl HeadSamples {
    /// Adds a sample of any kind.
    #[inline]
    pub(super) fn add(&mut self, t: Timestamp, value: SampleValue) -> Placed {
        match &self.newest {
            Some((newest, kept)) if t == *newest => same_time(kept, &value),
            Some((newest, _)) if t < *newest => match self.kept_at(t) {
                Some(kept) => same_time(&kept, &value),
                None => self.insert_late(t, value),
            },
            _ => {
                self.push(t, value);
                Placed::InOrder
            }
        }
    }

    /// Adds float samples one after the other. Returns the oldest one that was not there.
    pub(super) fn add_floats(&mut self, mut floats: &[Sample]) -> Option<Timestamp> {
        let (mut oldest, mut decoded) = (None, None);
        while let Some((Sample { t, v }, behind)) = floats.split_first() {
            let pushed = self.push_floats(floats);
            let is_new = 0 < pushed || {
                let value = SampleValue::Float(*v);
                let is_late = self.newest().is_some_and(|newest| *t < newest);
                let placed = if is_late { self.add_late(*t, value, &mut decoded) } else { self.add(*t, value) };
                matches!(placed, Placed::InOrder | Placed::Late)
            };
            if is_new && oldest.is_none_or(|oldest| *t < oldest) {
                oldest = Some(*t);
            }
            floats = if 0 < pushed { &floats[pushed..] } else { behind };
        }
        oldest
    }

    /// Notes since when the sample at `told.from` counts. Returns the steps that are new.
    pub(super) fn tell_start(&mut self, told: StartRun) -> [Option<StartRun>; 2] {
        let newest = self.newest();
        if told.start == 0 && self.aside.is_none() {
            return [None, None];
        }
        self.aside.get_or_insert_default().starts.tell(told, newest)
    }

    /// Makes `step` one of the steps of the start timestamps.
    pub(super) fn set_start(&mut self, step: StartRun) {
        self.aside.get_or_insert_default().starts.set(step);
    }

    /// Forgets all start timestamps.
    pub(super) fn forget_starts(&mut self) {
        if let Some(aside) = &mut self.aside {
            aside.starts = Starts::default();
        }
        self.drop_empty_aside();
    }

    /// Since when the newest samples count.
    pub(super) fn last_start(&self) -> Option<StartRun> {
        self.aside.as_ref()?.starts.last()
    }

    /// The newest timestamp ever added.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.newest.as_ref().map(|(t, _)| *t)
    }

    /// The newest sample ever added, if it is a float, and what the appender of the open chunk knows of floats, if that
    /// sample is its last one.
    pub(super) fn newest_float(&self) -> (Option<Sample>, Option<XorState>) {
        let Some((t, SampleValue::Float(v))) = self.newest else { return (None, None) };
        let newest = Sample { t, v };
        (Some(newest), self.open.as_ref().and_then(|open| open.chunk.state(newest)))
    }

    /// What has these chunks, ascending, these floats that came late, and this newest sample if that is a float. If there is
    /// a `state` the last chunk is an open one; `None` if it cannot be.
    pub(super) fn of(
        chunks: Vec<HeadChunk>,
        late: &[Sample],
        newest: Option<Sample>,
        state: Option<XorState>,
    ) -> Option<HeadSamples> {
        let mut samples = HeadSamples { sealed: chunks, ..HeadSamples::default() };
        if let Some(state) = state {
            let (last, newest) = (samples.sealed.pop()?, newest?);
            if last.encoding != Encoding::Xor || last.range.maxt != newest.t {
                return None;
            }
            let chunk = ChunkAppender::go_on(last.bytes().ok()?, newest, state)?;
            samples.open = Some(OpenChunk { mint: last.range.mint, range_end: range_end(&last), chunk });
        }
        // Not one by one: the newest one there is may be among them.
        for Sample { t, v } in late {
            samples.insert_late(*t, SampleValue::Float(*v));
        }
        let newest = newest.map(|Sample { t, v }| (t, SampleValue::Float(v)));
        // Another one is the last sample of the last chunk, or gone with it.
        samples.newest = newest.or_else(|| samples.last_kept());
        Some(samples)
    }

    /// Whether there is no sample.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.sealed.is_empty() && self.late().is_none()
    }

    /// What there is inside `range`.
    pub(super) fn snapshot(&self, range: TimeRange) -> Snapshot {
        let open = self.open.as_ref().filter(|open| open.range().overlaps(range)).map(OpenChunk::to_chunk);
        let sealed = self.sealed.iter().filter(|chunk| chunk.range.overlaps(range)).cloned();
        let chunks: Vec<HeadChunk> = sealed.chain(open).collect();
        let Some(aside) = self.aside.as_ref().filter(|_| range.mint <= range.maxt) else {
            return Snapshot { chunks, ..Snapshot::default() };
        };
        let late = aside.late.range(range.mint..=range.maxt).map(|(t, value)| (*t, value.clone())).collect();
        // Chunks are whole: the last one may go on behind the range.
        let maxt = chunks.last().map_or(range.maxt, |chunk| chunk.range.maxt.max(range.maxt));
        Snapshot { chunks, late, starts: aside.starts.inside(TimeRange { maxt, ..range }).to_vec() }
    }

    /// Whether there is a chunk or a late sample that may lie inside `range`.
    pub(super) fn overlaps(&self, range: TimeRange) -> bool {
        let open = self.open.as_ref().is_some_and(|open| open.range().overlaps(range));
        open || self.sealed.iter().any(|chunk| chunk.range.overlaps(range))
            || range.mint <= range.maxt
                && self.late().is_some_and(|late| late.range(range.mint..=range.maxt).next().is_some())
    }

    /// Removes what `taken` has. Samples that came after the snapshot stay.
    pub(super) fn forget(&mut self, taken: &Snapshot) {
        if let Some(range) = taken.range_of_chunks() {
            // A chunk of the snapshot may have grown, and even been sealed, since. A chunk before those of the snapshot
            // came after it, to a series that was empty.
            self.remove_from_chunks(range);
        }
        if let Some(aside) = &mut self.aside {
            taken.late.iter().for_each(|(t, _)| _ = aside.late.remove(t));
        }
        // A late sample that came after the snapshot still needs what was told of it.
        let oldest = self.range().map_or(Timestamp::MAX, |rest| rest.mint);
        if let Some(aside) = &mut self.aside {
            aside.starts.forget(taken.maxt().unwrap_or(Timestamp::MIN).min(oldest));
        }
        self.drop_empty_aside();
    }

    /// Removes what is inside `range`; it may be added again then. Returns whether there may have been something.
    pub(super) fn delete(&mut self, range: TimeRange) -> bool {
        let touched = self.overlaps(range);
        if touched {
            self.remove_from_chunks(range);
            if let Some(aside) = &mut self.aside {
                aside.late.retain(|t, _| !range.contains(*t));
            }
            self.drop_empty_aside();
        }
        if self.newest().is_some_and(|newest| range.contains(newest)) {
            self.newest = self.last_kept();
        }
        touched
    }

    /// Notes the starts of the block ranges before `before` that have samples.
    pub(super) fn block_starts(&self, before: Timestamp, into: &mut BTreeSet<Timestamp>) {
        let sealed = self.sealed.iter().map(|chunk| chunk.range.mint);
        let open = self.open.as_ref().map(|open| open.mint);
        let late = self.late().into_iter().flat_map(|late| late.keys().copied());
        for t in sealed.chain(open).chain(late).filter(|t| *t < before) {
            into.insert(BlockRange::around(t, BLOCK_MS).start);
        }
    }

    /// The sealed chunks.
    pub(super) fn sealed(&self) -> &[HeadChunk] {
        &self.sealed
    }

    /// The sealed chunks in memory, those aside that are older than one in a file: files have them in order.
    pub(super) fn sealed_in_memory(&self) -> &[HeadChunk] {
        let mapped = self.sealed.iter().rposition(|chunk| matches!(chunk.body, Body::Mapped(_)));
        &self.sealed[mapped.map_or(0, |idx| idx + 1)..]
    }

    /// Replaces the bytes of sealed chunks, if they are still there, by what a file has of them.
    pub(super) fn map(&mut self, written: impl IntoIterator<Item = (Arc<[u8]>, MappedChunk)>) {
        for (bytes, mapped) in written {
            let is_it = |chunk: &&mut HeadChunk| matches!(&chunk.body, Body::Memory(own) if Arc::ptr_eq(own, &bytes));
            if let Some(chunk) = self.sealed.iter_mut().find(is_it) {
                chunk.body = Body::Mapped(mapped);
            }
        }
    }

    /// The number of chunks and the bytes in them.
    pub(super) fn size(&self) -> (usize, usize) {
        let sealed: usize = self.sealed.iter().map(HeadChunk::len).sum();
        let open = self.open.as_ref().map_or(0, |open| open.chunk.bytes().len());
        let late = self.late().map_or(0, |late| late.len() * size_of::<(Timestamp, SampleValue)>());
        (self.sealed.len() + usize::from(self.open.is_some()), sealed + open + late)
    }

    /// The range of all samples, if there are any.
    pub(super) fn range(&self) -> Option<TimeRange> {
        let first = self.sealed.first().map(|chunk| chunk.range.mint);
        let first = first.or(self.open.as_ref().map(|open| open.mint));
        let last = self.open.as_ref().map(|open| open.range().maxt);
        let last = last.or(self.sealed.last().map(|chunk| chunk.range.maxt));
        let first_late = self.late().and_then(|late| late.keys().next().copied());
        let last_late = self.late().and_then(|late| late.keys().next_back().copied());
        let mint = [first, first_late].into_iter().flatten().min()?;
        let maxt = [last, last_late].into_iter().flatten().max()?;
        Some(TimeRange { mint, maxt })
    }

    /// The late samples, if there are any.
    fn late(&self) -> Option<&BTreeMap<Timestamp, SampleValue>> {
        self.aside.as_ref().map(|aside| &aside.late).filter(|late| !late.is_empty())
    }

    #[inline]
    fn push(&mut self, t: Timestamp, value: SampleValue) {
        if self.open.is_none() {
            self.reopen(t);
        }
        let taken = match &mut self.open {
            Some(open) if !open.chunk.is_full() && t < open.range_end => open.chunk.append(t, &value),
            _ => false,
        };
        if !taken {
            self.open_next(t, &value);
        }
        self.newest = Some((t, value));
        self.seal_full();
    }

    /// Adds those at the start that belong into the open chunk, one after the other. Returns how many.
    fn push_floats(&mut self, floats: &[Sample]) -> usize {
        let follows = |first: &Sample| self.newest().is_some_and(|newest| newest < first.t);
        if !floats.first().is_some_and(follows) {
            return 0;
        }
        let Some(open) = &mut self.open else { return 0 };
        let added = open.chunk.extend(floats, open.range_end);
        if let Some(Sample { t, v }) = floats[..added].last() {
            self.newest = Some((*t, SampleValue::Float(*v)));
        }
        self.seal_full();
        added
    }

    /// Seals the open chunk if it is full: it may leave the memory, and need not wait for the next sample. One of histograms
    /// waits: its appender has to compare the next one with the last.
    #[inline]
    fn seal_full(&mut self) {
        let is_full = |open: &mut OpenChunk| open.chunk.encoding() == Encoding::Xor && open.chunk.is_full();
        if let Some(full) = self.open.take_if(is_full) {
            self.sealed.push(full.to_chunk());
        }
    }

    /// After a start the open chunk of histograms is a copy in a head image: goes on with it, if it has room for a sample at
    /// `t`. Otherwise each start would leave a short chunk.
    fn reopen(&mut self, t: Timestamp) {
        let last = self.sealed.last().filter(|last| last.is_in_image() && t < range_end(last));
        let Some((last, Ok(bytes))) = last.map(|last| (last, last.bytes())) else { return };
        if let Some(chunk) = ChunkAppender::resume(last.encoding, bytes).filter(|chunk| !chunk.is_full()) {
            self.open = Some(OpenChunk { mint: last.range.mint, range_end: range_end(last), chunk });
            self.sealed.pop();
        }
    }

    /// Seals the open chunk, if there is one, and starts the next.
    fn open_next(&mut self, t: Timestamp, value: &SampleValue) {
        let chunk = match &self.open {
            Some(open) => {
                self.sealed.push(open.to_chunk());
                open.chunk.following(t, value)
            }
            None => ChunkAppender::start(t, value),
        };
        self.open = Some(OpenChunk { mint: t, range_end: BlockRange::around(t, BLOCK_MS).end, chunk });
    }

    /// Adds a sample that is not the newest. `decoded` is the sealed chunk around the last such sample: after a start
    /// many samples in a row are in one chunk already, that of a head image.
    fn add_late(&mut self, t: Timestamp, value: SampleValue, decoded: &mut Option<Decoded>) -> Placed {
        let sealed = self.sealed_around(t).map(|chunk| chunk.range);
        if let Some(range) = sealed
            && decoded.as_ref().is_none_or(|decoded| decoded.range != range)
        {
            let samples = self.sealed_around(t).and_then(|chunk| chunk.samples(TimeRange::ALL).ok());
            *decoded = samples.map(|samples| Decoded { range, samples });
        }
        let kept = match decoded {
            Some(decoded) if sealed == Some(decoded.range) => decoded.at(t).cloned().or_else(|| self.late_at(t)),
            _ => self.kept_at(t),
        };
        kept.map_or_else(|| self.insert_late(t, value.clone()), |kept| same_time(&kept, &value))
    }

    fn insert_late(&mut self, t: Timestamp, value: SampleValue) -> Placed {
        self.aside.get_or_insert_default().late.insert(t, value);
        Placed::Late
    }

    /// The sample at `t`, if there is one.
    fn kept_at(&self, t: Timestamp) -> Option<SampleValue> {
        self.late_at(t).or_else(|| self.in_chunks(t))
    }

    fn late_at(&self, t: Timestamp) -> Option<SampleValue> {
        self.late()?.get(&t).cloned()
    }

    /// The sealed chunk that `t` lies in.
    fn sealed_around(&self, t: Timestamp) -> Option<&HeadChunk> {
        let idx = self.sealed.partition_point(|chunk| chunk.range.maxt < t);
        self.sealed.get(idx).filter(|chunk| chunk.range.contains(t))
    }

    /// The sample at `t` among the chunks; nothing if the one that may have it is damaged. Cost: decodes that one.
    fn in_chunks(&self, t: Timestamp) -> Option<SampleValue> {
        let at = TimeRange { mint: t, maxt: t };
        let found = match self.open.as_ref().filter(|open| open.range().contains(t)) {
            Some(open) => chunk::samples(open.chunk.encoding(), open.chunk.bytes(), at),
            None => self.sealed_around(t)?.samples(at),
        };
        found.ok()?.pop().map(|(_, value)| value)
    }

    /// Removes the samples inside `range` from the chunks; those that touch its ends are encoded again.
    fn remove_from_chunks(&mut self, range: TimeRange) {
        let sealed = std::mem::take(&mut self.sealed);
        for chunk in sealed {
            if !chunk.range.overlaps(range) {
                self.sealed.push(chunk);
            } else if !(range.contains(chunk.range.mint) && range.contains(chunk.range.maxt)) {
                // A damaged chunk stays whole: it is not served, and the next start reads the log in its place.
                let Ok(samples) = chunk.samples(TimeRange::ALL) else {
                    self.sealed.push(chunk);
                    continue;
                };
                let rest = samples.into_iter().filter(|(t, _)| !range.contains(*t));
                self.sealed.extend(chunk::encode(rest).into_iter().map(HeadChunk::from));
            }
        }
        if let Some(open) = self.open.take_if(|open| open.range().overlaps(range)) {
            let newest = self.newest.take();
            let samples = open.to_chunk().samples(TimeRange::ALL).expect("the head's own chunks decode");
            for (t, value) in samples.into_iter().filter(|(t, _)| !range.contains(*t)) {
                self.push(t, value);
            }
            self.newest = newest;
        }
    }

    /// The newest sample that is still here. If its chunk is damaged its time is known at least: what comes later must
    /// not be taken for the first sample of all.
    fn last_kept(&self) -> Option<(Timestamp, SampleValue)> {
        let t = self.range()?.maxt;
        Some((t, self.kept_at(t).unwrap_or(SampleValue::Float(STALE_NAN))))
    }

    fn drop_empty_aside(&mut self) {
        self.aside.take_if(|aside| aside.late.is_empty() && aside.starts.is_empty());
    }
}

/// The end of the block range that a chunk is in.
fn range_end(chunk: &HeadChunk) -> Timestamp {
    BlockRange::around(chunk.range.mint, BLOCK_MS).end
}

/// The samples of one sealed chunk.
struct Decoded {
    range: TimeRange,
    samples: Vec<(Timestamp, SampleValue)>,
}

impl Decoded {
    fn at(&self, t: Timestamp) -> Option<&SampleValue> {
        let at = self.samples.binary_search_by_key(&t, |(t, _)| *t).ok()?;
        self.samples.get(at).map(|(_, value)| value)
    }
}

fn same_time(kept: &SampleValue, offered: &SampleValue) -> Placed {
    if is_same(kept, offered) { Placed::Duplicate } else { Placed::Conflict }
}

impl OpenChunk {
    fn range(&self) -> TimeRange {
        TimeRange { mint: self.mint, maxt: self.chunk.last_t() }
    }

    fn to_chunk(&self) -> HeadChunk {
        HeadChunk::new(self.range(), self.chunk.encoding(), self.chunk.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_damaged_chunk_samples_are_late() {
        let (mut samples, one) = (HeadSamples::default(), SampleValue::Float(1.0));
        for t in [10, 20, BLOCK_MS] {
            assert_eq!(samples.add(t, one.clone()), Placed::InOrder);
        }
        let sealed = &mut samples.sealed[0];
        *sealed = HeadChunk::new(sealed.range, sealed.encoding, b"");
        assert!(samples.delete(TimeRange { mint: BLOCK_MS, maxt: BLOCK_MS }));
        assert_eq!(samples.newest(), Some(20));
        assert_eq!((samples.add(15, one.clone()), samples.add(30, one)), (Placed::Late, Placed::InOrder));
    }

    /// A hundred thousand series have a hundred thousand of these.
    #[test]
    fn a_series_of_floats_pays_for_nothing_else() {
        assert!(size_of::<HeadSamples>() <= 152, "{} bytes", size_of::<HeadSamples>());
    }
}
