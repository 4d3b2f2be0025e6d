//! How one exported series moves from scrape to scrape: constants, counters, bounded walks and classic histograms.

use crate::fleet::target::Scrape;
use crate::rng::Rng;

/// One exported value, or one whole histogram, and the state it moves from.
#[derive(Clone, Debug)]
pub enum Signal {
    /// Never changes.
    Constant(f64),
    /// Only grows.
    Counter(Counter),
    /// Wanders between two bounds, drawn to a place that follows the load.
    Walk(Walk),
    /// Buckets, sum and count of `mean` observations a scrape at full load.
    Histogram(Histogram, f64),
}

impl Signal {
    /// Moves on by one scrape at `load` (0 to 1) and exports the new value or values.
    #[inline]
    pub fn advance(&mut self, rng: &mut Rng, load: f64, scrape: &mut Scrape<'_>) {
        match self {
            Signal::Constant(value) => scrape.put(*value),
            Signal::Counter(counter) => scrape.put(counter.advance(rng, load)),
            Signal::Walk(walk) => scrape.put(walk.advance(rng, load)),
            Signal::Histogram(histogram, mean) => {
                let observed = *mean * load * rng.exponential();
                histogram.observe(rng, observed);
                histogram.export(scrape);
            }
        }
    }
}

/// A counter with exponential increments.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// The value before rounding.
    pub value: f64,
    /// Mean increment of one scrape at half load.
    pub mean: f64,
    /// How the mean follows the load: 0 ignores it, 2 is proportional to it, negative falls with it.
    pub slope: f64,
    /// Share of an increment that is random; the rest is steady, as CPU seconds of an idle core are.
    pub spread: f64,
    /// Steps in one unit: 1 for whole numbers, 100 for two decimals.
    pub scale: f64,
}

impl Counter {
    #[inline]
    fn advance(&mut self, rng: &mut Rng, load: f64) -> f64 {
        let mean = self.mean * (1.0 + self.slope * (load - 0.5)).max(0.0);
        self.value += mean * (1.0 - self.spread + self.spread * rng.exponential());
        (self.value * self.scale).floor() / self.scale
    }
}

/// A bounded random walk, rounded as its exporter rounds.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    /// The value before rounding.
    pub value: f64,
    /// Least value, where the walk is drawn to at no load.
    pub low: f64,
    /// Greatest value, where the walk is drawn to at full load; may be below `low`.
    pub high: f64,
    /// Share of the whole span that one random step may cover.
    pub stride: f64,
    /// Steps in one unit: 1 for whole numbers, 1000 for three decimals.
    pub scale: f64,
}

impl Walk {
    #[inline]
    fn advance(&mut self, rng: &mut Rng, load: f64) -> f64 {
        let span = self.high - self.low;
        let pull = (self.low + span * load - self.value) * 0.15;
        let moved = self.value + pull + span * self.stride * rng.between(-1.0, 1.0);
        self.value = moved.clamp(self.low.min(self.high), self.low.max(self.high));
        (self.value * self.scale).round() / self.scale
    }
}

/// A classic histogram of lognormal observations.
///
/// Invariant: `below` never falls, ends with 1, and has one entry a bucket, the `+Inf` bucket last.
#[derive(Clone, Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// Share of the observations at or below each bound.
    below: Vec<f64>,
    mean: f64,
    /// Observations in each bucket alone, not cumulative.
    buckets: Vec<f64>,
    sum: f64,
}

impl Histogram {
    /// An empty histogram over finite, ascending `bounds`; `+Inf` is added.
    pub fn new(bounds: &'static [f64], median: f64, sigma: f64) -> Histogram {
        let buckets = vec![0.0; bounds.len() + 1];
        let mut histogram = Histogram { bounds, below: buckets.clone(), mean: 0.0, buckets, sum: 0.0 };
        histogram.reshape(median, sigma);
        histogram
    }

    /// Changes the distribution of the observations to come.
    pub fn reshape(&mut self, median: f64, sigma: f64) {
        let mut least = 0.0;
        for (below, bound) in self.below.iter_mut().zip(self.bounds.iter().chain([&f64::INFINITY])) {
            *below = normal_below((bound / median).ln() / sigma).max(least);
            least = *below;
        }
        self.mean = median * (sigma * sigma / 2.0).exp();
    }

    /// Adds `n` observations spread evenly over the distribution; a part of one is added at random.
    #[inline]
    pub fn observe(&mut self, rng: &mut Rng, n: f64) {
        let offset = rng.unit();
        let mut before = 0.0;
        for (bucket, below) in self.buckets.iter_mut().zip(&self.below) {
            let upto = (n * below + offset).floor();
            *bucket += upto - before;
            before = upto;
        }
        self.sum += before * self.mean * rng.between(0.9, 1.1);
    }

    /// Exports the cumulative buckets, then the sum, then the count.
    #[inline]
    pub fn export(&self, scrape: &mut Scrape<'_>) {
        let mut total = 0.0;
        for bucket in &self.buckets {
            total += bucket;
            scrape.put(total);
        }
        scrape.put((self.sum * 1e6).round() / 1e6);
        scrape.put(total);
    }
}

/// The share of a normal distribution below `z` deviations. Source: Abramowitz and Stegun 26.2.17, error < 7.5e-8.
fn normal_below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let poly =
        t * (0.319_381_53 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt() * poly;
    if z < 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_holds_what_was_observed_in_the_right_buckets() {
        let mut histogram = Histogram::new(&[0.1, 0.2, 0.4], 0.2, 1.0);
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            histogram.observe(&mut rng, 10.0);
        }
        let total: f64 = histogram.buckets.iter().sum();
        assert_eq!(total, 10_000.0);
        let below_median = histogram.buckets[..2].iter().sum::<f64>() / total;
        assert!((below_median - 0.5).abs() < 0.02, "{below_median}");
        let mean = histogram.sum / total;
        assert!((mean - 0.2 * 0.5_f64.exp()).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_walk_stays_inside_and_follows_the_load() {
        let mut walk = Walk { value: 50.0, low: 0.0, high: 100.0, stride: 0.05, scale: 1.0 };
        let mut rng = Rng::new(5);
        let mut mean_at = |load: f64| {
            let seen: Vec<f64> = (0..500).map(|_| walk.advance(&mut rng, load)).collect();
            assert!(seen.iter().all(|v| (0.0..=100.0).contains(v) && v.fract() == 0.0));
            seen.iter().sum::<f64>() / 500.0
        };
        assert!(mean_at(0.9) > 75.0 && mean_at(0.1) < 25.0);
    }
}
