//! Durations as people type them: `90d`, `24h`, `1h30m`, `forever`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

use crate::args::Limit;

/// Reads a duration of at least a millisecond; a day has 24 hours, a week 7 days.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let span: Option<Span> = text.parse().ok();
    let length = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let length = length.and_then(|length| Duration::try_from(length).ok()).filter(|length| 1 <= length.as_millis());
    length.ok_or_else(|| "not a positive duration such as 90d, 24h or 1h30m".to_owned())
}

/// Reads a duration, or a word for none.
pub(crate) fn parse_limit(text: &str) -> Result<Limit, String> {
    match text {
        "forever" | "never" => Ok(Limit(None)),
        text => parse_duration(text).map(|length| Limit(Some(length))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_typed() {
        let table = [
            ("90d", 90 * 86_400_000),
            ("24h", 86_400_000),
            ("1h30m", 5_400_000),
            ("2w", 14 * 86_400_000),
            ("15s", 15_000),
            ("250ms", 250),
            ("2 days", 2 * 86_400_000),
        ];
        for (text, ms) in table {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "90", "-1h", "0s", "d", "forever", "1 fortnight"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_limit("forever"), Ok(Limit(None)));
    }
}
