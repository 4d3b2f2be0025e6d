//! An answer as it is compared: the values of this process, or what the JSON of a server shows of them.

use std::fmt;
use std::sync::Arc;

use model::{Bucket, Columns, Histogram, Labels, Point, Timestamp, Value, is_stale};

use crate::compare::almost_equal;
use crate::histogram;

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub enum Shown {
    /// One number.
    Scalar(f64),
    /// One string.
    String(String),
    /// A point for each series, in the order shown.
    Vector(Vec<(Labels, ShownPoint)>),
    /// Points for each series, in the order shown.
    Matrix(Vec<ShownSeries>),
}

/// A series and its points, ascending by time.
pub type ShownSeries = (Labels, Vec<(Timestamp, ShownPoint)>);

/// A float or a histogram.
#[derive(Clone, Debug)]
pub enum ShownPoint {
    /// A float.
    Float(f64),
    /// A histogram as it is.
    Histogram(Arc<Histogram>),
    /// A histogram as JSON shows it.
    Buckets(ShownHistogram),
}

/// What JSON shows of a histogram: not its schema, not whether it was reset, no empty bucket.
#[derive(Clone, Debug, Default)]
pub struct ShownHistogram {
    /// Observations.
    pub count: f64,
    /// Their sum.
    pub sum: f64,
    /// Where they are, ascending.
    pub buckets: Vec<Bucket>,
}

impl ShownHistogram {
    /// Whether this is what is shown of `histogram`, but for the last digits of its floats.
    pub(crate) fn shows(&self, histogram: &Histogram) -> bool {
        let same = |(a, b): (&Bucket, &Bucket)| {
            almost_equal(a.lower, b.lower)
                && almost_equal(a.upper, b.upper)
                && almost_equal(a.count, b.count)
                && (a.lower_inclusive, a.upper_inclusive) == (b.lower_inclusive, b.upper_inclusive)
        };
        let buckets: Vec<Bucket> = histogram.buckets().into_iter().filter(|bucket| bucket.count != 0.0).collect();
        almost_equal(self.count, histogram.count)
            && almost_equal(self.sum, histogram.sum)
            && self.buckets.len() == buckets.len()
            && self.buckets.iter().zip(&buckets).all(same)
    }
}

impl From<Value> for Shown {
    fn from(value: Value) -> Shown {
        let point = |point| match point {
            Point::Float(v) => ShownPoint::Float(v),
            Point::Histogram(h) => ShownPoint::Histogram(h),
        };
        match value {
            Value::Scalar { v, .. } => Shown::Scalar(v),
            Value::String { text, .. } => Shown::String(text),
            Value::Vector(all) => Shown::Vector(all.into_iter().map(|s| (s.labels, point(s.point))).collect()),
            Value::Matrix(all) => Shown::Matrix(all.into_iter().map(|s| (s.labels, points(&s.columns))).collect()),
        }
    }
}

/// The samples of both kinds in the order of time.
fn points(columns: &Columns) -> Vec<(Timestamp, ShownPoint)> {
    let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, ShownPoint::Float(*v)));
    let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
    let mut all: Vec<_> = floats.chain(histograms.map(|(t, h)| (*t, ShownPoint::Histogram(h.clone())))).collect();
    all.sort_by_key(|(t, _)| *t);
    all
}

impl fmt::Display for ShownPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShownPoint::Float(v) if is_stale(*v) => f.write_str("stale"),
            ShownPoint::Float(v) => v.fmt(f),
            ShownPoint::Histogram(h) => f.write_str(&histogram::print(h)),
            ShownPoint::Buckets(shown) => write!(f, "{shown:?}"),
        }
    }
}
