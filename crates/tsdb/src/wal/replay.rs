//! The log's reading end at start: the newest checkpoint, then every segment after it, damage contained.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use disk::{Dir, DiskError, Entry, Map};
use model::Timestamp;

use super::frame::{self, Found, SegmentReader};
use super::record::{Record, decode, decode_end};
use super::{Log, LogPlace, WAL_DIR, identity, names};
use crate::integrity::Finding;

/// The second log of a Prometheus, in the data directory.
const LATE_DIR: &str = "wbl";
/// Where copies of damaged bytes are put, in the data directory.
const QUARANTINE_DIR: &str = "quarantine";
/// Of one damaged place that stays where it is so many bytes are copied.
const QUARANTINED_BYTES_MAX: usize = 1 << 20;
/// So many damaged places are copied; more of them are only told.
const QUARANTINED_MAX: usize = 64;
/// No commit has as many records: a header that says so was not written by us.
const COMMIT_RECORDS_MAX: u64 = 64;

/// How far a replay is, for those that wait for it.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    first: AtomicU64,
    segments: AtomicU64,
    segments_done: AtomicU64,
    bytes: AtomicU64,
    bytes_done: AtomicU64,
}

impl ReplayProgress {
    /// The number of the first segment to read.
    pub fn first_segment(&self) -> u64 {
        self.first.load(Relaxed)
    }

    /// How many segments there are to read, 0 until the replay begins, and how many are read.
    pub fn segments(&self) -> (u64, u64) {
        (self.segments.load(Relaxed), self.segments_done.load(Relaxed))
    }

    /// Bytes to read and bytes read.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes.load(Relaxed), self.bytes_done.load(Relaxed))
    }
}

/// Where a record stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At<'a> {
    /// The number of its segment; `None` for the checkpoint.
    pub(crate) segment: Option<u64>,
    /// The bytes of the segment.
    pub(crate) bytes: &'a Map,
    /// Where the record begins.
    pub(crate) offset: u64,
}

/// What a replay found beside the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records handed over.
    pub(crate) records: u64,
    /// Places that could not be read.
    pub(crate) findings: Vec<Finding>,
}

/// Hands every readable record to `apply` with its place, then starts the log behind them, at segment `first` or later.
/// `apply` returns the newest timestamp of the record, by which segments become obsolete. `root` is the data directory. What
/// is before the place `from` is left alone, and so is a checkpoint in the place of segments before it.
///
/// A commit of several records is handed over whole, or not at all when a crash cut it off. What a crash cut off is
/// removed: it was never acknowledged. Other damage is skipped, copied to the quarantine and told. FORMAT.md says how the
/// two are told apart.
pub(crate) fn replay(
    root: &Dir,
    first: u64,
    progress: &ReplayProgress,
    from: Option<&LogPlace>,
    apply: &mut dyn FnMut(At<'_>, Record) -> Timestamp,
) -> Result<(Log, Replayed), DiskError> {
    let dir = root.sub(WAL_DIR)?;
    root.sync()?;
    let mut reading = Reading::new(root, apply, progress);
    let is_ours = identity::is_there(&dir)?;
    let store = identity::read(&dir)?;
    let entries = dir.list()?;
    let mut closed = Vec::new();
    let checkpoint = entries.iter().filter_map(|e| names::checkpoint_number(&e.name)).max();
    let segments = segments_behind(&dir, &entries, checkpoint)?;
    let is_spared = |number: u64| from.is_some_and(|from| number < from.segment);
    let begun = |number: u64| from.filter(|from| number == from.segment);
    let offset = |number: u64| begun(number).map_or(0, |from| from.offset);
    let to_read = || segments.iter().filter(|(number, _)| !is_spared(*number));
    progress.first.store(to_read().next().map_or(0, |(number, _)| *number), Relaxed);
    progress.segments.store(to_read().count() as u64, Relaxed);
    progress.bytes.store(to_read().map(|(number, entry)| entry.len.saturating_sub(offset(*number))).sum(), Relaxed);
    let is_there = |number| checkpoint == Some(number) || segments.iter().any(|(there, _)| *there == number);
    closed.extend(from.iter().flat_map(|from| &from.closed).filter(|(number, _)| is_there(*number)));
    if let Some(number) = checkpoint.filter(|number| !is_spared(*number)) {
        let sub = dir.sub(&names::checkpoint(number))?;
        let mut maxt = Timestamp::MIN;
        for entry in sub.list()?.iter().filter(|e| names::segment_number(&e.name).is_some()) {
            let path = format!("{WAL_DIR}/{}/{}", names::checkpoint(number), entry.name);
            maxt = maxt.max(reading.segment(&sub, &entry.name, path, None, 0, Tail::Durable)?);
        }
        if maxt != Timestamp::MIN {
            // Ours have no samples; those of others stand for the last segment that they replace.
            closed.push((number, maxt));
        }
    }
    // Others are done with a segment before they begin the next.
    let unsynced_max = if is_ours { 2 } else { 1 };
    for (at, (number, entry)) in segments.iter().enumerate().filter(|(_, (number, _))| !is_spared(*number)) {
        let tail = match segments.len() - at {
            left if unsynced_max < left => Tail::Durable,
            _ if is_ours => Tail::Marked { next: segments.get(at + 1).map(|(_, next)| next.name.as_str()) },
            _ => Tail::Unmarked,
        };
        let path = format!("{WAL_DIR}/{}", entry.name);
        let maxt = reading.segment(&dir, &entry.name, path, Some(*number), offset(*number), tail)?;
        closed.push((*number, begun(*number).map_or(maxt, |from| from.maxt.max(maxt))));
        progress.segments_done.fetch_add(1, Relaxed);
    }
    let last_len = reading.finish(&dir, &segments, unsynced_max)?;
    let last = closed.last().map(|(n, _)| *n).max(checkpoint);
    let next = last.map_or(0, |n| n + 1).max(first);
    let replayed = reading.replayed;
    let store = store.map_or_else(|| identity::make(&dir), Ok)?;
    Ok((Log::start(dir, store, next, closed, last_len)?, replayed))
}

/// Whether there is a second log of a Prometheus.
pub(crate) fn has_late(root: &Dir) -> Result<bool, DiskError> {
    Ok(root.list()?.iter().any(|entry| entry.is_dir && entry.name == LATE_DIR))
}

/// Hands the records of the second log of a Prometheus, that of samples that came late, to `apply`. Returns nothing if
/// there is none. Markers of chunks written elsewhere need no reading: their samples are in this log too.
pub(crate) fn read_late(root: &Dir, apply: &mut dyn FnMut(At<'_>, Record)) -> Result<Option<Replayed>, DiskError> {
    if !has_late(root)? {
        return Ok(None);
    }
    let dir = root.sub(LATE_DIR)?;
    let apply: &mut dyn FnMut(At<'_>, Record) -> _ = &mut |at, record| {
        apply(at, record);
        Timestamp::MIN
    };
    let progress = &ReplayProgress::default();
    let mut reading = Reading::new(root, apply, progress);
    let entries = dir.list()?;
    let mut segments = entries.iter().filter_map(|entry| Some((names::segment_number(&entry.name)?, entry))).peekable();
    while let Some((number, entry)) = segments.next() {
        let tail = if segments.peek().is_some() { Tail::Durable } else { Tail::Unmarked };
        reading.segment(&dir, &entry.name, format!("{LATE_DIR}/{}", entry.name), Some(number), 0, tail)?;
    }
    Ok(Some(reading.replayed))
}

/// Removes that log, once what it says is durable elsewhere.
pub(crate) fn remove_late(root: &Dir) -> Result<(), DiskError> {
    root.remove(LATE_DIR)?;
    root.sync()
}

/// The segments that the checkpoint does not replace, without empty ones at the end, which were made for later.
fn segments_behind<'e>(
    dir: &Dir,
    entries: &'e [Entry],
    checkpoint: Option<u64>,
) -> Result<Vec<(u64, &'e Entry)>, DiskError> {
    let numbered = |entry: &'e Entry| names::segment_number(&entry.name).map(|number| (number, entry));
    let mut segments: Vec<(u64, &Entry)> = entries.iter().filter_map(numbered).collect();
    // The crash came between the checkpoint and the removal of what it replaces.
    let covered = segments.partition_point(|(number, _)| checkpoint.is_some_and(|covered| *number <= covered));
    for (_, entry) in segments.drain(..covered) {
        dir.remove(&entry.name)?;
    }
    while let Some((_, entry)) = segments.pop_if(|(_, entry)| entry.len == 0) {
        dir.remove(&entry.name)?;
    }
    Ok(segments)
}

/// A replay under way.
struct Reading<'a> {
    root: &'a Dir,
    apply: &'a mut dyn FnMut(At<'_>, Record) -> Timestamp,
    progress: &'a ReplayProgress,
    /// The segments read, with their lengths without the ends that crashes left.
    lens: Vec<(u64, u64)>,
    quarantined: usize,
    replayed: Replayed,
}

/// Whether a crash can have left a segment's end unfinished.
#[derive(Clone, Copy)]
enum Tail<'a> {
    /// No: later segments are there, or it was written as a whole.
    Durable,
    /// Yes, in a log of ours: up to where it was durable is said in it and in the segment `next`.
    Marked { next: Option<&'a str> },
    /// Yes, in another program's log.
    Unmarked,
}

/// The commit that is being read.
#[derive(Default)]
struct Pending {
    /// Where its header begins.
    offset: u64,
    /// How many of its records are missing.
    left: u64,
    /// Those that are there, and where each begins.
    records: Vec<(u64, Record)>,
}

/// Damaged bytes that no intact record follows so far.
struct Gap {
    offset: u64,
    what: &'static str,
    seen: Seen,
}

impl Gap {
    /// Whether it is to be cut off: nothing says that it was durable.
    fn is_torn(&self) -> bool {
        self.seen.durable.is_some_and(|durable| durable <= self.offset)
    }
}

impl<'a> Reading<'a> {
    fn new(
        root: &'a Dir,
        apply: &'a mut dyn FnMut(At<'_>, Record) -> Timestamp,
        progress: &'a ReplayProgress,
    ) -> Reading<'a> {
        Reading { root, apply, progress, lens: Vec::new(), quarantined: 0, replayed: Replayed::default() }
    }

    /// Hands the readable records of one segment, from the one at `from` on, to `apply`. Returns their newest timestamp.
    fn segment(
        &mut self,
        dir: &Dir,
        name: &str,
        path: String,
        number: Option<u64>,
        from: u64,
        tail: Tail<'_>,
    ) -> Result<Timestamp, DiskError> {
        let bytes = dir.map(name)?;
        let mut reader = SegmentReader::at(&bytes, from, Vec::new());
        let at = |offset| At { segment: number, bytes: &bytes, offset };
        let (mut maxt, mut pending, mut gap, mut reported) = (Timestamp::MIN, Pending::default(), None, from);
        while let Some(found) = reader.next() {
            let (start, record) = match found {
                Found::Damage { .. } if gap.is_some() => continue,
                Found::Damage { offset, behind, what } => {
                    let seen = Seen::behind(dir, &bytes, behind, number, tail)?;
                    if gap.insert(Gap { offset, what, seen }).is_torn() {
                        break;
                    }
                    continue;
                }
                Found::Record { offset, bytes } => (offset, decode(bytes)),
                Found::Unreadable { offset, what } => (offset, Err(what)),
            };
            self.has_read(number, start - reported);
            reported = start;
            if let Some(Gap { offset, what, .. }) = gap.take() {
                self.damaged(&path, offset, what, between(&bytes, offset, start), QUARANTINED_BYTES_MAX)?;
                // Some of the commit is lost; the rest of it is as good as without the header.
                maxt = maxt.max(self.apply_all(at(start), &mut pending));
            }
            match record {
                Ok(Record::Commit(records)) => {
                    maxt = maxt.max(self.apply_all(at(start), &mut pending));
                    let left = if records <= COMMIT_RECORDS_MAX { records } else { 0 };
                    pending = Pending { offset: start, left, records: Vec::new() };
                }
                Ok(Record::End { segment, len }) => self.is_durable(segment, len)?,
                Ok(record) if 0 < pending.left => {
                    pending.records.push((start, record));
                    pending.left -= 1;
                    if pending.left == 0 {
                        maxt = maxt.max(self.apply_all(at(start), &mut pending));
                    }
                }
                Ok(record) => maxt = maxt.max(self.apply_one(at(start), record)),
                Err(what) => {
                    // The rest of the commit is as good without it.
                    if pending.left == 1 {
                        maxt = maxt.max(self.apply_all(at(start), &mut pending));
                    }
                    pending.left = pending.left.saturating_sub(1);
                    self.damaged(&path, start, what, between(&bytes, start, reader.position()), QUARANTINED_BYTES_MAX)?;
                }
            }
        }
        self.has_read(number, bytes.len() as u64 - reported);
        if 0 < pending.left {
            // Its first records are there and the others are not.
            let (what, seen) = match gap {
                Some(gap) => (gap.what, gap.seen),
                None => ("commit without an end", Seen::behind(dir, &bytes, bytes.len(), number, tail)?),
            };
            gap = Some(Gap { offset: pending.offset, what, seen });
        }
        if let (Some(gap), Tail::Unmarked) = (&mut gap, tail) {
            // No intact record was behind it.
            gap.seen.durable = Some(0);
        }
        let len = self.end_of(&path, &bytes, gap)?;
        self.lens.extend(number.map(|number| (number, len)));
        Ok(maxt)
    }

    /// Tells of the damage at the end of a segment, if it is any or may be. Returns the length that is left of it.
    fn end_of(&mut self, path: &str, bytes: &[u8], gap: Option<Gap>) -> Result<u64, DiskError> {
        let Some(gap) = gap else { return Ok(bytes.len() as u64) };
        let lost = between(bytes, gap.offset, bytes.len() as u64);
        if !gap.is_torn() {
            self.damaged(path, gap.offset, gap.what, lost, QUARANTINED_BYTES_MAX)?;
            // That something is missing at its end is told already.
            return Ok(u64::MAX);
        }
        if gap.seen.something {
            // Perhaps damage, perhaps what a crash left of the last commits. It does not stay here, so all is copied.
            self.damaged(path, gap.offset, gap.what, lost, lost.len())?;
        }
        Ok(gap.offset)
    }

    /// Counts bytes of segments; a checkpoint is small.
    fn has_read(&self, number: Option<u64>, bytes: u64) {
        if number.is_some() {
            self.progress.bytes_done.fetch_add(bytes, Relaxed);
        }
    }

    fn apply_one(&mut self, at: At<'_>, record: Record) -> Timestamp {
        self.replayed.records += 1;
        (self.apply)(at, record)
    }

    fn apply_all(&mut self, at: At<'_>, pending: &mut Pending) -> Timestamp {
        pending.left = 0;
        let records = std::mem::take(&mut pending.records).into_iter();
        let applied = records.map(|(offset, record)| self.apply_one(At { offset, ..at }, record));
        applied.fold(Timestamp::MIN, Timestamp::max)
    }

    /// Takes note that `segment` was durable up to `len`: if it is shorter now, somebody has cut it.
    fn is_durable(&mut self, segment: u64, len: u64) -> Result<(), DiskError> {
        let shorter = self.lens.iter_mut().find(|(number, there)| *number == segment && *there < len);
        let Some((_, there)) = shorter else { return Ok(()) };
        let (path, offset) = (format!("{WAL_DIR}/{}", names::segment(segment)), *there);
        // Told once.
        *there = len;
        self.damaged(&path, offset, "bytes are missing that were durable", &[], 0)
    }

    /// Cuts off what crashes left at the ends of the segments that were being written, and makes the rest durable: what
    /// a killed process had not synced counts as durable from now on. Returns the length of the last one.
    ///
    /// Only the last `unsynced_max` can have such an end: a segment of ours is durable before the one after the next is
    /// begun.
    fn finish(&mut self, dir: &Dir, segments: &[(u64, &Entry)], unsynced_max: usize) -> Result<Option<u64>, DiskError> {
        let mut last_len = None;
        for (number, entry) in &segments[segments.len().saturating_sub(unsynced_max)..] {
            let read = self.lens.iter().find(|(read, _)| read == number);
            let len = read.map_or(entry.len, |(_, len)| entry.len.min(*len));
            dir.truncate(&entry.name, len)?;
            last_len = Some(len);
        }
        Ok(last_len)
    }

    /// Copies damaged bytes to the quarantine, `copied_max` of them, and tells of them.
    fn damaged(
        &mut self,
        path: &str,
        offset: u64,
        what: &str,
        bytes: &[u8],
        copied_max: usize,
    ) -> Result<(), DiskError> {
        let name = format!("{}-{offset}", path.replace('/', "-"));
        let quarantined = if self.quarantined < QUARANTINED_MAX {
            self.quarantined += 1;
            quarantine(self.root, &name, &bytes[..bytes.len().min(copied_max)])?;
            Some(format!("{QUARANTINE_DIR}/{name}"))
        } else {
            None
        };
        self.replayed.findings.push(Finding {
            file: path.to_owned(),
            what: format!("offset {offset}: {what}"),
            lost: format!("the records in {} bytes", bytes.len()),
            range: None,
            quarantined,
        });
        Ok(())
    }
}

/// What lies behind a damaged place.
struct Seen {
    /// Up to where the segment is known to have been durable; `None` for all of it.
    durable: Option<u64>,
    /// Whether there is anything intact at all.
    something: bool,
}

impl Seen {
    /// Looks at what `bytes`, a segment, has from `from` on, and at what the next segment says of it.
    fn behind(dir: &Dir, bytes: &[u8], from: usize, number: Option<u64>, tail: Tail<'_>) -> Result<Seen, DiskError> {
        let mut seen = Seen { durable: None, something: false };
        match tail {
            Tail::Durable | Tail::Unmarked => {}
            Tail::Marked { next } => {
                let mut durable = 0;
                let mut see = |fragment: &[u8]| match decode_end(fragment) {
                    Some((segment, len)) if Some(segment) == number => durable = durable.max(len),
                    _ => {}
                };
                seen.something = frame::fragments_from(bytes, from).map(&mut see).count() > 0;
                if let Some(next) = next {
                    frame::fragments_from(&dir.map(next)?, 0).for_each(see);
                }
                seen.durable = Some(durable);
            }
        }
        Ok(seen)
    }
}

/// Writes `bytes` to the quarantine, unless an earlier start has done so.
fn quarantine(root: &Dir, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    let dir = root.sub(QUARANTINE_DIR)?;
    if dir.list()?.iter().any(|entry| entry.name == name) {
        return Ok(());
    }
    dir.replace(name, bytes)?;
    root.sync()
}

fn between(bytes: &[u8], from: u64, to: u64) -> &[u8] {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.get(at(from)..at(to)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
