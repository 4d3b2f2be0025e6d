//! The log's writing end: append records to the current segment, share one sync among all who wait.

use std::sync::Arc;

use disk::{Dir, DiskError, File};
use model::Timestamp;
use parking_lot::{Condvar, Mutex};

use super::{Records, frame, names};

/// A segment is closed once it is this long. Source: Prometheus `wlog.DefaultSegmentSize`.
const SEGMENT_BYTES_MAX: u64 = 128 << 20;

/// An append-only log in numbered segments.
///
/// Locks: `tail` is held while bytes are handed to the kernel, `syncs` for bookkeeping only, never across a sync.
/// Order: `tail`, then `syncs`.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Dir,
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
    /// Closed segments that still exist, ascending, with the newest sample of each.
    closed: Vec<(u64, Timestamp)>,
    /// Bytes appended since the start, over all segments: the position that syncs are counted by.
    appended: u64,
    /// The last append failed and left half a record behind, so the segment must not be continued.
    torn: bool,
    /// The records of the append that failed: the head has their samples already, so they go first into the log,
    /// before anything that might be acknowledged because of them.
    unlogged: Option<Unlogged>,
    frames: Vec<u8>,
}

#[derive(Debug)]
struct Unlogged {
    records: Records,
    maxt: Timestamp,
}

#[derive(Debug, Default)]
struct Syncs {
    durable: u64,
    running: bool,
    /// A sync failed: what it covered may be lost, so nothing more is acknowledged until the next start.
    failed: Option<Arc<DiskError>>,
    count: u64,
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
}

impl Log {
    /// Starts segment `number` in `dir`; `closed` are the segments before it with their newest samples.
    pub(crate) fn start(dir: Dir, number: u64, closed: Vec<(u64, Timestamp)>) -> Result<Log, DiskError> {
        debug_assert!(closed.iter().all(|(n, _)| *n < number));
        let file = Arc::new(dir.create(&names::segment(number))?);
        dir.sync()?;
        let tail = Tail {
            file,
            number,
            maxt: Timestamp::MIN,
            closed,
            appended: 0,
            torn: false,
            unlogged: None,
            frames: Vec::new(),
        };
        Ok(Log { dir, tail: Mutex::new(tail), syncs: Mutex::default(), synced: Condvar::new() })
    }

    /// Hands the records of a commit to the kernel as one write, behind a header if a part of them would be half a
    /// commit; they hold no sample newer than `maxt`. Returns the position to pass
    /// to [`Log::wait_durable`].
    ///
    /// Errors: the records are kept and written by the next successful [`Log::ready`], which callers must ask first.
    pub(crate) fn append(&self, records: &Records, maxt: Timestamp) -> Result<u64, Arc<DiskError>> {
        let mut tail = self.tail.lock();
        debug_assert!(!tail.torn && tail.unlogged.is_none(), "callers ask `ready` first");
        let result = tail.write(records, maxt);
        if result.is_err() {
            tail.unlogged = Some(Unlogged { records: records.clone(), maxt });
        }
        result
    }

    /// Makes the log ready for the next append: closes a full or torn segment, writes what an append could not.
    /// Returns the current segment. On an error nothing may be applied to the head.
    pub(crate) fn ready(&self) -> Result<u64, Arc<DiskError>> {
        self.check()?;
        let mut tail = self.tail.lock();
        if tail.torn || tail.file.len() >= SEGMENT_BYTES_MAX {
            self.cut_locked(&mut tail)?;
        }
        if let Some(unlogged) = tail.unlogged.take() {
            if let Err(e) = tail.write(&unlogged.records, unlogged.maxt) {
                tail.unlogged = Some(unlogged);
                return Err(e);
            }
        }
        Ok(tail.number)
    }

    /// Closes the current segment and starts the next. Returns the new segment's number.
    pub(crate) fn cut(&self) -> Result<u64, Arc<DiskError>> {
        self.check()?;
        self.cut_locked(&mut self.tail.lock())
    }

    fn cut_locked(&self, tail: &mut Tail) -> Result<u64, Arc<DiskError>> {
        if tail.file.is_empty() && !tail.torn {
            return Ok(tail.number);
        }
        // A waiter must not find its bytes in a file that the next sync no longer covers.
        self.sync_file(&tail.file, tail.appended)?;
        // A torn segment without a record begins anew: however often a full disk fails, it makes no more segments.
        let number = tail.number + u64::from(!tail.file.is_empty());
        let name = names::segment(number);
        let file = self.dir.remove(&name).and_then(|()| self.dir.create(&name)).and_then(|file| {
            self.dir.sync()?;
            Ok(file)
        })?;
        if tail.number < number {
            let closed = (tail.number, tail.maxt);
            tail.closed.push(closed);
        }
        (tail.file, tail.number, tail.maxt, tail.torn) = (Arc::new(file), number, Timestamp::MIN, false);
        Ok(number)
    }

    /// Returns once everything appended up to `position` is durable. The first to come syncs for all that wait.
    pub(crate) fn wait_durable(&self, position: u64) -> Result<(), Arc<DiskError>> {
        let mut syncs = self.syncs.lock();
        loop {
            if let Some(failed) = &syncs.failed {
                return Err(failed.clone());
            }
            if position <= syncs.durable {
                return Ok(());
            }
            if syncs.running {
                self.synced.wait(&mut syncs);
                continue;
            }
            syncs.running = true;
            drop(syncs);
            let (file, appended) = {
                let tail = self.tail.lock();
                (tail.file.clone(), tail.appended)
            };
            let result = self.sync_file(&file, appended);
            syncs = self.syncs.lock();
            syncs.running = false;
            self.synced.notify_all();
            result?;
        }
    }

    /// The position behind the last append.
    pub(crate) fn position(&self) -> u64 {
        self.tail.lock().appended
    }

    /// The last of the oldest closed segments, up to `number`, whose samples are all older than `before`: to be passed to [`Log::remove_through`] once a checkpoint replaces them.
    pub(crate) fn obsolete(&self, number: u64, before: Timestamp) -> Option<u64> {
        let tail = self.tail.lock();
        let obsolete = tail.closed.iter().take_while(|(n, maxt)| *n <= number && *maxt < before);
        obsolete.last().map(|(n, _)| *n)
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

    /// The directory of the log.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Figures for metrics.
    pub(crate) fn stats(&self) -> LogStats {
        let (segment, appended_bytes) = {
            let tail = self.tail.lock();
            (tail.number, tail.appended)
        };
        LogStats { segment, appended_bytes, syncs: self.syncs.lock().count }
    }

    fn check(&self) -> Result<(), Arc<DiskError>> {
        self.syncs.lock().failed.clone().map_or(Ok(()), Err)
    }

    fn sync_file(&self, file: &File, appended: u64) -> Result<(), Arc<DiskError>> {
        let result = file.sync().map_err(Arc::new);
        let mut syncs = self.syncs.lock();
        syncs.count += 1;
        match &result {
            Ok(()) => syncs.durable = syncs.durable.max(appended),
            Err(e) => syncs.failed = Some(e.clone()),
        }
        result
    }
}

impl Tail {
    fn write(&mut self, records: &Records, maxt: Timestamp) -> Result<u64, Arc<DiskError>> {
        self.frames.clear();
        let start = self.file.len();
        let header = records.belong_together().then(|| records.commit_header());
        for record in header.iter().map(Vec::as_slice).chain(records.iter()) {
            let offset = start + self.frames.len() as u64;
            frame::push_record(&mut self.frames, offset, record);
        }
        if let Err(e) = self.file.append(&self.frames) {
            self.torn = self.file.rewind().is_err();
            return Err(Arc::new(e));
        }
        self.maxt = self.maxt.max(maxt);
        self.appended += self.frames.len() as u64;
        Ok(self.appended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_share_syncs_and_cuts_lose_nothing() {
        let tmp = tempfile::tempdir().unwrap();
        let log = Log::start(Dir::open(tmp.path()).unwrap(), 0, Vec::new()).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..8u64 {
                let log = &log;
                scope.spawn(move || {
                    for i in 0..50u64 {
                        let record = [worker.to_be_bytes(), i.to_be_bytes()].concat();
                        log.ready().unwrap();
                        let position = log.append(&Records::raw(&record), i.cast_signed()).unwrap();
                        if i % 20 == 19 {
                            log.cut().unwrap();
                        }
                        log.wait_durable(position).unwrap();
                    }
                });
            }
        });
        let stats = log.stats();
        assert!(stats.syncs <= 8 * 50 + stats.segment, "{stats:?}");
        let mut records = 0;
        for entry in log.dir().list().unwrap() {
            let bytes = log.dir().read(&entry.name).unwrap();
            let mut reader = frame::SegmentReader::new(&bytes);
            while let Some(found) = reader.next() {
                assert!(matches!(found, frame::Found::Record(_)), "{found:?}");
                records += 1;
            }
        }
        assert_eq!(records, 400);
    }

    #[test]
    fn only_whole_old_segments_are_obsolete() {
        let tmp = tempfile::tempdir().unwrap();
        let log = Log::start(Dir::open(tmp.path()).unwrap(), 5, vec![(3, 10), (4, 30)]).unwrap();
        assert_eq!(log.obsolete(4, 10), None);
        assert_eq!(log.obsolete(4, 11), Some(3));
        assert_eq!(log.obsolete(4, 31), Some(4));
        assert_eq!(log.obsolete(3, 31), Some(3));
        log.remove_through(3).unwrap();
        assert_eq!(log.obsolete(4, 31), Some(4));
    }

    #[test]
    fn after_a_failed_sync_nothing_is_taken_or_acknowledged() {
        let tmp = tempfile::tempdir().unwrap();
        let log = Log::start(Dir::open(tmp.path()).unwrap(), 0, Vec::new()).unwrap();
        log.ready().unwrap();
        let durable = log.append(&Records::raw(b"a"), 1).unwrap();
        log.wait_durable(durable).unwrap();
        let position = log.append(&Records::raw(b"b"), 1).unwrap();
        let source = std::io::Error::other("the disk is broken");
        log.syncs.lock().failed = Some(Arc::new(DiskError { op: "sync", path: "00000000".into(), source }));
        for result in [log.ready().map(drop), log.cut().map(drop), log.wait_durable(position)] {
            assert_eq!(result.unwrap_err().to_string(), "sync 00000000: the disk is broken");
        }
        assert_eq!((log.stats().segment, log.stats().syncs), (0, 1));
    }

    #[test]
    fn a_torn_segment_is_not_continued_and_what_failed_goes_first_into_the_next() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let log = Log::start(dir.clone(), 0, Vec::new()).unwrap();
        let tear = |failed: &[u8], maxt: Timestamp| {
            let mut tail = log.tail.lock();
            tail.torn = true;
            tail.unlogged = Some(Unlogged { records: Records::raw(failed), maxt });
        };
        let first = |segment: &str| match frame::SegmentReader::new(&dir.read(segment).unwrap()).next() {
            Some(frame::Found::Record(record)) => record.to_vec(),
            other => panic!("{other:?}"),
        };
        // Without a record it begins anew under its number.
        tear(b"a", 1);
        assert_eq!((log.ready().unwrap(), first("00000000")), (0, b"a".to_vec()));
        log.append(&Records::raw(b"b"), 3).unwrap();
        tear(b"c", 2);
        assert_eq!((log.ready().unwrap(), first("00000001")), (1, b"c".to_vec()));
        let tail = log.tail.lock();
        assert_eq!((tail.closed.as_slice(), tail.maxt), (&[(0, 3)][..], 2));
    }
}
