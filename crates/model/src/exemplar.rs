//! An exemplar: one observation with the labels, such as a trace id, that lead to it.

use crate::{Labels, Timestamp};

/// One exemplar of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// The exemplar's own labels, not those of its series.
    pub labels: Labels,
    /// Milliseconds since the Unix epoch.
    pub t: Timestamp,
    /// The observed value.
    pub v: f64,
}
