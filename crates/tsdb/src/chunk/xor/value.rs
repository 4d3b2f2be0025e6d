//! One float beside the one before it: the bits that differ, inside a window that is told when it changes.

use crate::chunk::ChunkError;
use crate::chunk::bit_reader::BitReader;

/// No window was told yet: no value has as many leading zeros.
const NO_WINDOW: u32 = u32::MAX;
/// The window's leading zeros have 5 bits in the chunk.
pub(super) const LEADING_MAX: u32 = 31;

/// A float's bits and the window of the last difference.
#[derive(Clone, Copy, Debug)]
pub(crate) struct XorValue {
    bits: u64,
    leading: u32,
    trailing: u32,
}

impl XorValue {
    /// The first value, which is told whole; there is no window yet.
    pub(crate) fn first(bits: u64) -> XorValue {
        XorValue { bits, leading: NO_WINDOW, trailing: 0 }
    }

    /// A value in the middle of a chunk: the leading and trailing zeros of its window, if there is one.
    pub(crate) fn resume(bits: u64, window: Option<(u32, u32)>) -> XorValue {
        let (leading, trailing) = window.unwrap_or((NO_WINDOW, 0));
        XorValue { bits, leading, trailing }
    }

    /// The leading and trailing zeros of the window, if there is one.
    pub(crate) fn window(&self) -> Option<(u32, u32)> {
        (self.leading != NO_WINDOW).then_some((self.leading, self.trailing))
    }

    /// The value's bits.
    #[inline]
    pub(crate) fn bits(&self) -> u64 {
        self.bits
    }

    /// Goes on to the value `bits`: the bits that tell of it, at most 77, and their number.
    #[inline]
    pub(crate) fn encode(&mut self, bits: u64) -> (u128, u32) {
        let xor = bits ^ self.bits;
        self.bits = bits;
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

    /// Goes on to the value that `bits` tell of. Float chunks have a faster way of their own.
    #[inline]
    pub(crate) fn read(&mut self, bits: &mut BitReader<'_>) -> Result<(), ChunkError> {
        bits.want(13);
        let window = bits.window();
        if window >> 63 == 0 {
            bits.skip(1);
            return Ok(());
        }
        if (window << 1) >> 63 != 0 {
            let header = ((window << 2) >> 53) as u32;
            let (leading, width) = (header >> 6, (header.wrapping_sub(1) & 63) + 1);
            let trailing = 64_u32.checked_sub(leading + width);
            let trailing = trailing.ok_or(ChunkError::Corrupt { what: "a window is wider than a value" })?;
            (self.leading, self.trailing) = (leading, trailing);
            bits.skip(13);
        } else {
            bits.skip(2);
        }
        let leading = if self.leading == NO_WINDOW { 0 } else { self.leading };
        let width = 64 - leading - self.trailing;
        bits.refill();
        self.bits ^= bits.window() >> (64 - width) << self.trailing;
        bits.skip_any(width);
        Ok(())
    }
}
