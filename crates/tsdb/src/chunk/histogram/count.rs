//! One number of a histogram from sample to sample: whole ones as differences of differences, floats as differing bits.

use super::layout::read_raw;
use super::varbit::{push_int, push_uint, read_int, read_uint};
use crate::chunk::bit_reader::BitReader;
use crate::chunk::bit_writer::BitWriter;
use crate::chunk::xor::XorValue;
use crate::chunk::{ChunkError, Encoding};

/// How a chunk keeps the counts of its histograms. Each count is a cell that knows what the next one is told against.
pub(in crate::chunk) trait Count: Copy {
    /// The encoding of such chunks.
    const ENCODING: Encoding;

    /// A count of all observations, or of the zero bucket, in the chunk's first histogram.
    fn push_first(count: f64, into: &mut BitWriter) -> Self;
    /// The same in the next histogram.
    fn push_next(&mut self, count: f64, into: &mut BitWriter);
    /// The same in a staleness marker, which counts nothing.
    fn push_stale(&mut self, into: &mut BitWriter);
    /// The buckets of one side in the chunk's first histogram.
    fn push_first_buckets(counts: &[f64], into: &mut BitWriter) -> Vec<Self>;
    /// The same in the next histogram.
    fn push_next_buckets(cells: &mut [Self], counts: &[f64], into: &mut BitWriter);

    /// Reads what [`Count::push_first`] wrote.
    fn read_first(bits: &mut BitReader<'_>) -> Self;
    /// Reads what [`Count::push_first_buckets`] wrote.
    fn read_first_buckets(n: u64, bits: &mut BitReader<'_>) -> Vec<Self>;
    /// Reads what one step, of a count or of a bucket, wrote.
    fn read_next(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError>;
    /// A count of all observations, or of the zero bucket.
    fn count(&self) -> f64;
    /// The counts of the buckets of one side.
    fn counts(cells: &[Self]) -> Vec<f64>;
}

/// A whole number and its last change. Of buckets it is the difference to the bucket before.
#[derive(Clone, Copy, Debug)]
pub(in crate::chunk) struct Whole {
    value: i64,
    change: i64,
}

impl Whole {
    fn step(&mut self, value: i64, into: &mut BitWriter) {
        let change = value.wrapping_sub(self.value);
        push_int(into, change.wrapping_sub(self.change));
        *self = Whole { value, change };
    }
}

/// The number itself: whole, and below 2^53, as the kind of the sample promises.
#[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
fn whole(count: f64) -> i64 {
    debug_assert!(count.fract() == 0.0, "{count} observations in a histogram of whole numbers");
    count as i64
}

/// Each count less the one before it.
fn differences(counts: &[f64]) -> impl Iterator<Item = i64> {
    counts.iter().scan(0, |before, count| {
        let count = whole(*count);
        Some(count.wrapping_sub(std::mem::replace(before, count)))
    })
}

impl Count for Whole {
    const ENCODING: Encoding = Encoding::Histogram;

    fn push_first(count: f64, into: &mut BitWriter) -> Whole {
        push_uint(into, whole(count).cast_unsigned());
        Whole { value: whole(count), change: 0 }
    }

    fn push_next(&mut self, count: f64, into: &mut BitWriter) {
        self.step(whole(count), into);
    }

    fn push_stale(&mut self, into: &mut BitWriter) {
        push_int(into, 0);
    }

    fn push_first_buckets(counts: &[f64], into: &mut BitWriter) -> Vec<Whole> {
        let first = |value| {
            push_int(into, value);
            Whole { value, change: 0 }
        };
        differences(counts).map(first).collect()
    }

    fn push_next_buckets(cells: &mut [Whole], counts: &[f64], into: &mut BitWriter) {
        cells.iter_mut().zip(differences(counts)).for_each(|(cell, value)| cell.step(value, into));
    }

    fn read_first(bits: &mut BitReader<'_>) -> Whole {
        Whole { value: read_uint(bits).cast_signed(), change: 0 }
    }

    fn read_first_buckets(n: u64, bits: &mut BitReader<'_>) -> Vec<Whole> {
        (0..n).map(|_| Whole { value: read_int(bits), change: 0 }).collect()
    }

    #[inline]
    fn read_next(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.change = self.change.wrapping_add(read_int(bits));
        self.value = self.value.wrapping_add(self.change);
        Ok(())
    }

    fn count(&self) -> f64 {
        self.value.cast_unsigned() as f64
    }

    fn counts(cells: &[Whole]) -> Vec<f64> {
        let running = cells.iter().scan(0_i64, |count, cell| {
            *count = count.wrapping_add(cell.value);
            Some(*count as f64)
        });
        running.collect()
    }
}

impl Count for XorValue {
    const ENCODING: Encoding = Encoding::FloatHistogram;

    fn push_first(count: f64, into: &mut BitWriter) -> XorValue {
        into.push(count.to_bits().into(), 64);
        XorValue::first(count.to_bits())
    }

    fn push_next(&mut self, count: f64, into: &mut BitWriter) {
        let (bits, n) = self.encode(count.to_bits());
        into.push(bits, n);
    }

    fn push_stale(&mut self, into: &mut BitWriter) {
        self.push_next(0.0, into);
    }

    fn push_first_buckets(counts: &[f64], into: &mut BitWriter) -> Vec<XorValue> {
        counts.iter().map(|count| XorValue::push_first(*count, into)).collect()
    }

    fn push_next_buckets(cells: &mut [XorValue], counts: &[f64], into: &mut BitWriter) {
        cells.iter_mut().zip(counts).for_each(|(cell, count)| cell.push_next(*count, into));
    }

    fn read_first(bits: &mut BitReader<'_>) -> XorValue {
        XorValue::first(read_raw(bits, 64))
    }

    fn read_first_buckets(n: u64, bits: &mut BitReader<'_>) -> Vec<XorValue> {
        (0..n).map(|_| XorValue::first(read_raw(bits, 64))).collect()
    }

    #[inline]
    fn read_next(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.read(bits)
    }

    fn count(&self) -> f64 {
        f64::from_bits(self.bits())
    }

    fn counts(cells: &[XorValue]) -> Vec<f64> {
        cells.iter().map(Count::count).collect()
    }
}
