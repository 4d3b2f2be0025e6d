//! Numbers as Prometheus writes them: Go's shortest text for floats, seconds with three decimals for times.

use std::io::Write as _;

use model::Timestamp;

/// From here on, and below [`EXPONENT_BELOW`], a float is written with an exponent. Source: Go `encoding/json`.
const EXPONENT_FROM: f64 = 1e21;
/// Smaller floats than this, zero aside, are written with an exponent.
const EXPONENT_BELOW: f64 = 1e-6;
/// Decimals with fewer digits are told apart by floats.
const DIGITS_15: f64 = 1e15;
/// Whole floats below this are exact as integers.
const WHOLE_BELOW: f64 = (1u64 << 53) as f64;

/// Writes the shortest text that reads back as `v`: `NaN`, `+Inf`, `-Inf`, `-0`, `1500`, `0.25`, `1e-07`, `1.5e+21`.
pub fn push_number(v: f64, into: &mut Vec<u8>) {
    if v.is_nan() {
        return into.extend_from_slice(b"NaN");
    }
    if v.is_sign_negative() {
        into.push(b'-');
    } else if v.is_infinite() {
        into.push(b'+');
    }
    push_magnitude(v.abs(), into);
}

fn push_magnitude(v: f64, into: &mut Vec<u8>) {
    if v.is_infinite() {
        return into.extend_from_slice(b"Inf");
    }
    #[expect(clippy::cast_possible_truncation, reason = "a fraction is looked for right after")]
    let whole = v as u64;
    if v < WHOLE_BELOW && whole as f64 == v {
        return push_integer(whole, into);
    }
    if push_decimal(v, into) {
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(v);
    match text.split_once('e') {
        None => into.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes()),
        // The crate goes over to exponents earlier than Go; the standard library never does.
        Some(_) if (EXPONENT_BELOW..EXPONENT_FROM).contains(&v) => write_to(into, format_args!("{v}")),
        Some((digits, exponent)) => {
            into.extend_from_slice(digits.as_bytes());
            let (sign, exponent) = exponent.strip_prefix('-').map_or(("+", exponent), |rest| ("-", rest));
            let exponent = exponent.trim_start_matches('+');
            write_to(into, format_args!("e{sign}{exponent:0>2}"));
        }
    }
}

/// Writes a number with three decimals or fewer, as most measured ones have; false for all others.
///
/// Q: Why is that the shortest text? A: of decimals with 15 digits or fewer no two are one float, and the quotient of two
/// whole floats is the float nearest to it.
fn push_decimal(v: f64, into: &mut Vec<u8>) -> bool {
    const SCALE: f64 = 1000.0;
    let scaled = v * SCALE;
    if !(1.0..DIGITS_15).contains(&scaled) {
        return false;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 10^15")]
    let thousandths = (scaled + 0.5) as u64;
    if thousandths as f64 / SCALE != v {
        return false;
    }
    let decimals = thousandths % 1000;
    push_integer(thousandths / 1000, into);
    let digits = [b'.', digit(decimals / 100), digit(decimals / 10 % 10), digit(decimals % 10)];
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    into.extend_from_slice(&digits);
    into.truncate(into.len() - zeros);
    true
}

/// Writes ms since the epoch as seconds: `12` or `12.345`, always with all three decimals if any.
pub fn push_timestamp(t: Timestamp, into: &mut Vec<u8>) {
    if t < 0 {
        into.push(b'-');
    }
    let t = t.unsigned_abs();
    push_integer(t / 1000, into);
    let ms = t % 1000;
    if ms != 0 {
        into.extend_from_slice(&[b'.', digit(ms / 100), digit(ms / 10 % 10), digit(ms % 10)]);
    }
}

/// Writes the digits of `n`.
///
/// Q: Why not by a library? A: those return a text whose length is not known before; to copy it costs more than to make
/// it. Here all copies are of eight bytes.
fn push_integer(n: u64, into: &mut Vec<u8>) {
    let (above, digits) = (n / EIGHT_DIGITS, eight_digits(n % EIGHT_DIGITS));
    if above > 0 {
        push_integer(above, into);
        return into.extend_from_slice(&(digits | ZEROS).to_le_bytes());
    }
    // Zeros in front come first, in the lowest bytes; the last one stays.
    let zeros = digits.trailing_zeros().min(56) / 8;
    into.extend_from_slice(&((digits | ZEROS) >> (8 * zeros)).to_le_bytes());
    into.truncate(into.len() - zeros as usize);
}

/// The first number with more than eight digits.
const EIGHT_DIGITS: u64 = 100_000_000;
/// Eight times the digit zero.
const ZEROS: u64 = u64::from_le_bytes(*b"00000000");

/// The decimal digits of a number below [`EIGHT_DIGITS`], one in each byte, the first one lowest.
///
/// Halves are split into halves: two numbers below 10,000 side by side, then four below 100, then eight below 10. The
/// products divide by 100 and 10; numbers so small leave no remainder for rounding to lose.
fn eight_digits(n: u64) -> u64 {
    debug_assert!(n < EIGHT_DIGITS);
    let fours = (n / 10_000) | ((n % 10_000) << 32);
    let above = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = above | ((fours - 100 * above) << 16);
    let above = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    above | ((twos - 10 * above) << 8)
}

#[expect(clippy::cast_possible_truncation, reason = "one decimal digit")]
fn digit(n: u64) -> u8 {
    debug_assert!(n < 10);
    b'0' + n as u8
}

fn write_to(into: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    into.write_fmt(text).expect("a vector takes all bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(v: f64) -> String {
        let mut into = Vec::new();
        push_number(v, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        for (v, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (1500.0, "1500"),
            (0.1, "0.1"),
            (1.0 / 3.0, "0.3333333333333333"),
            (-123.456, "-123.456"),
            (100_000.0, "100000"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (1.5e-6, "0.0000015"),
            (9.99e-7, "9.99e-07"),
            (1e-7, "1e-07"),
            (-1.25e-10, "-1.25e-10"),
            (5e-324, "5e-324"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e16, "10000000000000000"),
            (1.5e17, "150000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (9.99e20, "999000000000000000000"),
            (1e21, "1e+21"),
            (-1.5e21, "-1.5e+21"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (model::STALE_NAN, "NaN"),
            (-f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(number(v), text);
        }
    }

    /// Numbers with few decimals take a way of their own, which must not show.
    #[test]
    fn decimals_are_as_short_as_any_number() {
        let mut state = 1u64;
        for i in 0..200_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i);
            let whole = (state >> 33) >> (i % 31);
            let decimal = whole as f64 / [1.0, 10.0, 100.0, 1000.0, 10_000.0][(i % 5) as usize];
            for bits in [decimal.to_bits(), decimal.to_bits() + 1, decimal.to_bits().saturating_sub(1)] {
                let v = f64::from_bits(bits);
                if v == 0.0 || (EXPONENT_BELOW..EXPONENT_FROM).contains(&v) {
                    assert_eq!(number(v), format!("{v}"));
                }
            }
        }
        for v in [0.001, 0.0005, 0.0015, 999_999_999_999.999, 1_000_000_000_000.001, 0.1 + 0.2, 1.0 - f64::EPSILON] {
            assert_eq!(number(v), format!("{v}"));
        }
    }

    #[test]
    fn every_number_reads_back_as_itself() {
        let mut bits = 0x9e37_79b9_7f4a_7c15u64;
        for i in 0..20_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i);
            let v = f64::from_bits(bits);
            if v.is_finite() {
                assert_eq!(number(v).parse::<f64>().unwrap().to_bits(), v.to_bits(), "{v:e}");
            }
            let v = f64::from(u32::try_from(bits >> 32).unwrap()) / 1024.0;
            assert_eq!(number(v), format!("{v}"));
        }
    }

    #[test]
    fn integers_have_all_their_digits() {
        let tens = (0..20).map(|i| 10u64.pow(i));
        let around = tens.flat_map(|ten| [ten - 1, ten, ten + 1, ten / 7 * 9]);
        let low = (0..20_000).chain((0..10_000).map(|i| i * 10_007));
        for n in around.chain(low).chain([u64::MAX, u64::MAX - 1]) {
            let mut into = b"x".to_vec();
            push_integer(n, &mut into);
            assert_eq!(String::from_utf8(into).unwrap(), format!("x{n}"));
        }
    }

    #[test]
    fn timestamps_have_three_decimals_or_none() {
        for (t, text) in [
            (0, "0"),
            (1000, "1"),
            (1500, "1.500"),
            (1_795_310_698_929, "1795310698.929"),
            (1_795_310_698_005, "1795310698.005"),
            (-1, "-0.001"),
            (-61_000, "-61"),
            (i64::MAX, "9223372036854775.807"),
            (i64::MIN, "-9223372036854775.808"),
        ] {
            let mut into = Vec::new();
            push_timestamp(t, &mut into);
            assert_eq!(String::from_utf8(into).unwrap(), text);
        }
    }
}
