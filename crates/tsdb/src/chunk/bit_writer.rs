//! Bits appended to bytes, the highest first; the bytes are complete after every call.

/// Bits that one call may write: with up to 7 bits already in the last byte they must fit into 128.
pub(crate) const PUSH_BITS_MAX: u32 = 121;

/// Bytes to grow by at least; chunks in the head are many, so their buffers grow by a quarter and not twofold.
const GROWTH_MIN: usize = 32;

/// A growing sequence of bits.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    /// Low bits of the last byte that are not written yet, 0 to 7; they are zero.
    free: u32,
}

impl BitWriter {
    /// Goes on after `bytes`, of whose last byte the low `free` bits were never written.
    pub(crate) fn resume(mut bytes: Vec<u8>, free: u32) -> BitWriter {
        debug_assert!(free < 8 && (free == 0 || !bytes.is_empty()), "a byte has 8 bits and one is kept");
        if let Some(last) = bytes.last_mut() {
            *last &= u8::MAX << free;
        }
        BitWriter { bytes, free }
    }

    /// Low bits of the last byte that are not written yet.
    pub(crate) fn free(&self) -> u32 {
        self.free
    }

    /// A copy of `bytes` to go on after, as [`BitWriter::resume`] does, with room for more.
    pub(crate) fn copy(bytes: &[u8], free: u32) -> BitWriter {
        let mut copy = Vec::with_capacity(bytes.len() + GROWTH_MIN.max(bytes.len() / 4));
        copy.extend_from_slice(bytes);
        BitWriter::resume(copy, free)
    }

    /// The bits so far; the last byte is filled up with zeros.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes themselves, to write whole bytes at the end or to overwrite what is there.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        debug_assert_eq!(self.free, 0, "whole bytes can only follow whole bytes");
        &mut self.bytes
    }

    /// Overwrites the first two bytes.
    pub(crate) fn set_header(&mut self, header: [u8; 2]) {
        if let Some(first) = self.bytes.first_chunk_mut() {
            *first = header;
        }
    }

    /// Gives the bytes away.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Appends the low `n` bits of `bits`; the others must be zero.
    #[inline]
    pub(crate) fn push(&mut self, bits: u128, n: u32) {
        debug_assert!(0 < n && n <= PUSH_BITS_MAX && bits >> n == 0, "{n} bits of {bits:#x}");
        let used = (8 - self.free) & 7;
        let mut word = (bits << (128 - n)) >> used;
        if used > 0
            && let Some(last) = self.bytes.pop()
        {
            word |= u128::from(last) << 120;
        }
        let total = used + n;
        self.reserve();
        // All of the word, then without what it has too many: a copy of a length that is known is one instruction.
        let len = self.bytes.len() + total.div_ceil(8) as usize;
        self.bytes.extend_from_slice(&word.to_be_bytes());
        self.bytes.truncate(len);
        self.free = (8 - total % 8) % 8;
    }

    #[inline]
    fn reserve(&mut self) {
        if self.bytes.capacity() - self.bytes.len() < size_of::<u128>() {
            self.bytes.reserve_exact(GROWTH_MIN.max(self.bytes.len() / 4));
        }
    }
}

/// Bits on their way to a [`BitWriter`], eight bytes at a time.
pub(crate) struct BitRun<'a> {
    writer: &'a mut BitWriter,
    /// The first `used` bits are still to be written, the others are zero.
    word: u64,
    used: u32,
}

impl BitWriter {
    /// Starts to append many bits in a row; they are there after [`BitRun::finish`].
    pub(crate) fn run(&mut self) -> BitRun<'_> {
        let used = (8 - self.free) & 7;
        let last = if 0 < used { self.bytes.pop() } else { None };
        BitRun { word: u64::from(last.unwrap_or_default()) << 56, used, writer: self }
    }
}

impl BitRun<'_> {
    /// Appends the low `n` bits of `bits`; the others must be zero.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the high half goes first")]
    pub(crate) fn push(&mut self, bits: u128, n: u32) {
        debug_assert!(0 < n && n <= PUSH_BITS_MAX && bits >> n == 0, "{n} bits of {bits:#x}");
        if n <= 64 {
            self.push_word(bits as u64, n);
        } else {
            self.push_word((bits >> 64) as u64, n - 64);
            self.push_word(bits as u64, 64);
        }
    }

    #[inline]
    fn push_word(&mut self, bits: u64, n: u32) {
        let room = 64 - self.used;
        if n < room {
            self.word |= bits << (room - n);
            self.used += n;
            return;
        }
        let rest = n - room;
        self.writer.reserve();
        self.writer.bytes.extend_from_slice(&(self.word | (bits >> rest)).to_be_bytes());
        self.word = if rest == 0 { 0 } else { bits << (64 - rest) };
        self.used = rest;
    }

    /// Writes what is left; the last byte is filled up with zeros.
    pub(crate) fn finish(self) {
        let BitRun { writer, word, used } = self;
        writer.reserve();
        writer.bytes.extend_from_slice(&word.to_be_bytes()[..used.div_ceil(8) as usize]);
        writer.free = (8 - used % 8) % 8;
    }
}
