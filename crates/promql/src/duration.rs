//! Durations as PromQL writes them: `1h30m`, `5m`, `250ms`.

use std::fmt;

use crate::ParseError;

/// Units from long to short: their name and milliseconds.
const UNITS: [(&str, i64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration such as `1h30m` in milliseconds; a bare `0` is zero.
///
/// Errors: units out of order or repeated, no unit, and more than about 292 years.
pub fn parse_duration(text: &str) -> Result<i64, ParseError> {
    duration_ms(text).map_err(|message| ParseError::at(text, 0, message))
}

/// The same with the message alone.
pub(crate) fn duration_ms(text: &str) -> Result<i64, String> {
    let invalid = || format!("not a valid duration string: {text:?}");
    if text.is_empty() {
        return Err("empty duration string".to_owned());
    }
    if text == "0" {
        return Ok(0);
    }
    let (mut rest, mut units, mut total_ms) = (text, &UNITS[..], 0i64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, tail) = tail.split_at(letters);
        let at = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        if number.is_empty() {
            return Err(invalid());
        }
        let part = number.parse::<i64>().ok().and_then(|n| n.checked_mul(units[at].1));
        let sum = part.and_then(|part| total_ms.checked_add(part)).filter(|ms| *ms <= i64::MAX / 1_000_000);
        total_ms = sum.ok_or("duration out of range")?;
        (units, rest) = (&units[at + 1..], tail);
    }
    Ok(total_ms)
}

/// Shows milliseconds as PromQL writes them.
pub(crate) struct DurationText(pub(crate) i64);

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ms = self.0.unsigned_abs();
        if ms == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        for (name, unit_ms) in UNITS {
            let unit_ms = unit_ms.unsigned_abs();
            // Years and weeks only when nothing is left over: 90d reads better than 12w6d.
            if matches!(name, "y" | "w") && !ms.is_multiple_of(unit_ms) {
                continue;
            }
            if ms >= unit_ms {
                write!(f, "{}{name}", ms / unit_ms)?;
                ms %= unit_ms;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, ms, back) in [
            ("5m", 300_000, "5m"),
            ("1h0m0s", 3_600_000, "1h"),
            ("2m15s", 135_000, "2m15s"),
            ("1y2w", 33 * 24 * 3_600_000 + 346 * 24 * 3_600_000, "379d"),
            ("250ms", 250, "250ms"),
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
        ] {
            assert_eq!(parse_duration(text).unwrap(), ms, "{text}");
            assert_eq!(DurationText(ms).to_string(), back);
        }
        for text in ["", "5", "m", "5m5m", "5s5m", "1.5h", "5 m", "99999999999999999999s", "300y", "5µs"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
