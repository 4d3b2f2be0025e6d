//! Quantiles of plain values.

use std::cmp::Ordering;

/// The quantile `q` of values, in whose order it leaves no sense; NaN counts as least.
///
/// Without values, or for NaN, it is NaN; below 0 it is -Inf, above 1 +Inf.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and the number of values")]
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    let (_, low, above) = values.select_nth_unstable_by(lower, order);
    let low = *low;
    let high = if upper == lower { low } else { above.iter().copied().min_by(order).unwrap_or(low) };
    low * (1.0 - weight) + high * weight
}

fn order(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.partial_cmp(b).unwrap_or(Ordering::Equal),
        (a_nan, b_nan) => b_nan.cmp(&a_nan),
    }
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        for (q, values, expected) in [
            (0.5, vec![3.0, 1.0, 2.0], 2.0),
            (0.75, vec![4.0, 1.0, 3.0, 2.0], 3.25),
            (0.0, vec![2.0, 1.0], 1.0),
            (1.0, vec![2.0, 1.0], 2.0),
            (0.5, vec![f64::NAN, 1.0, 2.0], 1.0),
            (-1.0, vec![1.0], f64::NEG_INFINITY),
            (2.0, vec![1.0], f64::INFINITY),
        ] {
            assert_eq!(quantile(q, &mut values.clone()), expected, "{q} of {values:?}");
        }
        assert!(quantile(0.5, &mut []).is_nan());
    }
}
