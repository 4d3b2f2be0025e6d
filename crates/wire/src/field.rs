//! Reads protobuf fields off a slice, checking every length; it knows no message.

/// Wire type in the low bits of a tag: a varint.
const VARINT: u32 = 0;
/// Eight bytes.
const FIXED64: u32 = 1;
/// A varint length and as many bytes.
const BYTES: u32 = 2;
/// Four bytes.
const FIXED32: u32 = 5;
/// Tags keep the wire type in this many low bits and the field number above.
const WIRE_TYPE_BITS: u32 = 3;

/// The tag of field `number` holding a varint.
pub(crate) const fn varint_tag(number: u32) -> u32 {
    number << WIRE_TYPE_BITS | VARINT
}

/// The tag of field `number` holding eight bytes.
pub(crate) const fn fixed64_tag(number: u32) -> u32 {
    number << WIRE_TYPE_BITS | FIXED64
}

/// The tag of field `number` holding bytes, text or a message.
pub(crate) const fn bytes_tag(number: u32) -> u32 {
    number << WIRE_TYPE_BITS | BYTES
}

/// The field number of `tag`.
#[inline]
pub(crate) const fn field_number(tag: u32) -> u32 {
    tag >> WIRE_TYPE_BITS
}

/// A position in a message. Every read answers `None` when the bytes are cut short or not well-formed.
///
/// Invariant: `pos <= buf.len()`. The message ends where `buf` does, so that positions of nested messages are
/// positions in the outermost body.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    buf: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    /// The first byte of `buf`.
    #[inline]
    pub(crate) fn new(buf: &'a [u8]) -> Cursor<'a> {
        Cursor { buf, pos: 0 }
    }

    /// The position in the outermost body.
    #[inline]
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// Whether the message ends here.
    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        self.buf.len() <= self.pos
    }

    /// The bytes up to the end of the message.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.buf.get(self.pos..).unwrap_or_default()
    }

    /// Goes on by `n` bytes, which [`Cursor::rest`] was seen to hold.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize) {
        debug_assert!(n <= self.buf.len() - self.pos, "advanced beyond the message");
        self.pos += n;
    }

    /// A tag: a field number that is not zero and a wire type.
    #[inline]
    pub(crate) fn tag(&mut self) -> Option<u32> {
        let tag = u32::try_from(self.varint()?).ok()?;
        (field_number(tag) != 0).then_some(tag)
    }

    /// A varint of up to 64 bits.
    #[inline]
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let first = *self.buf.get(self.pos)?;
        if first < 0x80 {
            self.pos += 1;
            return Some(u64::from(first));
        }
        self.long_varint()
    }

    /// A varint of several bytes: ten at most, of which the tenth carries one bit.
    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for (i, byte) in self.rest().iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7f);
            if i == 9 && bits > 1 {
                return None;
            }
            value |= bits << (7 * i);
            if *byte < 0x80 {
                self.pos += i + 1;
                return Some(value);
            }
        }
        None
    }

    /// A varint as a signed number of 64 bits, in two's complement.
    #[inline]
    pub(crate) fn int64(&mut self) -> Option<i64> {
        Some(self.varint()?.cast_signed())
    }

    /// A varint as a signed number of 64 bits, zigzag.
    #[inline]
    pub(crate) fn sint64(&mut self) -> Option<i64> {
        let n = self.varint()?;
        Some((n >> 1).cast_signed() ^ -((n & 1).cast_signed()))
    }

    /// A varint as a signed number of 32 bits, zigzag; one that needs more is not well-formed.
    #[inline]
    pub(crate) fn sint32(&mut self) -> Option<i32> {
        i32::try_from(self.sint64()?).ok()
    }

    /// A varint as a number of a table's entry; one beyond 32 bits is in no table.
    #[inline]
    pub(crate) fn reference(&mut self) -> Option<u32> {
        Some(u32::try_from(self.varint()?).unwrap_or(u32::MAX))
    }

    /// All numbers up to the end of the message, packed one behind the other.
    #[inline]
    pub(crate) fn references(mut self, into: &mut Vec<u32>) -> Option<()> {
        into.reserve(self.rest().len() / 2);
        loop {
            match *self.rest() {
                [] => return Some(()),
                [low @ 0..0x80, ..] => {
                    into.push(u32::from(low));
                    self.pos += 1;
                }
                [low, high @ 0..0x80, ..] => {
                    into.push(u32::from(low & 0x7f) | u32::from(high) << 7);
                    self.pos += 2;
                }
                _ => into.push(self.reference()?),
            }
        }
    }

    /// Eight bytes as a float; every bit of a NaN is kept.
    #[inline]
    pub(crate) fn double(&mut self) -> Option<f64> {
        let bytes = self.rest().first_chunk::<8>()?;
        self.pos += 8;
        Some(f64::from_bits(u64::from_le_bytes(*bytes)))
    }

    /// A length and as many bytes, as a message of its own; this cursor goes on behind it.
    #[inline]
    pub(crate) fn message(&mut self) -> Option<Cursor<'a>> {
        let len = usize::try_from(self.varint()?).ok()?;
        let end = self.pos.checked_add(len)?;
        let message = Cursor { buf: self.buf.get(..end)?, pos: self.pos };
        self.pos = end;
        Some(message)
    }

    /// A length and as many bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        Some(self.message()?.rest())
    }

    /// Goes over the value of a field that nobody reads.
    ///
    /// Groups are refused: proto3 has none, and nested ones would need a stack.
    pub(crate) fn skip(&mut self, tag: u32) -> Option<()> {
        let len = match tag & ((1 << WIRE_TYPE_BITS) - 1) {
            VARINT => return self.varint().map(drop),
            BYTES => return self.message().map(drop),
            FIXED64 => 8,
            FIXED32 => 4,
            _ => return None,
        };
        self.pos = self.pos.checked_add(len).filter(|end| *end <= self.buf.len())?;
        Some(())
    }
}

/// Appends the tag of a field.
#[inline]
pub(crate) fn push_tag(tag: u32, into: &mut Vec<u8>) {
    push_varint(u64::from(tag), into);
}

/// Appends `value` as a varint.
#[expect(clippy::cast_possible_truncation, reason = "seven bits are left")]
#[inline]
pub(crate) fn push_varint(mut value: u64, into: &mut Vec<u8>) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

/// Appends a field of bytes, text or a message.
#[inline]
pub(crate) fn push_bytes(tag: u32, bytes: &[u8], into: &mut Vec<u8>) {
    push_tag(tag, into);
    push_varint(bytes.len() as u64, into);
    into.extend_from_slice(bytes);
}

/// Appends a float field, unless it is zero: that is what an absent one means, and minus zero is not absent.
#[inline]
pub(crate) fn push_double(tag: u32, value: f64, into: &mut Vec<u8>) {
    if value.to_bits() != 0 {
        push_tag(tag, into);
        into.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// Appends a number field, unless it is zero.
#[inline]
pub(crate) fn push_int64(tag: u32, value: i64, into: &mut Vec<u8>) {
    if value != 0 {
        push_tag(tag, into);
        push_varint(value.cast_unsigned(), into);
    }
}

/// The number whose varint is the zigzag form of `value`.
#[inline]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The bytes [`push_varint`] takes for `value`.
#[inline]
pub(crate) fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_tell_their_length() {
        for value in [0, 1, 127, 128, 300, 1 << 35, u64::from(u32::MAX), i64::MAX as u64, u64::MAX] {
            let mut buf = Vec::new();
            push_varint(value, &mut buf);
            assert_eq!(buf.len(), varint_len(value), "length of {value}");
            let mut cursor = Cursor::new(&buf);
            assert_eq!(cursor.varint(), Some(value));
            assert!(cursor.is_at_end());
            assert_eq!(Cursor::new(&buf[..buf.len() - 1]).varint(), None, "{value} cut short");
        }
    }

    #[test]
    fn signed_numbers_come_back() {
        for (value, number) in [(0, 0), (-1, 1), (1, 2), (-2, 3), (i64::MAX, u64::MAX - 1), (i64::MIN, u64::MAX)] {
            assert_eq!(zigzag(value), number);
            let mut buf = Vec::new();
            push_varint(number, &mut buf);
            assert_eq!(Cursor::new(&buf).sint64(), Some(value));
            assert_eq!(Cursor::new(&buf).sint32(), i32::try_from(value).ok());
        }
    }

    #[test]
    fn overlong_and_overflowing_varints_are_refused() {
        assert_eq!(Cursor::new(&[0x80; 11]).varint(), None);
        assert_eq!(Cursor::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).varint(), None);
        assert_eq!(Cursor::new(&[0x8a, 0x00]).varint(), Some(10), "padding is legal");
    }

    #[test]
    fn lengths_beyond_the_message_are_refused() {
        for bytes in [&[0x0a, 0x01][..], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]] {
            let mut cursor = Cursor::new(bytes);
            let tag = cursor.tag().unwrap();
            assert_eq!(cursor.skip(tag), None, "{bytes:?}");
        }
        assert_eq!(Cursor::new(&[0x00]).tag(), None, "field number zero");
        assert_eq!(Cursor::new(&[]).skip(3), None, "a group");
        assert_eq!(Cursor::new(&[1, 2, 3]).skip(FIXED32), None);
    }
}
