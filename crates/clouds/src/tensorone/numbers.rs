//! Numbers as answers show them: rounded half away from zero, parts that add up, and simple figures about lists.

use model::Timestamp;
use serde_json::{Value, json};

/// Digits of seconds: one, as the samples show, would make most of a fast model's latencies 0.
pub(crate) const SECONDS: i32 = 3;
/// Digits of amounts in a time series: small enough that buckets add up to the cent.
pub(crate) const SMALL_MONEY: i32 = 6;

/// `value` with `digits` after the point, halves away from zero.
pub(crate) fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    let rounded = (value * factor).round() / factor;
    // No answer shows -0.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// A number, or null where it is not known.
pub(crate) fn number(value: Option<f64>, digits: i32) -> Value {
    match value.filter(|value| value.is_finite()) {
        Some(value) => json!(round(value, digits)),
        None => Value::Null,
    }
}

/// A whole number, or null where it is not known.
pub(crate) fn whole(value: Option<f64>) -> Value {
    match value.filter(|value| value.is_finite()) {
        Some(value) => json!(to_i64(value)),
        None => Value::Null,
    }
}

/// The nearest whole number; what does not fit becomes the nearest that does.
#[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
pub(crate) fn to_i64(value: f64) -> i64 {
    value.round() as i64
}

/// A time as answers show it.
pub(crate) fn time(t: Timestamp) -> Value {
    match jiff::Timestamp::from_second(t.div_euclid(1000)) {
        Ok(time) => json!(time.to_string()),
        Err(_) => Value::Null,
    }
}

/// `a / b`, unless either is missing or `b` is nothing.
pub(crate) fn ratio(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) if b != 0.0 => Some(a / b),
        _ => None,
    }
}

/// By how many percent `new` differs from `old`; none where `old` is nothing.
pub(crate) fn change(new: Option<f64>, old: Option<f64>) -> Option<f64> {
    match (new, old) {
        (Some(new), Some(old)) if old != 0.0 => Some(100.0 * (new - old) / old),
        _ => None,
    }
}

/// USD as whole cents.
pub(crate) fn cents(usd: f64) -> i64 {
    to_i64(usd * 100.0)
}

/// Whole cents as USD.
#[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 cents")]
pub(crate) fn usd(cents: i64) -> f64 {
    cents as f64 / 100.0
}

/// `total` units in parts proportional to `weights`, by largest remainders: the parts add up to `total` exactly. All
/// parts are 0 when the weights are.
#[expect(clippy::cast_precision_loss, reason = "totals are far below 2^53")]
pub(crate) fn split(total: i64, weights: &[f64]) -> Vec<i64> {
    let sum: f64 = weights.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        return vec![0; weights.len()];
    }
    let exact: Vec<f64> = weights.iter().map(|weight| total as f64 * weight / sum).collect();
    #[expect(clippy::cast_possible_truncation, reason = "a cast from f64 saturates")]
    let mut parts: Vec<i64> = exact.iter().map(|exact| exact.floor() as i64).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    let remainder = |at: usize| exact[at] - exact[at].floor();
    by_remainder.sort_by(|a, b| remainder(*b).total_cmp(&remainder(*a)).then(a.cmp(b)));
    let missing = usize::try_from(total - parts.iter().sum::<i64>()).unwrap_or(0);
    by_remainder.iter().cycle().take(missing).for_each(|at| parts[*at] += 1);
    parts
}

/// The numbers among `values`.
pub(crate) fn known(values: &[f64]) -> impl Iterator<Item = f64> {
    values.iter().copied().filter(|value| value.is_finite())
}

/// The mean of what is known.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    let (mut sum, mut n) = (0.0, 0u32);
    known(values).for_each(|value| (sum, n) = (sum + value, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

/// The standard deviation of what is known as a share of its mean; 0 for a single value.
pub(crate) fn variation(values: &[f64]) -> Option<f64> {
    let mean = mean(values).filter(|mean| *mean != 0.0)?;
    let squares: Vec<f64> = known(values).map(|value| (value - mean) * (value - mean)).collect();
    Some(self::mean(&squares)?.sqrt() / mean.abs())
}

/// The middle of what is known.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = known(values).collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

/// Where the greatest known value stands, the first of equals.
pub(crate) fn arg_max(values: impl IntoIterator<Item = f64>) -> Option<(usize, f64)> {
    let known = values.into_iter().enumerate().filter(|(_, value)| value.is_finite());
    known.fold(None, |best: Option<(usize, f64)>, (at, value)| match best {
        Some((_, greatest)) if value <= greatest => best,
        _ => Some((at, value)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero() {
        for (value, digits, expect) in [(0.125, 2, 0.13), (-0.125, 2, -0.13), (2.5, 0, 3.0), (-0.001, 2, 0.0)] {
            assert_eq!(round(value, digits).to_string(), expect.to_string());
        }
    }

    #[test]
    fn parts_add_up() {
        for (total, weights, expect) in [
            (1000, vec![1.0, 1.0, 1.0], vec![334, 333, 333]),
            (1000, vec![1089.24, 67.42, 34.78, 56.41], vec![873, 54, 28, 45]),
            (0, vec![1.0, 2.0], vec![0, 0]),
            (10, vec![0.0, 0.0], vec![0, 0]),
            (1, vec![0.5, 0.5], vec![1, 0]),
        ] {
            assert_eq!(split(total, &weights), expect);
        }
    }

    #[test]
    fn figures_leave_out_what_is_not_known() {
        assert_eq!(mean(&[1.0, f64::NAN, 3.0]), Some(2.0));
        assert_eq!(mean(&[f64::NAN]), None);
        assert_eq!(median(&[3.0, f64::NAN, 1.0]), Some(2.0));
        assert_eq!(variation(&[2.0, 4.0]), Some(1.0 / 3.0));
        assert_eq!(variation(&[5.0]), Some(0.0));
        assert_eq!(arg_max([1.0, f64::NAN, 7.0, 7.0]), Some((2, 7.0)));
    }
}
