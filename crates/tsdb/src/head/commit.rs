//! A commit: decides on each sample of a request, applies what is taken, and hands it to the log once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use disk::DiskError;
use model::{Exemplar, Matcher, Sample, SampleValue, StartRun, TimeRange, Timestamp};

use super::append::{AppendBounds, AppendReport, Copies, Kind, Refused, SeriesHandle, SeriesKey};
use super::series::{Admission, Series};
use super::{Head, HeadIndex, SENDERS_PER_SERIES_MAX};
use crate::error::{AppendError, Rejection};
use crate::wal::{
    ExemplarRecord, FamilyMetadata, HistogramRecord, Log, Records, SampleRecord, StartRecord, TombstoneRecord,
};

/// Refused samples that a report quotes.
const REFUSED_QUOTED_MAX: usize = 5;

/// Memory that commits use again.
#[derive(Debug, Default)]
pub(super) struct Commit {
    records: Records,
    floats: Vec<SampleRecord>,
    histograms: Vec<HistogramRecord>,
    exemplars: Vec<ExemplarRecord>,
    starts: Vec<StartRecord>,
    tombstones: Vec<TombstoneRecord>,
    described: Vec<Arc<Series>>,
}

impl Commit {
    /// Forgets what was logged.
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.floats.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.starts.clear();
        self.tombstones.clear();
        self.described.clear();
    }

    /// Has the log describe the series, and since when its samples count, unless its current segment does.
    #[inline]
    fn describe(&mut self, series: Arc<Series>, segment: u64) {
        if series.mark_logged(segment) {
            if let Some(StartRun { from, start }) = series.last_start() {
                self.starts.push(StartRecord { series: series.id, from, start });
            }
            self.described.push(series);
        }
    }

    /// Has the log say that what the series that satisfy one of `sets` have inside `range` is deleted.
    pub(super) fn note_deletion(&mut self, sets: &[Vec<Matcher>], range: TimeRange) {
        self.records.deletion(sets, range);
    }

    /// Has the log say what was deleted of `series`.
    pub(super) fn note_deleted(&mut self, series: &Arc<Series>, segment: u64, tombstone: TombstoneRecord) {
        self.describe(series.clone(), segment);
        self.tombstones.push(tombstone);
    }

    /// Hands what was collected to the log; it has no sample newer than `maxt`. Returns the position to wait for, which
    /// covers earlier commits too.
    pub(super) fn log(&mut self, log: &Log, maxt: Timestamp) -> Result<u64, Arc<DiskError>> {
        let Commit { records, floats, histograms, exemplars, starts, tombstones, described } = self;
        records.series(described.iter().map(|s| (s.id, &s.labels)));
        records.starts(starts.iter().copied());
        records.samples(floats.iter().copied());
        records.histograms(histograms);
        records.exemplars(&*exemplars);
        records.tombstones(tombstones.iter().copied());
        if records.is_empty() { Ok(log.position()) } else { log.append(records, maxt) }
    }
}

/// A commit in progress, under its lock.
pub(super) struct Admitting<'a> {
    head: &'a Head,
    commit: &'a mut Commit,
    report: &'a mut AppendReport,
    /// The log segment that the commit goes to.
    segment: u64,
    /// Newer ones are refused.
    latest: Timestamp,
    /// So much older ones than the newest of the store are refused.
    window_ms: i64,
    /// Newest of what is taken.
    maxt: Timestamp,
}

impl<'a> Admitting<'a> {
    /// Errors: the log takes nothing now, and nothing was changed.
    pub(super) fn start(
        head: &'a Head,
        commit: &'a mut Commit,
        bounds: AppendBounds,
        now: Timestamp,
        report: &'a mut AppendReport,
    ) -> Result<Admitting<'a>, AppendError> {
        let segment = head.log.ready()?;
        // A block ends before the time it names as its end, so the last possible one fits into none.
        let latest = now.saturating_add(bounds.future_ms).min(Timestamp::MAX - 1);
        commit.clear();
        let window_ms = bounds.out_of_order_window_ms;
        Ok(Admitting { head, commit, report, segment, latest, window_ms, maxt: Timestamp::MIN })
    }

    /// Decides on a float sample.
    #[inline]
    pub(super) fn float(&mut self, series: Arc<Series>, sample: Sample) {
        if let Some(series) = self.admit(Kind::Float, series, sample.t, SampleValue::Float(sample.v)) {
            self.commit.floats.push(SampleRecord { series: series.id, sample });
            self.describe(series);
        }
    }

    /// Decides on a histogram sample.
    pub(super) fn histogram(&mut self, series: Arc<Series>, t: Timestamp, value: SampleValue) {
        if let Some(series) = self.admit(Kind::Histogram, series, t, value.clone()) {
            self.commit.histograms.push(HistogramRecord { series: series.id, t, value });
            self.describe(series);
        }
    }

    /// Decides on the copies for followers; they are told apart from what was sent.
    #[cold]
    pub(super) fn copies(
        &mut self,
        floats: Vec<(SeriesHandle, Sample)>,
        histograms: Vec<(SeriesHandle, Timestamp, SampleValue)>,
    ) {
        let sent = std::mem::take(self.report);
        for (series, sample) in floats {
            self.float(series.0, sample);
        }
        for (series, t, value) in histograms {
            self.histogram(series.0, t, value);
        }
        let of_copies = std::mem::replace(self.report, sent);
        // They are samples of the head as any other, and counted there.
        self.head.counts.floats.fetch_add(of_copies.written.floats, Relaxed);
        self.head.counts.histograms.fetch_add(of_copies.written.histograms, Relaxed);
        self.report.copies = Copies { written: of_copies.written.samples(), refused: of_copies.refused_total() };
    }

    /// Takes notice of a start timestamp, if it says something new of a sample that would be taken.
    pub(super) fn start_run(&mut self, series: Arc<Series>, told: StartRun) {
        if self.out_of_bounds(told.from).is_some() {
            return;
        }
        let series = if series.is_gone() { self.head.series(&series.labels) } else { Some(series) };
        let Some(series) = series else { return };
        // With the last step of before: samples between that one and this one need it in the same segment.
        self.describe(series.clone());
        let record = |step: StartRun| StartRecord { series: series.id, from: step.from, start: step.start };
        self.commit.starts.extend(series.tell_start(told).into_iter().flatten().map(record));
    }

    /// Decides on an exemplar.
    pub(super) fn exemplar(&mut self, series: Arc<Series>, exemplar: Exemplar) {
        if let Some(reason) = self.out_of_bounds(exemplar.t) {
            return self.refuse(reason, Kind::Exemplar, &series, exemplar.t);
        }
        let found = if series.is_gone() { self.head.series(&series.labels) } else { Some(series.clone()) };
        let Some(series) = found else {
            return self.refuse(Rejection::SeriesLimit, Kind::Exemplar, &series, exemplar.t);
        };
        if !self.head.exemplars.write().add(&series, &exemplar) {
            return self.report.duplicates.count(Kind::Exemplar);
        }
        self.report.written.count(Kind::Exemplar);
        self.commit.exemplars.push(ExemplarRecord { series: series.id, exemplar });
        self.describe(series);
    }

    /// Decides on one sample and adds it to its series if it is taken; then returns the series.
    #[inline]
    fn admit(&mut self, kind: Kind, mut series: Arc<Series>, t: Timestamp, value: SampleValue) -> Option<Arc<Series>> {
        let counts = &self.head.counts;
        if let Some(reason) = self.out_of_bounds(t) {
            self.refuse(reason, kind, &series, t);
            return None;
        }
        let mut admission = series.add(t, value.clone());
        if admission == Admission::Gone {
            // Retired between lookup and commit, or never made; no series is retired while a commit runs.
            let Some(found) = self.head.series(&series.labels) else {
                self.refuse(Rejection::SeriesLimit, kind, &series, t);
                return None;
            };
            series = found;
            admission = series.add(t, value);
        }
        match admission {
            Admission::InOrder => {}
            Admission::OutOfOrder => drop(counts.out_of_order.fetch_add(1, Relaxed)),
            Admission::Duplicate => {
                self.report.duplicates.count(kind);
                return None;
            }
            Admission::Conflict | Admission::Gone => {
                self.refuse(Rejection::DuplicateConflict, kind, &series, t);
                return None;
            }
        }
        self.report.written.count(kind);
        self.maxt = self.maxt.max(t);
        if counts.maxt.load(Relaxed) < t {
            counts.maxt.store(t, Relaxed);
        }
        for oldest in [&counts.mint, &counts.mint_added] {
            if t < oldest.load(Relaxed) {
                oldest.store(t, Relaxed);
            }
        }
        Some(series)
    }

    /// Why nothing is taken at `t`, if so.
    #[inline]
    fn out_of_bounds(&self, t: Timestamp) -> Option<Rejection> {
        if self.latest < t {
            return Some(Rejection::TooFarInFuture);
        }
        let maxt = self.head.counts.maxt.load(Relaxed);
        let oldest = maxt.saturating_sub(self.window_ms);
        (maxt != Timestamp::MIN && t < oldest).then_some(Rejection::TooOld)
    }

    #[cold]
    fn refuse(&mut self, reason: Rejection, kind: Kind, series: &Series, t: Timestamp) {
        self.report.refused[reason as usize].count(kind);
        if self.report.examples.len() < REFUSED_QUOTED_MAX {
            self.report.examples.push(Refused { reason, kind, labels: series.labels.clone(), t });
        }
    }

    #[inline]
    fn describe(&mut self, series: Arc<Series>) {
        self.commit.describe(series, self.segment);
    }

    /// Hands the commit to the log. Returns the position to wait for, which covers earlier commits too: a duplicate is
    /// acknowledged only when the sample that it repeats is durable.
    pub(super) fn log(self, families: &[FamilyMetadata]) -> Result<u64, AppendError> {
        let Admitting { head, commit, report, maxt, .. } = self;
        head.counts.add(report);
        if !families.is_empty() {
            let mut known = head.families.write();
            commit.records.metadata(families.iter().filter(|family| known.set(family)));
        }
        Ok(commit.log(&head.log, maxt)?)
    }
}

impl Head {
    /// Notes what a sender calls a series.
    pub(super) fn remember(&self, key: SeriesKey, series: &Arc<Series>) {
        let series_max = self.with_index(HeadIndex::len).saturating_add(1024);
        if self.senders.len() > series_max.saturating_mul(SENDERS_PER_SERIES_MAX) {
            self.senders.clear();
        }
        self.senders.insert(key.0, series.clone());
    }
}
