//! Values and times as text.

use model::Timestamp;

/// The NaN that the text stands for. Source: Prometheus `model/value/value.go`, `NormalNaN`.
const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// A sample's value: a decimal number, `NaN`, or an infinity with or without sign.
pub(super) fn value(text: &str) -> Option<f64> {
    let v: f64 = text.parse().ok()?;
    Some(if v.is_nan() { NORMAL_NAN } else { v })
}

/// Seconds with any fraction, as ms; what is finer is cut off.
///
/// Q: Why not multiply a float by 1000? A: 1.001 s would be 1000 ms. Digits are exact.
pub(super) fn seconds(text: &str) -> Option<Timestamp> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) {
        return rounded(text);
    }
    let ms = fraction.bytes().chain([b'0'; 3]).take(3).fold(0, |ms, digit| ms * 10 + i64::from(digit - b'0'));
    // The sign first: the smallest number has no positive twin.
    let sign = if is_negative { -1 } else { 1 };
    let whole =
        whole.bytes().try_fold(0i64, |n, digit| n.checked_mul(10)?.checked_add(sign * i64::from(digit - b'0')))?;
    whole.checked_mul(1000)?.checked_add(sign * ms)
}

/// The same of a number with an exponent, or without digits in front of its point.
fn rounded(text: &str) -> Option<Timestamp> {
    let ms = (text.parse::<f64>().ok()? * 1000.0).round();
    // Both ends are exact as floats; the upper one is the first beyond.
    let is_inside = ((i64::MIN as f64)..-(i64::MIN as f64)).contains(&ms);
    #[expect(clippy::cast_possible_truncation, reason = "a whole number inside the range")]
    is_inside.then_some(ms as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact_to_the_millisecond() {
        for (text, ms) in [
            ("0", Some(0)),
            ("1.001", Some(1001)),
            ("1520879607.789", Some(1_520_879_607_789)),
            ("1520879607.7899", Some(1_520_879_607_789)),
            ("-1.5", Some(-1500)),
            ("-0.001", Some(-1)),
            ("+2.", Some(2000)),
            (".5", Some(500)),
            ("1.5e3", Some(1_500_000)),
            ("1.520879607789e9", Some(1_520_879_607_789)),
            ("9223372036854775.807", Some(i64::MAX)),
            ("9223372036854775.808", None),
            ("-9223372036854775.808", Some(i64::MIN)),
            ("-9223372036854775.809", None),
            ("1e16", None),
            ("NaN", None),
            ("Inf", None),
            ("-Inf", None),
            ("", None),
            ("-", None),
            (".", None),
            ("1.2.3", None),
            ("0x10", None),
            ("1_000", None),
            ("\u{661}", None),
        ] {
            assert_eq!(seconds(text), ms, "{text:?}");
        }
    }

    #[test]
    fn values_are_numbers_of_any_kind() {
        for (text, bits) in [
            ("1", Some(1f64.to_bits())),
            ("-0", Some((-0f64).to_bits())),
            ("+1.5e-07", Some(1.5e-7f64.to_bits())),
            ("NaN", Some(0x7ff8_0000_0000_0001)),
            ("+Inf", Some(f64::INFINITY.to_bits())),
            ("Inf", Some(f64::INFINITY.to_bits())),
            ("-Inf", Some(f64::NEG_INFINITY.to_bits())),
            ("", None),
            ("one", None),
            ("0x1p-2", None),
            ("1_000", None),
        ] {
            assert_eq!(value(text).map(f64::to_bits), bits, "{text:?}");
        }
    }
}
