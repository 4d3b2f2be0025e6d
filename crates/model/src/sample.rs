//! A sample and the staleness marker; the columns they travel in live in `storage`.

use std::sync::Arc;

use crate::{Histogram, Timestamp};

/// One float sample of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Milliseconds since the Unix epoch.
    pub t: Timestamp,
    /// The value; NaN payloads are data and survive every copy.
    pub v: f64,
}

/// The value of one sample of any kind, as storage keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram whose counts are whole numbers below 2^53.
    Histogram(Arc<Histogram>),
    /// A native histogram with float counts.
    FloatHistogram(Arc<Histogram>),
}

impl SampleValue {
    /// Whether both are the same kind and the same bits; unlike `==` this holds for a NaN and itself.
    pub fn same_bits(&self, other: &SampleValue) -> bool {
        match (self, other) {
            (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
            (SampleValue::Histogram(a), SampleValue::Histogram(b))
            | (SampleValue::FloatHistogram(a), SampleValue::FloatHistogram(b)) => a.same_bits(b),
            _ => false,
        }
    }

    /// Whether it is the staleness marker of its kind.
    pub fn is_stale(&self) -> bool {
        match self {
            SampleValue::Float(v) => is_stale(*v),
            SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => is_stale(h.sum),
        }
    }
}

/// The bits of the NaN that ends a series. Source: Prometheus `model/value/value.go`, `StaleNaN`.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

/// The staleness marker as a float: compare with [`is_stale`], never with `==`.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether `v` is the staleness marker, by its exact bits: any other NaN is an ordinary value.
#[inline]
pub fn is_stale(v: f64) -> bool {
    v.to_bits() == STALE_NAN_BITS
}
