//! Those that add the log's samples to their series while the log is read: part by part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use model::{Sample, Timestamp};
use parking_lot::Mutex;

use super::super::chunk_files::{ChunkFiles, Gathered};
use super::super::series::Series;
use super::queue::{Change, PART_LEN, Piece, Queue, Run, Sheet, Unreadable};
use super::refs::NOWHERE;
use crate::wal::{At, Floats, SampleRecord};

/// This part of the bounds is enough to be handed over when the workers have nothing to do.
const ENOUGH: usize = 16;
/// A float sample of the log has about so many bytes.
const FLOAT_BYTES: usize = 12;
/// Samples stay in the log if there are so many for each run of neighbours.
const RUN_LEN_MIN: usize = 8;
/// And if they are of no more parts than this: each reads the record from its start.
const PARTS_MAX: usize = 4;

/// How many work, and what is handed over to them together.
#[derive(Clone, Debug)]
pub(crate) struct ReplayLimits {
    /// Threads beside the one that reads. More than eight do not help: it reads for all. Default: as many as the machine
    /// runs at once.
    pub(crate) workers: usize,
    /// Bytes of float samples that stay in the log. Default: 64 MiB, 50 samples of each of 100,000 series.
    pub(crate) log_bytes: usize,
    /// Other changes: 20 bytes each, and as much again that is being made. Default: 262,144.
    pub(crate) changes: usize,
    /// Numbers in histograms: however large they are, they take no more than 4 MiB. Default: 524,288.
    pub(crate) numbers: usize,
}

impl Default for ReplayLimits {
    fn default() -> ReplayLimits {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        ReplayLimits { workers: cores.min(8), log_bytes: 64 << 20, changes: 1 << 18, numbers: 1 << 19 }
    }
}

/// The workers, seen from the one who reads the log.
///
/// Why the series end up as if one thread had applied the log in order:
///
/// - All changes of a series are in the queue of its part, in the order of the log, and one worker makes those of a
///   queue one after the other. The next queues are handed over when all of the last ones are done.
/// - A change of a series reads and writes nothing but that series. What has an order across series (which series
///   there are, exemplars, families) is done by the reader alone; what the workers add up (the oldest sample) does not
///   depend on an order.
/// - Commits are whole before their records get here, so nothing is ever taken back.
///
/// Q: Why are most samples left in the log until they are added? A: the more samples a series gets at a time, the fewer
/// times it has to be fetched into a cache, which costs ten times what it costs to add a sample; in memory there is no
/// room for so many.
pub(super) struct Workers<'scope> {
    workers: Vec<Worker<'scope>>,
    /// Says that a worker has no more to do.
    done: Receiver<()>,
    /// Those that have something to do.
    busy: usize,
    writer: Writer<'scope>,
    parts: Vec<Part>,
    limits: &'scope ReplayLimits,
    filled: Filled,
    /// A record could be read at first and then not any more.
    pub(super) some_unread: bool,
}

/// Series with neighbouring slots.
#[derive(Default)]
struct Part {
    members: Arc<Mutex<Vec<Arc<Series>>>>,
    filling: Queue,
}

/// How much is in the queues.
#[derive(Default)]
struct Filled {
    log_bytes: usize,
    changes: usize,
    numbers: usize,
}

struct Worker<'scope> {
    windows: SyncSender<Arc<Window>>,
    thread: ScopedJoinHandle<'scope, Result<Timestamp, Unreadable>>,
}

/// The one who writes files of full chunks, so that nobody else waits for the disk.
struct Writer<'scope> {
    tell: SyncSender<ToWrite>,
    thread: ScopedJoinHandle<'scope, ()>,
}

/// What a writer is told.
enum ToWrite {
    /// Full chunks, enough for a file.
    File(Gathered),
    /// To say when it is through with what it was told before.
    Say(SyncSender<()>),
}

/// The queues that are being worked off.
struct Window {
    tasks: Vec<Task>,
}

struct Task {
    members: Arc<Mutex<Vec<Arc<Series>>>>,
    queue: Mutex<Queue>,
    is_taken: AtomicBool,
}

impl Filled {
    /// Whether there is one `share`th of what there may be.
    fn is_full(&self, limits: &ReplayLimits, share: usize) -> bool {
        let Filled { log_bytes, changes, numbers } = self;
        let is_full = |limit: usize, n: usize| limit <= n * share;
        is_full(limits.log_bytes, *log_bytes) || is_full(limits.changes, *changes) || is_full(limits.numbers, *numbers)
    }
}

impl<'scope> Workers<'scope> {
    /// As many as `limits` says. Full chunks go to `files`.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        limits: &'scope ReplayLimits,
        files: &'scope ChunkFiles,
    ) -> Workers<'scope> {
        let count = limits.workers.max(1);
        let writer = Writer::start(scope, files);
        let (say, done) = sync_channel(count);
        let sealed = Arc::new(Mutex::new(Gathered::default()));
        let worker = |nth| {
            let (windows, handed) = sync_channel(1);
            let (say, write, sealed, file_bytes) =
                (say.clone(), writer.tell.clone(), sealed.clone(), files.file_bytes());
            let job = Job { nth, count, say, write, sealed, file_bytes };
            Worker { windows, thread: scope.spawn(move || job.work(handed)) }
        };
        let workers = (0..count).map(worker).collect();
        Workers {
            workers,
            done,
            busy: 0,
            writer,
            parts: Vec::new(),
            limits,
            filled: Filled::default(),
            some_unread: false,
        }
    }

    /// Introduces a series; slots come in ascending order without gaps.
    pub(super) fn series(&mut self, series: &Arc<Series>) {
        let (part, _) = place(series.slot);
        self.parts.resize_with(self.parts.len().max(part + 1), Part::default);
        self.parts[part].filling.series.push(series.clone());
    }

    /// The float samples of the record at `at`, of which `slots` says whose they are: slots in a row, or [`NOWHERE`], and
    /// how many. Those older than `before` are left out.
    pub(super) fn floats(&mut self, at: At<'_>, before: Timestamp, floats: &Floats, slots: &[(u32, u32)]) {
        match parts_of(slots) {
            // If all are in blocks there is no need to look at them again.
            _ if floats.newest < before => {}
            Some(parts) if RUN_LEN_MIN * slots.len() <= floats.len => {
                parts.into_iter().for_each(|part| self.piece(part, at, before, slots, floats));
                self.filled.log_bytes += FLOAT_BYTES * floats.len;
            }
            _ => {
                let each = slots.iter().flat_map(|(first, len)| (0..*len).map(|i| first.saturating_add(i)));
                for (slot, SampleRecord { sample, .. }) in each.zip(self.read(at)) {
                    if slot != NOWHERE && before <= sample.t {
                        self.queue(slot, sample);
                    }
                }
            }
        }
        self.hand_over_at_times();
    }

    /// The float samples of the record at `at`. If they cannot be read, [`Workers::finish`] says so.
    pub(super) fn read(&mut self, at: At<'_>) -> Vec<SampleRecord> {
        let read = at.floats();
        self.some_unread |= read.is_none();
        read.unwrap_or_default()
    }

    /// A float sample of the series in slot `slot`.
    pub(super) fn float(&mut self, slot: u32, sample: Sample) {
        self.queue(slot, sample);
        self.hand_over_at_times();
    }

    fn queue(&mut self, slot: u32, sample: Sample) {
        let (part, member) = place(slot);
        self.parts[part].filling.float(member, sample);
        self.filled.changes += 1;
    }

    /// Any other change of the series in slot `slot`.
    pub(super) fn change(&mut self, slot: u32, change: Change) {
        let (part, member) = place(slot);
        self.filled.numbers += change.numbers();
        self.filled.changes += 1;
        self.parts[part].filling.change(member, change);
        self.hand_over_at_times();
    }

    /// Waits for the workers. Returns the oldest sample that was added.
    pub(super) fn finish(mut self) -> Result<Timestamp, Unreadable> {
        self.settle();
        let Workers { workers, writer, some_unread, .. } = self;
        let mut mint = Timestamp::MAX;
        for Worker { windows, thread } in workers {
            drop(windows);
            mint = mint.min(joined(thread)?);
        }
        drop(writer.tell);
        joined(writer.thread);
        if some_unread { Err(Unreadable) } else { Ok(mint) }
    }

    /// Waits until all that was said is done.
    fn settle(&mut self) {
        self.hand_over();
        self.wait();
        self.writer.settle();
    }

    /// What the record has of one part.
    fn piece(&mut self, part: usize, at: At<'_>, before: Timestamp, slots: &[(u32, u32)], floats: &Floats) {
        let queue = &mut self.parts[part].filling;
        let (mut mark, mut runs, mut skipped) = (None, 0, 0);
        let mut idx = 0;
        for (slot, len) in slots {
            let (of, member) = place(*slot);
            let is_own = *slot != NOWHERE && of == part;
            if is_own {
                // Reading begins shortly before the first one of the part.
                let start = mark.get_or_insert_with(|| floats.mark(idx));
                if runs == 0 {
                    skipped = u32::try_from(idx - start.samples).unwrap_or_default();
                }
                if 0 < skipped {
                    queue.run(Run { first: None, len: skipped });
                    runs += 1;
                }
                queue.run(Run { first: Some(member), len: *len });
                (runs, skipped) = (runs + 1, 0);
            } else {
                skipped += len;
            }
            idx += *len as usize;
        }
        if let Some(mark) = mark {
            queue.piece(Piece { segment: at.bytes.clone(), offset: at.offset, mark, before, runs });
            self.filled.changes += 1;
        }
    }

    fn hand_over_at_times(&mut self) {
        if 0 < self.busy {
            self.busy -= self.done.try_iter().count();
        }
        if self.filled.is_full(self.limits, 1) || self.busy == 0 && self.filled.is_full(self.limits, ENOUGH) {
            self.hand_over();
        }
    }

    /// Hands the queues over as soon as the last ones are worked off.
    pub(super) fn hand_over(&mut self) {
        self.wait();
        let full = self.parts.iter_mut().filter(|part| !part.filling.is_empty());
        let tasks = full.map(|part| Task {
            members: part.members.clone(),
            queue: Mutex::new(std::mem::take(&mut part.filling)),
            is_taken: AtomicBool::new(false),
        });
        let window = Arc::new(Window { tasks: tasks.collect() });
        for worker in &self.workers {
            // If it is gone, `finish` says why.
            self.busy += usize::from(worker.windows.send(window.clone()).is_ok());
        }
        self.filled = Filled::default();
    }

    fn wait(&mut self) {
        for _ in 0..std::mem::take(&mut self.busy) {
            // If all are gone, `finish` says why.
            _ = self.done.recv();
        }
    }
}

impl<'scope> Writer<'scope> {
    fn start(scope: &'scope Scope<'scope, '_>, files: &'scope ChunkFiles) -> Writer<'scope> {
        let (tell, told) = sync_channel(1);
        Writer { tell, thread: scope.spawn(move || write(files, told)) }
    }

    /// Waits until all that it was told is written.
    fn settle(&self) {
        let (say, said) = sync_channel(1);
        if self.tell.send(ToWrite::Say(say)).is_ok() {
            _ = said.recv();
        }
    }
}

/// Writes files until nobody tells of more.
fn write(files: &ChunkFiles, told: Receiver<ToWrite>) {
    let mut fails = false;
    for told in told {
        match told {
            // What is older than a chunk in a file has no place in a later one.
            ToWrite::File(_) if fails => {}
            ToWrite::File(sealed) => {
                if let Err(e) = sealed.write(files) {
                    tracing::warn!(error = %e, "sealed chunks stay in memory");
                    fails = true;
                }
            }
            ToWrite::Say(say) => _ = say.send(()),
        }
    }
}

/// What a thread returned; its panic is this one's.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The part of a slot, and where in it.
fn place(slot: u32) -> (usize, u16) {
    ((slot / PART_LEN) as usize, u16::try_from(slot % PART_LEN).unwrap_or_default())
}

/// The parts that a record has samples of, unless they are too many.
fn parts_of(slots: &[(u32, u32)]) -> Option<Vec<usize>> {
    let mut parts = Vec::new();
    for (slot, _) in slots.iter().filter(|(slot, _)| *slot != NOWHERE) {
        let (part, _) = place(*slot);
        if !parts.contains(&part) {
            if parts.len() == PARTS_MAX {
                return None;
            }
            parts.push(part);
        }
    }
    Some(parts)
}

/// What a worker knows.
struct Job {
    nth: usize,
    count: usize,
    say: SyncSender<()>,
    write: SyncSender<ToWrite>,
    /// Full chunks of all workers that do not fill a file yet.
    sealed: Arc<Mutex<Gathered>>,
    file_bytes: usize,
}

/// Says that a window is done, also when that is because of a panic: the others' work must come to an end.
struct Done<'a>(&'a SyncSender<()>);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        // If nobody listens the log cannot be read any further.
        _ = self.0.send(());
    }
}

impl Job {
    fn work(&self, windows: Receiver<Arc<Window>>) -> Result<Timestamp, Unreadable> {
        let (mut mint, mut sheet) = (Timestamp::MAX, Sheet::default());
        for window in windows {
            let _done = Done(&self.say);
            // Each begins elsewhere, so that a series mostly stays with one worker.
            let (behind, own) = window.tasks.split_at(window.tasks.len() * self.nth / self.count);
            for task in own.iter().chain(behind) {
                if task.is_taken.swap(true, Relaxed) {
                    continue;
                }
                let (mut members, mut queue) = (task.members.lock(), task.queue.lock());
                members.append(&mut queue.series);
                mint = mint.min(queue.apply(&members, &mut sheet)?);
                drop(members);
                let mut sealed = self.sealed.lock();
                sealed.append(&mut sheet.sealed);
                if let Some(enough) = sealed.take_enough(self.file_bytes) {
                    drop(sealed);
                    _ = self.write.send(ToWrite::File(enough));
                }
            }
        }
        Ok(mint)
    }
}

#[cfg(test)]
mod tests {
    use model::{Histogram, Labels, SampleValue, Span, TimeRange};

    use super::*;
    use crate::head::Kept;
    use crate::wal::SeriesRef;

    #[test]
    fn large_histograms_are_handed_over_a_few_at_a_time() {
        let positive_spans = vec![Span { offset: 0, length: 10_000 }];
        let positive_buckets = vec![1.0; 10_000];
        let wide = Histogram { count: 10_000.0, positive_spans, positive_buckets, ..Histogram::default() };
        let (wide, count) = (Arc::new(wide), 200);
        let series = Arc::new(Series::new(SeriesRef(1), 0, Labels::empty()));
        let files = ChunkFiles::open(disk::Sim::new(1).root(), 16 << 20, Kept::default()).unwrap();
        let limits = ReplayLimits { workers: 1, ..ReplayLimits::default() };
        thread::scope(|scope| {
            let mut workers = Workers::start(scope, &limits, &files);
            workers.series(&series);
            for t in 0..count {
                workers.change(0, Change::Sample(t, SampleValue::FloatHistogram(wide.clone())));
                assert!(workers.filled.numbers <= limits.numbers, "{t}");
            }
            assert_eq!(workers.finish().unwrap(), 0);
        });
        assert_eq!(series.range(), Some(TimeRange { mint: 0, maxt: count - 1 }));
    }
}
