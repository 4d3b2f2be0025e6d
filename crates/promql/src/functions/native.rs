//! Quantiles and fractions of native histograms.

use model::{Bucket, Histogram};

use crate::annotation::{Notes, Remark};
use crate::expr::Offset;

/// Where remarks belong.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) at: Offset,
    pub(super) name: &'a str,
}

/// The quantile `q`; interpolation is exponential, but linear in the zero bucket and in custom buckets.
/// Source: Prometheus `promql/quantile.go`, `HistogramQuantile`.
pub(super) fn quantile(q: f64, h: &Histogram, about: About<'_>, notes: &mut Notes) -> f64 {
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    if h.count == 0.0 || q.is_nan() {
        return f64::NAN;
    }
    // NaN observations are in the count and in no bucket, so that the way from above would begin at a wrong rank.
    let forward = h.sum.is_nan() || q < 0.5;
    let mut buckets = h.buckets();
    if !forward {
        buckets.reverse();
    }
    let mut rank = if forward { q * h.count } else { (1.0 - q) * h.count };
    let (mut bucket, mut count, rest) = bucket_of(rank, &buckets);
    if let Some(bound) = settle_bounds(h, &mut bucket) {
        return bound;
    }
    count = count.min(h.count);
    if count < rank {
        if h.sum.is_nan() {
            notes.add(about.at, Remark::QuantileNanResult(about.name));
            return f64::NAN;
        }
        return bucket.upper;
    }
    rank = if forward { rank - (count - bucket.count) } else { count - rank };
    if h.sum.is_nan() && count + rest < h.count {
        notes.add(about.at, Remark::QuantileNanSkew(about.name));
    }
    interpolate(h, &bucket, rank / bucket.count)
}

/// The bucket in which the running count reaches `rank`, that count, and what the buckets after it hold; the last
/// bucket when the count never gets there.
fn bucket_of(rank: f64, buckets: &[Bucket]) -> (Bucket, f64, f64) {
    let mut count = 0.0;
    for (at, bucket) in buckets.iter().enumerate().filter(|(_, bucket)| bucket.count != 0.0) {
        count += bucket.count;
        if count >= rank {
            return (*bucket, count, buckets[at + 1..].iter().map(|bucket| bucket.count).sum());
        }
    }
    (buckets.last().copied().unwrap_or_default(), count, 0.0)
}

/// Gives open-ended buckets an end; a bound that already is the answer is returned.
fn settle_bounds(h: &Histogram, bucket: &mut Bucket) -> Option<f64> {
    if !h.is_custom() {
        if bucket.lower < 0.0 && bucket.upper > 0.0 {
            settle_zero(h, bucket);
        }
        return None;
    }
    if bucket.lower == f64::NEG_INFINITY {
        if bucket.upper <= 0.0 {
            return Some(bucket.upper);
        }
        bucket.lower = 0.0;
        return None;
    }
    (bucket.upper == f64::INFINITY).then_some(bucket.lower)
}

/// The zero bucket of a histogram with observations on one side alone ends at zero.
fn settle_zero(h: &Histogram, bucket: &mut Bucket) {
    match (h.negative_buckets.is_empty(), h.positive_buckets.is_empty()) {
        (true, false) => bucket.lower = 0.0,
        (false, true) => bucket.upper = 0.0,
        _ => {}
    }
}

fn interpolate(h: &Histogram, bucket: &Bucket, fraction: f64) -> f64 {
    if h.is_custom() || (bucket.lower <= 0.0 && bucket.upper >= 0.0) {
        return bucket.lower + (bucket.upper - bucket.lower) * fraction;
    }
    let (low, high) = (bucket.lower.abs().log2(), bucket.upper.abs().log2());
    if bucket.lower > 0.0 {
        return (low + (high - low) * fraction).exp2();
    }
    -(high + (low - high) * (1.0 - fraction)).exp2()
}

/// The share of observations between `lower` and `upper`.
/// Source: Prometheus `promql/quantile.go`, `HistogramFraction`.
pub(super) fn fraction(lower: f64, upper: f64, h: &Histogram, about: About<'_>, notes: &mut Notes) -> f64 {
    if h.count == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let buckets = h.buckets();
    let mut count = h.count;
    if h.sum.is_nan() {
        // NaN observations are in no bucket, and so in no fraction.
        count = buckets.iter().map(|bucket| bucket.count).sum();
        if count < h.count {
            notes.add(about.at, Remark::FractionNans(about.name));
        }
    }
    let rank = |v: f64| rank_of(v, h, &buckets).map_or(count, |rank| rank.min(count));
    (rank(upper) - rank(lower)) / h.count
}

/// How many observations are below `v`; `None` when it is above all buckets.
fn rank_of(v: f64, h: &Histogram, buckets: &[Bucket]) -> Option<f64> {
    let mut below = 0.0;
    for bucket in buckets {
        let mut bucket = *bucket;
        let is_zero = bucket.lower <= 0.0 && bucket.upper >= 0.0;
        if is_zero {
            settle_zero(h, &mut bucket);
        }
        if bucket.lower >= v {
            return Some(below);
        }
        if bucket.upper > v {
            return Some(match h.is_custom() || is_zero {
                true if bucket.lower == f64::NEG_INFINITY => bucket.count,
                linear => below + bucket.count * bucket.share_below(v, linear),
            });
        }
        below += bucket.count;
    }
    None
}
