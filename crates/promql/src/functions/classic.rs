//! Quantiles and fractions of classic histograms: buckets that are series of their own.

/// Relative difference below which counts are taken as equal. Source: Prometheus `promql/quantile.go`.
const SMALL_DELTA: f64 = 1e-12;

/// A bucket: how many observations are not above `upper`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CumulativeBucket {
    pub(super) upper: f64,
    pub(super) count: f64,
}

/// What had to be changed to make counts ascend.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flattened {
    pub(super) bucket_min: f64,
    pub(super) bucket_max: f64,
    pub(super) diff_max: f64,
}

/// The quantile `q` by linear interpolation inside a bucket. `buckets` ascend by bound, and are not empty.
/// Source: Prometheus `promql/quantile.go`, `BucketQuantile`.
pub(super) fn quantile(q: f64, buckets: &mut Vec<CumulativeBucket>) -> (f64, Option<Flattened>) {
    if q.is_nan() {
        return (f64::NAN, None);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, None);
    }
    if q > 1.0 {
        return (f64::INFINITY, None);
    }
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return (f64::NAN, None);
    }
    coalesce(buckets);
    let flattened = flatten(buckets);
    let n = buckets.len();
    let observations = buckets[n - 1].count;
    if n < 2 || observations == 0.0 || observations.is_nan() {
        return (f64::NAN, flattened);
    }
    let rank = q * observations;
    let at = buckets[..n - 1].partition_point(|bucket| bucket.count < rank);
    let value = if at == n - 1 {
        buckets[n - 2].upper
    } else if at == 0 && buckets[0].upper <= 0.0 {
        buckets[0].upper
    } else {
        let (start, below) = if at == 0 { (0.0, 0.0) } else { (buckets[at - 1].upper, buckets[at - 1].count) };
        start + (buckets[at].upper - start) * ((rank - below) / (buckets[at].count - below))
    };
    (value, flattened)
}

/// The share of observations between `lower` and `upper`. `buckets` ascend by bound, and are not empty.
/// Source: Prometheus `promql/quantile.go`, `BucketFraction`.
pub(super) fn fraction(lower: f64, upper: f64, buckets: &mut Vec<CumulativeBucket>) -> f64 {
    if buckets.last().is_none_or(|last| last.upper != f64::INFINITY) {
        return f64::NAN;
    }
    coalesce(buckets);
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    (rank_of(upper, buckets).min(total) - rank_of(lower, buckets).min(total)) / total
}

/// How many observations are below `v`.
fn rank_of(v: f64, buckets: &[CumulativeBucket]) -> f64 {
    let mut below = 0.0;
    let mut start = if buckets[0].upper <= 0.0 { f64::NEG_INFINITY } else { 0.0 };
    for bucket in buckets {
        if start >= v {
            return below;
        }
        if bucket.upper > v {
            // A bucket without a lower end is not divided.
            let inside = (bucket.count - below) * (v - start) / (bucket.upper - start);
            return if start == f64::NEG_INFINITY { bucket.count } else { below + inside };
        }
        below = bucket.count;
        start = bucket.upper;
    }
    f64::INFINITY
}

/// Adds up buckets of one bound.
fn coalesce(buckets: &mut Vec<CumulativeBucket>) {
    buckets.dedup_by(|next, kept| {
        let same = next.upper == kept.upper;
        if same {
            kept.count += next.count;
        }
        same
    });
}

/// Makes counts ascend: tiny differences are rounding, greater ones are remarked on.
fn flatten(buckets: &mut [CumulativeBucket]) -> Option<Flattened> {
    let mut flattened: Option<Flattened> = None;
    let mut kept = buckets[0].count;
    for bucket in &mut buckets[1..] {
        let count = bucket.count;
        if count == kept {
            continue;
        }
        if almost_equal(kept, count) {
            bucket.count = kept;
        } else if count < kept {
            bucket.count = kept;
            let (bound, diff) = (bucket.upper, kept - count);
            let all = flattened.get_or_insert(Flattened { bucket_min: bound, bucket_max: bound, diff_max: diff });
            all.bucket_min = all.bucket_min.min(bound);
            all.bucket_max = all.bucket_max.max(bound);
            all.diff_max = all.diff_max.max(diff);
        } else {
            kept = count;
        }
    }
    flattened
}

/// Whether two counts differ by rounding alone. Source: Prometheus `util/almost`.
fn almost_equal(a: f64, b: f64) -> bool {
    let (sum, diff) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return diff < SMALL_DELTA * f64::MIN_POSITIVE;
    }
    diff / sum.min(f64::MAX) < SMALL_DELTA
}
