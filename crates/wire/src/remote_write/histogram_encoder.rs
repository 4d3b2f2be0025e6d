//! A native histogram and an exemplar into their messages, as remote write of both versions and remote read send them.

use model::{Histogram, ResetHint, SampleValue, Span, Timestamp};

use super::histogram::{
    COUNT_FLOAT, COUNT_INT, CUSTOM_BOUNDS, NEGATIVE_COUNTS, NEGATIVE_DELTAS, NEGATIVE_SPANS, POSITIVE_COUNTS,
    POSITIVE_DELTAS, POSITIVE_SPANS, RESET_HINT, SCHEMA, SPAN_LENGTH, SPAN_OFFSET, START_TIMESTAMP, SUM, TIMESTAMP,
    ZERO_COUNT_FLOAT, ZERO_COUNT_INT, ZERO_THRESHOLD, reset_hint_number,
};
use crate::field::{push_bytes, push_double, push_int64, push_tag, push_varint, zigzag};

/// Appends the fields of the histogram in `value`, whose samples count since `start`; a float has none.
pub(crate) fn push_histogram(t: Timestamp, start: Timestamp, value: &SampleValue, into: &mut Vec<u8>) {
    let (histogram, is_float) = match value {
        SampleValue::Float(_) => return,
        SampleValue::Histogram(histogram) => (histogram, false),
        SampleValue::FloatHistogram(histogram) => (histogram, true),
    };
    if is_float {
        // Sent even when it is 0: the field tells what kind of histogram it is.
        push_tag(COUNT_FLOAT, into);
        into.extend_from_slice(&histogram.count.to_bits().to_le_bytes());
        push_double(ZERO_COUNT_FLOAT, histogram.zero_count, into);
    } else {
        push_tag(COUNT_INT, into);
        push_varint(whole(histogram.count).cast_unsigned(), into);
        push_int64(ZERO_COUNT_INT, whole(histogram.zero_count), into);
    }
    push_layout(histogram, into);
    if is_float {
        push_counts(NEGATIVE_COUNTS, &histogram.negative_buckets, into);
        push_counts(POSITIVE_COUNTS, &histogram.positive_buckets, into);
    } else {
        push_deltas(NEGATIVE_DELTAS, &histogram.negative_buckets, into);
        push_deltas(POSITIVE_DELTAS, &histogram.positive_buckets, into);
    }
    push_int64(TIMESTAMP, t, into);
    push_int64(START_TIMESTAMP, start, into);
}

/// Everything but counts and times.
fn push_layout(histogram: &Histogram, into: &mut Vec<u8>) {
    push_double(SUM, histogram.sum, into);
    push_int64(SCHEMA, zigzag(i64::from(histogram.schema)).cast_signed(), into);
    push_double(ZERO_THRESHOLD, histogram.zero_threshold, into);
    push_spans(NEGATIVE_SPANS, &histogram.negative_spans, into);
    push_spans(POSITIVE_SPANS, &histogram.positive_spans, into);
    if histogram.reset_hint != ResetHint::Unknown {
        push_tag(RESET_HINT, into);
        push_varint(reset_hint_number(histogram.reset_hint), into);
    }
    push_counts(CUSTOM_BOUNDS, &histogram.custom_bounds, into);
}

fn push_spans(tag: u32, spans: &[Span], into: &mut Vec<u8>) {
    let mut message = Vec::new();
    for span in spans {
        message.clear();
        push_int64(SPAN_OFFSET, zigzag(i64::from(span.offset)).cast_signed(), &mut message);
        push_int64(SPAN_LENGTH, i64::from(span.length), &mut message);
        push_bytes(tag, &message, into);
    }
}

fn push_deltas(tag: u32, counts: &[f64], into: &mut Vec<u8>) {
    if counts.is_empty() {
        return;
    }
    let mut packed = Vec::with_capacity(2 * counts.len());
    let mut before = 0;
    for count in counts {
        let count = whole(*count);
        push_varint(zigzag(count - before), &mut packed);
        before = count;
    }
    push_bytes(tag, &packed, into);
}

fn push_counts(tag: u32, counts: &[f64], into: &mut Vec<u8>) {
    if counts.is_empty() {
        return;
    }
    push_tag(tag, into);
    push_varint(8 * counts.len() as u64, into);
    for count in counts {
        into.extend_from_slice(&count.to_bits().to_le_bytes());
    }
}

#[expect(clippy::cast_possible_truncation, reason = "counts of an integer histogram are whole numbers below 2^53")]
fn whole(count: f64) -> i64 {
    count as i64
}
