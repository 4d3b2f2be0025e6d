//! Whether a counter histogram started anew.

use super::side::{Side, common_bounds, exponential_bound, rebound, reduce, side};
use super::{Histogram, ResetHint};

impl Histogram {
    /// Whether this histogram cannot have grown out of `previous`: a count fell, a populated bucket is gone, or the
    /// layout changed as only a restart changes it. A hint decides where there is one.
    pub fn detect_reset(&self, previous: &Histogram) -> bool {
        match self.reset_hint {
            ResetHint::Reset => return true,
            ResetHint::NoReset => return false,
            ResetHint::Unknown | ResetHint::Gauge => {}
        }
        if self.count < previous.count || self.is_custom() != previous.is_custom() {
            return true;
        }
        let positive = side(&self.positive_spans, &self.positive_buckets);
        let before = side(&previous.positive_spans, &previous.positive_buckets);
        if self.is_custom() {
            if self.custom_bounds == previous.custom_bounds {
                return fell(&positive, &before);
            }
            let bounds = common_bounds(&self.custom_bounds, &previous.custom_bounds);
            let positive = rebound(&positive, &self.custom_bounds, &bounds);
            return fell(&positive, &rebound(&before, &previous.custom_bounds, &bounds));
        }
        if self.schema > previous.schema || self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let negative = side(&self.negative_spans, &self.negative_buckets);
        let negative_before = side(&previous.negative_spans, &previous.negative_buckets);
        let Some(zero_before) = self.zero_count_of(previous, &before, &negative_before) else { return true };
        if self.zero_count < zero_before {
            return true;
        }
        self.exponential_fell(positive, before, previous.schema)
            || self.exponential_fell(negative, negative_before, previous.schema)
    }

    /// What `previous` has counted inside this zero bucket; `None` when the bucket's edge cuts a populated one in two.
    fn zero_count_of(&self, previous: &Histogram, positive: &Side, negative: &Side) -> Option<f64> {
        if self.zero_threshold == previous.zero_threshold {
            return Some(previous.zero_count);
        }
        let mut count = previous.zero_count;
        for bucket in positive.iter().chain(negative).filter(|bucket| bucket.count != 0.0) {
            let lower = exponential_bound(bucket.index.saturating_sub(1), previous.schema);
            if lower >= self.zero_threshold {
                continue;
            }
            if exponential_bound(bucket.index, previous.schema) > self.zero_threshold {
                return None;
            }
            count += bucket.count;
        }
        Some(count)
    }

    fn exponential_fell(&self, mut now: Side, mut before: Side, schema_before: i32) -> bool {
        reduce(&mut before, schema_before, self.schema);
        for side in [&mut now, &mut before] {
            side.retain(|bucket| exponential_bound(bucket.index, self.schema) > self.zero_threshold);
        }
        fell(&now, &before)
    }
}

/// Whether a bucket has less than before; a missing one has none.
fn fell(now: &Side, before: &Side) -> bool {
    before.iter().any(|bucket| match now.binary_search_by_key(&bucket.index, |b| b.index) {
        Ok(at) => now[at].count < bucket.count,
        Err(_) => bucket.count != 0.0,
    })
}
