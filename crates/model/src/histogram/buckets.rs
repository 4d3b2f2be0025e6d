//! A histogram's buckets with their bounds, in order.

use std::fmt;

use super::Histogram;
use super::side::{exponential_bound, side, upper_bound};

/// One bucket with its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Lower bound.
    pub lower: f64,
    /// Upper bound.
    pub upper: f64,
    /// Observations inside.
    pub count: f64,
    /// Whether the lower bound is inside.
    pub lower_inclusive: bool,
    /// Whether the upper bound is inside.
    pub upper_inclusive: bool,
}

impl Histogram {
    /// All buckets in ascending order: negative, zero if populated, positive. A bucket that overlaps the zero bucket
    /// begins where that ends.
    pub fn buckets(&self) -> Vec<Bucket> {
        let negative = side(&self.negative_spans, &self.negative_buckets);
        let positive = side(&self.positive_spans, &self.positive_buckets);
        let mut out = Vec::with_capacity(negative.len() + positive.len() + 1);
        for bucket in negative.iter().rev() {
            let upper = -exponential_bound(bucket.index.saturating_sub(1), self.schema);
            out.push(Bucket {
                lower: -exponential_bound(bucket.index, self.schema),
                upper: upper.min(-self.zero_threshold),
                count: bucket.count,
                lower_inclusive: true,
                upper_inclusive: false,
            });
        }
        if self.zero_count > 0.0 {
            let (lower, upper) = (-self.zero_threshold, self.zero_threshold);
            out.push(Bucket { lower, upper, count: self.zero_count, lower_inclusive: true, upper_inclusive: true });
        }
        for bucket in &positive {
            let lower = upper_bound(bucket.index.saturating_sub(1), self.schema, &self.custom_bounds);
            let overlaps = !self.is_custom() && lower < self.zero_threshold;
            out.push(Bucket {
                lower: if overlaps { self.zero_threshold } else { lower },
                upper: upper_bound(bucket.index, self.schema, &self.custom_bounds),
                count: bucket.count,
                lower_inclusive: self.is_custom() && lower == f64::NEG_INFINITY,
                upper_inclusive: true,
            });
        }
        out
    }
}

impl Bucket {
    /// The share of the bucket's observations below `v`, which lies inside: evenly distributed if `linear`, else so on
    /// a logarithmic scale.
    pub fn share_below(&self, v: f64, linear: bool) -> f64 {
        if linear {
            return (v - self.lower) / (self.upper - self.lower);
        }
        let [low, high, at] = [self.lower, self.upper, v].map(|bound| bound.abs().log2());
        if v > 0.0 { (at - low) / (high - low) } else { 1.0 - (at - high) / (low - high) }
    }
}

impl fmt::Display for Histogram {
    /// As Prometheus shows it: count, sum and the populated buckets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", self.count, self.sum)?;
        for bucket in self.buckets().iter().filter(|bucket| bucket.count != 0.0) {
            let (open, close) =
                (if bucket.lower_inclusive { '[' } else { '(' }, if bucket.upper_inclusive { ']' } else { ')' });
            write!(f, ", {open}{},{}{close}:{}", Bound(bucket.lower), Bound(bucket.upper), bucket.count)?;
        }
        f.write_str("}")
    }
}

/// A bound as Go shows it.
struct Bound(f64);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_infinite() {
            return f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" });
        }
        write!(f, "{}", self.0)
    }
}
