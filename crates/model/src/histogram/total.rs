//! The running sum or mean of many native histograms, with what rounding takes kept beside.

use super::arithmetic::{HistogramError, Parts};
use super::{Histogram, ResetHint};

/// A sum or mean in the making.
#[derive(Clone, Debug)]
pub struct HistogramTotal {
    parts: Parts,
    n: f64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sum,
    /// A sum so far, to be divided in the end.
    Mean,
    /// A mean already, since the sum would have overflowed.
    Incremental,
}

impl HistogramTotal {
    /// A sum that begins with `first`.
    pub fn summing(first: &Histogram) -> HistogramTotal {
        HistogramTotal { parts: Parts::new(first, true), n: 1.0, kind: Kind::Sum }
    }

    /// A mean that begins with `first`.
    pub fn averaging(first: &Histogram) -> HistogramTotal {
        HistogramTotal { parts: Parts::new(first, true), n: 1.0, kind: Kind::Mean }
    }

    /// Adds one; true when custom bounds had to be reconciled.
    pub fn add(&mut self, histogram: &Histogram) -> Result<bool, HistogramError> {
        self.add_parts(Parts::new(histogram, true), 1.0)
    }

    /// Adds another total of the same kind; true when custom bounds had to be reconciled.
    pub fn merge(&mut self, other: &HistogramTotal) -> Result<bool, HistogramError> {
        let mut parts = other.parts.clone();
        if other.kind == Kind::Incremental {
            parts.scale(other.n);
        }
        self.add_parts(parts, other.n)
    }

    /// Adds the sum of `m` histograms.
    fn add_parts(&mut self, other: Parts, m: f64) -> Result<bool, HistogramError> {
        let before = self.n;
        self.n += m;
        if self.kind == Kind::Sum {
            return Ok(self.parts.add(other, 1.0)?.bounds_reconciled);
        }
        if self.kind == Kind::Mean {
            let mut sum = self.parts.clone();
            let merged = sum.add(other.clone(), 1.0)?;
            if !sum.has_overflow() {
                self.parts = sum;
                return Ok(merged.bounds_reconciled);
            }
            self.kind = Kind::Incremental;
            self.parts.scale(1.0 / before);
        }
        self.parts.scale(before / self.n);
        let mut share = other;
        share.scale(1.0 / self.n);
        Ok(self.parts.add(share, 1.0)?.bounds_reconciled)
    }

    /// The sum, or the mean, of all.
    pub fn finish(self) -> Histogram {
        let mut result = self.parts.into_histogram();
        if self.kind == Kind::Mean {
            let hint: ResetHint = result.reset_hint;
            result.divide(self.n);
            result.reset_hint = hint;
        }
        result
    }
}
