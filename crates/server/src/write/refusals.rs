//! What one write did not store, and the short text that tells its sender.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use model::{Labels, ProjectIdError, Timestamp};
use tsdb::{AppendReport, Rejection};
use wire::remote_write::TimeSeries;
use wire::{ExemplarFault, HistogramFault, LabelError};

/// Examples shown; with [`SERIES_CHARS_MAX`] they fit the first KiB of the answer, which is what senders log.
const EXAMPLES_MAX: usize = 5;
/// Characters shown of one series.
const SERIES_CHARS_MAX: usize = 110;

/// Reasons of refusals beside those of the store, as metrics name them.
const INVALID_LABELS: &str = "invalid_labels";
const INVALID_PROJECT: &str = "invalid_project";
const INVALID_HISTOGRAM: &str = "invalid_histogram";
const INVALID_EXEMPLAR: &str = "invalid_exemplar";

/// Why a whole series was refused.
pub(super) enum Cause {
    /// Its labels are unacceptable.
    Labels(LabelError),
    /// An operator wrote an owner that can be no project.
    Project(ProjectIdError),
}

impl From<LabelError> for Cause {
    fn from(error: LabelError) -> Cause {
        Cause::Labels(error)
    }
}

impl From<ProjectIdError> for Cause {
    fn from(error: ProjectIdError) -> Cause {
        Cause::Project(error)
    }
}

/// Samples, histograms and exemplars of one request that were not stored: counts by reason and the first few examples.
#[derive(Debug)]
pub(crate) struct Refusals {
    sent: usize,
    counts: BTreeMap<&'static str, u64>,
    examples: Vec<String>,
    has_reached_limit: bool,
}

impl Refusals {
    /// Nothing refused yet of `sent` samples, histograms and exemplars.
    pub(super) fn new(sent: usize) -> Refusals {
        Refusals { sent, counts: BTreeMap::new(), examples: Vec::new(), has_reached_limit: false }
    }

    /// Whether some of it may be taken when it comes again later.
    pub(super) fn has_reached_limit(&self) -> bool {
        self.has_reached_limit
    }

    /// Whether everything was stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many for which reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.counts.iter().map(|(reason, n)| (*reason, *n))
    }

    /// A series refused with all it holds; one without samples still counts as one.
    pub(super) fn add_series(&mut self, cause: Cause, series: &TimeSeries<'_>) {
        let n = series.samples().len() + series.n_histograms() + series.n_exemplars();
        let t = series.samples().next().map(|sample| sample.t);
        let (reason, name, why) = match cause {
            Cause::Labels(error) => (INVALID_LABELS, error.series, error.fault.to_string()),
            Cause::Project(error) => (INVALID_PROJECT, String::new(), error.to_string()),
        };
        self.count(reason, n.max(1));
        self.example(reason, &name, t, &why);
    }

    /// One native histogram of a series whose other samples are kept.
    pub(super) fn add_histogram(&mut self, fault: &HistogramFault, labels: &Labels) {
        self.count(INVALID_HISTOGRAM, 1);
        self.example(INVALID_HISTOGRAM, &labels.to_string(), None, &fault.to_string());
    }

    /// One exemplar of a series whose samples are kept.
    pub(super) fn add_exemplar(&mut self, fault: &ExemplarFault, labels: &Labels) {
        self.count(INVALID_EXEMPLAR, 1);
        self.example(INVALID_EXEMPLAR, &labels.to_string(), None, &fault.to_string());
    }

    /// What the store refused.
    pub(super) fn add_report(&mut self, report: &AppendReport) {
        for (rejection, n) in Rejection::ALL.into_iter().zip(report.refused) {
            if n.total() > 0 {
                *self.counts.entry(rejection.name()).or_default() += n.total();
                self.has_reached_limit |= rejection == Rejection::SeriesLimit;
            }
        }
        for refused in &report.examples {
            let name = refused.labels.to_string();
            self.example(refused.reason.name(), &name, Some(refused.t), &refused.reason.to_string());
        }
    }

    fn count(&mut self, reason: &'static str, n: usize) {
        *self.counts.entry(reason).or_default() += n as u64;
    }

    fn example(&mut self, reason: &str, series: &str, t: Option<Timestamp>, why: &str) {
        if self.examples.len() == EXAMPLES_MAX {
            return;
        }
        let mut line = String::new();
        // The reason of the store starts with its own name.
        if !why.starts_with(reason) {
            push(&mut line, reason);
            line.push_str(": ");
        }
        push_escaped(&mut line, why);
        if !series.is_empty() {
            line.push_str(": ");
            push_escaped(&mut line, series);
        }
        if let Some(t) = t {
            push(&mut line, format_args!(" at {t}"));
        }
        self.examples.push(line);
    }
}

impl fmt::Display for Refusals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.counts.values().sum();
        write!(f, "refused {refused} of {} samples and exemplars, the others are stored:", self.sent)?;
        for (at, (reason, n)) in self.counts.iter().enumerate() {
            write!(f, "{} {reason} {n}", if at == 0 { "" } else { "," })?;
        }
        for example in &self.examples {
            write!(f, "\n{example}")?;
        }
        Ok(())
    }
}

fn push(line: &mut String, text: impl fmt::Display) {
    // Writing into a string cannot fail.
    let _ = write!(line, "{text}");
}

/// Adds `text` cut to its bound, its control characters made visible, so that no log line can be forged by a label.
fn push_escaped(line: &mut String, text: &str) {
    for (at, c) in text.chars().enumerate() {
        if at == SERIES_CHARS_MAX {
            line.push_str("...");
            return;
        }
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
}
