//! Sums and differences of native histograms: layouts are brought together first, then counts are added.

use thiserror::Error;

use super::side::{NOTHING, Side, common_bounds, exponential_bound, layout, merge, rebound, reduce, side};
use super::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint};
use crate::kahan;

/// Why two histograms cannot be put together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum HistogramError {
    /// One has exponential buckets, the other custom ones.
    #[error("cannot apply this operation on histograms with a mix of exponential and custom bucket schemas")]
    IncompatibleSchemas,
}

/// What had to be settled to put two histograms together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// One said there was a counter reset before it, the other that there was none.
    pub reset_collision: bool,
    /// Custom bounds differed, and only the common ones were kept.
    pub bounds_reconciled: bool,
}

/// A number with what rounding took from it.
type Compensated = (f64, f64);

/// A histogram taken apart.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    hint: ResetHint,
    schema: i32,
    zero_threshold: f64,
    zero: Compensated,
    pub(super) count: Compensated,
    sum: Compensated,
    positive: Side,
    negative: Side,
    custom_bounds: Vec<f64>,
    compensated: bool,
}

impl Parts {
    pub(super) fn new(h: &Histogram, compensated: bool) -> Parts {
        Parts {
            hint: h.reset_hint,
            schema: h.schema,
            zero_threshold: h.zero_threshold,
            zero: (h.zero_count, NOTHING),
            count: (h.count, NOTHING),
            sum: (h.sum, NOTHING),
            positive: side(&h.positive_spans, &h.positive_buckets),
            negative: side(&h.negative_spans, &h.negative_buckets),
            custom_bounds: h.custom_bounds.clone(),
            compensated,
        }
    }

    pub(super) fn into_histogram(self) -> Histogram {
        let (positive_spans, positive_buckets) = layout(&self.positive);
        let (negative_spans, negative_buckets) = layout(&self.negative);
        Histogram {
            reset_hint: self.hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero.0 + self.zero.1,
            count: self.count.0 + self.count.1,
            sum: if self.sum.0.is_finite() { self.sum.0 + self.sum.1 } else { self.sum.0 },
            positive_spans,
            negative_spans,
            positive_buckets,
            negative_buckets,
            custom_bounds: self.custom_bounds,
        }
    }

    fn add_number(compensated: bool, to: &mut Compensated, v: Compensated, sign: f64) {
        if compensated {
            *to = kahan::add(sign * v.0, to.0, to.1);
            to.1 += sign * v.1;
        } else {
            to.0 += sign * v.0;
        }
    }

    /// Adds `other` times `sign`.
    pub(super) fn add(&mut self, mut other: Parts, sign: f64) -> Result<Merged, HistogramError> {
        let custom = self.schema == CUSTOM_BUCKETS_SCHEMA;
        if custom != (other.schema == CUSTOM_BUCKETS_SCHEMA) {
            return Err(HistogramError::IncompatibleSchemas);
        }
        let mut merged = Merged { reset_collision: self.settle_hint(other.hint), bounds_reconciled: false };
        if custom {
            merged.bounds_reconciled = self.settle_bounds(&mut other);
        } else {
            self.settle_zero(&mut other);
            Parts::add_number(self.compensated, &mut self.zero, other.zero, sign);
            let schema = self.schema.min(other.schema);
            self.reduce(schema);
            other.reduce(schema);
            merge(&mut self.negative, &other.negative, sign, self.compensated);
        }
        Parts::add_number(self.compensated, &mut self.count, other.count, sign);
        Parts::add_number(self.compensated, &mut self.sum, other.sum, sign);
        merge(&mut self.positive, &other.positive, sign, self.compensated);
        Ok(merged)
    }

    pub(super) fn reduce(&mut self, schema: i32) {
        reduce(&mut self.positive, self.schema, schema);
        reduce(&mut self.negative, self.schema, schema);
        self.schema = self.schema.min(schema);
    }

    /// Keeps the custom bounds both have; true if that changed anything.
    fn settle_bounds(&mut self, other: &mut Parts) -> bool {
        if self.custom_bounds == other.custom_bounds {
            return false;
        }
        let bounds = common_bounds(&self.custom_bounds, &other.custom_bounds);
        self.positive = rebound(&self.positive, &self.custom_bounds, &bounds);
        other.positive = rebound(&other.positive, &other.custom_bounds, &bounds);
        self.custom_bounds = bounds;
        true
    }

    /// Widens the zero buckets until they are equal and cut no populated bucket in two.
    fn settle_zero(&mut self, other: &mut Parts) {
        while self.zero_threshold != other.zero_threshold {
            // Each round widens the narrower one at least to the other: NaN would never end, so it does not begin.
            if self.zero_threshold.is_nan() || other.zero_threshold.is_nan() {
                return;
            }
            if self.zero_threshold > other.zero_threshold {
                other.widen_zero(self.zero_threshold);
            } else {
                self.widen_zero(other.zero_threshold);
            }
        }
    }

    /// Takes the buckets below `threshold` into the zero bucket; a populated one that reaches above moves it up.
    fn widen_zero(&mut self, threshold: f64) {
        let mut threshold = threshold;
        loop {
            let cut = |side: &Side| {
                let inside = side.iter().filter(|b| b.count != 0.0);
                let bounds = inside.map(|b| (self.lower(b.index), exponential_bound(b.index, self.schema)));
                bounds.filter(|(lower, upper)| *lower < threshold && threshold < *upper).map(|(_, upper)| upper).next()
            };
            match cut(&self.positive).or_else(|| cut(&self.negative)) {
                Some(upper) => threshold = upper,
                None => break,
            }
        }
        let schema = self.schema;
        for side in [&mut self.positive, &mut self.negative] {
            side.retain(|bucket| {
                let inside = exponential_bound(bucket.index.saturating_sub(1), schema) < threshold;
                if inside {
                    self.zero = kahan::add(bucket.count + bucket.c, self.zero.0, self.zero.1);
                }
                !inside
            });
        }
        if !self.compensated {
            self.zero = (self.zero.0 + self.zero.1, 0.0);
        }
        self.zero_threshold = threshold;
    }

    fn lower(&self, index: i32) -> f64 {
        exponential_bound(index.saturating_sub(1), self.schema)
    }

    /// Decides the hint of the result; true when the two contradict each other.
    fn settle_hint(&mut self, other: ResetHint) -> bool {
        use ResetHint::{Gauge, NoReset, Reset, Unknown};
        let collision = matches!((self.hint, other), (Reset, NoReset) | (NoReset, Reset));
        self.hint = match (self.hint, other) {
            (a, b) if a == b => a,
            (Gauge, _) | (_, Gauge) => Gauge,
            _ => Unknown,
        };
        collision
    }

    /// Changes all counts, the sum, and what rounding took from them.
    pub(super) fn map(&mut self, change: impl Fn(f64) -> f64) {
        for number in [&mut self.zero, &mut self.count, &mut self.sum] {
            *number = (change(number.0), change(number.1));
        }
        for bucket in self.positive.iter_mut().chain(&mut self.negative) {
            bucket.count = change(bucket.count);
            bucket.c = change(bucket.c);
        }
    }

    pub(super) fn has_overflow(&self) -> bool {
        let numbers = [self.zero.0, self.count.0, self.sum.0];
        let buckets = self.positive.iter().chain(&self.negative).map(|bucket| bucket.count);
        numbers.into_iter().chain(buckets).any(f64::is_infinite)
    }
}

impl Histogram {
    /// Whether the buckets have custom bounds.
    pub fn is_custom(&self) -> bool {
        self.schema == CUSTOM_BUCKETS_SCHEMA
    }

    /// Multiplies all counts and the sum; a negative factor makes it a gauge.
    pub fn scale(&mut self, factor: f64) {
        for number in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *number *= factor;
        }
        for count in self.positive_buckets.iter_mut().chain(&mut self.negative_buckets) {
            *count *= factor;
        }
        if factor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Divides all counts and the sum; by zero no bucket remains.
    pub fn divide(&mut self, divisor: f64) {
        for number in [&mut self.zero_count, &mut self.count, &mut self.sum] {
            *number /= divisor;
        }
        if divisor == 0.0 {
            self.positive_buckets.clear();
            self.negative_buckets.clear();
            self.positive_spans.clear();
            self.negative_spans.clear();
            return;
        }
        for count in self.positive_buckets.iter_mut().chain(&mut self.negative_buckets) {
            *count /= divisor;
        }
        if divisor < 0.0 {
            self.reset_hint = ResetHint::Gauge;
        }
    }

    /// Adds `other`. The result has the coarser resolution of the two.
    ///
    /// Errors: one has exponential buckets and the other custom ones; then nothing changes.
    pub fn add(&mut self, other: &Histogram) -> Result<Merged, HistogramError> {
        self.combine(other, 1.0)
    }

    /// Subtracts `other`, which may leave negative counts.
    ///
    /// Errors: as for [`Histogram::add`].
    pub fn subtract(&mut self, other: &Histogram) -> Result<Merged, HistogramError> {
        self.combine(other, -1.0)
    }

    fn combine(&mut self, other: &Histogram, sign: f64) -> Result<Merged, HistogramError> {
        let mut parts = Parts::new(self, false);
        let merged = parts.add(Parts::new(other, false), sign)?;
        *self = parts.into_histogram();
        Ok(merged)
    }

    /// Merges buckets down to the coarser exponential schema `schema`; a finer one changes nothing.
    pub fn reduce_resolution(&mut self, schema: i32) {
        if self.is_custom() || schema >= self.schema {
            return;
        }
        let mut parts = Parts::new(self, false);
        parts.reduce(schema);
        *self = parts.into_histogram();
    }

    /// Leaves out empty buckets, so that equal histograms have equal layouts.
    pub fn compact(&mut self) {
        for (spans, buckets) in [
            (&mut self.positive_spans, &mut self.positive_buckets),
            (&mut self.negative_spans, &mut self.negative_buckets),
        ] {
            let mut all = side(spans, buckets);
            all.retain(|bucket| bucket.count != 0.0);
            (*spans, *buckets) = layout(&all);
        }
    }

    /// A histogram without observations in the same kind of buckets.
    pub fn empty_twin(&self) -> Histogram {
        Histogram { schema: self.schema, custom_bounds: self.custom_bounds.clone(), ..Histogram::default() }
    }

    /// Whether both hold the same data; hints do not count, and bit patterns do, so that NaN equals itself.
    pub fn same_as(&self, other: &Histogram) -> bool {
        let bits = |h: &Histogram| [h.count, h.sum, h.zero_threshold, h.zero_count].map(f64::to_bits);
        let equal = |a: &[f64], b: &[f64]| a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits()));
        let indices = |spans, buckets: &Vec<f64>| side(spans, buckets).into_iter().map(|b| b.index).collect::<Vec<_>>();
        self.schema == other.schema
            && bits(self) == bits(other)
            && (!self.is_custom() || self.custom_bounds == other.custom_bounds)
            && equal(&self.positive_buckets, &other.positive_buckets)
            && equal(&self.negative_buckets, &other.negative_buckets)
            && indices(&self.positive_spans, &self.positive_buckets)
                == indices(&other.positive_spans, &other.positive_buckets)
            && indices(&self.negative_spans, &self.negative_buckets)
                == indices(&other.negative_spans, &other.negative_buckets)
    }
}

#[cfg(test)]
mod tests {
    use crate::{CUSTOM_BUCKETS_SCHEMA, Histogram, HistogramError, HistogramTotal, Keep, ResetHint, Span};

    fn exponential(schema: i32, offset: i32, counts: &[f64]) -> Histogram {
        let count = counts.iter().sum();
        Histogram {
            schema,
            count,
            sum: count,
            positive_spans: vec![Span { offset, length: u32::try_from(counts.len()).unwrap() }],
            positive_buckets: counts.to_vec(),
            ..Histogram::default()
        }
    }

    fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
        let bounds = bounds.to_vec();
        Histogram { custom_bounds: bounds, ..exponential(CUSTOM_BUCKETS_SCHEMA, 0, counts) }
    }

    fn sum(a: &Histogram, b: &Histogram) -> String {
        let mut result = a.clone();
        match result.add(b) {
            Ok(_) => result.to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn layouts_are_brought_together_before_counts_are_added() {
        let wide_zero = Histogram { zero_threshold: 1.5, zero_count: 1.0, ..exponential(0, 2, &[1.0]) };
        for (a, b, expected) in [
            (
                exponential(0, 1, &[1.0, 2.0]),
                exponential(0, 2, &[10.0, 20.0]),
                "{count:33, sum:33, (1,2]:1, (2,4]:12, (4,8]:20}",
            ),
            // Buckets of schema 1 come in pairs into those of schema 0.
            (exponential(0, 1, &[1.0]), exponential(1, 1, &[1.0, 1.0, 1.0]), "{count:4, sum:4, (1,2]:3, (2,4]:1}"),
            // A zero bucket that ends inside a populated bucket grows to take all of it in.
            (exponential(0, 1, &[3.0, 4.0]), wide_zero, "{count:8, sum:8, [-2,2]:4, (2,4]:5}"),
            (
                custom(&[1.0, 2.0, 4.0], &[1.0, 1.0, 1.0, 1.0]),
                custom(&[2.0, 4.0], &[10.0, 10.0, 10.0]),
                "{count:34, sum:34, [-Inf,2]:12, (2,4]:11, (4,+Inf]:11}",
            ),
        ] {
            assert_eq!(sum(&a, &b), expected);
        }
        let mixed = custom(&[1.0], &[1.0]).add(&exponential(0, 1, &[1.0]));
        assert_eq!(mixed, Err(HistogramError::IncompatibleSchemas));
    }

    #[test]
    fn addition_commutes_and_subtraction_undoes_it() {
        let a = exponential(2, -5, &[1.0, 0.0, 3.0, 4.0]);
        let b = Histogram { zero_threshold: 0.1, zero_count: 2.0, ..exponential(1, -3, &[5.0, 6.0]) };
        assert_eq!(sum(&a, &b), sum(&b, &a));
        let mut back = b.clone();
        back.add(&exponential(1, -3, &[1.0, 2.0])).unwrap();
        back.subtract(&exponential(1, -3, &[1.0, 2.0])).unwrap();
        back.compact();
        assert!(back.same_as(&b));
    }

    #[test]
    fn contradicting_hints_are_told() {
        let hinted = |reset_hint| Histogram { reset_hint, ..exponential(0, 1, &[1.0]) };
        let merged = hinted(ResetHint::Reset).add(&hinted(ResetHint::NoReset)).unwrap();
        assert!(merged.reset_collision && !merged.bounds_reconciled);
        let mut gauge = hinted(ResetHint::Unknown);
        gauge.add(&hinted(ResetHint::Gauge)).unwrap();
        assert_eq!(gauge.reset_hint, ResetHint::Gauge);
    }

    #[test]
    fn a_reset_is_a_fallen_count_or_a_lost_bucket() {
        let before = exponential(1, 1, &[1.0, 2.0]);
        for (now, reset) in [
            (exponential(1, 1, &[1.0, 2.0]), false),
            (exponential(1, 1, &[1.0, 3.0]), false),
            (exponential(0, 1, &[3.0, 0.0]), false),
            (exponential(1, 1, &[0.0, 9.0]), true),
            (exponential(1, 2, &[9.0]), true),
            (exponential(2, 1, &[9.0, 9.0, 9.0, 9.0]), true),
            (custom(&[1.0], &[9.0, 9.0]), true),
            (Histogram { reset_hint: ResetHint::Reset, ..before.clone() }, true),
            (Histogram { reset_hint: ResetHint::NoReset, ..exponential(1, 1, &[0.0]) }, false),
        ] {
            assert_eq!(now.detect_reset(&before), reset, "{now} after {before}");
        }
    }

    #[test]
    fn trimming_divides_the_bucket_around_the_value() {
        for (h, value, keep, expected) in [
            (exponential(0, 1, &[4.0, 8.0]), 2.0, Keep::Below, "{count:4, sum:5.656854249492381, (1,2]:4}"),
            (custom(&[2.0, 4.0], &[4.0, 4.0, 4.0]), 3.0, Keep::Below, "{count:6, sum:9, [-Inf,2]:4, (2,4]:2}"),
            (custom(&[2.0, 4.0], &[4.0, 4.0, 4.0]), 3.0, Keep::Above, "{count:6, sum:23, (2,4]:2, (4,+Inf]:4}"),
            (exponential(0, 1, &[4.0]), 100.0, Keep::Below, "{count:4, sum:4, (1,2]:4}"),
        ] {
            let mut trimmed = h.clone();
            trimmed.trim(value, keep);
            assert_eq!(trimmed.to_string(), expected, "{h} at {value}");
        }
    }

    #[test]
    fn totals_lose_nothing_to_rounding_and_means_do_not_overflow() {
        let parts = [1e100, 1.0, -1e100].map(|v| exponential(0, 1, &[v]));
        let mut total = HistogramTotal::summing(&parts[0]);
        for part in &parts[1..] {
            total.add(part).unwrap();
        }
        assert_eq!(total.finish().positive_buckets, [1.0]);
        let huge = exponential(0, 1, &[f64::MAX]);
        let mut mean = HistogramTotal::averaging(&huge);
        mean.add(&huge).unwrap();
        mean.add(&huge).unwrap();
        assert!(mean.finish().count.is_finite());
    }
}
