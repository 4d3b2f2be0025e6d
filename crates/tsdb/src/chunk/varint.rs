//! Variable-length integers, 7 bits a byte and the lowest first, as chunks, indexes and logs write them.

/// The longest encoding of 64 bits.
const BYTES_MAX: usize = 10;

/// Adds an unsigned integer to `into`.
pub(crate) fn push_uvarint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.push((value & 0x7f) as u8);
}

/// Adds a signed integer to `into`: numbers near zero of either sign are short.
pub(crate) fn push_varint(into: &mut Vec<u8>, value: i64) {
    push_uvarint(into, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// The bytes that [`push_uvarint`] takes for `value`.
pub(crate) fn uvarint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Splits an unsigned integer off the front; nothing when the bytes end early or hold more than 64 bits.
#[inline(always)]
pub(crate) fn split_uvarint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Nearly all are this short.
    match bytes {
        [low @ ..0x80, rest @ ..] => Some((u64::from(*low), rest)),
        [low, high @ ..0x80, rest @ ..] => Some((u64::from(low & 0x7f) | u64::from(*high) << 7, rest)),
        _ => split_long_uvarint(bytes),
    }
}

fn split_long_uvarint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (i, byte) in bytes.iter().take(BYTES_MAX).enumerate() {
        let part = u64::from(byte & 0x7f);
        if i == BYTES_MAX - 1 && part > 1 {
            return None;
        }
        value |= part << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

/// Splits a signed integer off the front; nothing when the bytes end early or hold more than 64 bits.
#[inline]
pub(crate) fn split_varint(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (value, rest) = split_uvarint(bytes)?;
    Some((signed(value), rest))
}

/// The signed integer that is written as `value`.
#[inline]
pub(crate) fn signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_whatever_their_size() {
        for shift in 0..64 {
            for value in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = Vec::new();
                push_uvarint(&mut bytes, value);
                assert_eq!(bytes.len(), uvarint_len(value));
                assert_eq!(split_uvarint(&bytes), Some((value, &[][..])));
                assert_eq!(split_uvarint(&bytes[..bytes.len() - 1]), None);
                for signed in [value.cast_signed(), value.cast_signed().wrapping_neg()] {
                    bytes.clear();
                    push_varint(&mut bytes, signed);
                    assert_eq!(split_varint(&bytes), Some((signed, &[][..])));
                }
            }
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        assert_eq!(split_uvarint(&[0xff; 10]), None);
        let mut bytes = [0xff; 10];
        bytes[9] = 0x02;
        assert_eq!(split_uvarint(&bytes), None);
        bytes[9] = 0x01;
        assert_eq!(split_uvarint(&bytes), Some((u64::MAX, &[][..])));
    }
}
