//! The encoder: appends one sample at a time; the bytes are a whole chunk after each.

use model::{Sample, Timestamp};

use super::decode::Samples;
use crate::chunk::bit_writer::BitWriter;
use crate::chunk::{ChunkError, num_samples, varint};

/// No window was written yet: no value has as many leading zeros.
const NO_WINDOW: u32 = u32::MAX;
/// The window's leading zeros have 5 bits in the chunk.
const LEADING_MAX: u32 = 31;

/// A float chunk that grows.
///
/// Invariant: [`XorAppender::bytes`] is a complete chunk at every moment, so a reader copies or decodes it as it is.
#[derive(Clone, Debug)]
pub struct XorAppender {
    bits: BitWriter,
    t: Timestamp,
    delta: i64,
    value: u64,
    leading: u32,
    trailing: u32,
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
        XorAppender { bits, t: Timestamp::MIN, delta: 0, value: 0, leading: NO_WINDOW, trailing: 0 }
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
        let (leading, trailing) = end.window.unwrap_or((NO_WINDOW, 0));
        Ok(XorAppender { bits, t: end.t, delta: end.delta, value: end.value, leading, trailing })
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
            }
            1 => {
                varint::push_uvarint(self.bits.bytes_mut(), delta.cast_unsigned());
                let (bits, n) = self.encode_value(value);
                self.bits.push(bits, n);
            }
            _ => self.push_sample(delta, value),
        }
        self.bits.set_header((count + 1).to_be_bytes());
        (self.t, self.delta, self.value) = (t, delta, value);
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
        (self.num_samples() > 0).then(|| Sample { t: self.t, v: f64::from_bits(self.value) })
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
        let dod = delta.wrapping_sub(self.delta);
        let (value_bits, value_n) = self.encode_value(value);
        match encode_dod(dod) {
            Some((bits, n)) => self.bits.push((bits << value_n) | value_bits, n + value_n),
            None => {
                self.bits.push((0b1111 << 64) | u128::from(dod.cast_unsigned()), 68);
                self.bits.push(value_bits, value_n);
            }
        }
    }

    /// The bits of a value after the last one, at most 77, and their number.
    #[inline]
    fn encode_value(&mut self, value: u64) -> (u128, u32) {
        let xor = value ^ self.value;
        if xor == 0 {
            return (0, 1);
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        if self.leading != NO_WINDOW && self.leading <= leading && self.trailing <= trailing {
            let n = 64 - self.leading - self.trailing;
            return ((0b10 << n) | u128::from(xor >> self.trailing), 2 + n);
        }
        (self.leading, self.trailing) = (leading, trailing);
        let n = 64 - leading - trailing;
        // 64 bits do not fit into 6, but 0 bits never happen: 0 stands for 64.
        let window = (0b11 << 11) | (leading << 6) | (n & 63);
        ((u128::from(window) << n) | u128::from(xor >> trailing), 13 + n)
    }
}

/// The bits of a distance's change and their number; nothing when it takes 64.
#[inline]
fn encode_dod(dod: i64) -> Option<(u128, u32)> {
    let low = |n: u32| u128::from(dod.cast_unsigned() & ((1 << n) - 1));
    match dod {
        0 => Some((0, 1)),
        -0x1fff..=0x2000 => Some(((0b10 << 14) | low(14), 2 + 14)),
        -0xffff..=0x1_0000 => Some(((0b110 << 17) | low(17), 3 + 17)),
        -0x7_ffff..=0x8_0000 => Some(((0b1110 << 20) | low(20), 4 + 20)),
        _ => None,
    }
}
