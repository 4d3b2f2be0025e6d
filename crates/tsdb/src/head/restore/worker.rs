//! Those that add the log's samples to their series while the log is read: each has its own series.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope, ScopedJoinHandle};

use model::{SampleValue, StartRun, TimeRange, Timestamp};

use super::super::series::{Admission, Series};

/// Changes that are handed over together. With one batch being filled, one waiting and one being applied for each of
/// two workers it comes to 16 MiB.
const BATCH_LEN: usize = 1 << 17;
/// Numbers in the histograms of a batch: however large they are, a batch takes no more than 4 MiB for them.
const NUMBERS_MAX: usize = 1 << 19;
/// What a histogram takes beside its buckets, spans and bounds, as so many numbers.
const NUMBERS_PER_HISTOGRAM: usize = 32;
/// More workers than this do not help: one thread reads for all.
const WORKERS_MAX: u32 = 8;
/// Set in an owner whose change is not a float sample.
const OTHER: u32 = 1 << 31;

/// The workers, seen from the one who reads the log.
///
/// Why the series end up as if one thread had applied the log in order:
///
/// - All changes of a series go to one worker, by the series' number. They pass one channel in the order of the log,
///   and the worker applies each batch in an order that is stable within a series.
/// - A change of a series reads and writes nothing but that series. What has an order across series (which series
///   there are, exemplars, families) is done by the reader alone; what the workers add up (the oldest sample) does not
///   depend on an order.
/// - Commits are whole before their records get here, so nothing is ever taken back.
pub(super) struct Workers<'scope> {
    workers: Vec<Worker<'scope>>,
    count: u32,
}

struct Worker<'scope> {
    batches: SyncSender<Batch>,
    /// Batches that were applied, to be filled again: fresh memory would have to be cleared by the kernel.
    applied: Receiver<Batch>,
    filling: Batch,
    thread: ScopedJoinHandle<'scope, Timestamp>,
}

/// Changes in the order of the log, column by column, so that a batch is small.
#[derive(Default)]
struct Batch {
    /// Series that are new to the worker; they are numbered in the order in which they come.
    series: Vec<Arc<Series>>,
    /// Of which series, with [`OTHER`].
    owners: Vec<u32>,
    /// When; of other changes, which of `others`.
    times: Vec<i64>,
    values: Vec<f64>,
    others: Vec<Change>,
    /// Numbers in the histograms among them.
    numbers: usize,
}

/// A change of a series that is no float sample.
pub(super) enum Change {
    Sample(Timestamp, SampleValue),
    Start(StartRun),
    /// What is known of its start timestamps was said of a series that had left the head.
    ForgetStarts,
    Delete(TimeRange),
}

impl Change {
    /// The numbers in it, if it is a histogram.
    fn numbers(&self) -> usize {
        match self {
            Change::Sample(_, SampleValue::Histogram(h) | SampleValue::FloatHistogram(h)) => {
                let (spans, buckets) = (&h.positive_spans, &h.positive_buckets);
                let (negative_spans, negative_buckets) = (&h.negative_spans, &h.negative_buckets);
                let spans = spans.len() + negative_spans.len();
                NUMBERS_PER_HISTOGRAM + spans + buckets.len() + negative_buckets.len() + h.custom_bounds.len()
            }
            _ => 0,
        }
    }
}

impl<'scope> Workers<'scope> {
    /// `count` workers, or as many as the machine runs at once.
    pub(super) fn start(scope: &'scope Scope<'scope, '_>, count: Option<usize>) -> Workers<'scope> {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        let worker = |_| {
            let ((batches, filled), (empty, applied)) = (sync_channel(1), sync_channel(1));
            let thread = scope.spawn(move || work(filled, &empty));
            Worker { batches, applied, filling: Batch::with_room(), thread }
        };
        let count = u32::try_from(count.unwrap_or_else(cores)).unwrap_or(u32::MAX).clamp(1, WORKERS_MAX);
        Workers { workers: (0..count).map(worker).collect(), count }
    }

    /// Introduces the series in slot `slot`; slots come in ascending order without gaps.
    pub(super) fn series(&mut self, series: &Arc<Series>) {
        let (worker, _) = self.owner(series.slot);
        self.workers[worker].filling.series.push(series.clone());
    }

    /// A float sample of the series in slot `slot`.
    #[inline]
    pub(super) fn float(&mut self, slot: u32, t: Timestamp, v: f64) {
        let (worker, owner) = self.owner(slot);
        self.workers[worker].push(owner, t, v);
    }

    /// Any other change of the series in slot `slot`.
    pub(super) fn change(&mut self, slot: u32, change: Change) {
        let (worker, owner) = self.owner(slot);
        let worker = &mut self.workers[worker];
        worker.filling.numbers += change.numbers();
        worker.filling.others.push(change);
        let at = worker.filling.others.len() as i64 - 1;
        worker.push(owner | OTHER, at, 0.0);
        if NUMBERS_MAX <= worker.filling.numbers {
            worker.hand_over();
        }
    }

    /// Waits for the workers. Returns the oldest sample that was added.
    pub(super) fn finish(self) -> Timestamp {
        let mut mint = Timestamp::MAX;
        for Worker { batches, filling, thread, .. } in self.workers {
            // If it is gone, `join` says why.
            _ = batches.send(filling);
            drop(batches);
            mint = mint.min(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        mint
    }

    #[inline]
    fn owner(&self, slot: u32) -> (usize, u32) {
        ((slot % self.count) as usize, slot / self.count)
    }
}

impl Worker<'_> {
    #[inline]
    fn push(&mut self, owner: u32, time: i64, value: f64) {
        let batch = &mut self.filling;
        batch.owners.push(owner);
        batch.times.push(time);
        batch.values.push(value);
        if batch.owners.len() == BATCH_LEN {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let next = self.applied.try_recv().unwrap_or_else(|_| Batch::with_room());
        _ = self.batches.send(std::mem::replace(&mut self.filling, next));
    }
}

impl Batch {
    /// An empty one. The memory that is never written to costs nothing.
    fn with_room() -> Batch {
        Batch {
            owners: Vec::with_capacity(BATCH_LEN),
            times: Vec::with_capacity(BATCH_LEN),
            values: Vec::with_capacity(BATCH_LEN),
            ..Batch::default()
        }
    }
}

fn work(batches: Receiver<Batch>, empty: &SyncSender<Batch>) -> Timestamp {
    let (mut series, mut order, mut ends, mut mint) = (Vec::new(), Vec::new(), Vec::new(), Timestamp::MAX);
    for mut batch in batches {
        series.append(&mut batch.series);
        batch.sort(series.len(), &mut ends, &mut order);
        let mut from = 0;
        for (series, end) in series.iter().zip(&ends) {
            let run = &order[from..*end as usize];
            from = *end as usize;
            mint = mint.min(batch.apply(series, run));
        }
        batch.clear();
        // If there is no room, another one is waiting to be filled already.
        _ = empty.try_send(batch);
    }
    mint
}

impl Batch {
    fn clear(&mut self) {
        self.owners.clear();
        self.times.clear();
        self.values.clear();
        self.others.clear();
        self.numbers = 0;
    }

    /// Orders the changes by their series, those of one series as they came: those of series `i` are at the places
    /// `order[ends[i - 1]..ends[i]]`.
    fn sort(&self, series: usize, ends: &mut Vec<u32>, order: &mut Vec<u32>) {
        ends.clear();
        ends.resize(series + 1, 0);
        for owner in &self.owners {
            ends[(owner & !OTHER) as usize + 1] += 1;
        }
        for i in 0..series {
            ends[i + 1] += ends[i];
        }
        order.clear();
        order.resize(self.owners.len(), 0);
        // `ends[i]` is where the next change of series `i` goes: in the end, where those of series `i` end.
        for (at, owner) in (0..).zip(&self.owners) {
            let next = &mut ends[(owner & !OTHER) as usize];
            order[*next as usize] = at;
            *next += 1;
        }
    }

    /// Makes the changes at the places `run` of a series. Returns the oldest sample that was added.
    fn apply(&self, series: &Series, run: &[u32]) -> Timestamp {
        let mut mint = Timestamp::MAX;
        for at in run.iter().map(|at| *at as usize) {
            let (t, value) = if self.owners[at] & OTHER == 0 {
                (self.times[at], SampleValue::Float(self.values[at]))
            } else {
                match &self.others[usize::try_from(self.times[at]).unwrap_or(usize::MAX)] {
                    Change::Sample(t, value) => (*t, value.clone()),
                    Change::Start(step) => {
                        series.set_start(*step);
                        continue;
                    }
                    Change::ForgetStarts => {
                        series.forget_starts();
                        continue;
                    }
                    Change::Delete(range) => {
                        series.delete(*range);
                        continue;
                    }
                }
            };
            if matches!(series.add(t, value), Admission::InOrder | Admission::OutOfOrder) {
                mint = mint.min(t);
            }
        }
        mint
    }
}

#[cfg(test)]
mod tests {
    use model::{Histogram, Labels, Span};

    use super::*;
    use crate::wal::SeriesRef;

    #[test]
    fn large_histograms_make_small_batches() {
        let positive_spans = vec![Span { offset: 0, length: 10_000 }];
        let positive_buckets = vec![1.0; 10_000];
        let wide = Histogram { count: 10_000.0, positive_spans, positive_buckets, ..Histogram::default() };
        let (wide, count) = (Arc::new(wide), 200);
        let series = Arc::new(Series::new(SeriesRef(1), 0, Labels::empty()));
        thread::scope(|scope| {
            let mut workers = Workers::start(scope, Some(1));
            workers.series(&series);
            for t in 0..count {
                workers.change(0, Change::Sample(t, SampleValue::FloatHistogram(wide.clone())));
                assert!(workers.workers[0].filling.others.len() <= NUMBERS_MAX / 10_000, "{t}");
            }
            assert_eq!(workers.finish(), 0);
        });
        assert_eq!(series.range(), Some(TimeRange { mint: 0, maxt: count - 1 }));
    }
}
