//! Integers in as few bits as they need: ones and a zero say how many follow.
//!
//! ```text
//! 0: zero   10+3   110+6   1110+9   11110+12   111110+18   1111110+25   11111110+56   11111111+64 bits
//! ```
//!
//! A signed number of `n` bits is -(2^(n-1)-1) to 2^(n-1). Source: Prometheus `tsdb/chunkenc/varbit.go`.

use crate::chunk::bit_reader::BitReader;
use crate::chunk::bit_writer::BitWriter;

/// How many bits follow, by the number of ones in front; after eight ones it is all 64.
const WIDTHS: [u32; 8] = [0, 3, 6, 9, 12, 18, 25, 56];

/// Appends an unsigned integer.
pub(super) fn push_uint(into: &mut BitWriter, value: u64) {
    let needed = 64 - value.leading_zeros();
    push(into, value, |width| needed <= width);
}

/// Appends a signed integer: numbers near zero of either sign are short.
pub(super) fn push_int(into: &mut BitWriter, value: i64) {
    let fits = |width: u32| match width {
        0 => value == 0,
        _ => (1 - (1 << (width - 1))..=1 << (width - 1)).contains(&value),
    };
    push(into, value.cast_unsigned(), fits);
}

fn push(into: &mut BitWriter, value: u64, fits: impl Fn(u32) -> bool) {
    match (0_u32..).zip(WIDTHS).find(|(_, width)| fits(*width)) {
        Some((ones, width)) => {
            let prefix = (2 << ones) - 2;
            into.push((prefix << width) | u128::from(value & ((1 << width) - 1)), ones + 1 + width);
        }
        None => into.push((0xff << 64) | u128::from(value), 8 + 64),
    }
}

/// Reads an unsigned integer.
#[inline]
pub(super) fn read_uint(bits: &mut BitReader<'_>) -> u64 {
    read(bits).0
}

/// Reads a signed integer.
#[inline]
pub(super) fn read_int(bits: &mut BitReader<'_>) -> i64 {
    let (value, width) = read(bits);
    let negative = width < 64 && value > (1 << width) >> 1;
    value.cast_signed() - (i64::from(negative) << (width & 63))
}

/// The low bits of a number and how many it has.
#[inline]
fn read(bits: &mut BitReader<'_>) -> (u64, u32) {
    bits.want(1);
    if bits.window() >> 63 == 0 {
        bits.skip(1);
        return (0, 0);
    }
    bits.refill();
    let window = bits.window();
    let ones = window.leading_ones();
    if let Some(width) = WIDTHS.get(ones as usize) {
        bits.skip_any(ones + 1 + width);
        return ((window << (ones + 1)) >> (64 - width), *width);
    }
    bits.skip(8);
    bits.refill();
    let value = bits.window();
    bits.skip_any(64);
    (value, 64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_come_back_at_the_ends_of_each_width() {
        let mut numbers = vec![0, i64::MIN, i64::MAX, i64::MIN + 1];
        for shift in 0..63 {
            let power = 1_i64 << shift;
            numbers.extend([power - 1, power, power + 1, -power - 1, -power, 1 - power]);
        }
        let mut writer = BitWriter::default();
        for n in &numbers {
            push_int(&mut writer, *n);
            push_uint(&mut writer, n.cast_unsigned());
        }
        let mut bits = BitReader::new(writer.bytes());
        for n in &numbers {
            assert_eq!(read_int(&mut bits), *n);
            assert_eq!(read_uint(&mut bits), n.cast_unsigned());
        }
        assert!(!bits.is_overrun());
    }

    /// The lengths are those of the format's description.
    #[test]
    fn each_width_begins_where_the_one_before_ends() {
        let ends = [(0, 0, 1), (4, 7, 5), (32, 63, 9), (256, 511, 13), (2048, 4095, 17), (1 << 17, (1 << 18) - 1, 24)];
        let more = [(1 << 24, (1 << 25) - 1, 32), (1 << 55, (1 << 56) - 1, 64), (i64::MAX, u64::MAX, 72)];
        let length = |push: &dyn Fn(&mut BitWriter)| {
            // Ones after the number: the zeros that fill the last byte up do not count as its bits.
            let mut writer = BitWriter::default();
            push(&mut writer);
            writer.push(1, 1);
            let last = writer.bytes().last().copied().unwrap();
            writer.bytes().len() * 8 - last.trailing_zeros() as usize - 1
        };
        let mut before = 0;
        for (int, uint, bits) in ends.into_iter().chain(more) {
            assert_eq!(length(&|w| push_int(w, int)), bits, "{int}");
            assert_eq!(length(&|w| push_uint(w, uint)), bits, "{uint}");
            if before > 0 && int < i64::MAX {
                assert_eq!(length(&|w| push_int(w, 1 - int)), bits, "{}", 1 - int);
                assert!(length(&|w| push_int(w, -int)) > bits, "{}", -int);
            }
            before = bits;
        }
    }
}
