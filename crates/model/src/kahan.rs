//! Sums that keep what rounding takes away: Kahan's algorithm with Neumaier's improvement.

/// Adds `v` to the sum with its compensation; the total is `sum + c`. Source: Prometheus `util/kahansum`.
#[inline]
pub fn add(v: f64, sum: f64, c: f64) -> (f64, f64) {
    let total = sum + v;
    let (greater, lesser) = if sum.abs() >= v.abs() { (sum, v) } else { (v, sum) };
    let c = c + ((greater - total) + lesser);
    (total, if total.is_infinite() { 0.0 } else { c })
}
