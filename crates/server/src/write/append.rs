//! From a parsed request to one commit: every series checked on its own, what is good of each handed to the store.

use std::hash::BuildHasher;

use control::EndpointView;
use model::{Labels, LabelsBuilder, PROJECT_LABEL, ProjectId};
use tsdb::{Appender, Follower, Kinds, SeriesHandle, SeriesKey};
use wire::remote_write::{TimeSeries, WriteRequest};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::answer::Stored;
use super::refusals::{Cause, Refusals};
use crate::error::ApiError;
use crate::mapping::Mapping;
use crate::state::App;

/// Stores what can be stored of `request`, whose series are `project`'s or name their own; blocking, until it is on disk.
pub(super) fn append(
    app: &App,
    appender: Appender<'_>,
    project: Option<&ProjectId>,
    request: &WriteRequest<'_>,
) -> Result<Stored, ApiError> {
    let endpoints = app.endpoints().view();
    let mut batch = Batch {
        appender,
        project,
        seed: app.writes().seeds.hash_one((project.map(ProjectId::as_str), endpoints.generation())),
        mapping: app.mapping(),
        endpoints,
        stamps: project.is_some() || app.config().stamps_default_project,
        raw_labels: Vec::new(),
        labels: LabelsBuilder::default(),
        refusals: Refusals::new(request.n_samples() + request.n_histograms() + request.n_exemplars()),
    };
    for series in request.series() {
        batch.add(&series);
    }
    let Batch { mut appender, mut refusals, .. } = batch;
    let default_project = ProjectId::default_project();
    let owner = project.unwrap_or(&default_project);
    for family in request.metadata() {
        appender.metadata(owner, &family.family, family.to_metadata());
    }
    let report = appender.commit(crate::clock::now_ms())?;
    refusals.add_report(&report);
    app.metrics().ingest.count(&report, &refusals);
    let (new, known) = (report.written, report.duplicates);
    let written = Kinds {
        floats: new.floats + known.floats,
        histograms: new.histograms + known.histograms,
        exemplars: new.exemplars + known.exemplars,
    };
    Ok(Stored { written, refusals })
}

/// The series of one request on their way into the store.
struct Batch<'a> {
    appender: Appender<'a>,
    /// The owner of all of them; an operator's series name their own.
    project: Option<&'a ProjectId>,
    /// Whether a series gets an owner if it has none.
    stamps: bool,
    /// Tells the keys of this owner's series from those of others; other endpoints make other labels, and so other keys.
    seed: u64,
    mapping: &'a Mapping,
    endpoints: EndpointView,
    /// Kept from series to series for their memory.
    raw_labels: Vec<u8>,
    labels: LabelsBuilder,
    refusals: Refusals,
}

impl Batch<'_> {
    /// Adds what is good of one series and leaves the others alone whatever it is.
    fn add(&mut self, series: &TimeSeries<'_>) {
        let handle = match self.handle(series) {
            Ok(Some(handle)) => handle,
            Ok(None) => return,
            Err(cause) => return self.refusals.add_series(cause, series),
        };
        for sample in series.samples() {
            self.appender.sample(&handle, sample);
        }
        for follower in handle.followers() {
            series.samples().for_each(|sample| self.appender.copy(follower, sample));
        }
        for histogram in series.histograms() {
            match histogram {
                Ok((t, value)) => {
                    for follower in handle.followers() {
                        self.appender.copy_histogram(follower, t, &value);
                    }
                    self.appender.value(&handle, t, value);
                }
                Err(fault) => self.refusals.add_histogram(&fault, handle.labels()),
            }
        }
        for run in series.starts() {
            self.appender.start(&handle, run.from, run.start);
        }
        for exemplar in series.exemplars() {
            match exemplar {
                Ok(exemplar) => self.appender.exemplar(&handle, exemplar),
                Err(fault) => self.refusals.add_exemplar(&fault, handle.labels()),
            }
        }
    }

    /// The series in the store; none for a series that brings nothing but its labels.
    fn handle(&mut self, series: &TimeSeries<'_>) -> Result<Option<SeriesHandle>, Cause> {
        let key = SeriesKey(xxh3_128_with_seed(series.raw_labels(&mut self.raw_labels), self.seed));
        if let Some(handle) = self.appender.known(key) {
            return Ok(Some(handle));
        }
        series.labels(&mut self.labels)?;
        if self.stamps {
            model::stamp_project(&mut self.labels, self.project)?;
        }
        let is_empty = series.samples().len() == 0 && !series.has_histograms() && series.n_exemplars() == 0;
        if is_empty {
            return Ok(None);
        }
        self.mapping.identify(&mut self.labels, &self.endpoints);
        let labels = self.labels.build();
        let handle = self.appender.series(key, &labels);
        if handle.followers().is_empty() {
            self.lead(&handle, &labels);
        }
        Ok(Some(handle))
    }

    /// Finds the copies of a series that was never seen before, and remembers them beside it.
    fn lead(&mut self, handle: &SeriesHandle, labels: &Labels) {
        let mut followers = Vec::new();
        for copy in self.mapping.copies(labels) {
            if let Some((family, metadata)) = copy.family
                && let Some(project) = labels.get(PROJECT_LABEL).and_then(|id| ProjectId::parse(id).ok())
            {
                self.appender.metadata(&project, &family, metadata);
            }
            let series = self.appender.follower(&copy.labels);
            followers.push(Follower { series, factor: copy.factor, closed: copy.closed });
        }
        if !followers.is_empty() {
            handle.lead(followers);
        }
    }
}
