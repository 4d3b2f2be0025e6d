//! The log's writing end: append commits to the current segment, share one sync among all who wait, outlive failures.
//!
//! What is durable, and why nothing acknowledged is lost:
//!
//! - A commit is kept in memory (`Tail::kept`) from its append until a sync of every file that has a part of what was
//!   appended up to it has succeeded. Only then does `Syncs::durable` pass its position and its writer hear of it.
//! - A sync that fails says nothing of the bytes it covered, and a later success of the same file proves nothing
//!   either. So that file is never synced again: its durable length is what the last good sync covered, and all that is
//!   kept is written again to a new file, which is synced in turn. See [`Log::move_on`].
//! - A cut syncs nothing. The next segment is created, its name made durable, before it is needed (`Tail::spare`); the
//!   cut swaps files, and the next sync covers the old file first, then the new one. There is at most one old file.
//!   Power may fail with both unsynced; then the old one can end in a torn record though it is not the last segment.
//! - Replay can tell damage from what a crash left: once a segment is known to be durable to some length, the next commit
//!   is preceded by a record that says so (`Record::End`), and whatever is missing before that length is damage. When no
//!   commit comes, the log says it by itself ([`Log::seal`]).
//! - Segments are read alone, so what is written again is preceded by descriptions of all series it mentions.

use std::collections::VecDeque;
use std::sync::Arc;

use disk::{Dir, DiskError, File};
use hashbrown::HashSet;
use model::Timestamp;
use parking_lot::{Condvar, Mutex};
use ulid::Ulid;

use super::record::{self, SeriesRef};
use super::{Records, frame, names};

/// A segment is closed once it is this long. Source: Prometheus `wlog.DefaultSegmentSize`.
const SEGMENT_BYTES_MAX: u64 = 128 << 20;
/// The next segment is made once the current one is this long.
const SPARE_FROM_BYTES: u64 = SEGMENT_BYTES_MAX / 2;

/// An append-only log in numbered segments.
///
/// Locks: `tail` is held while bytes are handed to the kernel, `syncs` for bookkeeping only; neither across a sync, nor
/// while a file is created. Order: the head's commit lock, then `tail`, then the head's index or `syncs`.
/// Whoever set `Syncs::running` (holds the [`Turn`]) is the only one to sync, to create segments and to move on; it
/// holds no lock when it takes its turn, so that nobody waits for it under a lock.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Dir,
    store: Ulid,
    tail: Mutex<Tail>,
    syncs: Mutex<Syncs>,
    synced: Condvar,
}

#[derive(Debug)]
struct Tail {
    file: Arc<File>,
    number: u64,
    /// Newest sample in the current segment.
    maxt: Timestamp,
    /// Bytes of the current segment that a sync has covered.
    durable: u64,
    /// The segment before, while not all of it is durable.
    old: Option<OldSegment>,
    /// The next segment, empty, its name durable.
    spare: Option<Arc<File>>,
    /// Closed segments that still exist, ascending, with the newest sample of each.
    closed: Vec<(u64, Timestamp)>,
    /// The position of the last commit in the log: syncs are counted by it.
    position: u64,
    /// Commits in the log that are not durable yet, oldest first, each with its position.
    kept: VecDeque<(u64, Arc<Commit>)>,
    /// Commits whose append failed: the head has their samples already, so they go first into the log, before anything
    /// that might be acknowledged because of them. Nobody waits for them.
    unwritten: VecDeque<Arc<Commit>>,
    /// How far the segment before is durable; to be said in the current one if it is `untold`.
    end: Option<SegmentEnd>,
    untold: bool,
    /// How far the current segment is said to be durable in itself.
    told: u64,
    /// The position at the last attempt to seal the log.
    position_seen: u64,
    appended_bytes: u64,
    frames: Vec<u8>,
}

/// A segment that was current before a cut.
#[derive(Clone, Debug)]
struct OldSegment {
    file: Arc<File>,
    number: u64,
    durable: u64,
}

/// Up to where a segment is known to be durable.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SegmentEnd {
    segment: u64,
    len: u64,
}

/// How far a log has come: a place between two commits.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LogPlace {
    /// The closed segments, ascending, each with its newest sample.
    pub(crate) closed: Vec<(u64, Timestamp)>,
    /// The current segment.
    pub(crate) segment: u64,
    /// Its length.
    pub(crate) offset: u64,
    /// Its newest sample so far.
    pub(crate) maxt: Timestamp,
}

impl LogPlace {
    /// The oldest segment that has anything before it.
    pub(crate) fn oldest(&self) -> u64 {
        self.closed.first().map_or(self.segment, |(number, _)| *number)
    }
}

/// The records of one commit, and the newest sample among them.
#[derive(Debug)]
struct Commit {
    records: Records,
    maxt: Timestamp,
}

#[derive(Debug, Default)]
struct Syncs {
    /// The position up to which all is durable.
    durable: u64,
    running: bool,
    /// The log is read-only: a file failed and no other could take its place yet.
    failed: Option<Arc<DiskError>>,
    count: u64,
    failures: u64,
}

/// The right to sync, to create segments and to move on; one thread at a time has it.
struct Turn<'a>(&'a Log);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.syncs.lock().running = false;
        self.0.synced.notify_all();
    }
}

/// What the log needs of the head when it has to write commits again in another segment.
pub(crate) trait Describe {
    /// Runs `then` while no commit is under way: each has either not asked [`Log::ready`] yet or has appended.
    fn pause(&self, then: &mut dyn FnMut());

    /// Describes those of `series` that the head has, or of which it has exemplars. All samples of the others are in
    /// blocks, or deleted, and their exemplars have made room.
    fn describe(&self, series: &HashSet<SeriesRef>, into: &mut Records);
}

/// Figures of a log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogStats {
    /// The current segment.
    pub(crate) segment: u64,
    /// Bytes appended since the start.
    pub(crate) appended_bytes: u64,
    /// Syncs since the start.
    pub(crate) syncs: u64,
    /// Syncs that failed since the start.
    pub(crate) sync_failures: u64,
    /// Whether nothing can be appended for now.
    pub(crate) read_only: bool,
}

impl Log {
    /// Starts segment `number` in `dir`; `closed` are the segments before it with their newest samples, all durable,
    /// and `last_len` is the length of the last one of them.
    pub(crate) fn start(
        dir: Dir,
        store: Ulid,
        number: u64,
        closed: Vec<(u64, Timestamp)>,
        last_len: Option<u64>,
    ) -> Result<Log, DiskError> {
        debug_assert!(closed.iter().all(|(n, _)| *n < number));
        let file = Arc::new(dir.create(&names::segment(number))?);
        dir.sync()?;
        let end = closed.last().zip(last_len).map(|((segment, _), len)| SegmentEnd { segment: *segment, len });
        let tail = Tail {
            file,
            number,
            maxt: Timestamp::MIN,
            durable: 0,
            old: None,
            spare: None,
            closed,
            position: 0,
            kept: VecDeque::new(),
            unwritten: VecDeque::new(),
            end,
            untold: end.is_some(),
            told: 0,
            position_seen: 0,
            appended_bytes: 0,
            frames: Vec::new(),
        };
        Ok(Log { dir, store, tail: Mutex::new(tail), syncs: Mutex::default(), synced: Condvar::new() })
    }

    /// Makes the log ready for the next append: closes a full segment, writes what an append could not. Returns the
    /// current segment. On an error nothing may be applied to the head.
    pub(crate) fn ready(&self) -> Result<u64, Arc<DiskError>> {
        self.check()?;
        let mut tail = self.tail.lock();
        self.write_unwritten(&mut tail)?;
        if SEGMENT_BYTES_MAX <= tail.file.len() {
            // Without a spare the segment grows: better than to wait for one here.
            tail.swap();
        }
        Ok(tail.number)
    }

    /// Hands the records of a commit to the kernel as one write, behind a header if a part of them would be half a
    /// commit; they hold no sample newer than `maxt`. Returns the position to pass to [`Log::wait_durable`].
    ///
    /// Errors: the records are kept and written by the next successful [`Log::ready`], which callers must ask first.
    pub(crate) fn append(&self, records: &Records, maxt: Timestamp) -> Result<u64, Arc<DiskError>> {
        let mut tail = self.tail.lock();
        debug_assert!(tail.unwritten.is_empty(), "callers ask `ready` first");
        let commit = Arc::new(Commit { records: records.clone(), maxt });
        let result = self.write(&mut tail, &commit);
        if result.is_err() {
            tail.unwritten.push_back(commit);
        }
        result
    }

    fn write_unwritten(&self, tail: &mut Tail) -> Result<(), Arc<DiskError>> {
        while let Some(commit) = tail.unwritten.front().cloned() {
            self.write(tail, &commit)?;
            tail.unwritten.pop_front();
        }
        Ok(())
    }

    /// Writes a commit and keeps it. What a failed write left behind is cut off; if even that fails, the segment
    /// cannot be continued.
    fn write(&self, tail: &mut Tail, commit: &Arc<Commit>) -> Result<u64, Arc<DiskError>> {
        tail.frames.clear();
        tail.frame_ends();
        tail.frame(&commit.records);
        self.append_frames(tail)?;
        tail.maxt = tail.maxt.max(commit.maxt);
        tail.position += 1;
        let position = tail.position;
        tail.kept.push_back((position, commit.clone()));
        Ok(position)
    }

    fn append_frames(&self, tail: &mut Tail) -> Result<(), Arc<DiskError>> {
        if let Err(e) = tail.file.append(&tail.frames) {
            let e = Arc::new(e);
            if tail.file.rewind().is_err() {
                self.syncs.lock().failed = Some(e.clone());
            }
            return Err(e);
        }
        (tail.untold, tail.told) = (false, tail.durable);
        tail.appended_bytes += tail.frames.len() as u64;
        Ok(())
    }

    /// Says in the log that all of it is durable, if it is, and makes that durable: otherwise what became of the last
    /// commit could not be told from what a crash leaves of one. To be called now and then, and at the end, when it is not
    /// waited until there was no commit since the last call.
    pub(crate) fn seal(&self, head: &dyn Describe, at_end: bool) -> Result<(), Arc<DiskError>> {
        let turn = self.turn();
        self.check()?;
        {
            let mut tail = self.tail.lock();
            let is_quiet = tail.position_seen == tail.position;
            tail.position_seen = tail.position;
            let is_told = tail.told == tail.durable || tail.durable != tail.file.len() || tail.old.is_some();
            if is_told || !(is_quiet || at_end) {
                return Ok(());
            }
            tail.frames.clear();
            tail.frame_ends();
            self.append_frames(&mut tail)?;
            // Nothing but this record is behind it.
            tail.told = tail.file.len();
        }
        self.sync_or_move_on(&turn, head).map(|_| ())
    }

    /// Returns once everything appended up to `position` is durable. The first to come syncs for all that wait.
    pub(crate) fn wait_durable(&self, position: u64, head: &dyn Describe) -> Result<(), Arc<DiskError>> {
        let mut syncs = self.syncs.lock();
        loop {
            if position <= syncs.durable {
                return Ok(());
            }
            if syncs.running {
                self.synced.wait(&mut syncs);
                continue;
            }
            if let Some(failed) = &syncs.failed {
                return Err(failed.clone());
            }
            syncs.running = true;
            drop(syncs);
            let turn = Turn(self);
            self.sync_or_move_on(&turn, head)?;
            self.make_spare(&turn, SPARE_FROM_BYTES);
            drop(turn);
            syncs = self.syncs.lock();
        }
    }

    /// Closes the current segment, if it has anything, without waiting for the disk while commits are held up. Returns
    /// the last closed segment, once it is durable: every commit that came before this call is in it or before it.
    pub(crate) fn cut(&self, head: &dyn Describe) -> Result<Option<u64>, Arc<DiskError>> {
        let turn = self.turn();
        self.check()?;
        loop {
            // Also makes the old segment durable, and so makes room for another one.
            self.sync_or_move_on(&turn, head)?;
            self.create_spare(&turn)?;
            let mut done = Ok(None);
            head.pause(&mut || {
                let mut tail = self.tail.lock();
                done = self.write_unwritten(&mut tail).map(|()| {
                    let at_start = tail.file.is_empty() || tail.swap();
                    at_start.then(|| tail.number.checked_sub(1))
                });
            });
            // Otherwise a full segment took the spare meanwhile.
            if let Some(closed) = done? {
                self.sync_or_move_on(&turn, head)?;
                return Ok(closed);
            }
        }
    }

    /// How far the log has come, all before it durable: every commit that came before this call is there. Returns nothing
    /// if a sync failed: what is not durable has another place by now.
    pub(crate) fn place(&self, head: &dyn Describe) -> Result<Option<LogPlace>, Arc<DiskError>> {
        let turn = self.turn();
        self.check()?;
        let mut place = Ok(None);
        head.pause(&mut || {
            let mut tail = self.tail.lock();
            place = self.write_unwritten(&mut tail).map(|()| Some(tail.place()));
        });
        let place = place?;
        let stayed = self.sync_or_move_on(&turn, head)?;
        Ok(place.filter(|_| stayed))
    }

    /// If the log is read-only, tries to put a new segment in the place of what failed.
    pub(crate) fn heal(&self, head: &dyn Describe) -> Result<(), Arc<DiskError>> {
        if self.check().is_ok() {
            return Ok(());
        }
        let turn = self.turn();
        if self.check().is_ok() {
            return Ok(());
        }
        self.move_on(&turn, head)?;
        tracing::info!(segment = self.tail.lock().number, "the log goes on in a new segment");
        Ok(())
    }

    /// Waits for the right to sync.
    fn turn(&self) -> Turn<'_> {
        let mut syncs = self.syncs.lock();
        while syncs.running {
            self.synced.wait(&mut syncs);
        }
        syncs.running = true;
        Turn(self)
    }

    /// Makes everything appended so far durable, in another segment if need be. Returns whether it stayed where it was.
    fn sync_or_move_on(&self, turn: &Turn<'_>, head: &dyn Describe) -> Result<bool, Arc<DiskError>> {
        let Err(failed) = self.sync(turn) else { return Ok(true) };
        tracing::error!(error = %failed, "a sync of the log failed: its segment is given up");
        self.move_on(turn, head).map(|()| false).map_err(|e| {
            tracing::error!(error = %e, "nor can the log go on in another segment: it is read-only for now");
            self.syncs.lock().failed = Some(failed.clone());
            head.pause(&mut || self.tail.lock().cut_to_durable());
            failed
        })
    }

    /// Syncs the old segment, if there is one, and then the current one.
    fn sync(&self, _turn: &Turn<'_>) -> Result<(), Arc<DiskError>> {
        // At one moment: everything up to `position` is durable already or in one of these two.
        let (old, file, len, position) = {
            let tail = self.tail.lock();
            (tail.old.clone(), tail.file.clone(), tail.file.len(), tail.position)
        };
        if let Some(old) = old {
            self.sync_file(&old.file)?;
            let mut tail = self.tail.lock();
            tail.old = None;
            (tail.end, tail.untold) = (Some(SegmentEnd { segment: old.number, len: old.file.len() }), true);
        }
        self.sync_file(&file)?;
        let mut tail = self.tail.lock();
        if Arc::ptr_eq(&tail.file, &file) {
            tail.durable = len;
        } else if let Some(old) = tail.old.as_mut().filter(|old| Arc::ptr_eq(&old.file, &file)) {
            // A commit has swapped the files since.
            old.durable = len;
        }
        self.settle(&mut tail, position);
        Ok(())
    }

    /// Notes that everything up to `position` is durable.
    fn settle(&self, tail: &mut Tail, position: u64) {
        let durable = tail.kept.partition_point(|(at, _)| *at <= position);
        tail.kept.drain(..durable);
        let mut syncs = self.syncs.lock();
        syncs.durable = syncs.durable.max(position);
        self.synced.notify_all();
    }

    fn sync_file(&self, file: &File) -> Result<(), Arc<DiskError>> {
        let result = file.sync().map_err(Arc::new);
        let mut syncs = self.syncs.lock();
        syncs.count += 1;
        syncs.failures += u64::from(result.is_err());
        result
    }

    /// Leaves the current file for a new one, which begins with all that is not durable, and syncs that.
    ///
    /// Why this is sound: no other sync can succeed meanwhile (`_turn`), so what counts as durable in the files left
    /// behind stays what it is, and a new segment may take the name of one of which nothing is durable. No commit is
    /// under way while files are swapped (`pause`), so none describes its series for one segment and lands in another.
    /// If any step fails, everything kept is still kept, and the next attempt makes the same segment anew.
    fn move_on(&self, _turn: &Turn<'_>, head: &dyn Describe) -> Result<(), Arc<DiskError>> {
        let (number, end) = {
            let mut tail = self.tail.lock();
            // Without it nobody swaps files until this is done; besides, its name may be the one that is taken now.
            tail.spare = None;
            match &tail.old {
                // The old segment is synced before the current one, so nothing of the current one is durable.
                Some(old) => (tail.number, Some(SegmentEnd { segment: old.number, len: old.durable })),
                None if tail.durable == 0 => (tail.number, tail.end),
                None => (tail.number + 1, Some(SegmentEnd { segment: tail.number, len: tail.durable })),
            }
        };
        let file = Arc::new(self.create(number)?);
        let (mut result, mut position) = (Ok(()), 0);
        head.pause(&mut || {
            let mut tail = self.tail.lock();
            result = tail.repeat_in(&file, end, head);
            if result.is_ok() {
                tail.take_up(file.clone(), number, end);
                position = tail.position;
            }
        });
        result?;
        let len = file.len();
        self.sync_file(&file)?;
        let mut tail = self.tail.lock();
        tail.durable = len;
        self.settle(&mut tail, position);
        self.syncs.lock().failed = None;
        Ok(())
    }

    /// Creates the next segment if the current one is `from` bytes long. That it cannot be done is no failure yet.
    fn make_spare(&self, turn: &Turn<'_>, from: u64) {
        if self.tail.lock().file.len() < from {
            return;
        }
        if let Err(e) = self.create_spare(turn) {
            tracing::warn!(error = %e, "the next segment of the log cannot be created; the current one grows");
        }
    }

    fn create_spare(&self, _turn: &Turn<'_>) -> Result<(), Arc<DiskError>> {
        let number = {
            let tail = self.tail.lock();
            if tail.spare.is_some() {
                return Ok(());
            }
            tail.number + 1
        };
        let file = self.create(number)?;
        // The current segment is still the one before: without a spare nothing but this thread could go on to another.
        self.tail.lock().spare = Some(Arc::new(file));
        Ok(())
    }

    /// Creates segment `number`, empty even if there is one, its name durable.
    fn create(&self, number: u64) -> Result<File, Arc<DiskError>> {
        let name = names::segment(number);
        self.dir.remove(&name)?;
        let file = self.dir.create(&name)?;
        self.dir.sync()?;
        Ok(file)
    }

    /// The position behind the last append.
    pub(crate) fn position(&self) -> u64 {
        self.tail.lock().position
    }

    /// The last of the oldest closed segments, up to `number`, whose samples are all older than `before`: to be passed
    /// to [`Log::remove_through`] once a checkpoint replaces them.
    pub(crate) fn obsolete(&self, number: u64, before: Timestamp) -> Option<u64> {
        let tail = self.tail.lock();
        let obsolete = tail.closed.iter().take_while(|(n, maxt)| *n <= number && *maxt < before);
        obsolete.last().map(|(n, _)| *n)
    }

    /// The oldest segment that exists.
    pub(crate) fn oldest(&self) -> u64 {
        let tail = self.tail.lock();
        tail.closed.first().map_or(tail.number, |(n, _)| *n)
    }

    /// Removes the closed segments up to and including `number`.
    pub(crate) fn remove_through(&self, number: u64) -> Result<(), DiskError> {
        let gone: Vec<u64> = {
            let mut tail = self.tail.lock();
            let keep = tail.closed.partition_point(|(n, _)| *n <= number);
            tail.closed.drain(..keep).map(|(n, _)| n).collect()
        };
        for n in gone {
            self.dir.remove(&names::segment(n))?;
        }
        self.dir.sync()
    }

    /// Lets the closed segments go together or not at all, for a log whose segments lean on each other.
    pub(crate) fn join_closed(&self) {
        let mut tail = self.tail.lock();
        let newest = tail.closed.iter().map(|(_, maxt)| *maxt).max().unwrap_or(Timestamp::MIN);
        tail.closed.iter_mut().for_each(|(_, maxt)| *maxt = newest);
    }

    /// The store that the log belongs to: random, made with the log.
    pub(crate) fn store(&self) -> Ulid {
        self.store
    }

    /// The directory of the log.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Figures for metrics.
    pub(crate) fn stats(&self) -> LogStats {
        let (segment, appended_bytes) = {
            let tail = self.tail.lock();
            (tail.number, tail.appended_bytes)
        };
        let syncs = self.syncs.lock();
        let (sync_failures, read_only) = (syncs.failures, syncs.failed.is_some());
        LogStats { segment, appended_bytes, syncs: syncs.count, sync_failures, read_only }
    }

    fn check(&self) -> Result<(), Arc<DiskError>> {
        self.syncs.lock().failed.clone().map_or(Ok(()), Err)
    }
}

impl Tail {
    fn place(&self) -> LogPlace {
        LogPlace { closed: self.closed.clone(), segment: self.number, offset: self.file.len(), maxt: self.maxt }
    }

    /// Goes on in the spare segment, if there is one and the segment before the current one is durable.
    fn swap(&mut self) -> bool {
        // A commit that is not written yet describes its series for the current segment.
        if self.old.is_some() || !self.unwritten.is_empty() {
            return false;
        }
        let Some(spare) = self.spare.take() else { return false };
        self.closed.push((self.number, self.maxt));
        let file = std::mem::replace(&mut self.file, spare);
        self.old = Some(OldSegment { file, number: self.number, durable: self.durable });
        (self.number, self.maxt, self.durable) = (self.number + 1, Timestamp::MIN, 0);
        // What the segment before the old one is said to be, it is said to be there.
        (self.end, self.untold, self.told) = (None, false, 0);
        true
    }

    /// Writes everything that is not durable to `file`: how far the segment before counts, descriptions of the series,
    /// then the commits in their order.
    fn repeat_in(&self, file: &File, end: Option<SegmentEnd>, head: &dyn Describe) -> Result<(), Arc<DiskError>> {
        let commits: Vec<_> = self.kept.iter().map(|(_, commit)| commit).chain(&self.unwritten).collect();
        let mut mentioned = HashSet::new();
        commits
            .iter()
            .flat_map(|commit| commit.records.iter())
            .for_each(|bytes| record::mentioned(bytes, &mut mentioned));
        let mut described = Records::default();
        head.describe(&mentioned, &mut described);
        let mut frames = Vec::new();
        if let Some(SegmentEnd { segment, len }) = end {
            frame::push_record(&mut frames, 0, &record::end(segment, len));
        }
        for records in std::iter::once(&described).chain(commits.iter().map(|commit| &commit.records)) {
            frame::push_commit(&mut frames, 0, records);
        }
        Ok(file.append(&frames)?)
    }

    /// Cuts off what a failed sync covered, as far as that works: the next start would read it from the page cache,
    /// sync it with success, and take it for durable.
    fn cut_to_durable(&self) {
        if let Some(old) = &self.old {
            _ = old.file.truncate(old.durable);
        }
        _ = self.file.truncate(self.durable);
    }

    /// Makes `file` the current segment, after [`Tail::repeat_in`] has filled it.
    fn take_up(&mut self, file: Arc<File>, number: u64, end: Option<SegmentEnd>) {
        // The files left behind need not say again what is repeated. If they cannot be cut, replay leaves the rest out.
        if let Some(old) = self.old.take() {
            _ = old.file.truncate(old.durable);
        }
        if self.number < number {
            _ = self.file.truncate(self.durable);
            self.closed.push((self.number, self.maxt));
        }
        for commit in std::mem::take(&mut self.unwritten) {
            self.position += 1;
            self.kept.push_back((self.position, commit));
        }
        self.maxt = self.kept.iter().map(|(_, commit)| commit.maxt).fold(Timestamp::MIN, Timestamp::max);
        (self.file, self.number, self.durable) = (file, number, 0);
        (self.end, self.untold, self.told) = (end, false, 0);
    }

    /// What became known to be durable since that was last said: of the segment before, and of this one.
    fn frame_ends(&mut self) {
        let before = self.end.filter(|_| self.untold);
        let this = SegmentEnd { segment: self.number, len: self.durable };
        for SegmentEnd { segment, len } in before.into_iter().chain((self.told < self.durable).then_some(this)) {
            let offset = self.file.len() + self.frames.len() as u64;
            frame::push_record(&mut self.frames, offset, &record::end(segment, len));
        }
    }

    fn frame(&mut self, records: &Records) {
        frame::push_commit(&mut self.frames, self.file.len(), records);
    }
}

#[cfg(test)]
mod tests;
