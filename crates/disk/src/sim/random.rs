//! Random numbers that depend on a seed only.

/// A generator. Source: splitmix64, `prng.di.unimi.it/splitmix64.c`.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is above 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }

    /// True or false, as often.
    pub(super) fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// What becomes of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// All of them were on their way and arrived.
    All,
    /// None arrived.
    Nothing,
    /// Some did.
    Some,
}

impl Keep {
    pub(super) fn pick(random: &mut Random) -> Keep {
        [Keep::All, Keep::Nothing, Keep::Some, Keep::Some][random.below(4)]
    }
}
