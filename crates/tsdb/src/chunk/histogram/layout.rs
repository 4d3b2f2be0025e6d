//! What all histograms of a chunk have in common: schema, zero bucket, where the buckets lie, custom bounds.

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, Span};

use super::varbit::{push_int, push_uint, read_int, read_uint};
use super::{BUCKETS_MAX, corrupt};
use crate::chunk::ChunkError;
use crate::chunk::bit_reader::BitReader;
use crate::chunk::bit_writer::BitWriter;

/// Says that the zero threshold follows as a float.
const THRESHOLD_FOLLOWS: u8 = 255;
/// Added to the exponent of a threshold that is a power of two; 2^-243 to 2^10 have such a code.
const THRESHOLD_BIAS: u64 = 244;
/// Added to the exponent of a float in its bits.
const EXPONENT_BIAS: u64 = 1023;
/// The largest custom bound that has a short code, in thousandths.
const BOUND_MAX: f64 = 33_554_430.0;

/// The layout of a chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) positive: Vec<Span>,
    pub(super) negative: Vec<Span>,
    pub(super) custom_bounds: Vec<f64>,
}

/// Writes the layout of `histogram`.
pub(super) fn write(histogram: &Histogram, into: &mut BitWriter) {
    push_threshold(into, histogram.zero_threshold);
    push_int(into, histogram.schema.into());
    for spans in [&histogram.positive_spans, &histogram.negative_spans] {
        push_uint(into, spans.len() as u64);
        for span in spans {
            push_uint(into, span.length.into());
            push_int(into, span.offset.into());
        }
    }
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        push_uint(into, histogram.custom_bounds.len() as u64);
        histogram.custom_bounds.iter().for_each(|bound| push_bound(into, *bound));
    }
}

impl Layout {
    /// Reads a layout.
    pub(super) fn read(bits: &mut BitReader<'_>) -> Result<Layout, ChunkError> {
        let zero_threshold = read_threshold(bits);
        let schema = i32::try_from(read_int(bits)).map_err(|_| corrupt("a schema of more than 32 bits"))?;
        let positive = read_spans(bits)?;
        let negative = read_spans(bits)?;
        let custom_bounds = if schema == CUSTOM_BUCKETS_SCHEMA { read_bounds(bits)? } else { Vec::new() };
        let buckets = buckets(&positive) + buckets(&negative);
        if buckets > BUCKETS_MAX || buckets > bits_left(bits) {
            return Err(corrupt("more buckets than a histogram may have, or than it has bits for"));
        }
        Ok(Layout { schema, zero_threshold, positive, negative, custom_bounds })
    }
}

/// The number of buckets that spans lay out.
pub(super) fn buckets(spans: &[Span]) -> u64 {
    spans.iter().map(|span| u64::from(span.length)).sum()
}

/// The bits that are not read yet.
pub(super) fn bits_left(bits: &BitReader<'_>) -> u64 {
    let (bytes, over) = bits.left();
    bytes as u64 * 8 + u64::from(over)
}

fn read_spans(bits: &mut BitReader<'_>) -> Result<Vec<Span>, ChunkError> {
    let mut spans = Vec::new();
    for _ in 0..read_len(bits)? {
        let length = u32::try_from(read_uint(bits)).map_err(|_| corrupt("a span of more than 32 bits"))?;
        let offset = i32::try_from(read_int(bits)).map_err(|_| corrupt("an offset of more than 32 bits"))?;
        spans.push(Span { offset, length });
    }
    Ok(spans)
}

fn read_bounds(bits: &mut BitReader<'_>) -> Result<Vec<f64>, ChunkError> {
    (0..read_len(bits)?).map(|_| Ok(read_bound(bits))).collect()
}

/// The length of a list; each entry takes at least one bit.
fn read_len(bits: &mut BitReader<'_>) -> Result<u64, ChunkError> {
    let len = read_uint(bits);
    if len > BUCKETS_MAX || len > bits_left(bits) {
        return Err(corrupt("more spans or bounds than a histogram may have, or than it has bits for"));
    }
    Ok(len)
}

/// A threshold of zero or a common power of two takes one byte, another one nine.
fn push_threshold(into: &mut BitWriter, threshold: f64) {
    match threshold_code(threshold) {
        Some(code) => into.push(code.into(), 8),
        None => {
            into.push(THRESHOLD_FOLLOWS.into(), 8);
            into.push(threshold.to_bits().into(), 64);
        }
    }
}

fn threshold_code(threshold: f64) -> Option<u8> {
    if threshold == 0.0 {
        return Some(0);
    }
    let bits = threshold.to_bits();
    // A sign, or the exponent of an infinity, is far above all codes.
    let is_power_of_two = bits << 12 == 0;
    let code = ((bits >> 52) + THRESHOLD_BIAS).checked_sub(EXPONENT_BIAS)?;
    u8::try_from(code).ok().filter(|code| is_power_of_two && (1..THRESHOLD_FOLLOWS).contains(code))
}

fn read_threshold(bits: &mut BitReader<'_>) -> f64 {
    match read_raw(bits, 8) {
        0 => 0.0,
        255 => f64::from_bits(read_raw(bits, 64)),
        code => f64::from_bits((code + EXPONENT_BIAS - THRESHOLD_BIAS) << 52),
    }
}

/// Thousandths up to 33,554.430 are one more than their number; another bound is a zero bit and the float.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole, positive and below 2^25")]
fn push_bound(into: &mut BitWriter, bound: f64) {
    let thousandths = (bound * 1000.0).round();
    if (0.0..=BOUND_MAX).contains(&(bound * 1000.0)) && thousandths / 1000.0 == bound {
        push_uint(into, thousandths as u64 + 1);
    } else {
        into.push(0, 1);
        into.push(bound.to_bits().into(), 64);
    }
}

fn read_bound(bits: &mut BitReader<'_>) -> f64 {
    match read_uint(bits) {
        0 => f64::from_bits(read_raw(bits, 64)),
        code => (code - 1) as f64 / 1000.0,
    }
}

/// Reads `n` bits, 1 to 64, as they are.
pub(super) fn read_raw(bits: &mut BitReader<'_>, n: u32) -> u64 {
    bits.refill();
    let value = bits.window() >> (64 - n);
    bits.skip_any(n);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(bytes: &[u8]) -> f64 {
        read_threshold(&mut BitReader::new(bytes))
    }

    #[test]
    fn thresholds_come_back_and_powers_of_two_are_short() {
        let short = [0.0, 1024.0, 1.0, 0.5, (-128_f64).exp2(), (-243_f64).exp2()];
        let long = [2048.0, 0.3, -1.0, f64::INFINITY, f64::MIN_POSITIVE / 2.0, (-244_f64).exp2(), -0.5, f64::MAX];
        for (values, len) in [(&short[..], 1), (&long[..], 9)] {
            for value in values {
                let mut writer = BitWriter::default();
                push_threshold(&mut writer, *value);
                assert_eq!(writer.bytes().len(), len, "{value:e}");
                assert_eq!(threshold(writer.bytes()).to_bits(), value.to_bits(), "{value:e}");
            }
        }
        // The default threshold, 2^-128, as the format's description has it.
        assert_eq!(threshold(&[116]).to_bits(), (-128_f64).exp2().to_bits());
        for code in 1..255 {
            assert_eq!(threshold_code(threshold(&[code])), Some(code));
        }
    }

    #[test]
    fn custom_bounds_come_back_and_thousandths_are_short() {
        let short = [(0.0, 5), (0.001, 5), (0.006, 5), (0.007, 9), (0.25, 13), (33_554.430, 32)];
        let long = [33_554.431, -0.001, 0.0001, 1e300, f64::INFINITY, f64::NEG_INFINITY, 1.0 / 3.0].map(|b| (b, 65));
        for (bound, bits) in short.into_iter().chain(long) {
            let mut writer = BitWriter::default();
            push_bound(&mut writer, bound);
            assert_eq!(writer.bytes().len(), usize::div_ceil(bits, 8), "{bound}");
            assert_eq!(read_bound(&mut BitReader::new(writer.bytes())).to_bits(), bound.to_bits(), "{bound}");
        }
    }
}
