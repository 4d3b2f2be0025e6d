//! The decoder: a whole chunk into columns at a few nanoseconds a sample.

use std::hint::select_unpredictable;

use model::{Columns, TimeRange, Timestamp};

use crate::chunk::bit_reader::BitReader;
use crate::chunk::{ChunkError, num_samples, varint};

/// Widths of a distance's change; the number of ones in front says which.
const DOD_BITS: [u32; 3] = [14, 17, 20];
/// A sample takes at most this many bits up to its value's own: 16 for a common distance, 13 for a window.
const HEAD_BITS: u32 = 16 + 13;

/// Appends the samples of a chunk that lie in `range` to the float columns, and stops behind its end.
///
/// Shape: `into` keeps what it holds; timestamps ascend within the chunk.
/// Errors: bytes that no encoder makes; `into` is then as before. Bits of values, NaN payloads included, are kept.
/// Cost: 2 to 7 ns a sample, `examples/xor_cost.rs` measures it.
pub fn decode(bytes: &[u8], range: TimeRange, into: &mut Columns) -> Result<(), ChunkError> {
    let Some(mut samples) = Samples::start(bytes)? else { return Ok(()) };
    let start = into.timestamps.len();
    if range.maxt < samples.t {
        return Ok(());
    }
    let count = 1 + usize::from(samples.left);
    into.timestamps.resize(start + count, samples.t);
    into.values.resize(start + count, f64::from_bits(samples.value));
    let (timestamps, values) = (&mut into.timestamps[start + 1..], &mut into.values[start + 1..]);
    let decoded = samples.fill(range.maxt, timestamps, values);
    let end = start + decoded.map_or(0, |n| n + 1);
    into.timestamps.truncate(end);
    into.values.truncate(end);
    let early = into.timestamps[start..].partition_point(|t| *t < range.mint);
    if early > 0 {
        into.timestamps.drain(start..start + early);
        into.values.drain(start..start + early);
    }
    decoded.map(|_| ())
}

/// The state between two samples.
pub(super) struct Samples<'a> {
    bits: BitReader<'a>,
    t: Timestamp,
    delta: i64,
    value: u64,
    /// The last window: how many bits, and how many zeros follow them. Before the first one, the whole value.
    width: u32,
    trailing: u32,
    /// Samples not yet read.
    left: u16,
    /// Collects what is wrong: 64 or more means something is. One test at the end replaces two for each sample.
    faults: u32,
}

/// Behind the last sample: what an appender has to know to go on.
pub(super) struct End {
    pub(super) t: Timestamp,
    pub(super) delta: i64,
    pub(super) value: u64,
    /// Leading and trailing zeros of the last window; nothing when it is as wide as a value and so not worth keeping.
    pub(super) window: Option<(u32, u32)>,
    /// What holds nothing: whole bytes at the end, and bits in front of them.
    pub(super) left: (usize, u32),
}

impl<'a> Samples<'a> {
    /// Reads the count and the first sample, and the distance of the second; nothing when the chunk is empty.
    pub(super) fn start(bytes: &'a [u8]) -> Result<Option<Samples<'a>>, ChunkError> {
        let Some(body) = bytes.get(2..) else { return Err(corrupt("no sample count")) };
        let Some(left) = num_samples(bytes).checked_sub(1) else { return Ok(None) };
        let (t, body) = varint::split_varint(body).ok_or(corrupt("no first timestamp"))?;
        let (value, body) = body.split_first_chunk().ok_or(corrupt("no first value"))?;
        let (delta, body) = match left {
            0 => (0, body),
            _ => varint::split_uvarint(body).ok_or(corrupt("no second timestamp"))?,
        };
        // Every sample takes 2 bits or more, the second 1: a count that cannot be true is refused before any work.
        if body.len() * 8 + 1 < usize::from(left) * 2 {
            return Err(corrupt("fewer bits than its samples need"));
        }
        let (value, delta) = (u64::from_be_bytes(*value), delta.cast_signed());
        Ok(Some(Samples { bits: BitReader::new(body), t, delta, value, width: 64, trailing: 0, left, faults: 0 }))
    }

    /// Reads all samples up to `maxt` into the slices, which have a place for each, and returns their number.
    fn fill(&mut self, maxt: Timestamp, timestamps: &mut [Timestamp], values: &mut [f64]) -> Result<usize, ChunkError> {
        debug_assert!(timestamps.len() == usize::from(self.left) && values.len() == usize::from(self.left));
        let mut places = timestamps.iter_mut().zip(values);
        let mut filled = 0;
        // The second sample's distance was read at the start; all later ones have a change of distance in front.
        if let Some((t, v)) = places.next() {
            self.value();
            self.advance();
            (*t, *v) = (self.t, f64::from_bits(self.value));
            filled += usize::from(self.t <= maxt);
        }
        if self.t <= maxt {
            for (t, v) in places {
                self.change_of_delta();
                self.value();
                self.advance();
                if maxt < self.t {
                    break;
                }
                (*t, *v) = (self.t, f64::from_bits(self.value));
                filled += 1;
            }
        }
        self.check().map(|()| filled)
    }

    /// Reads to the end of the chunk.
    pub(super) fn finish(mut self) -> Result<End, ChunkError> {
        let (mut timestamps, mut values) = (vec![0; self.left.into()], vec![0.0; self.left.into()]);
        self.fill(Timestamp::MAX, &mut timestamps, &mut values)?;
        let window = (self.width < 64).then(|| (64 - self.width - self.trailing, self.trailing));
        Ok(End { t: self.t, delta: self.delta, value: self.value, window, left: self.bits.left() })
    }

    #[inline(always)]
    fn change_of_delta(&mut self) {
        self.bits.want(HEAD_BITS);
        let window = self.bits.window();
        let code = window >> 62;
        if code == 0b00 {
            // No change, and the next bit says that the value is the same too: a constant takes this way always.
            self.bits.skip(1);
        } else if code == 0b11 {
            let (bits, dod) = wide_change(self.bits);
            self.bits = bits;
            self.delta = self.delta.wrapping_add(dod);
        } else {
            // Q: Why no branch? A: with jitter of a millisecond either is as likely, and a wrong guess costs 5 ns.
            let narrow = code == 0b10;
            let dod = signed((window << 2) >> (64 - DOD_BITS[0]), DOD_BITS[0]);
            self.delta = self.delta.wrapping_add(select_unpredictable(narrow, dod, 0));
            self.bits.skip(select_unpredictable(narrow, 2 + DOD_BITS[0], 1));
        }
    }

    #[inline(always)]
    fn value(&mut self) {
        let window = self.bits.window();
        if window >> 63 == 0 {
            self.bits.skip(1);
            return;
        }
        let new = (window << 1) >> 63 != 0;
        let header = ((window << 2) >> 53) as u32;
        let leading = header >> 6;
        let width = (header.wrapping_sub(1) & 63) + 1;
        // A window wider than the value makes this wrap around to 64 or more, which is a fault.
        let trailing = 64_u32.wrapping_sub(leading + width);
        self.width = select_unpredictable(new, width, self.width);
        self.trailing = select_unpredictable(new, trailing, self.trailing);
        self.faults |= self.trailing;
        self.bits.skip(select_unpredictable(new, 13, 2));
        self.bits.refill();
        let xor = self.bits.window() >> ((64 - self.width) & 63);
        self.value ^= xor << (self.trailing & 63);
        self.bits.skip_any(self.width);
    }

    #[inline(always)]
    fn advance(&mut self) {
        let t = self.t.wrapping_add(self.delta);
        self.faults |= u32::from(t <= self.t) << 6;
        self.t = t;
    }

    fn check(&self) -> Result<(), ChunkError> {
        if self.bits.is_overrun() {
            return Err(corrupt("it ends inside a sample"));
        }
        if self.faults >= 64 {
            return Err(corrupt("timestamps do not ascend, or a window is wider than a value"));
        }
        Ok(())
    }
}

/// A distance's change in 17, 20 or 64 bits.
#[cold]
#[inline(never)]
fn wide_change(mut bits: BitReader<'_>) -> (BitReader<'_>, i64) {
    bits.refill();
    let window = bits.window();
    let ones = window.leading_ones().min(4);
    let change = match ones {
        4 => {
            bits.skip(4);
            bits.refill();
            let change = bits.window().cast_signed();
            bits.skip_any(64);
            change
        }
        _ => {
            let n = DOD_BITS[ones as usize - 1];
            bits.skip(ones + 1 + n);
            signed((window << (ones + 1)) >> (64 - n), n)
        }
    };
    bits.want(HEAD_BITS);
    (bits, change)
}

/// The number that the low `n` bits stand for: the largest is `2^(n-1)`, not one less as in two's complement.
#[inline(always)]
fn signed(bits: u64, n: u32) -> i64 {
    let negative = i64::from(bits > 1 << (n - 1));
    bits.cast_signed() - (negative << n)
}

fn corrupt(what: &'static str) -> ChunkError {
    ChunkError::Corrupt { what }
}
