//! A native histogram inside a record: whole counts as differences between buckets, others as floats.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, SampleValue, Span};

use super::decode::Reader;
use super::encode::push_float;
use crate::chunk::varint;

/// Schemas with exponential buckets that queries compute with.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;
/// Finer ones that others may write: their buckets are merged into those of the finest we keep.
/// Source: Prometheus `model/histogram/generic.go`, `ExponentialSchemaMaxReserved`.
const SCHEMA_MAX_RESERVED: i32 = 52;
/// Whole numbers below are exact as floats; a histogram with a greater count is kept as one of floats.
const EXACT_END: u64 = 1 << f64::MANTISSA_DIGITS;

/// Adds a histogram, its counts as whole numbers if `integers`.
pub(super) fn push(bytes: &mut Vec<u8>, h: &Histogram, integers: bool) {
    bytes.push(match h.reset_hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NoReset => 2,
        ResetHint::Gauge => 3,
    });
    varint::push_varint(bytes, h.schema.into());
    push_float(bytes, h.zero_threshold);
    for count in [h.zero_count, h.count] {
        match integers {
            true => varint::push_uvarint(bytes, whole(count)),
            false => push_float(bytes, count),
        }
    }
    push_float(bytes, h.sum);
    for spans in [&h.positive_spans, &h.negative_spans] {
        varint::push_uvarint(bytes, spans.len() as u64);
        for span in spans {
            varint::push_varint(bytes, span.offset.into());
            varint::push_uvarint(bytes, span.length.into());
        }
    }
    for buckets in [&h.positive_buckets, &h.negative_buckets] {
        varint::push_uvarint(bytes, buckets.len() as u64);
        let mut before = 0;
        for count in buckets {
            if integers {
                let count = whole(*count);
                varint::push_varint(bytes, count.wrapping_sub(before).cast_signed());
                before = count;
            } else {
                push_float(bytes, *count);
            }
        }
    }
    if h.schema == CUSTOM_BUCKETS_SCHEMA {
        varint::push_uvarint(bytes, h.custom_bounds.len() as u64);
        h.custom_bounds.iter().for_each(|bound| push_float(bytes, *bound));
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 2^53")]
fn whole(count: f64) -> u64 {
    debug_assert!((0.0..EXACT_END as f64).contains(&count) && count.fract() == 0.0, "{count} is no whole count");
    count as u64
}

/// Takes a histogram; nothing if its schema is unknown.
pub(super) fn take(r: &mut Reader<'_>, integers: bool) -> Result<Option<SampleValue>, &'static str> {
    let reset_hint = match r.byte()? {
        1 => ResetHint::Reset,
        2 => ResetHint::NoReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    };
    let schema = i32::try_from(r.varint()?).map_err(|_| "schema out of range")?;
    let zero_threshold = r.float()?;
    let mut counts = Counts { integers, exact: true };
    let (zero_count, count) = (counts.one(r)?, counts.one(r)?);
    let sum = r.float()?;
    let (positive_spans, negative_spans) = (spans(r)?, spans(r)?);
    let (positive_buckets, negative_buckets) =
        (counts.buckets(r, &positive_spans)?, counts.buckets(r, &negative_spans)?);
    let custom_bounds = if schema == CUSTOM_BUCKETS_SCHEMA { bounds(r)? } else { Vec::new() };
    let mut histogram = Histogram {
        reset_hint,
        schema,
        zero_threshold,
        zero_count,
        count,
        sum,
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_bounds,
    };
    if (*SCHEMAS.end() + 1..=SCHEMA_MAX_RESERVED).contains(&schema) {
        histogram.reduce_resolution(*SCHEMAS.end());
        counts.exact &=
            histogram.positive_buckets.iter().chain(&histogram.negative_buckets).all(|c| *c < EXACT_END as f64);
    }
    if !SCHEMAS.contains(&histogram.schema) && schema != CUSTOM_BUCKETS_SCHEMA {
        return Ok(None);
    }
    let histogram = Arc::new(histogram);
    let is_whole = integers && counts.exact;
    Ok(Some(if is_whole { SampleValue::Histogram(histogram) } else { SampleValue::FloatHistogram(histogram) }))
}

fn spans(r: &mut Reader<'_>) -> Result<Vec<Span>, &'static str> {
    let mut spans = Vec::new();
    for _ in 0..r.uvarint()? {
        let offset = i32::try_from(r.varint()?).map_err(|_| "span out of range")?;
        let length = u32::try_from(r.uvarint()?).map_err(|_| "span out of range")?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn bounds(r: &mut Reader<'_>) -> Result<Vec<f64>, &'static str> {
    let mut bounds = Vec::new();
    for _ in 0..r.uvarint()? {
        bounds.push(r.float()?);
    }
    Ok(bounds)
}

/// Takes counts, and notes whether all are exact.
struct Counts {
    integers: bool,
    exact: bool,
}

impl Counts {
    fn one(&mut self, r: &mut Reader<'_>) -> Result<f64, &'static str> {
        if self.integers { r.uvarint().map(|count| self.float(count)) } else { r.float() }
    }

    fn buckets(&mut self, r: &mut Reader<'_>, spans: &[Span]) -> Result<Vec<f64>, &'static str> {
        let len = r.uvarint()?;
        if spans.iter().map(|span| u64::from(span.length)).sum::<u64>() != len {
            return Err("spans and buckets do not fit");
        }
        let (mut buckets, mut count) = (Vec::new(), 0u64);
        for _ in 0..len {
            if self.integers {
                count = count.checked_add_signed(r.varint()?).ok_or("bucket count out of range")?;
                buckets.push(self.float(count));
            } else {
                buckets.push(r.float()?);
            }
        }
        Ok(buckets)
    }

    #[expect(clippy::cast_precision_loss, reason = "noted in `exact`")]
    fn float(&mut self, count: u64) -> f64 {
        self.exact &= count < EXACT_END;
        count as f64
    }
}
