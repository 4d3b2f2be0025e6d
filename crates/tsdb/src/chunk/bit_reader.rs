//! Bits taken from bytes, the highest first, through a 64-bit window; reading past the end is noticed, not prevented.

/// A window over bytes.
///
/// Q: Why does nothing here fail? A: a check for each read would cost more than the read. Behind the last byte the
/// window is filled with zeros, and whoever reads asks [`BitReader::is_overrun`] once, at the end.
/// Q: Why `Copy`, and cold functions that take and return it by value? A: a reference given to a function that is not
/// inlined would force the fields into memory for the whole loop, which makes it a third slower.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, left-aligned. After a refill all 64 are the stream's, whatever `bits` says.
    window: u64,
    /// How many bits of the window are accounted for, 0 to 63; `rest` starts behind them.
    bits: u32,
    /// Zero bytes made up behind the end.
    beyond: usize,
}

impl<'a> BitReader<'a> {
    /// Starts at the first bit of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> BitReader<'a> {
        let mut reader = BitReader { rest: bytes, window: 0, bits: 0, beyond: 0 };
        reader.refill();
        reader
    }

    /// The window: 64 bits after a refill, less what was skipped since.
    #[inline(always)]
    pub(crate) fn window(&self) -> u64 {
        self.window
    }

    /// Fills the window up: at least 56 bits may be skipped after it, and all 64 be looked at.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk() {
            self.window |= u64::from_be_bytes(*word) >> (self.bits & 63);
            self.rest = &self.rest[((63 ^ self.bits) as usize & 63) >> 3..];
            self.bits |= 56;
        } else {
            *self = refill_at_end(*self);
        }
    }

    /// Fills the window up if fewer than `n` bits are in it; `n` is at most 56.
    #[inline(always)]
    pub(crate) fn want(&mut self, n: u32) {
        if self.bits < n {
            self.refill();
        }
    }

    /// Goes on by `n` bits, at most as many as are in the window.
    #[inline(always)]
    pub(crate) fn skip(&mut self, n: u32) {
        debug_assert!(n <= self.bits, "skipped {n} bits of {}", self.bits);
        self.window <<= n & 63;
        self.bits = self.bits.wrapping_sub(n);
    }

    /// Goes on by `n` bits, at most 64, right after a refill.
    #[inline(always)]
    pub(crate) fn skip_any(&mut self, n: u32) {
        if n <= self.bits { self.skip(n) } else { *self = skip_over(*self, n) }
    }

    /// Whether more bits were skipped than there were.
    pub(crate) fn is_overrun(&self) -> bool {
        self.beyond * 8 > self.bits as usize
    }

    /// What is not skipped yet: whole bytes, and bits in front of them.
    pub(crate) fn left(&self) -> (usize, u32) {
        let bytes = self.rest.len() + self.bits as usize / 8;
        (bytes.saturating_sub(self.beyond), self.bits % 8)
    }
}

#[cold]
#[inline(never)]
fn refill_at_end(mut reader: BitReader<'_>) -> BitReader<'_> {
    let mut word = [0; 8];
    word[..reader.rest.len()].copy_from_slice(reader.rest);
    let bytes = ((63 - reader.bits) >> 3) as usize;
    let real = bytes.min(reader.rest.len());
    reader.window |= u64::from_be_bytes(word) >> reader.bits;
    reader.rest = &reader.rest[real..];
    reader.beyond += bytes - real;
    reader.bits |= 56;
    reader
}

#[cold]
#[inline(never)]
fn skip_over(mut reader: BitReader<'_>, n: u32) -> BitReader<'_> {
    let left = n - reader.bits;
    reader.skip(reader.bits);
    reader.window = 0;
    reader.refill();
    reader.skip(left);
    reader
}
