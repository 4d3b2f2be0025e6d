//! Random numbers whose stream is the same on every machine and in every version, so that a seed names one fleet.

use std::f64::consts::TAU;

/// A splitmix64 generator: one multiplication chain a number, no state beyond 64 bits.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// A stream for `seed`; streams of neighbouring seeds do not resemble each other.
    pub fn new(seed: u64) -> Rng {
        let mut rng = Rng(seed);
        rng.next_u64();
        rng
    }

    /// An independent stream for the `index`-th part of a whole that has this seed.
    pub fn part(seed: u64, index: u64) -> Rng {
        Rng::new(seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`.
    #[inline]
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `[low, high)`.
    #[inline]
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number below `n`, each as likely as the others.
    pub fn below(&mut self, n: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in 0..n")]
        let drawn = (self.unit() * f64::from(n)) as u32;
        drawn
    }

    /// `mean` give or take at most `share` of it.
    pub fn near(&mut self, mean: f64, share: f64) -> f64 {
        mean * self.between(1.0 - share, 1.0 + share)
    }

    /// A whole number near `mean`, right on average; see [`Rng::near`] and [`Rng::whole`].
    pub fn whole_near(&mut self, mean: f64, share: f64) -> f64 {
        let near = self.near(mean, share);
        self.whole(near)
    }

    /// Exponential with mean 1.
    #[inline]
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Normal with mean 0 and deviation 1.
    pub fn normal(&mut self) -> f64 {
        (2.0 * self.exponential()).sqrt() * (TAU * self.unit()).cos()
    }

    /// `mean` rounded up or down at random so that it is right on average; never negative.
    #[inline]
    pub fn whole(&mut self, mean: f64) -> f64 {
        (mean + self.unit()).floor().max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_is_fixed() {
        let mut rng = Rng::new(1);
        let first = [rng.next_u64(), rng.next_u64()];
        assert_eq!(first, [0xbeeb_8da1_658e_ec67, 0xf893_a2ee_fb32_555e]);
        assert_ne!(Rng::part(1, 0).next_u64(), Rng::part(1, 1).next_u64());
    }

    #[test]
    fn whole_numbers_stay_below_their_bound() {
        let mut rng = Rng::new(3);
        let drawn: std::collections::BTreeSet<u32> = (0..200).map(|_| rng.below(4)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    }

    #[test]
    fn distributions_have_their_means() {
        let mut rng = Rng::new(7);
        let mut mean = |draw: fn(&mut Rng) -> f64| (0..20_000).map(|_| draw(&mut rng)).sum::<f64>() / 20_000.0;
        for (draw, expected) in [
            (Rng::unit as fn(&mut Rng) -> f64, 0.5),
            (Rng::exponential, 1.0),
            (Rng::normal, 0.0),
            (|rng: &mut Rng| rng.whole(2.3), 2.3),
        ] {
            let found = mean(draw);
            assert!((found - expected).abs() < 0.03, "mean {found}, expected {expected}");
        }
    }
}
