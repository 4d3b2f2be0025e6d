//! Whether a sample that comes again is the one that was kept, whatever its chunk made of empty buckets.

use model::{Histogram, ResetHint, SampleValue, Span};

/// Whether `offered` says what `kept` says, to the bit. A chunk of histograms gives all of them the same buckets, so an
/// empty bucket is as good as none; and of a staleness marker it keeps nothing else.
#[inline]
pub(super) fn is_same(kept: &SampleValue, offered: &SampleValue) -> bool {
    match (kept, offered) {
        (SampleValue::Float(a), SampleValue::Float(b)) => a.to_bits() == b.to_bits(),
        (SampleValue::Histogram(a), SampleValue::Histogram(b))
        | (SampleValue::FloatHistogram(a), SampleValue::FloatHistogram(b)) => {
            kept.is_stale() && offered.is_stale() || is_same_histogram(a, b)
        }
        _ => false,
    }
}

fn is_same_histogram(a: &Histogram, b: &Histogram) -> bool {
    let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
    let numbers = |h: &Histogram| [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits);
    let bounds = |h: &Histogram| h.custom_bounds.iter().map(|bound| bound.to_bits()).collect::<Vec<_>>();
    is_gauge(a) == is_gauge(b)
        && a.schema == b.schema
        && numbers(a) == numbers(b)
        && bounds(a) == bounds(b)
        && filled(&a.positive_spans, &a.positive_buckets).eq(filled(&b.positive_spans, &b.positive_buckets))
        && filled(&a.negative_spans, &a.negative_buckets).eq(filled(&b.negative_spans, &b.negative_buckets))
}

/// The buckets that are not empty: their index, and the bits of their count.
fn filled<'a>(spans: &'a [Span], buckets: &'a [f64]) -> impl Iterator<Item = (i64, u64)> + 'a {
    let mut next = 0;
    let indexes = spans.iter().flat_map(move |span| {
        let start = next + i64::from(span.offset);
        next = start + i64::from(span.length);
        start..next
    });
    indexes.zip(buckets).filter(|(_, count)| **count != 0.0).map(|(index, count)| (index, count.to_bits()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn histogram(spans: &[(i32, u32)], buckets: &[f64], sum: f64) -> SampleValue {
        let spans = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
        let histogram =
            Histogram { positive_spans: spans, positive_buckets: buckets.to_vec(), sum, ..Histogram::default() };
        SampleValue::Histogram(Arc::new(histogram))
    }

    #[test]
    fn empty_buckets_make_no_difference_and_all_else_does() {
        let kept = histogram(&[(1, 4), (2, 1)], &[1.0, 0.0, 0.0, 2.0, 3.0], 0.5);
        assert!(is_same(&kept, &histogram(&[(1, 1), (2, 1), (2, 1)], &[1.0, 2.0, 3.0], 0.5)));
        assert!(is_same(&kept, &histogram(&[(0, 8)], &[0.0, 1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 3.0], 0.5)));
        for other in [
            histogram(&[(1, 1), (2, 1), (3, 1)], &[1.0, 2.0, 3.0], 0.5),
            histogram(&[(1, 1), (2, 1), (2, 1)], &[1.0, 2.0, 4.0], 0.5),
            histogram(&[(1, 1), (2, 1)], &[1.0, 2.0], 0.5),
            histogram(&[(1, 1), (2, 1), (2, 1)], &[1.0, 2.0, 3.0], 0.25),
            SampleValue::Float(0.5),
        ] {
            assert!(!is_same(&kept, &other), "{other:?}");
        }
        assert!(is_same(&histogram(&[], &[], model::STALE_NAN), &histogram(&[(1, 1)], &[1.0], model::STALE_NAN)));
    }
}
