//! The way in: collects the samples of one request, commits them at once, and reports on every one.

use std::sync::Arc;

use model::{Exemplar, Labels, Metadata, ProjectId, Sample, SampleValue, StartRun, Timestamp};

use super::Head;
use super::commit::Admitting;
use super::follow::Follower;
use super::series::Series;
use crate::error::{AppendError, Rejection};
use crate::wal::FamilyMetadata;

/// What a known sender calls a series: a seeded 128-bit hash of its project and its label bytes as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeriesKey(pub u128);

/// A series that samples can be added to.
#[derive(Clone, Debug)]
pub struct SeriesHandle(pub(super) Arc<Series>);

impl SeriesHandle {
    /// The labels of the series.
    pub fn labels(&self) -> &Labels {
        &self.0.labels
    }

    /// The series that follow this one; none unless [`SeriesHandle::lead`] said so. Cost: one load.
    #[inline]
    pub fn followers(&self) -> &[Follower] {
        self.0.followers()
    }

    /// Has `followers` follow this series for as long as the head knows it; a second call changes nothing.
    pub fn lead(&self, followers: Vec<Follower>) {
        self.0.set_followers(followers);
    }
}

/// When the samples of a request may have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendBounds {
    /// How much older than the newest sample of the store.
    pub out_of_order_window_ms: i64,
    /// How far ahead of the clock.
    pub future_ms: i64,
}

/// The samples of one request, not yet part of the store.
#[derive(Debug)]
pub struct Appender<'a> {
    head: &'a Head,
    floats: Vec<(SeriesHandle, Sample)>,
    copies: Vec<(SeriesHandle, Sample)>,
    histogram_copies: Vec<(SeriesHandle, Timestamp, SampleValue)>,
    histograms: Vec<(SeriesHandle, Timestamp, SampleValue)>,
    exemplars: Vec<(SeriesHandle, Exemplar)>,
    starts: Vec<(SeriesHandle, StartRun)>,
    families: Vec<FamilyMetadata>,
    bounds: AppendBounds,
}

/// What can be appended to a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A float sample.
    Float,
    /// A native histogram sample of either kind.
    Histogram,
    /// An exemplar.
    Exemplar,
}

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Float samples.
    pub floats: u64,
    /// Native histogram samples of both kinds.
    pub histograms: u64,
    /// Exemplars.
    pub exemplars: u64,
}

impl Kinds {
    /// Samples: floats and histograms.
    pub fn samples(self) -> u64 {
        self.floats + self.histograms
    }

    /// Samples and exemplars.
    pub fn total(self) -> u64 {
        self.samples() + self.exemplars
    }

    #[inline]
    pub(super) fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Float => self.floats += 1,
            Kind::Histogram => self.histograms += 1,
            Kind::Exemplar => self.exemplars += 1,
        }
    }
}

/// What became of a request's samples and exemplars; every one is counted once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppendReport {
    /// Now in the store, and durable.
    pub written: Kinds,
    /// In the store before, with the same value.
    pub duplicates: Kinds,
    /// Refused, by the order of [`Rejection::ALL`].
    pub refused: [Kinds; Rejection::ALL.len()],
    /// The first that were refused.
    pub examples: Vec<Refused>,
    /// Copies for followers that are in the store now, and those that were refused: no sender sent them.
    pub copies: Copies,
}

/// What became of the copies for followers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// Now in the store, and durable.
    pub written: u64,
    /// Refused, for any reason.
    pub refused: u64,
}

impl AppendReport {
    /// All that were refused.
    pub fn refused_total(&self) -> u64 {
        self.refused.iter().map(|kinds| kinds.total()).sum()
    }
}

/// One refused sample or exemplar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Rejection,
    /// What it is.
    pub kind: Kind,
    /// Of which series.
    pub labels: Labels,
    /// When it was taken.
    pub t: Timestamp,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(head: &'a Head) -> Appender<'a> {
        Appender {
            head,
            floats: Vec::new(),
            copies: Vec::new(),
            histogram_copies: Vec::new(),
            histograms: Vec::new(),
            exemplars: Vec::new(),
            starts: Vec::new(),
            families: Vec::new(),
            bounds: AppendBounds {
                out_of_order_window_ms: head.options.out_of_order_window_ms,
                future_ms: head.options.future_ms,
            },
        }
    }

    /// Holds the request to other bounds of time than the store's.
    pub fn within(mut self, bounds: AppendBounds) -> Appender<'a> {
        self.bounds = bounds;
        self
    }

    /// The series that a sender calls `key`, if it was seen before. Cost: one lookup, no allocation.
    pub fn known(&self, key: SeriesKey) -> Option<SeriesHandle> {
        self.head.senders.get(&key.0).map(|series| SeriesHandle(series.clone()))
    }

    /// The series with `labels`, made if need be, from now on known as `key`.
    ///
    /// When its project has as many series as it may have, it is made at the commit if there is room by then, and else
    /// all that is added to it is refused.
    pub fn series(&mut self, key: SeriesKey, labels: &Labels) -> SeriesHandle {
        match self.head.series(labels) {
            Some(series) => {
                self.head.remember(key, &series);
                SeriesHandle(series)
            }
            None => SeriesHandle(Arc::new(Series::detached(labels.clone()))),
        }
    }

    /// The series with `labels`, made if need be, for a leader to remember; no sender has a name for it.
    pub fn follower(&mut self, labels: &Labels) -> SeriesHandle {
        let found = self.head.series(labels);
        SeriesHandle(found.unwrap_or_else(|| Arc::new(Series::detached(labels.clone()))))
    }

    /// Adds a float sample to the request.
    #[inline]
    pub fn sample(&mut self, series: &SeriesHandle, sample: Sample) {
        self.floats.push((series.clone(), sample));
    }

    /// Adds the follower's copy of a sample that its leader gets.
    #[inline]
    pub fn copy(&mut self, follower: &Follower, sample: Sample) {
        if let Some(copy) = follower.copy_of(sample) {
            self.copies.push((follower.series.clone(), copy));
        }
    }

    /// Adds the follower's copy of a histogram that its leader gets.
    pub fn copy_histogram(&mut self, follower: &Follower, t: Timestamp, value: &SampleValue) {
        if let Some(value) = follower.copy_of_histogram(value) {
            self.histogram_copies.push((follower.series.clone(), t, value));
        }
    }

    /// Adds a sample of any kind to the request. A request's floats are taken before its histograms.
    pub fn value(&mut self, series: &SeriesHandle, t: Timestamp, value: SampleValue) {
        match value {
            SampleValue::Float(v) => self.sample(series, Sample { t, v }),
            histogram => self.histograms.push((series.clone(), t, histogram)),
        }
    }

    /// Adds an exemplar to the request.
    pub fn exemplar(&mut self, series: &SeriesHandle, exemplar: Exemplar) {
        self.exemplars.push((series.clone(), exemplar));
    }

    /// Says that the sample at `from` counts since `start` (0: not known), and so do those that follow it until the
    /// next sample of which something else is said. Saying what is known already costs one look at the series.
    pub fn start(&mut self, series: &SeriesHandle, from: Timestamp, start: Timestamp) {
        self.starts.push((series.clone(), StartRun { from, start }));
    }

    /// Adds a family's metadata to the request.
    pub fn metadata(&mut self, project: &ProjectId, family: &str, metadata: Metadata) {
        self.families.push(FamilyMetadata { project: project.clone(), family: family.to_owned(), metadata });
    }

    /// Writes what can be written and returns once it is durable.
    ///
    /// Errors: the log failed. Nothing is acknowledged; the same request may be sent again and then reports duplicates
    /// only after they are durable.
    pub fn commit(mut self, now: Timestamp) -> Result<AppendReport, AppendError> {
        let head = self.head;
        let mut report = AppendReport::default();
        let position = {
            let mut commit = head.commit.lock();
            let mut admitting = Admitting::start(head, &mut commit, self.bounds, now, &mut report)?;
            // Before the samples: who sees one of those must see since when it counts. The oldest first: what is told of
            // one sample is not what was told of a newer one.
            self.starts.sort_by_key(|(_, run)| run.from);
            for (series, run) in self.starts {
                admitting.start_run(series.0, run);
            }
            for (series, sample) in self.floats {
                admitting.float(series.0, sample);
            }
            for (series, t, value) in self.histograms {
                admitting.histogram(series.0, t, value);
            }
            for (series, exemplar) in self.exemplars {
                admitting.exemplar(series.0, exemplar);
            }
            if !(self.copies.is_empty() && self.histogram_copies.is_empty()) {
                admitting.copies(self.copies, self.histogram_copies);
            }
            admitting.log(&self.families)?
        };
        head.log.wait_durable(position, head)?;
        Ok(report)
    }
}
