//! What waits to be done to the series of one part, in the order of the log.

use std::ops::Range;
use std::sync::Arc;

use disk::Map;
use model::{Sample, SampleValue, StartRun, TimeRange, Timestamp};

use super::super::chunk_files::Gathered;
use super::super::series::{Admission, Held, Series};
use crate::wal::{FloatRecords, Mark, SampleRecord};

/// Series of a part.
pub(super) const PART_LEN: u32 = 4096;
/// Samples that a worker sorts by series at once; or a few more, those of a record. They take 2 MiB.
const SHEET_LEN: usize = 1 << 17;
/// What a histogram takes beside its buckets, spans and bounds, as so many numbers.
const NUMBERS_PER_HISTOGRAM: usize = 32;

/// A change of a series that is no float sample.
pub(super) enum Change {
    Sample(Timestamp, SampleValue),
    Start(StartRun),
    /// What is known of its start timestamps was said of a series that had left the head.
    ForgetStarts,
    Delete(TimeRange),
}

/// Neighbours in a record: so many float samples of as many series in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where in the part the first one is; nothing if they are not of the part.
    pub(super) first: Option<u16>,
    pub(super) len: u32,
}

/// Float samples of a record of the log, to be read where they stand.
pub(super) struct Piece {
    pub(super) segment: Map,
    /// Where the record begins.
    pub(super) offset: u64,
    /// Where in it to begin.
    pub(super) mark: Mark,
    /// Older samples are left out.
    pub(super) before: Timestamp,
    /// How many of the queue's runs, from the mark on, tell whose they are.
    pub(super) runs: usize,
}

/// One step after the other.
enum Step {
    Piece(Piece),
    /// So many of the float samples that are kept in the queue.
    Floats(usize),
    Change(u16, Change),
}

/// Changes of a part's series.
#[derive(Default)]
pub(super) struct Queue {
    /// Series that are new to the part, behind those that it has.
    pub(super) series: Vec<Arc<Series>>,
    steps: Vec<Step>,
    runs: Vec<Run>,
    /// Float samples that do not stay in the log, and whose they are.
    owners: Vec<u16>,
    floats: Vec<Sample>,
}

/// The records that could not be read again.
#[derive(Debug)]
pub(super) struct Unreadable;

impl Change {
    /// The numbers in it, if it is a histogram.
    pub(super) fn numbers(&self) -> usize {
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

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.series.is_empty()
    }

    /// A float sample.
    #[inline]
    pub(super) fn float(&mut self, member: u16, sample: Sample) {
        self.owners.push(member);
        self.floats.push(sample);
        match self.steps.last_mut() {
            Some(Step::Floats(n)) => *n += 1,
            _ => self.steps.push(Step::Floats(1)),
        }
    }

    /// Any other change.
    pub(super) fn change(&mut self, member: u16, change: Change) {
        self.steps.push(Step::Change(member, change));
    }

    /// The next run of the piece that is added next.
    pub(super) fn run(&mut self, run: Run) {
        self.runs.push(run);
    }

    /// Float samples that stay in the log.
    pub(super) fn piece(&mut self, piece: Piece) {
        self.steps.push(Step::Piece(piece));
    }

    /// Does everything to `members`, which has the new series already. Returns the oldest sample that was added.
    pub(super) fn apply(&mut self, members: &[Arc<Series>], sheet: &mut Sheet) -> Result<Timestamp, Unreadable> {
        sheet.begin(members.len());
        let (mut runs, mut floats) = (0, 0);
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Piece(piece) => {
                    let own = runs..runs + piece.runs;
                    runs = own.end;
                    for run in &self.runs[own.clone()] {
                        sheet.expect_run(*run);
                    }
                    sheet.waiting.push(Waiting::Piece(piece, own));
                }
                Step::Floats(n) => {
                    let own = floats..floats + n;
                    floats = own.end;
                    self.owners[own.clone()].iter().for_each(|member| sheet.expect(*member, 1));
                    sheet.waiting.push(Waiting::Floats(own));
                }
                Step::Change(member, change) => {
                    let series = &members[usize::from(member)];
                    // What came before it must be there.
                    if 0 < sheet.expected[usize::from(member)] {
                        self.fill(sheet, members)?;
                    }
                    sheet.change(series, change);
                }
            }
            if SHEET_LEN <= sheet.len {
                self.fill(sheet, members)?;
            }
        }
        self.fill(sheet, members)?;
        self.runs.clear();
        self.owners.clear();
        self.floats.clear();
        Ok(sheet.mint)
    }

    /// Sorts the samples that wait by series and adds them.
    fn fill(&self, sheet: &mut Sheet, members: &[Arc<Series>]) -> Result<(), Unreadable> {
        sheet.lay_out();
        for waiting in std::mem::take(&mut sheet.waiting) {
            match waiting {
                Waiting::Piece(piece, runs) => sheet.write_piece(&piece, &self.runs[runs])?,
                Waiting::Floats(own) => {
                    for at in own {
                        sheet.write(self.owners[at].into(), self.floats[at]);
                    }
                }
            }
        }
        sheet.add_to(members);
        Ok(())
    }
}

/// Float samples of a part's series, one series behind the other: a series gets all its samples in a row.
///
/// Q: Why is this worth a copy? A: between two samples of a series nothing else is touched, and what was right to guess
/// of one sample of it is right for the next: a third of the time.
#[derive(Default)]
pub(super) struct Sheet {
    /// Samples to come, by member.
    expected: Vec<u32>,
    /// Where the samples of each member begin, and where its next one goes.
    starts: Vec<u32>,
    ends: Vec<u32>,
    samples: Vec<Sample>,
    waiting: Vec<Waiting>,
    records: FloatRecords,
    /// Samples that wait.
    len: usize,
    /// The oldest sample that was added.
    mint: Timestamp,
    /// Chunks that became full.
    pub(super) sealed: Gathered,
}

/// Float samples on their way to a sheet.
enum Waiting {
    /// And which of the queue's runs are those of the piece.
    Piece(Piece, Range<usize>),
    /// Which of the queue's floats.
    Floats(Range<usize>),
}

impl Sheet {
    fn begin(&mut self, members: usize) {
        self.expected.clear();
        self.expected.resize(members, 0);
        (self.len, self.mint) = (0, Timestamp::MAX);
    }

    fn expect_run(&mut self, run: Run) {
        if let Some(first) = run.first {
            let first = usize::from(first);
            self.expected[first..first + run.len as usize].iter_mut().for_each(|n| *n += 1);
            self.len += run.len as usize;
        }
    }

    fn expect(&mut self, member: u16, n: u32) {
        self.expected[usize::from(member)] += n;
        self.len += n as usize;
    }

    /// Makes room for the samples that are expected.
    fn lay_out(&mut self) {
        let mut next = 0;
        self.starts.clear();
        for n in &mut self.expected {
            self.starts.push(next);
            next += std::mem::take(n);
        }
        self.ends.clone_from(&self.starts);
        self.samples.resize(self.len, Sample { t: 0, v: 0.0 });
        self.len = 0;
    }

    #[inline]
    fn write(&mut self, member: usize, sample: Sample) {
        let at = self.ends[member] as usize;
        self.ends[member] += 1;
        self.samples[at] = sample;
    }

    fn write_piece(&mut self, piece: &Piece, runs: &[Run]) -> Result<(), Unreadable> {
        let mut records = std::mem::take(&mut self.records);
        let written = records.at(&piece.segment, piece.offset, piece.mark, |floats| {
            for run in runs {
                for i in 0..run.len as usize {
                    let SampleRecord { sample, .. } = floats.take()?;
                    if let Some(first) = run.first
                        && piece.before <= sample.t
                    {
                        self.write(usize::from(first) + i, sample);
                    }
                }
            }
            Some(())
        });
        self.records = records;
        written.ok_or(Unreadable)
    }

    fn add_to(&mut self, members: &[Arc<Series>]) {
        let Sheet { starts, ends, samples, mint, sealed, .. } = self;
        for ((series, start), end) in members.iter().zip(starts).zip(ends) {
            let own = *start as usize..*end as usize;
            if !own.is_empty() {
                let oldest = with(series, sealed, |held| held.add_floats(&samples[own]));
                *mint = (*mint).min(oldest.unwrap_or(Timestamp::MAX));
            }
        }
    }

    fn change(&mut self, series: &Arc<Series>, change: Change) {
        let Sheet { sealed, mint, .. } = self;
        with(series, sealed, |held| match change {
            Change::Sample(t, value) => {
                if matches!(held.add(t, value), Admission::InOrder | Admission::OutOfOrder) {
                    *mint = (*mint).min(t);
                }
            }
            Change::Start(step) => held.set_start(step),
            Change::ForgetStarts => held.forget_starts(),
            Change::Delete(range) => _ = held.delete(range),
        });
    }
}

/// Changes a series, and notes the chunks that became full meanwhile.
fn with<T>(series: &Arc<Series>, sealed: &mut Gathered, change: impl FnOnce(&mut Held<'_>) -> T) -> T {
    let mut held = series.hold();
    let before = held.sealed().len();
    let changed = change(&mut held);
    held.sealed().iter().skip(before).for_each(|chunk| sealed.add(series, chunk));
    changed
}
