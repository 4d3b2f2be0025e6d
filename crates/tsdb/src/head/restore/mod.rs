//! The head after a start: what the log has and no block does.
//!
//! One thread reads the log, makes the series and queues what is to be done to each part of them; workers do it, a part
//! at a time.

mod apply;
mod late;
mod queue;
mod refs;
mod worker;

use std::sync::atomic::AtomicU64;
use std::thread;

use dashmap::DashMap;
use disk::Dir;
use hashbrown::HashSet;
use model::{StartRun, Timestamp};
use parking_lot::RwLock;
use ulid::Ulid;

use super::exemplars::Exemplars;
use super::image::Image;
use super::{ChunkFiles, Counts, Head};
use crate::block::{LogCovers, WalCover};
use crate::error::TsdbError;
use crate::options::Options;
use crate::wal::{self, At, Describe, Records, ReplayProgress, Replayed, SeriesRef, StartRecord};
use apply::Restored;
use worker::Workers;

pub(crate) use worker::ReplayLimits;

/// Which samples of the log are in blocks already: those before a time, in segments up to a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalCovers {
    of_blocks: Vec<WalCover>,
    /// The same of a log that a Prometheus wrote: its checkpoint, and its segments up to a number.
    adopted: Option<WalCover>,
}

impl WalCovers {
    /// What blocks that say `all` cover of the log whose identity is `store`. If some others are unreadable nothing is:
    /// perhaps the log still has their samples.
    pub(crate) fn new<'a>(
        all: impl Iterator<Item = &'a LogCovers>,
        all_readable: bool,
        store: Option<Ulid>,
    ) -> WalCovers {
        let of_block = |log: &LogCovers| {
            let log = log.clone();
            let trusted = all_readable && log.store == store;
            let trust =
                move |cover: WalCover| if trusted { cover } else { WalCover { before: Timestamp::MIN, ..cover } };
            log.covers.into_iter().map(trust)
        };
        WalCovers { of_blocks: all.flat_map(of_block).collect(), adopted: None }
    }

    /// The same of a log of which a Prometheus wrote the segments that `adopted` names.
    pub(crate) fn and_adopted(self, adopted: Option<WalCover>) -> WalCovers {
        WalCovers { adopted, ..self }
    }

    /// Whether a Prometheus wrote log segment `segment`, or the checkpoint.
    fn is_adopted(&self, segment: Option<u64>) -> bool {
        self.adopted.is_some_and(|adopted| segment.is_none_or(|number| number <= adopted.segment))
    }

    /// Samples of log segment `segment` that are older than this are in blocks.
    pub(crate) fn before(&self, segment: Option<u64>) -> Timestamp {
        let covers = self.of_blocks.iter().filter(|cover| segment.is_some_and(|number| number <= cover.segment));
        let adopted = self.adopted.iter().filter(|_| self.is_adopted(segment));
        covers.chain(adopted).map(|cover| cover.before).max().unwrap_or(Timestamp::MIN)
    }

    /// The first segment that none of them covers: new samples must not be taken for those of an old segment, not even
    /// when the log was taken away.
    fn first_free(&self) -> u64 {
        let covers = self.of_blocks.iter().chain(&self.adopted);
        covers.map(|cover| cover.segment.saturating_add(1)).max().unwrap_or(0)
    }
}

/// What is known beside the log.
pub(crate) struct Known {
    /// The log is read behind it only.
    pub(crate) image: Option<Image>,
    pub(crate) covers: WalCovers,
    /// The newest sample of all blocks.
    pub(crate) maxt: Timestamp,
}

impl Default for Known {
    /// Nothing.
    fn default() -> Known {
        Known { image: None, covers: WalCovers::default(), maxt: Timestamp::MIN }
    }
}

impl Head {
    /// Replays the log of the data directory `root` as far as it must be; sealed chunks go to `chunk_files`. `limits` say
    /// how many apply it. Returns nothing, and has changed nothing, if the image that is known is damaged.
    pub(crate) fn restore(
        root: &Dir,
        chunk_files: ChunkFiles,
        options: Options,
        known: &Known,
        progress: &ReplayProgress,
        limits: &ReplayLimits,
    ) -> Result<Option<(Head, Replayed)>, TsdbError> {
        let Known { image, covers, maxt } = known;
        let mut restored = Restored::new(*maxt, Exemplars::new(&options));
        let replayed = thread::scope(|scope| {
            let mut workers = Workers::start(scope, limits, &chunk_files);
            if let Some(image) = image
                && restored.image(image, &mut workers).is_none()
            {
                tracing::warn!("the head image, or a head chunk file, is damaged: the log is read from its beginning");
                return Ok(None);
            }
            let from = image.as_ref().map(Image::place);
            let first = covers.first_free().max(from.map_or(0, |place| place.segment.saturating_add(1)));
            let mut apply = |at: At<'_>, record| restored.apply(at, record, covers, &mut workers);
            let (log, mut replayed) = wal::replay(root, first, progress, from, &mut apply)?;
            replayed.findings.extend(late::adopt(root, &log, &mut restored, &mut workers)?);
            // While the workers do the rest.
            workers.hand_over();
            restored.list();
            let mint = workers.finish().map_err(|_| TsdbError::LogChanged)?.min(restored.mint);
            Ok::<_, TsdbError>(Some((log, replayed, mint)))
        })?;
        let Some((log, replayed, mint)) = replayed else { return Ok(None) };
        if restored.leaning {
            log.join_closed();
        }
        let head = Head {
            options,
            log,
            commit: Default::default(),
            index: RwLock::new(restored.index),
            order: Default::default(),
            senders: DashMap::default(),
            families: RwLock::new(restored.families),
            exemplars: RwLock::new(restored.exemplars),
            chunk_files,
            offloaded_at: AtomicU64::new(0),
            longest_hold_ns: AtomicU64::new(0),
            next_id: AtomicU64::new(restored.newest_id.saturating_add(1)),
            counts: Counts::new(mint, restored.maxt),
        };
        // Of what was deleted, and of what is in blocks, nothing but labels is left.
        head.retire_series(Timestamp::MIN);
        Ok(Some((head, replayed)))
    }
}

impl Describe for Head {
    fn pause(&self, then: &mut dyn FnMut()) {
        let _no_commit = self.hold();
        then();
    }

    /// Looks at every series, which takes a while; but this is what happens when a disk fails, not when a day passes.
    fn describe(&self, series: &HashSet<SeriesRef>, into: &mut Records) {
        // A series that has left the index may have exemplars, and only the log knows them by its number.
        let mut found = self.exemplars.read().series_among(series);
        self.with_index(|index| {
            let there = index.iter().filter(|s| series.contains(&s.id));
            found.extend(there.map(|s| (s.id, s.clone())));
        });
        into.series(found.values().map(|s| (s.id, &s.labels)));
        into.starts(found.values().filter_map(|s| {
            let StartRun { from, start } = s.last_start()?;
            Some(StartRecord { series: s.id, from, start })
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Exemplar, Histogram, Labels, Sample, SampleValue, TimeRange};
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::head::Kept;
    use crate::head::{Appender, Series, SeriesKey, Snapshot};
    use crate::wal::{HistogramRecord, SampleRecord, TombstoneRecord};

    /// Three segments, each described in itself or only in the first one, with samples at 10, 20 and 30.
    fn obsolete_before_15(self_contained: bool) -> Option<u64> {
        let root = disk::Sim::new(1).root();
        let restore = || {
            let progress = ReplayProgress::default();
            let files = ChunkFiles::open(root.sub("chunks_head").unwrap(), 1 << 20, Kept::default()).unwrap();
            Head::restore(&root, files, Options::default(), &Known::default(), &progress, &ReplayLimits::default())
                .unwrap()
                .unwrap()
        };
        let (head, _) = restore();
        let log = head.log();
        let (labels, mut records) = (Labels::from_pairs([("__name__", "up")]), Records::default());
        for segment in 0..3 {
            if segment == 0 || self_contained {
                records.series([(SeriesRef(7), &labels)]);
            }
            let sample = Sample { t: segment * 10 + 10, v: 0.5 };
            records.samples([SampleRecord { series: SeriesRef(7), sample }]);
            log.append(&records, sample.t).unwrap();
            records.clear();
            log.cut(&head).unwrap();
        }
        drop(head);
        let (head, replayed) = restore();
        assert_eq!((replayed.findings.len(), head.range().unwrap().maxt), (0, 30));
        assert_eq!(head.log().obsolete(2, 31), Some(2));
        head.log().obsolete(2, 15)
    }

    #[test]
    fn a_segment_stays_as_long_as_a_later_one_leans_on_it() {
        assert_eq!(obsolete_before_15(true), Some(0));
        assert_eq!(obsolete_before_15(false), None);
    }

    /// A log of some segments with changes of every kind, some of them late, twice or in conflict.
    fn write_log(root: &Dir, seed: u64) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let labels = |i: u64| Labels::from_pairs([("__name__", "m"), ("i", i.to_string().as_str())]);
        let (head, _) = restore_by(root, 1);
        let histogram = |rng: &mut SmallRng| Histogram { sum: rng.random_range(0..3).into(), ..Histogram::default() };
        let mut records = Records::default();
        for commit in 0..120 {
            if commit % 40 == 0 {
                let described: Vec<_> = (0..25).map(|i| (SeriesRef(i + 1), labels(i))).collect();
                records.series(described.iter().map(|(id, labels)| (*id, labels)));
            }
            let series = |rng: &mut SmallRng| SeriesRef(rng.random_range(1..=26));
            let time = |rng: &mut SmallRng| commit * 1000 - rng.random_range(0..20) * rng.random_range(0..2000);
            let floats: Vec<_> = (0..rng.random_range(0..40))
                .map(|_| SampleRecord {
                    series: series(&mut rng),
                    sample: Sample { t: time(&mut rng), v: rng.random_range(0..3).into() },
                })
                .collect();
            records.samples(floats);
            let histograms: Vec<_> = (0..rng.random_range(0..10))
                .map(|_| HistogramRecord {
                    series: series(&mut rng),
                    t: time(&mut rng),
                    value: SampleValue::Histogram(Arc::new(histogram(&mut rng))),
                })
                .collect();
            records.histograms(&histograms);
            records.starts((0..rng.random_range(0..3)).map(|_| {
                let from = time(&mut rng);
                StartRecord { series: series(&mut rng), from, start: from - 500 }
            }));
            if rng.random_range(0..4) == 0 {
                let mint = time(&mut rng);
                let range = TimeRange { mint, maxt: mint + 5000 };
                records.tombstones([TombstoneRecord { series: series(&mut rng), range }]);
            }
            head.log().ready().unwrap();
            head.log().append(&records, commit * 1000).unwrap();
            records.clear();
            if commit % 40 == 39 {
                head.log().cut(&head).unwrap();
            }
        }
    }

    fn restore_by(root: &Dir, workers: usize) -> (Head, Replayed) {
        let limits = ReplayLimits { workers, ..ReplayLimits::default() };
        restore_with(root, &limits, vec![WalCover { segment: 1, before: 9000 }])
    }

    fn restore_with(root: &Dir, limits: &ReplayLimits, of_blocks: Vec<WalCover>) -> (Head, Replayed) {
        let (options, covers) = (Options::default(), WalCovers { of_blocks, adopted: None });
        let progress = ReplayProgress::default();
        let files = ChunkFiles::open(root.sub("chunks_head").unwrap(), 1 << 20, Kept::default()).unwrap();
        Head::restore(root, files, options, &Known { covers, ..Known::default() }, &progress, limits).unwrap().unwrap()
    }

    #[test]
    fn a_retired_series_is_described_for_its_exemplars() {
        let (head, _) = restore_by(&disk::Sim::new(1).root(), 1);
        let labels = Labels::from_pairs([("__name__", "m")]);
        let mut appender = Appender::new(&head);
        let handle = appender.series(SeriesKey(1), &labels);
        appender.exemplar(&handle, Exemplar { labels: labels.clone(), t: 5, v: 0.5 });
        assert_eq!(appender.commit(10).unwrap().written.exemplars, 1);
        let id = head.all_series()[0].id;
        head.retire_series(Timestamp::MAX);
        assert_eq!(head.all_series().len(), 0);
        let (mut described, mut expected) = (Records::default(), Records::default());
        head.describe(&[id, SeriesRef(id.0 + 1)].into_iter().collect(), &mut described);
        expected.series([(id, &labels)]);
        assert_eq!(described.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn workers_end_where_one_thread_does() {
        for seed in 0..20 {
            let root = disk::Sim::new(seed).root();
            write_log(&root, seed);
            let contents = |workers: usize| {
                let (head, replayed) = restore_by(&root, workers);
                assert_eq!(replayed.findings, []);
                let series: Vec<_> = head.all_series();
                let all: Vec<_> = series.iter().map(|s| (s.id, s.slot, s.labels.clone(), format!("{:?}", s))).collect();
                (all, head.range(), head.maxt())
            };
            let serial = contents(1);
            assert_eq!(serial.0.len(), 25);
            for workers in [2, 3, 8] {
                // Each start begins a segment, so the description of a series is in the same one.
                assert!(contents(workers) == serial, "seed {seed}, {workers} workers");
            }
        }
    }

    /// The samples of a series, ascending.
    fn samples(series: &Series) -> Vec<(Timestamp, SampleValue)> {
        let Snapshot { chunks, late, .. } = series.snapshot(TimeRange::ALL);
        let in_order = chunks.iter().flat_map(|chunk| chunk.samples(TimeRange::ALL).unwrap());
        let mut all: Vec<_> = in_order.chain(late).collect();
        all.sort_by_key(|(t, _)| *t);
        all
    }

    /// Scrapes of neighbours, some with holes, and now and then something else: what most of the log consists of. Each
    /// change is also made to the series that this returns, one at a time.
    fn write_scrapes(root: &Dir, seed: u64) -> Vec<Series> {
        const SERIES: u64 = 3000;
        let mut rng = SmallRng::seed_from_u64(seed);
        let labels = |i: u64| Labels::from_pairs([("__name__", "m"), ("i", i.to_string().as_str())]);
        let expected: Vec<Series> = (0..SERIES).map(|i| Series::new(SeriesRef(i), 0, labels(i))).collect();
        let (head, _) = restore_with(root, &ReplayLimits::default(), vec![]);
        let mut records = Records::default();
        for commit in 0..90_i64 {
            if commit % 30 == 0 {
                records.series(expected.iter().map(|series| (series.id, &series.labels)));
            }
            let (first, len) = (rng.random_range(0..SERIES), rng.random_range(1..1500));
            let holes = rng.random_range(0..3) * rng.random_range(0..40);
            let t = commit * 1000 - rng.random_range(0..4) / 3 * rng.random_range(0..20_000);
            let mut scrape = Vec::new();
            for id in (first..SERIES).take(len).filter(|id| holes == 0 || id % holes != 1) {
                scrape.push(SampleRecord { series: SeriesRef(id), sample: Sample { t, v: (id % 7) as f64 } });
            }
            // One of a series that no segment describes.
            scrape.push(SampleRecord { series: SeriesRef(SERIES + 9), sample: Sample { t, v: 0.5 } });
            // What a block has of the first two segments is left out.
            let is_kept = |record: &&SampleRecord| 60 <= commit || 9000 <= record.sample.t;
            for SampleRecord { series, sample } in scrape.iter().filter(is_kept) {
                if let Some(series) = expected.get(usize::try_from(series.0).unwrap()) {
                    series.add(sample.t, SampleValue::Float(sample.v));
                }
            }
            records.samples(scrape);
            let one = SeriesRef(rng.random_range(0..SERIES));
            match rng.random_range(0..3) {
                0 => {
                    let value = SampleValue::Histogram(Arc::new(Histogram { sum: 1.0, ..Histogram::default() }));
                    let record = HistogramRecord { series: one, t: commit * 1000 + 10_000, value };
                    expected[usize::try_from(one.0).unwrap()].add(record.t, record.value.clone());
                    records.histograms(&[record]);
                }
                1 => {
                    let range = TimeRange { mint: t - 5000, maxt: t };
                    expected[usize::try_from(one.0).unwrap()].delete(range);
                    records.tombstones([TombstoneRecord { series: one, range }]);
                }
                _ => {}
            }
            head.log().ready().unwrap();
            head.log().append(&records, commit * 1000 + 10_000).unwrap();
            records.clear();
            if commit % 30 == 29 {
                head.log().cut(&head).unwrap();
            }
        }
        expected
    }

    #[test]
    fn samples_that_stay_in_the_log_until_they_are_added_are_all_there() {
        for seed in 0..6 {
            let root = disk::Sim::new(seed).root();
            let expected = write_scrapes(&root, seed);
            let tight = ReplayLimits { workers: 3, log_bytes: 5000, changes: 300, numbers: 100 };
            for limits in [tight, ReplayLimits { workers: 2, ..ReplayLimits::default() }] {
                let (head, _) = restore_with(&root, &limits, vec![WalCover { segment: 1, before: 9000 }]);
                let mut found: Vec<_> = head.all_series();
                found.sort_by_key(|series| series.id);
                let mut found = found.into_iter().peekable();
                for series in &expected {
                    // Those without a sample have left the head.
                    let restored = found.next_if(|found| found.id == series.id);
                    assert_eq!(
                        restored.map_or(vec![], |r| samples(&r)),
                        samples(series),
                        "seed {seed}, {:?}",
                        series.id
                    );
                }
                let oldest = expected.iter().filter_map(|series| series.range()).map(|range| range.mint).min();
                assert_eq!((found.next().is_none(), head.range().map(|range| range.mint)), (true, oldest));
            }
        }
    }

    #[test]
    fn a_second_log_is_taken_over_and_removed() {
        let root = disk::Sim::new(1).root();
        let labels = Labels::from_pairs([("__name__", "m")]);
        let sample = |t: i64, v: f64| SampleRecord { series: SeriesRef(9), sample: Sample { t, v } };
        let mut first = Records::default();
        first.series([(SeriesRef(9), &labels)]);
        first.samples([sample(1000, 1.0)]);
        let (head, _) = restore_by(&root, 2);
        head.log().append(&first, 1000).unwrap();
        drop(head);
        let late = root.sub("wbl").unwrap();
        for (segment, t) in [("00000000", 300), ("00000003", 400)] {
            let mut records = Records::default();
            records.samples([sample(t, 2.0), sample(1000, 3.0)]);
            let value = SampleValue::Histogram(Arc::new(Histogram::default()));
            records.histograms(&[HistogramRecord { series: SeriesRef(9), t: t + 1, value }]);
            late.create(segment).unwrap().append(&wal::segment_of(&records)).unwrap();
        }
        for _ in 0..2 {
            let (head, replayed) = restore_by(&root, 2);
            assert_eq!(replayed.findings, []);
            let times: Vec<_> = samples(&head.all_series()[0]).into_iter().map(|(t, _)| t).collect();
            assert_eq!((head.all_series().len(), times), (1, vec![300, 301, 400, 401, 1000]));
            assert!(root.list().unwrap().iter().all(|entry| entry.name != "wbl"));
        }
    }
}
