//! Samples of blocks as they were decoded, kept while there is room: a dashboard asks for the same ones every few seconds.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

use ahash::RandomState;
use arc_swap::ArcSwapOption;
use hashbrown::HashMap;
use model::{Columns, TimeRange, Timestamp, is_stale};
use parking_lot::Mutex;

use crate::index::BlockSeries;

/// Bytes of a run beside its values: allocations, and places in lists.
const RUN_BYTES: usize = 192;
/// What a selection may take of the whole at most; the samples of a larger one would only drive out each other.
const SELECTION_SHARE: usize = 2;
/// Entries of lists before those that nothing stands behind any more are looked for.
const ENTRIES_MIN: usize = 1024;

/// Keeps decoded samples of all blocks, at most so many bytes of them.
///
/// What is kept hangs at its series, so that finding it costs nothing; here is only what says which series goes next:
/// the oldest one that was not read since this was last asked.
#[derive(Debug)]
pub(crate) struct DecodedCache {
    bytes_max: usize,
    bytes: AtomicUsize,
    /// Held while one series' samples are added.
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    queue: VecDeque<Weak<BlockSeries>>,
    /// By first and last timestamp, and their number: series of one target have the same ones.
    times: HashMap<(Timestamp, Timestamp, usize), Weak<Times>, RandomState>,
}

/// Timestamps that several series share.
#[derive(Debug)]
struct Times {
    all: Box<[Timestamp]>,
    _charge: Charge,
}

/// The samples of some chunks of a series, all of floats.
#[derive(Debug)]
struct Run {
    chunks: Range<usize>,
    times: Arc<Times>,
    values: Box<[f64]>,
    /// Whether none of the values is a staleness marker.
    is_live: bool,
    /// Whether none of the values is less than the one before.
    is_rising: bool,
    _charge: Charge,
}

/// Bytes that are counted until this is dropped.
#[derive(Debug)]
struct Charge {
    cache: Arc<DecodedCache>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.cache.bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// What is kept of one series; part of it.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    run: ArcSwapOption<Run>,
    /// Whether somebody has read it: who comes once does not come again, who comes twice does.
    was_read: AtomicBool,
    /// Whether what is kept was read since the queue came to it.
    is_used: AtomicBool,
    is_queued: AtomicBool,
}

impl Clone for Decoded {
    /// A copy of a series keeps nothing.
    fn clone(&self) -> Decoded {
        Decoded::default()
    }
}

impl PartialEq for Decoded {
    /// What is kept makes no difference.
    fn eq(&self, _: &Decoded) -> bool {
        true
    }
}

impl Eq for Decoded {}

impl Decoded {
    /// Adds what is kept of the samples of `chunks` inside `range` to the float columns; false if not all of it is there.
    pub(crate) fn read(&self, chunks: &Range<usize>, range: TimeRange, into: &mut Columns) -> bool {
        let run = self.run.load();
        let Some(run) = run.as_deref().filter(|run| run.chunks.start <= chunks.start && chunks.end <= run.chunks.end)
        else {
            return false;
        };
        if !self.is_used.load(Relaxed) {
            self.is_used.store(true, Relaxed);
        }
        let inside = range.positions(&run.times.all);
        let (timestamps, values) = (&run.times.all[inside.clone()], &run.values[inside]);
        let (before, after) = (into.values.len(), into.values.len() + values.len());
        if run.is_live && into.known.live == before {
            into.known.live = after;
        }
        let falls = into.values.last().zip(values.first()).is_some_and(|(last, first)| first < last);
        if run.is_rising && into.known.rising == before && !falls {
            into.known.rising = after;
        }
        into.timestamps.extend_from_slice(timestamps);
        into.values.extend_from_slice(values);
        true
    }

    /// Whether samples of `chunks`, which are to be decoded now, are worth keeping: they were asked for before, and no
    /// larger run is there.
    pub(crate) fn is_worth(&self, chunks: &Range<usize>) -> bool {
        let known = self.run.load().as_deref().map_or(0, |run| run.chunks.len());
        self.was_read.swap(true, Relaxed) && known < chunks.len()
    }
}

impl DecodedCache {
    /// Room for so many bytes.
    pub(crate) fn new(bytes_max: usize) -> Arc<DecodedCache> {
        Arc::new(DecodedCache { bytes_max, bytes: AtomicUsize::new(0), lists: Mutex::default() })
    }

    /// Whether a selection of so many samples may keep what it decodes.
    pub(crate) fn has_room(&self, samples: usize) -> bool {
        samples.saturating_mul(size_of::<f64>()) <= self.bytes_max / SELECTION_SHARE
    }

    /// Keeps the samples of `chunks` of a series.
    pub(crate) fn keep(
        self: &Arc<DecodedCache>,
        series: &Arc<BlockSeries>,
        chunks: Range<usize>,
        timestamps: &[Timestamp],
        values: &[f64],
    ) {
        if timestamps.is_empty() {
            return;
        }
        let _charge = self.charge(RUN_BYTES + size_of_val(values));
        let mut lists = self.lists.lock();
        let times = lists.times(self, timestamps);
        let decoded = &series.decoded;
        let is_live = !values.iter().any(|v| is_stale(*v));
        let is_rising = !values.windows(2).any(|pair| pair[1] < pair[0]);
        decoded.run.store(Some(Arc::new(Run { chunks, times, values: values.into(), is_live, is_rising, _charge })));
        if !decoded.is_queued.swap(true, Relaxed) {
            lists.queue.push_back(Arc::downgrade(series));
        }
        lists.make_room(self);
    }

    fn charge(self: &Arc<DecodedCache>, bytes: usize) -> Charge {
        self.bytes.fetch_add(bytes, Relaxed);
        Charge { cache: self.clone(), bytes }
    }
}

impl Lists {
    /// These timestamps, shared with whoever has the same ones.
    fn times(&mut self, cache: &Arc<DecodedCache>, all: &[Timestamp]) -> Arc<Times> {
        let [first, .., last] = all else { return new_times(cache, all) };
        let key = (*first, *last, all.len());
        if let Some(known) = self.times.get(&key).and_then(Weak::upgrade).filter(|known| *known.all == *all) {
            return known;
        }
        if self.times.len() == self.times.capacity() && ENTRIES_MIN < self.times.len() {
            self.times.retain(|_, times| times.strong_count() > 0);
        }
        let times = new_times(cache, all);
        self.times.insert(key, Arc::downgrade(&times));
        times
    }

    /// Lets go of samples while there are too many.
    fn make_room(&mut self, cache: &DecodedCache) {
        if self.queue.len() == self.queue.capacity() && ENTRIES_MIN < self.queue.len() {
            self.queue.retain(|series| series.strong_count() > 0);
        }
        let mut chances = self.queue.len();
        while cache.bytes_max < cache.bytes.load(Relaxed)
            && let Some(next) = self.queue.pop_front()
        {
            let Some(series) = next.upgrade() else { continue };
            if chances > 0 && series.decoded.is_used.swap(false, Relaxed) {
                chances -= 1;
                self.queue.push_back(next);
                continue;
            }
            series.decoded.is_queued.store(false, Relaxed);
            series.decoded.run.store(None);
        }
    }
}

fn new_times(cache: &Arc<DecodedCache>, all: &[Timestamp]) -> Arc<Times> {
    Arc::new(Times { all: all.into(), _charge: cache.charge(RUN_BYTES + size_of_val(all)) })
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;

    const SAMPLES: usize = 100;

    fn series(i: u32) -> Arc<BlockSeries> {
        Arc::new(BlockSeries::new(i, Labels::empty(), Box::default()))
    }

    fn keep(cache: &Arc<DecodedCache>, series: &Arc<BlockSeries>, chunks: Range<usize>, first: Timestamp) {
        let timestamps: Vec<Timestamp> = (first..).take(SAMPLES).collect();
        let values: Vec<f64> = timestamps.iter().map(|t| *t as f64).collect();
        cache.keep(series, chunks, &timestamps, &values);
    }

    fn read(series: &BlockSeries, chunks: Range<usize>, mint: Timestamp, maxt: Timestamp) -> Option<Vec<Timestamp>> {
        let mut columns = Columns::default();
        let is_there = series.decoded.read(&chunks, TimeRange { mint, maxt }, &mut columns);
        assert!(columns.timestamps.iter().zip(&columns.values).all(|(t, v)| *t as f64 == *v));
        is_there.then_some(columns.timestamps)
    }

    #[test]
    fn what_is_kept_comes_back_cut_to_the_range() {
        let (cache, series) = (DecodedCache::new(1 << 20), series(0));
        assert_eq!(read(&series, 2..3, 0, 1000), None);
        assert!(!series.decoded.is_worth(&(1..4)), "the first time nobody knows whether there will be a second");
        assert!(series.decoded.is_worth(&(1..4)));
        keep(&cache, &series, 1..4, 1000);
        assert_eq!(read(&series, 1..4, 0, 5000).unwrap().len(), SAMPLES);
        assert_eq!(read(&series, 2..3, 1005, 1007), Some(vec![1005, 1006, 1007]));
        assert_eq!(read(&series, 2..3, 2000, 2007), Some(Vec::new()));
        assert_eq!(read(&series, 0..2, 0, 5000), None, "a chunk of it is missing");
        assert!(!series.decoded.is_worth(&(0..1)), "what is there is longer");
        assert!(series.decoded.is_worth(&(0..4)));
    }

    #[test]
    fn what_is_known_of_kept_values_holds_across_runs() {
        let (cache, stale) = (DecodedCache::new(1 << 20), model::STALE_NAN);
        let kept = |values: &[f64]| {
            let series = series(0);
            let timestamps: Vec<Timestamp> = (0..).take(values.len()).collect();
            cache.keep(&series, 0..1, &timestamps, values);
            series
        };
        for (first, second, live, rising) in [
            ([1.0, 2.0], [2.0, 3.0], 4, 4),
            ([1.0, 2.0], [1.0, 3.0], 4, 2),
            ([2.0, 1.0], [1.0, 3.0], 4, 0),
            ([1.0, stale], [1.0, 3.0], 0, 4),
            ([1.0, 2.0], [2.0, stale], 2, 4),
            ([1.0, 2.0], [f64::NAN, 1.0], 4, 4),
        ] {
            let mut columns = Columns::default();
            for values in [first, second] {
                assert!(kept(&values).decoded.read(&(0..1), TimeRange::ALL, &mut columns));
            }
            assert_eq!((columns.known.live, columns.known.rising), (live, rising), "{first:?} {second:?}");
        }
    }

    #[test]
    fn timestamps_are_shared_and_bytes_bounded() {
        let one = SAMPLES * 8 + RUN_BYTES;
        let cache = DecodedCache::new(one * 21);
        let all: Vec<_> = (0..100).map(series).collect();
        for series in &all {
            keep(&cache, series, 0..1, 0);
            assert!(cache.bytes.load(Relaxed) <= one * 21);
            assert!(read(&all[0], 0..1, 0, 9).is_some(), "what is read stays");
        }
        let kept = all.iter().filter(|series| read(series, 0..1, 0, 9).is_some()).count();
        assert_eq!(kept, 20, "their timestamps are there once");
        drop(all);
        assert_eq!(cache.bytes.load(Relaxed), 0, "what is kept goes with its series");
    }

    #[test]
    fn lists_do_not_outgrow_what_is_kept() {
        let cache = DecodedCache::new(1 << 30);
        for i in 0..20_000 {
            keep(&cache, &series(i), 0..1, i64::from(i) * 1000);
        }
        let lists = cache.lists.lock();
        assert!(lists.queue.len() <= 4 * ENTRIES_MIN && lists.times.len() <= 4 * ENTRIES_MIN);
    }
}
