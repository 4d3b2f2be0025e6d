//! Cutting observations off a native histogram above or below a value.

use super::side::{Indexed, exponential_bound, layout, side, upper_bound};
use super::{Bucket, Histogram};

/// Which observations stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those not above the value.
    Below,
    /// Those not below it.
    Above,
}

/// What stays of a bucket, and where its observations are taken to lie.
struct Kept {
    count: f64,
    middle: f64,
}

impl Histogram {
    /// Cuts off what lies on the other side of `value`; a bucket around it is divided as quantiles divide it. If
    /// anything was cut, count and sum are estimated from the buckets.
    /// Source: Prometheus `model/histogram`, `TrimBuckets`.
    pub fn trim(&mut self, value: f64, keep: Keep) {
        let mut positive = side(&self.positive_spans, &self.positive_buckets);
        let mut negative = side(&self.negative_spans, &self.negative_buckets);
        let populated = |buckets: &[Indexed]| buckets.iter().any(|bucket| bucket.count != 0.0);
        let (has_positive, has_negative) = (populated(&positive), populated(&negative));
        let (mut count, mut sum, mut cut) = (0.0, 0.0, false);
        let mut settle = |before: &mut f64, kept: &Kept| {
            cut |= *before != kept.count;
            *before = kept.count;
            count += kept.count;
            sum += kept.middle * kept.count;
        };
        for bucket in positive.iter_mut().filter(|bucket| bucket.count != 0.0) {
            let lower = upper_bound(bucket.index.saturating_sub(1), self.schema, &self.custom_bounds);
            let upper = upper_bound(bucket.index, self.schema, &self.custom_bounds);
            let kept = kept_of(Bucket { lower, upper, count: bucket.count, ..Bucket::default() }, value, keep, self);
            settle(&mut bucket.count, &kept);
        }
        for bucket in negative.iter_mut().filter(|bucket| bucket.count != 0.0) {
            let lower = -exponential_bound(bucket.index, self.schema);
            let upper = -exponential_bound(bucket.index.saturating_sub(1), self.schema);
            let kept = kept_of(Bucket { lower, upper, count: bucket.count, ..Bucket::default() }, value, keep, self);
            settle(&mut bucket.count, &kept);
        }
        let mut zero_count = self.zero_count;
        if zero_count > 0.0 {
            let lower = if has_positive && !has_negative { 0.0 } else { -self.zero_threshold };
            let upper = if has_negative && !has_positive { 0.0 } else { self.zero_threshold };
            settle(&mut zero_count, &kept_of_zero(lower, upper, self.zero_count, value, keep));
        }
        if cut {
            (self.count, self.sum, self.zero_count) = (count, sum, zero_count);
            (self.positive_spans, self.positive_buckets) = layout(&positive);
            (self.negative_spans, self.negative_buckets) = layout(&negative);
            self.compact();
        }
    }
}

fn kept_of(bucket: Bucket, value: f64, keep: Keep, h: &Histogram) -> Kept {
    let whole = match keep {
        Keep::Below => bucket.upper <= value,
        Keep::Above => bucket.lower >= value,
    };
    if whole {
        return Kept { count: bucket.count, middle: middle(bucket.lower, bucket.upper, h) };
    }
    let divided = match keep {
        Keep::Below => bucket.lower < value,
        Keep::Above => bucket.upper > value,
    };
    if !divided {
        return Kept { count: 0.0, middle: 0.0 };
    }
    if bucket.lower == f64::NEG_INFINITY || bucket.upper == f64::INFINITY {
        return kept_of_endless(bucket, value, keep);
    }
    let below = bucket.count * bucket.share_below(value, h.is_custom());
    match keep {
        Keep::Below => Kept { count: below, middle: middle(bucket.lower, value, h) },
        Keep::Above => Kept { count: bucket.count - below, middle: middle(value, bucket.upper, h) },
    }
}

/// A bucket without an end on one side around the value.
fn kept_of_endless(bucket: Bucket, value: f64, keep: Keep) -> Kept {
    let finite = |v: f64| if v.is_infinite() { 0.0 } else { v };
    let (count, middle) = if bucket.lower == f64::NEG_INFINITY {
        let divisible = bucket.upper > 0.0 && bucket.upper != f64::INFINITY;
        match keep {
            Keep::Below if value > 0.0 && divisible => (bucket.count * value / bucket.upper, value / 2.0),
            Keep::Below if bucket.upper <= 0.0 => (bucket.count, value),
            Keep::Above if value >= 0.0 && divisible => {
                (bucket.count * (1.0 - value / bucket.upper), (value + bucket.upper) / 2.0)
            }
            Keep::Below | Keep::Above => (0.0, finite(bucket.upper)),
        }
    } else {
        match keep {
            Keep::Above if value >= bucket.lower => (bucket.count, value),
            Keep::Below | Keep::Above => (0.0, finite(bucket.lower)),
        }
    };
    Kept { count, middle }
}

fn kept_of_zero(lower: f64, upper: f64, count: f64, value: f64, keep: Keep) -> Kept {
    let whole = Kept { count, middle: (lower + upper) / 2.0 };
    let nothing = Kept { count: 0.0, middle: 0.0 };
    match keep {
        Keep::Below if value <= lower => nothing,
        Keep::Below if value >= upper => whole,
        Keep::Below => Kept { count: count * (value - lower) / (upper - lower), middle: (lower + value) / 2.0 },
        Keep::Above if value <= lower => whole,
        Keep::Above if value >= upper => nothing,
        Keep::Above => Kept { count: count * (upper - value) / (upper - lower), middle: (value + upper) / 2.0 },
    }
}

/// Where the observations between two bounds are taken to lie: geometrically, but evenly in custom buckets.
fn middle(lower: f64, upper: f64, h: &Histogram) -> f64 {
    match (lower.is_infinite(), upper.is_infinite()) {
        (true, true) => 0.0,
        (true, false) if upper > 0.0 => upper / 2.0,
        (true, false) => upper,
        (false, true) => lower,
        (false, false) if h.is_custom() => (lower + upper) / 2.0,
        (false, false) => (lower * upper).abs().sqrt().copysign(upper + lower),
    }
}
