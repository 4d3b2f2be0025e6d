//! Series of a block that were read before: a dashboard asks for the same ones every few seconds.

use std::sync::Arc;

use ahash::RandomState;
use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::index::BlockSeries;

/// Bytes of a map's slot and an allocation beside the series itself.
const ENTRY_BYTES: usize = 64;

/// Decoded series by reference, at most so many bytes of them.
///
/// Two generations instead of a list of uses: when the young one is full it becomes the old one, and the old one goes.
/// What was asked for meanwhile moved back to the young one.
#[derive(Debug)]
pub(super) struct SeriesCache {
    bytes_max: usize,
    /// Held for lookups and inserts of a whole selection, never while a series is read.
    generations: Mutex<Generations>,
}

type Generation = HashMap<u32, Arc<BlockSeries>, RandomState>;

#[derive(Debug, Default)]
struct Generations {
    young: Generation,
    young_bytes: usize,
    old: Generation,
}

impl SeriesCache {
    pub(super) fn new(bytes_max: usize) -> SeriesCache {
        SeriesCache { bytes_max, generations: Mutex::default() }
    }

    /// What is known of `refs`, in their order.
    pub(super) fn get(&self, refs: &[u32]) -> Vec<Option<Arc<BlockSeries>>> {
        let mut generations = self.generations.lock();
        refs.iter().map(|reference| generations.get(*reference, self.bytes_max)).collect()
    }

    /// Keeps series that were not known.
    pub(super) fn insert(&self, read: Vec<(u32, Arc<BlockSeries>)>) {
        if !read.is_empty() {
            let mut generations = self.generations.lock();
            for (reference, series) in read {
                generations.insert(reference, series, self.bytes_max);
            }
        }
    }
}

impl Generations {
    fn get(&mut self, reference: u32, bytes_max: usize) -> Option<Arc<BlockSeries>> {
        if let Some(series) = self.young.get(&reference) {
            return Some(series.clone());
        }
        let series = self.old.remove(&reference)?;
        self.insert(reference, series.clone(), bytes_max);
        Some(series)
    }

    fn insert(&mut self, reference: u32, series: Arc<BlockSeries>, bytes_max: usize) {
        let bytes = series.size_bytes() + ENTRY_BYTES;
        if bytes_max / 2 < self.young_bytes + bytes {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if bytes <= bytes_max / 2 && self.young.insert(reference, series).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    fn series(i: u32) -> Arc<BlockSeries> {
        let labels = Labels::from_pairs([("i", i.to_string().as_str())]);
        Arc::new(BlockSeries::new(i, labels, Box::default()))
    }

    #[test]
    fn what_is_asked_for_stays_and_the_bytes_are_bounded() {
        let entry = series(0).size_bytes() + ENTRY_BYTES + 8;
        let cache = SeriesCache::new(entry * 20);
        cache.insert(vec![(0, series(0))]);
        for i in 1..1000 {
            cache.insert(vec![(i, series(i))]);
            assert_eq!(cache.get(&[0]), [Some(series(0))], "after {i}");
        }
        let known = cache.get(&(0..1000).collect::<Vec<_>>()).iter().flatten().count();
        assert!((10..=20).contains(&known), "{known}");
    }

    #[test]
    fn no_bytes_keep_nothing() {
        let cache = SeriesCache::new(0);
        cache.insert(vec![(1, series(1))]);
        assert_eq!(cache.get(&[1]), [None]);
    }
}
