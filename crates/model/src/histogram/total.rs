//! The running sum or mean of many native histograms, with what rounding takes kept beside.

use super::Histogram;
use super::arithmetic::{HistogramError, Parts};

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
            parts.map(|v| v * other.n);
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
            self.parts.map(|v| v / before);
        }
        let (kept, n) = (before / self.n, self.n);
        self.parts.map(|v| v * kept);
        let mut share = other;
        share.map(|v| v / n);
        Ok(self.parts.add(share, 1.0)?.bounds_reconciled)
    }

    /// The sum, or the mean, of all.
    pub fn finish(self) -> Histogram {
        let HistogramTotal { mut parts, n, kind } = self;
        if kind == Kind::Mean {
            parts.map(|v| v / n);
        }
        parts.into_histogram()
    }
}
