//! The decoder: a whole chunk into histograms with absolute float counts.

use std::sync::Arc;

use model::{Histogram, ResetHint, Span, TimeRange, Timestamp, is_stale};

use super::count::Count;
use super::layout::{Layout, bits_left, buckets, read_raw};
use super::varbit::read_int;
use super::{HEADER_BYTES, corrupt, reset_of};
use crate::chunk::bit_reader::BitReader;
use crate::chunk::xor::XorValue;
use crate::chunk::{ChunkError, num_samples};

/// A sample takes at least one bit each for its time, its counts and its sum.
const SAMPLE_BITS_MIN: u64 = 4;
/// Bytes of memory that one byte of a chunk may stand for, beyond [`MEMORY_SLACK`].
const MEMORY_PER_BYTE: usize = 64;
/// Bytes of memory that any chunk may stand for: those of 65,535 histograms without buckets.
///
/// Each histogram has spans and bounds of its own, though a chunk has them once: without a bound, 36 KB of damage
/// became 2 GB. Chunks as they are written, of 120 histograms or a KiB, stay below 4 MiB whatever is in them.
const MEMORY_SLACK: usize = 16 << 20;

/// The histograms of a chunk that lie in `range`, ascending.
///
/// Resets: gauges are marked as such; after the first histogram of a chunk it is known that there was none; of the
/// first one nothing is known, whatever the header says, for what it was said against may not be the neighbour here.
/// Errors: bytes that no encoder makes. Cost: some 2 to 10 ns a bucket, and the memory of a histogram for each sample.
pub(in crate::chunk) fn decode<C: Count>(
    bytes: &[u8],
    range: TimeRange,
) -> Result<Vec<(Timestamp, Arc<Histogram>)>, ChunkError> {
    let (Some(header), Some(body)) = (bytes.get(HEADER_BYTES - 1), bytes.get(HEADER_BYTES..)) else {
        return Err(corrupt("no sample count and reset header"));
    };
    let is_gauge = reset_of(*header) == ResetHint::Gauge;
    let count = num_samples(bytes);
    let mut histograms = Vec::new();
    if count == 0 {
        return Ok(histograms);
    }
    let mut samples = Samples::<C>::start(body)?;
    if u64::from(count - 1) * SAMPLE_BITS_MIN > bits_left(&samples.bits) {
        return Err(corrupt("fewer bits than its samples need"));
    }
    let mut memory_left = MEMORY_PER_BYTE * bytes.len() + MEMORY_SLACK;
    for idx in 0..count {
        if idx > 0 {
            samples.advance()?;
        }
        if range.maxt < samples.t {
            break;
        }
        if range.mint <= samples.t {
            let reset_hint = match (is_gauge, idx) {
                (true, _) => ResetHint::Gauge,
                (false, 0) => ResetHint::Unknown,
                (false, _) => ResetHint::NoReset,
            };
            memory_left = memory_left.checked_sub(samples.memory()).ok_or(corrupt("more memory than it may take"))?;
            histograms.push((samples.t, Arc::new(samples.histogram(reset_hint))));
        }
    }
    Ok(histograms)
}

/// The histograms of a chunk that an appender made.
pub(super) fn decode_own<C: Count>(bytes: &[u8]) -> Vec<(Timestamp, Arc<Histogram>)> {
    decode::<C>(bytes, TimeRange::ALL).expect("an appender's own chunk decodes")
}

/// The state between two samples.
struct Samples<'a, C> {
    bits: BitReader<'a>,
    layout: Layout,
    t: Timestamp,
    delta: i64,
    count: C,
    zero: C,
    sum: XorValue,
    positive: Vec<C>,
    negative: Vec<C>,
}

impl<'a, C: Count> Samples<'a, C> {
    /// Reads the layout and the first sample.
    fn start(body: &'a [u8]) -> Result<Samples<'a, C>, ChunkError> {
        let mut bits = BitReader::new(body);
        let layout = Layout::read(&mut bits)?;
        let t = read_int(&mut bits);
        let (count, zero) = (C::read_first(&mut bits), C::read_first(&mut bits));
        let sum = XorValue::first(read_raw(&mut bits, 64));
        let positive = C::read_first_buckets(buckets(&layout.positive), &mut bits);
        let negative = C::read_first_buckets(buckets(&layout.negative), &mut bits);
        let samples = Samples { bits, layout, t, delta: 0, count, zero, sum, positive, negative };
        samples.check().map(|()| samples)
    }

    /// Reads the next sample.
    fn advance(&mut self) -> Result<(), ChunkError> {
        self.delta = self.delta.wrapping_add(read_int(&mut self.bits));
        let t = self.t.wrapping_add(self.delta);
        if t <= self.t {
            return Err(corrupt("timestamps do not ascend"));
        }
        self.t = t;
        self.count.read_next(&mut self.bits)?;
        self.zero.read_next(&mut self.bits)?;
        self.sum.read(&mut self.bits)?;
        if !self.is_stale() {
            for bucket in self.positive.iter_mut().chain(&mut self.negative) {
                bucket.read_next(&mut self.bits)?;
            }
        }
        self.check()
    }

    fn check(&self) -> Result<(), ChunkError> {
        if self.bits.is_overrun() { Err(corrupt("it ends inside a sample")) } else { Ok(()) }
    }

    fn is_stale(&self) -> bool {
        is_stale(f64::from_bits(self.sum.bits()))
    }

    /// Bytes that [`Samples::histogram`] takes.
    fn memory(&self) -> usize {
        let own = size_of::<Histogram>() + 2 * size_of::<usize>();
        if self.is_stale() {
            return own;
        }
        let Layout { positive, negative, custom_bounds, .. } = &self.layout;
        let counts = (self.positive.len() + self.negative.len() + custom_bounds.len()) * size_of::<f64>();
        own + counts + (positive.len() + negative.len()) * size_of::<Span>()
    }

    fn histogram(&self, reset_hint: ResetHint) -> Histogram {
        let sum = f64::from_bits(self.sum.bits());
        if self.is_stale() {
            // Of a marker only gauge or not is worth knowing: it decides which chunk takes it.
            let reset_hint = if reset_hint == ResetHint::Gauge { reset_hint } else { ResetHint::Unknown };
            return Histogram { reset_hint, sum, ..Histogram::default() };
        }
        Histogram {
            reset_hint,
            schema: self.layout.schema,
            zero_threshold: self.layout.zero_threshold,
            zero_count: self.zero.count(),
            count: self.count.count(),
            sum,
            positive_spans: self.layout.positive.clone(),
            negative_spans: self.layout.negative.clone(),
            positive_buckets: C::counts(&self.positive),
            negative_buckets: C::counts(&self.negative),
            custom_bounds: self.layout.custom_bounds.clone(),
        }
    }
}
