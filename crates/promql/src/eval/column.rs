//! Values over a grid: one column for each series, the staleness marker where there is none.

use std::sync::Arc;

use model::{Histogram, Labels, LabelsBuilder, METRIC_NAME, STALE_NAN, is_stale};

/// The label that holds a metric's type, where senders write it.
pub(crate) const TYPE_LABEL: &str = "__type__";

/// The label that holds a metric's unit, where senders write it.
const UNIT_LABEL: &str = "__unit__";

/// One series' points over a grid.
///
/// Invariant: `floats` has one entry for each step, and so has `histograms` if it is there; where a histogram stands,
/// `floats` holds the staleness marker. Nothing that evaluation computes carries the marker's bits, so it can say
/// "absent".
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) floats: Vec<f64>,
    pub(crate) histograms: Option<Vec<Option<Arc<Histogram>>>>,
}

/// One point of a column.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PointRef<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Column {
    /// A column of `len` absent points.
    pub(crate) fn absent(len: usize) -> Column {
        Column { floats: vec![STALE_NAN; len], histograms: None }
    }

    /// Makes the column `len` absent points long, keeping its memory.
    pub(crate) fn reset(&mut self, len: usize) {
        self.floats.clear();
        self.floats.resize(len, STALE_NAN);
        self.histograms = None;
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    #[inline]
    pub(crate) fn get(&self, step_idx: usize) -> Option<PointRef<'_>> {
        let float = self.floats[step_idx];
        if !is_stale(float) {
            return Some(PointRef::Float(float));
        }
        self.histogram(step_idx).map(PointRef::Histogram)
    }

    #[inline]
    pub(crate) fn histogram(&self, step_idx: usize) -> Option<&Arc<Histogram>> {
        self.histograms.as_ref().and_then(|histograms| histograms[step_idx].as_ref())
    }

    #[inline]
    pub(crate) fn has(&self, step_idx: usize) -> bool {
        !is_stale(self.floats[step_idx]) || self.histogram(step_idx).is_some()
    }

    /// Whether no point is there.
    pub(crate) fn is_void(&self) -> bool {
        self.floats.iter().all(|float| is_stale(*float))
            && self.histograms.as_ref().is_none_or(|histograms| histograms.iter().all(Option::is_none))
    }

    pub(crate) fn set_histogram(&mut self, step_idx: usize, histogram: Arc<Histogram>) {
        let len = self.len();
        self.floats[step_idx] = STALE_NAN;
        self.histograms.get_or_insert_with(|| vec![None; len])[step_idx] = Some(histogram);
    }

    pub(crate) fn set(&mut self, step_idx: usize, point: PointRef<'_>) {
        match point {
            PointRef::Float(float) => self.floats[step_idx] = float,
            PointRef::Histogram(histogram) => self.set_histogram(step_idx, histogram.clone()),
        }
    }

    /// Takes the point away.
    pub(crate) fn unset(&mut self, step_idx: usize) {
        self.floats[step_idx] = STALE_NAN;
        if let Some(histograms) = &mut self.histograms {
            histograms[step_idx] = None;
        }
    }

    /// Forgets all histograms.
    pub(crate) fn drop_histograms(&mut self) {
        self.histograms = None;
    }

    /// Repeats the only point `len` times.
    pub(crate) fn repeat(self, len: usize) -> Column {
        let histograms = self.histograms.and_then(|mut only| only.pop()).map(|only| vec![only; len]);
        Column { floats: vec![self.floats[0]; len], histograms }
    }
}

/// A series of a vector.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    pub(crate) column: Column,
    /// Whether the metric name is to be dropped in the end; only where names are dropped late.
    pub(crate) nameless: bool,
}

impl Series {
    pub(crate) fn new(labels: Labels, column: Column) -> Series {
        Series { labels, column, nameless: false }
    }
}

/// A scalar over a grid.
#[derive(Clone, Debug)]
pub(crate) enum ScalarColumn {
    Constant(f64),
    Steps(Vec<f64>),
}

impl ScalarColumn {
    #[inline]
    pub(crate) fn at(&self, step_idx: usize) -> f64 {
        match self {
            ScalarColumn::Constant(value) => *value,
            ScalarColumn::Steps(values) => values[step_idx],
        }
    }

    pub(crate) fn map(self, f: impl Fn(f64) -> f64) -> ScalarColumn {
        match self {
            ScalarColumn::Constant(value) => ScalarColumn::Constant(f(value)),
            ScalarColumn::Steps(values) => ScalarColumn::Steps(values.into_iter().map(f).collect()),
        }
    }

    pub(crate) fn zip(self, other: &ScalarColumn, len: usize, f: impl Fn(f64, f64) -> f64) -> ScalarColumn {
        match (self, other) {
            (ScalarColumn::Constant(a), ScalarColumn::Constant(b)) => ScalarColumn::Constant(f(a, *b)),
            (a, b) => ScalarColumn::Steps((0..len).map(|i| f(a.at(i), b.at(i))).collect()),
        }
    }
}

/// The labels that say what a value is, and that go when it no longer is that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Naming {
    /// Whether the labels of type and unit are among them, beside the metric name.
    pub(crate) type_and_unit: bool,
}

impl Naming {
    #[inline]
    pub(crate) fn holds(self, name: &str) -> bool {
        name == METRIC_NAME || (self.type_and_unit && (name == TYPE_LABEL || name == UNIT_LABEL))
    }

    /// `labels` without those.
    pub(crate) fn strip(self, labels: &Labels, buf: &mut String) -> Labels {
        if !labels.iter().any(|(name, _)| self.holds(name)) {
            return labels.clone();
        }
        Labels::from_sorted(labels.iter().filter(|(name, _)| !self.holds(name)), buf)
    }

    pub(crate) fn remove_from(self, labels: &mut LabelsBuilder) {
        labels.remove(METRIC_NAME);
        if self.type_and_unit {
            labels.remove(TYPE_LABEL);
            labels.remove(UNIT_LABEL);
        }
    }
}
