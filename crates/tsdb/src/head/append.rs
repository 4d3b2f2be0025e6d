//! A commit: collect the samples of one request, then validate, apply, log once and wait until they are durable.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use model::{Labels, Metadata, ProjectId, Sample, Timestamp};

use super::series::{Admission, Series};
use super::{Commit, Head, HeadIndex, SENDERS_PER_SERIES_MAX};
use crate::error::{AppendError, Rejection};
use crate::options::BLOCK_MS;
use crate::wal::{FamilyMetadata, SampleRecord};

/// Refused samples that a report quotes.
const REFUSED_QUOTED_MAX: usize = 5;

/// What a known sender calls a series: a seeded 128-bit hash of its project and its label bytes as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey(pub u128);

/// A series that samples can be added to.
#[derive(Clone, Debug)]
pub struct SeriesHandle(Arc<Series>);

impl SeriesHandle {
    /// The labels of the series.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }
}

/// The samples of one request, not yet part of the store.
#[derive(Debug)]
pub struct Appender<'a> {
    head: &'a Head,
    samples: Vec<(SeriesHandle, Sample)>,
    families: Vec<FamilyMetadata>,
}

/// What became of a request's samples; every one is counted once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppendReport {
    /// Now in the store, and durable.
    pub written: u64,
    /// In the store before, with the same value.
    pub duplicates: u64,
    /// Refused, by the order of [`Rejection::ALL`].
    pub refused: [u64; 3],
    /// The first refused samples.
    pub examples: Vec<Refused>,
}

impl AppendReport {
    /// All refused samples.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().sum()
    }
}

/// One refused sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// Why.
    pub reason: Rejection,
    /// Of which series.
    pub labels: Labels,
    /// The sample.
    pub sample: Sample,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(head: &'a Head) -> Appender<'a> {
        Appender { head, samples: Vec::new(), families: Vec::new() }
    }

    /// The series that a sender calls `key`, if it was seen before. Cost: one lookup, no allocation.
    pub fn known(&self, key: SeriesKey) -> Option<SeriesHandle> {
        self.head.senders.get(&key.0).map(|series| SeriesHandle(series.clone()))
    }

    /// The series with `labels`, made if need be, from now on known as `key`.
    pub fn series(&mut self, key: SeriesKey, labels: &Labels) -> SeriesHandle {
        let series = self.head.series(labels);
        self.head.remember(key, &series);
        SeriesHandle(series)
    }

    /// Adds a sample to the request.
    pub fn sample(&mut self, series: &SeriesHandle, sample: Sample) {
        self.samples.push((series.clone(), sample));
    }

    /// Adds a family's metadata to the request.
    pub fn metadata(&mut self, project: &ProjectId, family: &str, metadata: Metadata) {
        self.families.push(FamilyMetadata { project: project.clone(), family: family.to_owned(), metadata });
    }

    /// Writes what can be written and returns once it is durable.
    ///
    /// Errors: the log failed. Nothing is acknowledged; the same request may be sent again and then reports duplicates
    /// only after they are durable.
    pub fn commit(self, now: Timestamp) -> Result<AppendReport, AppendError> {
        let head = self.head;
        let mut report = AppendReport::default();
        let position = {
            let mut commit = head.commit.lock();
            let segment = head.log.ready()?;
            let bounds = Bounds::new(head, now);
            commit.start();
            for (series, sample) in self.samples {
                head.admit(&mut commit, segment, bounds, series.0, sample, &mut report);
            }
            head.log_commit(&mut commit, &self.families)?
        };
        head.log.wait_durable(position)?;
        Ok(report)
    }
}

/// Between which times samples are taken.
#[derive(Clone, Copy)]
struct Bounds {
    latest: Timestamp,
    window_ms: i64,
}

impl Bounds {
    fn new(head: &Head, now: Timestamp) -> Bounds {
        // A block ends before the time it names as its end, so the last possible one fits into none.
        let latest = now.saturating_add(head.options.future_ms).min(Timestamp::MAX - 1);
        Bounds { latest, window_ms: head.options.out_of_order_window_ms }
    }
}

impl Commit {
    fn start(&mut self) {
        self.accepted.clear();
        self.described.clear();
    }
}

impl Head {
    fn remember(&self, key: SeriesKey, series: &Arc<Series>) {
        let series_max = self.with_index(HeadIndex::len).saturating_add(1024);
        if self.senders.len() > series_max.saturating_mul(SENDERS_PER_SERIES_MAX) {
            self.senders.clear();
        }
        self.senders.insert(key.0, series.clone());
    }

    /// Decides on one sample and adds it to its series if it is taken.
    fn admit(
        &self,
        commit: &mut Commit,
        segment: u64,
        bounds: Bounds,
        mut series: Arc<Series>,
        sample: Sample,
        report: &mut AppendReport,
    ) {
        let maxt = self.counts.maxt.load(Relaxed);
        let mut refuse = |reason: Rejection, series: &Series| {
            report.refused[reason as usize] += 1;
            self.counts.refused[reason as usize].fetch_add(1, Relaxed);
            if report.examples.len() < REFUSED_QUOTED_MAX {
                report.examples.push(Refused { reason, labels: series.labels.clone(), sample });
            }
        };
        if bounds.latest < sample.t {
            return refuse(Rejection::TooFarInFuture, &series);
        }
        if maxt != Timestamp::MIN && sample.t < maxt.saturating_sub(bounds.window_ms) {
            return refuse(Rejection::TooOld, &series);
        }
        let mut admission = series.add(sample, BLOCK_MS);
        if admission == Admission::Gone {
            // Retired between lookup and commit; no series is retired while a commit runs, so this ends the matter.
            series = self.series(&series.labels);
            admission = series.add(sample, BLOCK_MS);
        }
        match admission {
            Admission::InOrder => {}
            Admission::OutOfOrder => drop(self.counts.out_of_order.fetch_add(1, Relaxed)),
            Admission::Duplicate => {
                report.duplicates += 1;
                self.counts.duplicates.fetch_add(1, Relaxed);
                return;
            }
            Admission::Conflict | Admission::Gone => return refuse(Rejection::DuplicateConflict, &series),
        }
        report.written += 1;
        commit.accepted.push(SampleRecord { series: series.id, sample });
        if series.mark_logged(segment) {
            commit.described.push(series);
        }
        if maxt < sample.t {
            self.counts.maxt.store(sample.t, Relaxed);
        }
        for oldest in [&self.counts.mint, &self.counts.mint_added] {
            if sample.t < oldest.load(Relaxed) {
                oldest.store(sample.t, Relaxed);
            }
        }
    }

    /// Hands a commit to the log. Returns the position to wait for, which covers earlier commits too: a duplicate is
    /// acknowledged only when the sample that it repeats is durable.
    fn log_commit(&self, commit: &mut Commit, families: &[FamilyMetadata]) -> Result<u64, AppendError> {
        let news: Vec<&FamilyMetadata> = match families {
            [] => Vec::new(),
            told => {
                let mut known = self.families.write();
                told.iter().filter(|family| known.set(family)).collect()
            }
        };
        let Commit { records, accepted, described } = commit;
        records.clear();
        records.metadata(news);
        records.series(described.iter().map(|s| (s.id, &s.labels)));
        records.samples(accepted.iter().copied());
        if records.is_empty() {
            return Ok(self.log.position());
        }
        self.counts.written.fetch_add(accepted.len() as u64, Relaxed);
        let maxt = accepted.iter().map(|s| s.sample.t).max().unwrap_or(Timestamp::MIN);
        Ok(self.log.append(records, maxt)?)
    }
}
