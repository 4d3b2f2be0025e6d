//! How much traffic an endpoint gets: the hour of the day, the day of the week, and what cannot be foreseen.

use model::Timestamp;

use crate::rng::Rng;

const HOUR_MS: i64 = 3_600_000;
const HOURS_PER_WEEK: i64 = 7 * 24;
/// Traffic at each full hour UTC compared with the mean: the peak is between 09:00 and 10:00, the low after 03:00.
const HOURS: [f64; 24] = [
    0.66, 0.55, 0.45, 0.38, 0.40, 0.55, 0.80, 1.15, 1.45, 1.60, 1.55, 1.45, 1.35, 1.35, 1.30, 1.25, 1.20, 1.15, 1.05,
    0.95, 0.90, 0.85, 0.80, 0.74,
];
/// Traffic on Saturday and Sunday compared with a weekday.
const WEEKEND: f64 = 0.71;
/// How much of a surprise is still there one scrape later.
const MEMORY: f64 = 0.96;

/// Traffic at `t` compared with the mean of a weekday, from the calendar alone.
pub(super) fn expected(t: Timestamp) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "less than an hour")]
    let part = t.rem_euclid(HOUR_MS) as f64 / HOUR_MS as f64;
    // The epoch was a Thursday: hour 0 of the week is Thursday 00:00, so Saturday and Sunday are days 2 and 3.
    let hour = t.div_euclid(HOUR_MS).rem_euclid(HOURS_PER_WEEK);
    let at = |hour: i64| HOURS[usize::try_from(hour.rem_euclid(24)).unwrap_or(0)];
    let day = if (2..4).contains(&(hour / 24)) { WEEKEND } else { 1.0 };
    day * (at(hour) * (1.0 - part) + at(hour + 1) * part)
}

/// The part of an endpoint's traffic that no calendar tells: it comes, and fades over minutes.
#[derive(Clone, Debug, Default)]
pub(super) struct Surprise(f64);

impl Surprise {
    /// The next factor, 1 on average in the long run.
    pub(super) fn advance(&mut self, rng: &mut Rng) -> f64 {
        let deviation = 0.25;
        self.0 = MEMORY * self.0 + (1.0 - MEMORY * MEMORY).sqrt() * deviation * rng.normal();
        (self.0 - deviation * deviation / 2.0).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_peaks_in_the_morning_and_rests_at_weekends() {
        let wednesday = 20_773 * 24 * HOUR_MS; // 2026-11-16 was a Monday, day 20773 + 2 since the epoch a Wednesday
        let at = |day: i64, hour: i64| expected(wednesday + (day * 24 + hour) * HOUR_MS);
        assert_eq!(at(0, 9), 1.60);
        assert_eq!(at(0, 3), 0.38);
        let weekends = (0..7).filter(|day| at(*day, 9) < 1.2).count();
        assert_eq!(weekends, 2);
    }
}
