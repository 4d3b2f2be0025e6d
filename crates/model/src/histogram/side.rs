//! One side of a histogram as indexed buckets: the form in which layouts are compared, merged and changed.

use super::{CUSTOM_BUCKETS_SCHEMA, Span, bounds};
use crate::kahan;

/// A bucket by its absolute index, its count and what rounding took from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Indexed {
    pub(super) index: i32,
    pub(super) count: f64,
    pub(super) c: f64,
}

/// What rounding took from a number that nothing was added to: adding it changes not even the sign of zero.
pub(super) const NOTHING: f64 = -0.0;

/// Buckets in ascending order of indices.
pub(super) type Side = Vec<Indexed>;

/// The buckets that spans lay out. Spans that promise more buckets than there are end early.
pub(super) fn side(spans: &[Span], buckets: &[f64]) -> Side {
    let mut out = Vec::with_capacity(buckets.len());
    let mut counts = buckets.iter();
    let mut index = 0i32;
    for span in spans {
        index = index.saturating_add(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            out.push(Indexed { index, count: *count, c: NOTHING });
            index = index.saturating_add(1);
        }
    }
    out
}

/// The spans and counts of a side, compensation added.
pub(super) fn layout(side: &[Indexed]) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut next_index = 0i32;
    for bucket in side {
        match spans.last_mut() {
            Some(span) if bucket.index == next_index => span.length += 1,
            _ => spans.push(Span { offset: bucket.index.saturating_sub(next_index), length: 1 }),
        }
        next_index = bucket.index.saturating_add(1);
    }
    (spans, side.iter().map(|bucket| bucket.count + bucket.c).collect())
}

/// The index that a bucket of schema `from` has in the coarser schema `to`.
pub(super) fn coarser_index(index: i32, from: i32, to: i32) -> i32 {
    let shift = u32::try_from(from - to).unwrap_or(0).min(31);
    (index.saturating_sub(1) >> shift) + 1
}

/// Merges the buckets of schema `from` into those of the coarser schema `to`.
pub(super) fn reduce(side: &mut Side, from: i32, to: i32) {
    if from <= to {
        return;
    }
    let mut out: Side = Vec::with_capacity(side.len());
    for bucket in side.iter() {
        let index = coarser_index(bucket.index, from, to);
        match out.last_mut() {
            Some(last) if last.index == index => {
                last.count += bucket.count;
                last.c += bucket.c;
            }
            _ => out.push(Indexed { index, ..*bucket }),
        }
    }
    *side = out;
}

/// Adds `other` times `sign`; with `compensated` what rounding takes is kept beside.
pub(super) fn merge(side: &mut Side, other: &[Indexed], sign: f64, compensated: bool) {
    let mut out = Vec::with_capacity(side.len().max(other.len()));
    let (mut a, mut b) = (side.iter().peekable(), other.iter().peekable());
    loop {
        let (left, right) = match (a.peek(), b.peek()) {
            (None, None) => break,
            (Some(left), Some(right)) if left.index == right.index => (a.next(), b.next()),
            (Some(left), Some(right)) if left.index > right.index => (None, b.next()),
            (None, Some(_)) => (None, b.next()),
            _ => (a.next(), None),
        };
        let index = left.or(right).map_or(0, |bucket| bucket.index);
        let mut bucket = left.copied().unwrap_or(Indexed { index, count: 0.0, c: 0.0 });
        if let Some(right) = right {
            let added = sign * right.count;
            if compensated {
                (bucket.count, bucket.c) = kahan::add(added, bucket.count, bucket.c);
                bucket.c += sign * right.c;
            } else {
                bucket.count += added;
            }
        }
        out.push(bucket);
    }
    *side = out;
}

/// The upper bound of a bucket in an exponential schema, by its index as buckets have it.
pub(super) fn exponential_bound(index: i32, schema: i32) -> f64 {
    bounds::exponential_bound(index.into(), schema)
}

/// The upper bound of a positive bucket in any schema.
pub(super) fn upper_bound(index: i32, schema: i32, custom_bounds: &[f64]) -> f64 {
    if schema != CUSTOM_BUCKETS_SCHEMA {
        return exponential_bound(index, schema);
    }
    match usize::try_from(index) {
        Ok(at) => custom_bounds.get(at).copied().unwrap_or(f64::INFINITY),
        Err(_) => f64::NEG_INFINITY,
    }
}

/// Moves custom buckets to the ones that `bounds`, a part of `from`, leaves.
pub(super) fn rebound(side: &[Indexed], from: &[f64], bounds: &[f64]) -> Side {
    let mut out: Side = Vec::new();
    for bucket in side {
        let upper = upper_bound(bucket.index, CUSTOM_BUCKETS_SCHEMA, from);
        let at = bounds.partition_point(|bound| *bound < upper);
        let index = i32::try_from(at).unwrap_or(i32::MAX);
        match out.last_mut() {
            Some(last) if last.index == index => {
                (last.count, last.c) = kahan::add(bucket.count, last.count, last.c);
                last.c += bucket.c;
            }
            _ => out.push(Indexed { index, ..*bucket }),
        }
    }
    out
}

/// The bounds that both ascending lists hold.
pub(super) fn common_bounds(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().copied().filter(|bound| b.binary_search_by(|other| other.total_cmp(bound)).is_ok()).collect()
}
