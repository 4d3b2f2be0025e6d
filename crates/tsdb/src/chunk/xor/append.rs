//! The encoder: appends one sample at a time; the bytes are a whole chunk after each.

use model::{Sample, Timestamp};

use super::XorValue;
use super::decode::Samples;
use super::value::LEADING_MAX;
use crate::chunk::bit_writer::{BitWriter, PUSH_BITS_MAX};
use crate::chunk::{ChunkError, num_samples, varint};

/// A float chunk that grows.
///
/// Invariant: [`XorAppender::bytes`] is a complete chunk at every moment, so a reader copies or decodes it as it is.
#[derive(Clone, Debug)]
pub struct XorAppender {
    bits: BitWriter,
    t: Timestamp,
    delta: i64,
    value: XorValue,
}

/// What an appender of one sample or more knows beside its bytes and its last sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct XorState {
    /// From the sample before to the last one.
    pub(crate) delta: i64,
    /// Leading and trailing zeros of the window, if there is one.
    pub(crate) window: Option<(u32, u32)>,
    /// Low bits of the last byte that are not written yet.
    pub(crate) free: u32,
}

impl XorState {
    /// Whether an appender can be in it.
    fn is_possible(&self) -> bool {
        let fits = |(leading, trailing): (u32, u32)| leading <= LEADING_MAX && trailing < 64 - leading;
        self.free < 8 && self.window.is_none_or(fits)
    }
}

impl Default for XorAppender {
    fn default() -> XorAppender {
        XorAppender::new()
    }
}

impl XorAppender {
    /// A chunk without samples.
    pub fn new() -> XorAppender {
        let bits = BitWriter::resume(vec![0; 2], 0);
        XorAppender { bits, t: Timestamp::MIN, delta: 0, value: XorValue::first(0) }
    }

    /// Goes on behind the last sample of `bytes`.
    ///
    /// Errors: bytes that no appender made. Cost: decodes them once.
    pub fn resume(mut bytes: Vec<u8>) -> Result<XorAppender, ChunkError> {
        let Some(samples) = Samples::start(&bytes)? else { return Ok(XorAppender::new()) };
        let end = samples.finish()?;
        // Bytes behind the last sample would be taken for samples as soon as the count grows.
        let (free_bytes, free_bits) = end.left;
        bytes.truncate(bytes.len() - free_bytes);
        let bits = BitWriter::resume(bytes, free_bits);
        Ok(XorAppender { bits, t: end.t, delta: end.delta, value: XorValue::resume(end.value, end.window) })
    }

    /// What it knows; `None` without a sample.
    pub(crate) fn state(&self) -> Option<XorState> {
        let XorAppender { bits, delta, value, .. } = self;
        (0 < self.num_samples()).then(|| XorState { delta: *delta, window: value.window(), free: bits.free() })
    }

    /// Goes on with a copy of `bytes`, of which `last` is the last sample, in the state that an appender was in. `None` if
    /// it cannot have been. Cost: decodes nothing.
    pub(crate) fn go_on(bytes: &[u8], last: Sample, state: XorState) -> Option<XorAppender> {
        let XorState { delta, window, free } = state;
        let value = XorValue::resume(last.v.to_bits(), window);
        let possible = bytes.len() > 2 && 0 < num_samples(bytes) && state.is_possible();
        possible.then(|| XorAppender { bits: BitWriter::copy(bytes, free), t: last.t, delta, value })
    }

    /// Adds a sample after all others.
    ///
    /// Panics: when 65,535 samples are in it; whoever appends cuts chunks long before.
    #[inline]
    pub fn append(&mut self, t: Timestamp, v: f64) {
        let value = v.to_bits();
        let count = self.num_samples();
        assert!(count < u16::MAX, "a chunk holds at most {} samples", u16::MAX);
        debug_assert!(count == 0 || self.t < t, "timestamps must ascend: {} then {t}", self.t);
        let delta = t.wrapping_sub(self.t);
        match count {
            0 => {
                let bytes = self.bits.bytes_mut();
                varint::push_varint(bytes, t);
                bytes.extend_from_slice(&value.to_be_bytes());
                self.value = XorValue::first(value);
            }
            1 => {
                varint::push_uvarint(self.bits.bytes_mut(), delta.cast_unsigned());
                let (bits, n) = self.value.encode(value);
                self.bits.push(bits, n);
            }
            _ => self.push_sample(delta, value),
        }
        self.bits.set_header((count + 1).to_be_bytes());
        (self.t, self.delta) = (t, delta);
    }

    /// Adds samples to a chunk that has two or more: as many as it may have with `count_max`, up to one that is no newer
    /// than that before it or not older than `end`. Returns how many.
    ///
    /// Cost: half of what [`XorAppender::append`] takes for each.
    pub(crate) fn extend(&mut self, samples: &[Sample], end: Timestamp, count_max: u16) -> u16 {
        let count = self.num_samples();
        let room = if count < 2 { 0 } else { count_max.saturating_sub(count) };
        let XorAppender { bits, t: last_t, delta: last_delta, value } = self;
        // Copies, which may stay in registers.
        let (mut run, mut t, mut delta, mut value_now, mut added) = (bits.run(), *last_t, *last_delta, *value, 0);
        for sample in samples.iter().take(room.into()) {
            if sample.t <= t || end <= sample.t {
                break;
            }
            let next = sample.t.wrapping_sub(t);
            let (change, n) = encode_dod(next.wrapping_sub(delta));
            run.push(change, n);
            let (bits, n) = value_now.encode(sample.v.to_bits());
            run.push(bits, n);
            (t, delta) = (sample.t, next);
            added += 1;
        }
        run.finish();
        (*last_t, *last_delta, *value) = (t, delta, value_now);
        self.bits.set_header((count + added).to_be_bytes());
        added
    }

    /// The number of samples.
    #[inline]
    pub fn num_samples(&self) -> u16 {
        num_samples(self.bits.bytes())
    }

    /// When the newest sample was taken; before all others when there is none.
    #[inline]
    pub fn last_t(&self) -> Timestamp {
        self.t
    }

    /// The newest sample.
    pub fn last(&self) -> Option<Sample> {
        (self.num_samples() > 0).then(|| Sample { t: self.t, v: f64::from_bits(self.value.bits()) })
    }

    /// The chunk as it is now.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// Ends the chunk and gives its bytes away, without spare memory.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bits.into_bytes();
        bytes.shrink_to_fit();
        bytes
    }

    #[inline]
    fn push_sample(&mut self, delta: i64, value: u64) {
        let (bits, n) = encode_dod(delta.wrapping_sub(self.delta));
        let (value_bits, value_n) = self.value.encode(value);
        if n + value_n <= PUSH_BITS_MAX {
            self.bits.push((bits << value_n) | value_bits, n + value_n);
        } else {
            self.bits.push(bits, n);
            self.bits.push(value_bits, value_n);
        }
    }
}

/// The bits of a distance's change and their number.
#[inline]
fn encode_dod(dod: i64) -> (u128, u32) {
    let low = |n: u32| u128::from(dod.cast_unsigned() & ((1 << n) - 1));
    match dod {
        0 => (0, 1),
        -0x1fff..=0x2000 => ((0b10 << 14) | low(14), 2 + 14),
        -0xffff..=0x1_0000 => ((0b110 << 17) | low(17), 3 + 17),
        -0x7_ffff..=0x8_0000 => ((0b1110 << 20) | low(20), 4 + 20),
        _ => ((0b1111 << 64) | u128::from(dod.cast_unsigned()), 4 + 64),
    }
}
