//! Quantiles of plain values.

use std::cmp::Ordering;
use std::ops::Range;

/// Values that may change from one window to the next for those before to be worth keeping in order; a further one may
/// move all that are kept.
const CHANGED_MAX: usize = 32;

/// The quantile `q` of values, in whose order it leaves no sense; NaN counts as least.
///
/// Without values, or for NaN, it is NaN; below 0 it is -Inf, above 1 +Inf.
pub(crate) fn quantile(q: f64, values: &mut [f64]) -> f64 {
    let (lower, weight) = match place(q, values.len()) {
        Ok(place) => place,
        Err(outside) => return outside,
    };
    let (_, low, above) = values.select_nth_unstable_by(lower, order);
    let low = *low;
    between(low, above.iter().copied().min_by(order), weight)
}

/// The position of the value at or below the quantile `q` of `n` of them, and the weight of the one above; or what the
/// quantile is whatever they are.
fn place(q: f64, n: usize) -> Result<(usize, f64), f64> {
    if n == 0 || q.is_nan() {
        return Err(f64::NAN);
    }
    if q < 0.0 {
        return Err(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Err(f64::INFINITY);
    }
    let rank = q * (n - 1) as f64;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and the number of values")]
    Ok((rank.floor() as usize, rank - rank.floor()))
}

fn between(low: f64, high: Option<f64>, weight: f64) -> f64 {
    low * (1.0 - weight) + high.unwrap_or(low) * weight
}

fn order(a: &f64, b: &f64) -> Ordering {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => a.total_cmp(b),
        (a_nan, b_nan) => b_nan.cmp(&a_nan),
    }
}

/// The values of a window that moves on, in order while it takes them along.
#[derive(Debug, Default)]
pub(crate) struct MovingQuantile {
    /// The keys of those at `window`, in whatever order unless `is_sorted`: integers are compared without a branch.
    keys: Vec<i64>,
    window: Range<usize>,
    is_sorted: bool,
}

impl MovingQuantile {
    /// The quantile `q` of those of `all` inside `window`, which does not go back.
    /// Cost: a search for each value that comes or goes when they are few, else one pass over all inside.
    pub(crate) fn at(&mut self, q: f64, all: &[f64], window: Range<usize>) -> f64 {
        let (gone, come) = (self.window.start..window.start, self.window.end..window.end);
        let changed = gone.len() + come.len();
        self.window = window.clone();
        // Of windows that do not overlap more changes than is inside.
        if CHANGED_MAX < changed || window.len() / 4 < changed {
            self.keys.clear();
            self.keys.extend(all[window].iter().map(key));
            self.is_sorted = false;
        } else {
            self.move_on(&all[gone], &all[come]);
        }
        let (lower, weight) = match place(q, self.keys.len()) {
            Ok(place) => place,
            Err(outside) => return outside,
        };
        let (low, high) = if self.is_sorted {
            (self.keys[lower], self.keys.get(lower + 1).copied())
        } else {
            let (_, low, above) = self.keys.select_nth_unstable(lower);
            (*low, above.iter().min().copied())
        };
        between(value(low), high.map(value), weight)
    }

    fn move_on(&mut self, gone: &[f64], come: &[f64]) {
        let keys = &mut self.keys;
        if !self.is_sorted {
            keys.sort_unstable();
            self.is_sorted = true;
        }
        for gone in gone.iter().map(key) {
            keys.remove(keys.partition_point(|kept| *kept < gone));
        }
        for come in come.iter().map(key) {
            keys.insert(keys.partition_point(|kept| *kept < come), come);
        }
    }
}

/// An integer that stands where [`order`] puts the value; every NaN has the least.
fn key(v: &f64) -> i64 {
    if v.is_nan() { i64::MIN } else { turned(v.to_bits().cast_signed()) }
}

/// The value with this key.
fn value(key: i64) -> f64 {
    f64::from_bits(turned(key).cast_unsigned())
}

/// Turns the order of negative ones around, which floats count from zero; twice is not at all.
fn turned(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::{MovingQuantile, quantile};

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

    /// Windows that move by little, by much, and not at all, over values that come again, zeros of both signs and NaN.
    #[test]
    fn a_window_that_moves_on_has_the_quantiles_of_each() {
        let value = |i: usize| match i * i % 23 {
            5 => f64::NAN,
            7 => 0.0,
            11 => -0.0,
            n => n as f64 - 9.0,
        };
        let bits = |v: f64| (!v.is_nan()).then_some(v.to_bits());
        let all: Vec<f64> = (0..4000).map(value).collect();
        let (mut moving, mut window) = (MovingQuantile::default(), 0..0);
        for i in 0..2000 {
            window = match i % 97 {
                0 => window.end + 3..window.end + 70,
                1..40 => window.start + i % 3..window.end + i % 4,
                40..44 => window.start + i % 7..window.end,
                _ => window,
            };
            if all.len() < window.end {
                break;
            }
            for q in [-0.5, 0.0, 0.3, 0.95, 1.0, f64::NAN] {
                let expected = quantile(q, &mut all[window.clone()].to_vec());
                assert_eq!(bits(moving.at(q, &all, window.clone())), bits(expected), "{q} of {window:?}");
            }
        }
        assert!(2000 < window.end, "the windows have moved on");
    }
}
