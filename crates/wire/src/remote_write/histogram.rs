//! A native histogram's message: decoded, held against every rule, and brought to a resolution that is stored.
//!
//! Remote write 1.0 and 2.0 share the message; 2.0 added the start timestamp.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, SampleValue, Span, Timestamp};

use crate::HistogramFault;
use crate::field::{Cursor, bytes_tag, field_number, fixed64_tag, varint_tag};

pub(crate) const COUNT_INT: u32 = varint_tag(1);
pub(crate) const COUNT_FLOAT: u32 = fixed64_tag(2);
pub(crate) const SUM: u32 = fixed64_tag(3);
pub(crate) const SCHEMA: u32 = varint_tag(4);
pub(crate) const ZERO_THRESHOLD: u32 = fixed64_tag(5);
pub(crate) const ZERO_COUNT_INT: u32 = varint_tag(6);
pub(crate) const ZERO_COUNT_FLOAT: u32 = fixed64_tag(7);
pub(crate) const NEGATIVE_SPANS: u32 = bytes_tag(8);
pub(crate) const NEGATIVE_DELTAS: u32 = bytes_tag(9);
pub(crate) const NEGATIVE_COUNTS: u32 = bytes_tag(10);
pub(crate) const POSITIVE_SPANS: u32 = bytes_tag(11);
pub(crate) const POSITIVE_DELTAS: u32 = bytes_tag(12);
pub(crate) const POSITIVE_COUNTS: u32 = bytes_tag(13);
pub(crate) const RESET_HINT: u32 = varint_tag(14);
pub(crate) const TIMESTAMP: u32 = varint_tag(15);
pub(crate) const CUSTOM_BOUNDS: u32 = bytes_tag(16);
pub(crate) const START_TIMESTAMP: u32 = varint_tag(17);
const FIELDS: std::ops::RangeInclusive<u32> = 1..=16;

/// A repeated number may also come one by one.
const NEGATIVE_DELTA: u32 = varint_tag(9);
const NEGATIVE_COUNT: u32 = fixed64_tag(10);
const POSITIVE_DELTA: u32 = varint_tag(12);
const POSITIVE_COUNT: u32 = fixed64_tag(13);
const CUSTOM_BOUND: u32 = fixed64_tag(16);

pub(crate) const SPAN_OFFSET: u32 = varint_tag(1);
pub(crate) const SPAN_LENGTH: u32 = varint_tag(2);

/// The finest schema that is stored; finer ones that are known are reduced to it.
const SCHEMA_STORED_MAX: i32 = 8;
/// The exponential schemas there are. Source: Prometheus `model/histogram/generic.go`.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=52;
/// Buckets, spans or bounds of one histogram; a real one has at most a few hundred.
const BUCKETS_MAX: usize = 65_536;
/// Below it every whole number is a float.
const WHOLE_MAX: u64 = 1 << 53;

/// Reads and checks the histogram in `message`.
pub(super) fn decode(message: Cursor<'_>) -> Result<(Timestamp, SampleValue), HistogramFault> {
    let raw = Raw::read(message)?;
    Ok((raw.t, raw.check()?))
}

/// When the histogram in `message` was taken and since when it counts; what cannot be read is 0.
pub(super) fn times(mut message: Cursor<'_>) -> (Timestamp, Timestamp) {
    let (mut t, mut start) = (0, 0);
    while let Some(tag) = message.tag() {
        let read = match tag {
            TIMESTAMP => message.int64().map(|time| t = time),
            START_TIMESTAMP => message.int64().map(|time| start = time),
            tag => message.skip(tag),
        };
        if read.is_none() {
            break;
        }
    }
    (t, start)
}

/// A count of either kind; of a field that was not sent nothing is known.
#[derive(Clone, Copy, Default)]
enum Count {
    #[default]
    Absent,
    Int(u64),
    Float(f64),
}

/// The message as sent.
#[derive(Default)]
struct Raw {
    t: Timestamp,
    count: Count,
    sum: f64,
    schema: i32,
    zero_threshold: f64,
    zero_count: Count,
    negative: RawSide,
    positive: RawSide,
    custom_bounds: Vec<f64>,
    reset_hint: ResetHint,
}

#[derive(Default)]
struct RawSide {
    spans: Vec<Span>,
    /// Each bucket's count less that of the bucket before: integer histograms.
    deltas: Vec<i64>,
    /// Float histograms.
    counts: Vec<f64>,
}

impl Raw {
    fn read(mut message: Cursor<'_>) -> Result<Raw, HistogramFault> {
        let mut raw = Raw::default();
        while !message.is_at_end() {
            raw.read_field(&mut message).ok_or(HistogramFault::Malformed)?;
            let longest = [&raw.negative, &raw.positive]
                .map(|side| side.spans.len().max(side.deltas.len()).max(side.counts.len()))
                .into_iter()
                .fold(raw.custom_bounds.len(), usize::max);
            if longest > BUCKETS_MAX {
                return Err(HistogramFault::TooManyBuckets { limit: BUCKETS_MAX });
            }
        }
        Ok(raw)
    }

    fn read_field(&mut self, message: &mut Cursor<'_>) -> Option<()> {
        let tag = message.tag()?;
        match tag {
            COUNT_INT => self.count = Count::Int(message.varint()?),
            COUNT_FLOAT => self.count = Count::Float(message.double()?),
            SUM => self.sum = message.double()?,
            SCHEMA => self.schema = message.sint32()?,
            ZERO_THRESHOLD => self.zero_threshold = message.double()?,
            ZERO_COUNT_INT => self.zero_count = Count::Int(message.varint()?),
            ZERO_COUNT_FLOAT => self.zero_count = Count::Float(message.double()?),
            NEGATIVE_SPANS => self.negative.spans.push(read_span(message.message()?)?),
            NEGATIVE_DELTAS => read_deltas(message.message()?, &mut self.negative.deltas)?,
            NEGATIVE_DELTA => self.negative.deltas.push(message.sint64()?),
            NEGATIVE_COUNTS => read_doubles(message.message()?, &mut self.negative.counts)?,
            NEGATIVE_COUNT => self.negative.counts.push(message.double()?),
            POSITIVE_SPANS => self.positive.spans.push(read_span(message.message()?)?),
            POSITIVE_DELTAS => read_deltas(message.message()?, &mut self.positive.deltas)?,
            POSITIVE_DELTA => self.positive.deltas.push(message.sint64()?),
            POSITIVE_COUNTS => read_doubles(message.message()?, &mut self.positive.counts)?,
            POSITIVE_COUNT => self.positive.counts.push(message.double()?),
            RESET_HINT => self.reset_hint = reset_hint(message.varint()?),
            TIMESTAMP => self.t = message.int64()?,
            CUSTOM_BOUNDS => read_doubles(message.message()?, &mut self.custom_bounds)?,
            CUSTOM_BOUND => self.custom_bounds.push(message.double()?),
            tag if FIELDS.contains(&field_number(tag)) => return None,
            tag => message.skip(tag)?,
        }
        Some(())
    }

    /// The histogram, if the message keeps to the rules.
    ///
    /// Source: Prometheus `model/histogram`, `Validate` of both kinds. Float counts are not held against their sum
    /// there nor here: rounding makes honest ones differ.
    fn check(mut self) -> Result<SampleValue, HistogramFault> {
        self.check_layout()?;
        let is_float = matches!(self.count, Count::Float(_));
        let (count, zero_count, negative, positive) = if is_float { self.float_counts()? } else { self.int_counts()? };
        let mut histogram = Histogram {
            reset_hint: self.reset_hint,
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count,
            count,
            sum: self.sum,
            positive_spans: self.positive.spans,
            negative_spans: self.negative.spans,
            positive_buckets: positive,
            negative_buckets: negative,
            custom_bounds: self.custom_bounds,
        };
        histogram.reduce_resolution(SCHEMA_STORED_MAX);
        // No part is larger than the count.
        let is_whole = !is_float && histogram.count < WHOLE_MAX as f64;
        let histogram = Arc::new(histogram);
        Ok(if is_whole { SampleValue::Histogram(histogram) } else { SampleValue::FloatHistogram(histogram) })
    }

    fn check_layout(&self) -> Result<(), HistogramFault> {
        if self.schema == CUSTOM_BUCKETS_SCHEMA {
            return self.check_custom();
        }
        if !SCHEMAS.contains(&self.schema) {
            return Err(HistogramFault::Schema { schema: self.schema });
        }
        if !self.custom_bounds.is_empty() {
            return Err(HistogramFault::Invalid("custom bounds beside an exponential schema"));
        }
        check_spans(&self.negative.spans)?;
        check_spans(&self.positive.spans)?;
        Ok(())
    }

    fn check_custom(&self) -> Result<(), HistogramFault> {
        let bounds = &self.custom_bounds;
        let ascend = bounds.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !ascend || !bounds.iter().all(|bound| bound.is_finite()) {
            return Err(HistogramFault::Invalid("custom bounds that do not ascend strictly or are not finite"));
        }
        let zero_is_empty = match self.zero_count {
            Count::Absent | Count::Int(0) => true,
            Count::Int(_) => false,
            Count::Float(count) => count == 0.0,
        };
        let RawSide { spans, deltas, counts } = &self.negative;
        let no_negative = spans.is_empty() && deltas.is_empty() && counts.is_empty();
        if !zero_is_empty || self.zero_threshold != 0.0 || !no_negative {
            return Err(HistogramFault::Invalid("a zero bucket or negative buckets beside custom ones"));
        }
        if let Some(first) = self.positive.spans.first().filter(|span| span.offset < 0) {
            return Err(HistogramFault::SpanOffset { offset: first.offset });
        }
        let end = check_spans(&self.positive.spans)?;
        // The last bucket has no bound of its own.
        let n = bounds.len() + 1;
        if usize::try_from(end).is_ok_and(|end| end <= n) {
            Ok(())
        } else {
            Err(HistogramFault::CustomLayout { end, n })
        }
    }

    /// Count, zero count, negative and positive buckets.
    fn float_counts(&mut self) -> Result<Counts, HistogramFault> {
        let count = match self.count {
            Count::Float(count) => count,
            Count::Absent | Count::Int(_) => 0.0,
        };
        let zero_count = match self.zero_count {
            Count::Absent | Count::Int(0) => 0.0,
            Count::Float(count) => count,
            Count::Int(_) => return Err(MIXED),
        };
        let sides = [&self.negative, &self.positive];
        if sides.iter().any(|side| !side.deltas.is_empty()) {
            return Err(MIXED);
        }
        for side in sides {
            check_n_buckets(&side.spans, side.counts.len())?;
        }
        let buckets = sides.into_iter().flat_map(|side| &side.counts);
        if buckets.chain([&count, &zero_count]).any(|count| *count < 0.0) {
            return Err(NEGATIVE);
        }
        let [negative, positive] =
            [&mut self.negative, &mut self.positive].map(|side| std::mem::take(&mut side.counts));
        Ok((count, zero_count, negative, positive))
    }

    /// The same of whole numbers, held against their sum.
    fn int_counts(&self) -> Result<Counts, HistogramFault> {
        let count = match self.count {
            Count::Int(count) => count,
            Count::Absent | Count::Float(_) => 0,
        };
        let zero_count = match self.zero_count {
            Count::Absent => 0,
            Count::Int(count) => count,
            Count::Float(0.0) => 0,
            Count::Float(_) => return Err(MIXED),
        };
        if [&self.negative, &self.positive].iter().any(|side| !side.counts.is_empty()) {
            return Err(MIXED);
        }
        let (negative, n_negative) = self.negative.absolute()?;
        let (positive, n_positive) = self.positive.absolute()?;
        let n = u128::from(zero_count) + n_negative + n_positive;
        // Observations of NaN are in the count and in no bucket.
        let fits = if self.sum.is_nan() { n <= u128::from(count) } else { n == u128::from(count) };
        if !fits {
            return Err(HistogramFault::CountMismatch { count, buckets: n });
        }
        Ok((count as f64, zero_count as f64, negative, positive))
    }
}

type Counts = (f64, f64, Vec<f64>, Vec<f64>);

const MIXED: HistogramFault = HistogramFault::Invalid("integer and float counts in one histogram");
const NEGATIVE: HistogramFault = HistogramFault::Invalid("a negative count");

impl RawSide {
    /// The counts that the deltas lead to, and their sum.
    fn absolute(&self) -> Result<(Vec<f64>, u128), HistogramFault> {
        check_n_buckets(&self.spans, self.deltas.len())?;
        let mut counts = Vec::with_capacity(self.deltas.len());
        let (mut count, mut n) = (0i64, 0u128);
        for delta in &self.deltas {
            count = count.checked_add(*delta).ok_or(HistogramFault::Invalid("a count beyond 63 bits"))?;
            n += u128::try_from(count).map_err(|_| NEGATIVE)?;
            counts.push(count as f64);
        }
        Ok((counts, n))
    }
}

/// The index behind the last bucket that `spans` lay out.
fn check_spans(spans: &[Span]) -> Result<i32, HistogramFault> {
    let mut end = 0i64;
    for (i, span) in spans.iter().enumerate() {
        if i > 0 && span.offset < 0 {
            return Err(HistogramFault::SpanOffset { offset: span.offset });
        }
        // At most 65,536 spans of 2^33: no overflow.
        end += i64::from(span.offset) + i64::from(span.length);
    }
    i32::try_from(end).map_err(|_| HistogramFault::Invalid("a bucket index beyond 32 bits"))
}

fn check_n_buckets(spans: &[Span], buckets: usize) -> Result<(), HistogramFault> {
    let spans: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    if spans == buckets as u64 { Ok(()) } else { Err(HistogramFault::SpansMismatch { spans, buckets }) }
}

fn read_span(mut message: Cursor<'_>) -> Option<Span> {
    let mut span = Span { offset: 0, length: 0 };
    while !message.is_at_end() {
        match message.tag()? {
            SPAN_OFFSET => span.offset = message.sint32()?,
            SPAN_LENGTH => span.length = u32::try_from(message.varint()?).unwrap_or(u32::MAX),
            tag if matches!(field_number(tag), 1 | 2) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some(span)
}

fn read_deltas(mut packed: Cursor<'_>, into: &mut Vec<i64>) -> Option<()> {
    while !packed.is_at_end() && into.len() <= BUCKETS_MAX {
        into.push(packed.sint64()?);
    }
    Some(())
}

fn read_doubles(mut packed: Cursor<'_>, into: &mut Vec<f64>) -> Option<()> {
    while !packed.is_at_end() && into.len() <= BUCKETS_MAX {
        into.push(packed.double()?);
    }
    Some(())
}

fn reset_hint(number: u64) -> ResetHint {
    match number {
        1 => ResetHint::Reset,
        2 => ResetHint::NoReset,
        3 => ResetHint::Gauge,
        _ => ResetHint::Unknown,
    }
}

/// The number [`reset_hint`] reads back.
pub(crate) fn reset_hint_number(hint: ResetHint) -> u64 {
    match hint {
        ResetHint::Unknown => 0,
        ResetHint::Reset => 1,
        ResetHint::NoReset => 2,
        ResetHint::Gauge => 3,
    }
}
