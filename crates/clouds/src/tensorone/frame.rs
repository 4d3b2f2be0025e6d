//! The time an answer is about, in buckets: named lengths up to now or a given start and end, and their granularity.

use model::Timestamp;
use promql::Steps;

use super::parameters::{Parameters, Refusal};

pub(crate) const MINUTE_MS: i64 = 60_000;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

/// The lengths an endpoint's metrics can be asked for.
const TIMEFRAMES: [(&str, i64); 5] =
    [("1h", HOUR_MS), ("6h", 6 * HOUR_MS), ("24h", DAY_MS), ("7d", 7 * DAY_MS), ("30d", 30 * DAY_MS)];

/// Lengths of buckets, each with the longest time it may be asked for.
const GRANULARITIES: [(&str, (i64, i64)); 5] = [
    ("1m", (MINUTE_MS, 6 * HOUR_MS)),
    ("5m", (5 * MINUTE_MS, DAY_MS)),
    ("15m", (15 * MINUTE_MS, 7 * DAY_MS)),
    ("1h", (HOUR_MS, 30 * DAY_MS)),
    ("1d", (DAY_MS, i64::MAX)),
];

/// Buckets of one answer. Source: what Prometheus answers at most for one series.
pub(crate) const BUCKETS_MAX: i64 = 11_000;
/// Answers to a named length end at a full minute, so that two asked within it agree.
const ALIGNMENT_MS: i64 = MINUTE_MS;
/// How long an answer may be given again. Source: the vendor's documents, "cached for 5 minutes".
const CACHED_MS_MAX: i64 = 5 * MINUTE_MS;

/// The time of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The length by name, or `custom`.
    pub label: &'static str,
    /// Where the first bucket starts.
    pub start: Timestamp,
    /// Where the last bucket ends.
    pub end: Timestamp,
    /// The bucket's length by name.
    pub granularity: &'static str,
    /// The bucket's length.
    pub step_ms: i64,
}

impl Frame {
    /// The frame of an endpoint's metrics.
    ///
    /// Errors: unknown names, a granularity too fine for the length, an end before its start.
    pub(crate) fn parse(parameters: Parameters<'_>, now: Timestamp) -> Result<Frame, Refusal> {
        let named = parameters.one(&["timeframe", "timeRange"], &TIMEFRAMES)?;
        let granularity = parameters.one(&["granularity"], &GRANULARITIES)?;
        let given = (parameters.time(&["start", "startTime"])?, parameters.time(&["end", "endTime"])?);
        let (label, start, end) = bounds(named.unwrap_or(("24h", DAY_MS)), given, now)?;
        let length_ms = end - start;
        let (granularity, (step_ms, _)) = match granularity {
            Some((name, (step_ms, longest))) if longest < length_ms || length_ms < step_ms => {
                let fits = GRANULARITIES
                    .iter()
                    .filter(|(_, (step_ms, longest))| *step_ms <= length_ms && length_ms <= *longest);
                let allowed: Vec<&str> = fits.map(|(name, _)| *name).collect();
                return Err(Refusal::not_listed("granularity", name, &allowed));
            }
            Some(granularity) => granularity,
            None => finest(length_ms),
        };
        Frame { label, start, end, granularity, step_ms }.whole()
    }

    /// The frame of whole buckets, the first of which may reach back before the start.
    pub(crate) fn whole(self) -> Result<Frame, Refusal> {
        let n_buckets = (self.end - self.start + self.step_ms - 1) / self.step_ms;
        if BUCKETS_MAX < n_buckets {
            let why = format!("{n_buckets} points, at most {BUCKETS_MAX}");
            return Err(Refusal::because("granularity", self.granularity, why));
        }
        Ok(Frame { start: self.end - n_buckets * self.step_ms, ..self })
    }

    /// The frame's length.
    pub fn window_ms(&self) -> i64 {
        self.end - self.start
    }

    /// The frame's length in days.
    #[expect(clippy::cast_precision_loss, reason = "years of milliseconds are far below what f64 holds")]
    pub(crate) fn days(&self) -> f64 {
        self.window_ms() as f64 / DAY_MS as f64
    }

    /// The ends of the buckets.
    pub(crate) fn steps(&self) -> Steps {
        Steps { start: self.start + self.step_ms, end: self.end, step_ms: self.step_ms }
    }

    /// Steps through the whole frame, a minute apart or more when that would be too many.
    pub(crate) fn fine_steps(&self) -> Steps {
        let step_ms = crate::need::resolution_ms(self.window_ms());
        Steps { start: self.start + self.window_ms() % step_ms + step_ms, end: self.end, step_ms }
    }

    /// The ends of the UTC hours that start inside the frame; `None` without any.
    pub(crate) fn hours(&self) -> Option<Steps> {
        let first = ceil(self.start, HOUR_MS) + HOUR_MS;
        let last = ceil(self.end, HOUR_MS);
        (first <= last).then_some(Steps { start: first, end: last, step_ms: HOUR_MS })
    }

    /// How long the answer may be given again; 0 for those whose granularity asks for the latest.
    pub fn cached_ms(&self) -> i64 {
        if self.step_ms <= 5 * MINUTE_MS { 0 } else { CACHED_MS_MAX.min(self.step_ms) }
    }
}

/// The finest granularity of at least a quarter of an hour that fits; of a minute for less than one.
fn finest(length_ms: i64) -> (&'static str, (i64, i64)) {
    let usual = if length_ms < 15 * MINUTE_MS { MINUTE_MS } else { 15 * MINUTE_MS };
    let fits = |(_, (step_ms, longest)): &&(&str, (i64, i64))| usual <= *step_ms && length_ms <= *longest;
    GRANULARITIES.iter().find(fits).copied().unwrap_or(GRANULARITIES[4])
}

fn bounds(
    (label, length_ms): (&'static str, i64),
    given: (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<(&'static str, Timestamp, Timestamp), Refusal> {
    let aligned = now.div_euclid(ALIGNMENT_MS) * ALIGNMENT_MS;
    let (start, end) = match given {
        (None, None) => return Ok((label, aligned - length_ms, aligned)),
        (Some(start), None) => (start, aligned),
        (None, Some(end)) => (end - length_ms, end),
        (Some(start), Some(end)) => (start, end),
    };
    if end <= start {
        let shown = format!("{start}..{end}");
        return Err(Refusal::because("end", &shown, "the end must be after the start"));
    }
    Ok(("custom", start, end))
}

/// The first multiple of `unit` at or after `t`.
pub(crate) fn ceil(t: Timestamp, unit: i64) -> Timestamp {
    -((-t).div_euclid(unit)) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = 1_705_329_322_000; // 2024-01-15T14:35:22Z

    fn frame(text: &str) -> Result<Frame, Refusal> {
        let pair = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        let pairs: Vec<_> = text.split('&').filter_map(pair).collect();
        Frame::parse(Parameters(&pairs), NOW)
    }

    #[test]
    fn defaults_and_finest_granularities() {
        for (text, label, granularity, n_buckets) in [
            ("", "24h", "15m", 96),
            ("timeframe=1h", "1h", "15m", 4),
            ("timeframe=7d", "7d", "15m", 672),
            ("timeframe=30d", "30d", "1h", 720),
            ("timeRange=6h&granularity=1m", "6h", "1m", 360),
            ("timeframe=30d&granularity=1d", "30d", "1d", 30),
            ("start=2024-01-15T00:00:00Z&end=2024-01-15T01:10:00Z", "custom", "15m", 5),
            ("start=1577836800&granularity=1d", "custom", "1d", 1476),
        ] {
            let frame = frame(text).unwrap();
            assert_eq!((frame.label, frame.granularity), (label, granularity), "{text}");
            assert_eq!((frame.end - frame.start) / frame.step_ms, n_buckets, "{text}");
        }
        assert_eq!(frame("").unwrap().end, NOW - 22_000);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        for (text, parameter, allowed) in [
            ("timeframe=2y", "timeframe", vec!["1h", "6h", "24h", "7d", "30d"]),
            ("granularity=10s", "granularity", vec!["1m", "5m", "15m", "1h", "1d"]),
            ("timeframe=24h&granularity=1m", "granularity", vec!["5m", "15m", "1h", "1d"]),
            ("timeframe=30d&granularity=15m", "granularity", vec!["1h", "1d"]),
            ("timeframe=1h&granularity=1d", "granularity", vec!["1m", "5m", "15m", "1h"]),
            ("start=0&end=253402300799&granularity=1d", "granularity", vec![]),
            ("start=5&end=5", "end", vec![]),
            ("start=tomorrow", "start", vec![]),
        ] {
            let refusal = frame(text).unwrap_err();
            assert_eq!(
                (refusal.parameter, refusal.allowed),
                (parameter, allowed.iter().map(|name| (*name).to_owned()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn hours_are_those_that_start_inside() {
        let hours = frame("start=2024-01-15T00:10:00Z&end=2024-01-15T02:30:00Z&granularity=1m").unwrap().hours();
        let at = |text: &str| super::super::parse_time(text).unwrap();
        let expect = Steps { start: at("2024-01-15T02:00:00Z"), end: at("2024-01-15T03:00:00Z"), step_ms: HOUR_MS };
        assert_eq!(hours, Some(expect));
    }
}
