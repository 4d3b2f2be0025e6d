//! The head after a start: what the log has and no block does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use dashmap::DashMap;
use disk::{Dir, DiskError};
use hashbrown::HashMap;
use model::{Labels, SampleValue, Timestamp};
use parking_lot::RwLock;

use super::exemplars::Exemplars;
use super::families::Families;
use super::series::{Admission, Series};
use super::{Counts, Head, HeadIndex};
use crate::block::{Block, WalCover};
use crate::options::Options;
use crate::wal::{self, Record, Replayed, SeriesRef};

/// Which samples of the log are in blocks already: those before a time, in segments up to a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalCovers(Vec<WalCover>);

impl WalCovers {
    /// What `blocks` cover. If some others are unreadable nothing is: perhaps the log still has their samples.
    pub(crate) fn new(blocks: &[Arc<Block>], all_readable: bool) -> WalCovers {
        let trusted = |cover: WalCover| if all_readable { cover } else { WalCover { before: Timestamp::MIN, ..cover } };
        WalCovers(blocks.iter().filter_map(|block| block.meta().wal_cover()).map(trusted).collect())
    }

    fn cover(&self, segment: Option<u64>, t: Timestamp) -> bool {
        segment.is_some_and(|n| self.0.iter().any(|cover| n <= cover.segment && t < cover.before))
    }

    /// The first segment that none of them covers: new samples must not be taken for those of an old segment, not even
    /// when the log was taken away.
    fn first_free(&self) -> u64 {
        self.0.iter().map(|cover| cover.segment.saturating_add(1)).max().unwrap_or(0)
    }
}

impl Head {
    /// Replays the log in `dir`. `maxt` is the newest sample of all blocks.
    pub(crate) fn restore(
        dir: Dir,
        options: Options,
        covers: &WalCovers,
        maxt: Timestamp,
    ) -> Result<(Head, Replayed), DiskError> {
        let mut restored = Restored { maxt, ..Restored::default() };
        let apply = |segment, record| restored.apply(segment, record, covers);
        let (log, replayed) = wal::replay(dir, covers.first_free(), apply)?;
        if restored.leaning {
            log.join_closed();
        }
        let exemplars = RwLock::new(Exemplars::new(options.exemplars_per_project_max));
        let head = Head {
            options,
            log,
            commit: Default::default(),
            index: RwLock::new(restored.index),
            senders: DashMap::default(),
            families: RwLock::new(restored.families),
            exemplars,
            next_id: AtomicU64::new(restored.newest_id.saturating_add(1)),
            counts: Counts::new(restored.mint, restored.maxt),
        };
        Ok((head, replayed))
    }
}

/// A head in the making.
struct Restored {
    index: HeadIndex,
    families: Families,
    by_id: HashMap<SeriesRef, Arc<Series>>,
    newest_id: u64,
    mint: Timestamp,
    maxt: Timestamp,
    /// A segment has samples of a series that only one before it describes. Ours do not, those of Prometheus do.
    leaning: bool,
}

impl Default for Restored {
    fn default() -> Restored {
        Restored {
            index: HeadIndex::default(),
            families: Families::default(),
            by_id: HashMap::new(),
            newest_id: 0,
            mint: Timestamp::MAX,
            maxt: Timestamp::MIN,
            leaning: false,
        }
    }
}

impl Restored {
    fn apply(&mut self, segment: Option<u64>, record: Record, covers: &WalCovers) -> Timestamp {
        let mut newest = Timestamp::MIN;
        match record {
            Record::Series(series) => series.into_iter().for_each(|(id, labels)| self.series(segment, id, labels)),
            Record::Metadata(families) => families.iter().for_each(|family| _ = self.families.set(family)),
            Record::Samples(samples) => {
                for record in samples {
                    let t = record.sample.t;
                    newest = newest.max(t);
                    // A reference without a series belongs to one whose description was damaged: already told.
                    let Some(series) = self.by_id.get(&record.series) else {
                        self.newest_id = self.newest_id.max(record.series.0);
                        continue;
                    };
                    self.leaning |= segment.is_some_and(|number| !series.is_logged(number));
                    if covers.cover(segment, t) {
                        continue;
                    }
                    let value = SampleValue::Float(record.sample.v);
                    if matches!(series.add(t, value), Admission::InOrder | Admission::OutOfOrder) {
                        self.mint = self.mint.min(t);
                    }
                }
                self.maxt = self.maxt.max(newest);
            }
            Record::Histograms(_) | Record::Exemplars(_) | Record::Tombstones(_) | Record::Starts(_) => {}
            Record::SeriesMetadata(_) | Record::Commit(_) => {}
            Record::Skipped(kind) => tracing::debug!(kind, "record of a kind that this version does not read"),
        }
        newest
    }

    fn series(&mut self, segment: Option<u64>, id: SeriesRef, labels: Labels) {
        self.newest_id = self.newest_id.max(id.0);
        let series = match self.index.get(&labels) {
            Some(series) => series.clone(),
            None => self.index.insert(id, labels),
        };
        if let Some(number) = segment {
            series.mark_logged(number);
        }
        self.by_id.insert(id, series);
    }
}

#[cfg(test)]
mod tests {
    use model::Sample;

    use super::*;
    use crate::wal::{Records, SampleRecord};

    /// Three segments, each described in itself or only in the first one, with samples at 10, 20 and 30.
    fn obsolete_before_15(self_contained: bool) -> Option<u64> {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let log = wal::Log::start(dir.clone(), 0, Vec::new()).unwrap();
        let (labels, mut records) = (Labels::from_pairs([("__name__", "up")]), Records::default());
        for segment in 0..3 {
            if segment == 0 || self_contained {
                records.series([(SeriesRef(7), &labels)]);
            }
            let sample = Sample { t: segment * 10 + 10, v: 0.5 };
            records.samples([SampleRecord { series: SeriesRef(7), sample }]);
            log.append(&records, sample.t).unwrap();
            records.clear();
            log.cut().unwrap();
        }
        drop(log);
        let (head, replayed) = Head::restore(dir, Options::default(), &WalCovers::default(), Timestamp::MIN).unwrap();
        assert_eq!((replayed.damages.len(), head.range().unwrap().maxt), (0, 30));
        assert_eq!(head.log().obsolete(2, 31), Some(2));
        head.log().obsolete(2, 15)
    }

    #[test]
    fn a_segment_stays_as_long_as_a_later_one_leans_on_it() {
        assert_eq!(obsolete_before_15(true), Some(0));
        assert_eq!(obsolete_before_15(false), None);
    }
}
