//! What a PromQL expression evaluates to, ready to be encoded.

use std::sync::Arc;

use crate::{Columns, Histogram, Labels, Timestamp};

/// The result of a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One number.
    Scalar {
        /// The evaluation time.
        t: Timestamp,
        /// The number.
        v: f64,
    },
    /// One string.
    String {
        /// The evaluation time.
        t: Timestamp,
        /// The text.
        text: String,
    },
    /// One point for each series, in the order to be shown.
    Vector(Vec<InstantSeries>),
    /// A column of points for each series, sorted by labels.
    Matrix(Vec<RangeSeries>),
}

/// One series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSeries {
    /// Its labels.
    pub labels: Labels,
    /// The evaluation time.
    pub t: Timestamp,
    /// The point.
    pub point: Point,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its points.
    pub columns: Columns,
}

/// A float or a histogram.
#[derive(Clone, Debug, PartialEq)]
pub enum Point {
    /// A float.
    Float(f64),
    /// A histogram.
    Histogram(Arc<Histogram>),
}
