//! The head after a start: what the log has and no block does.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use dashmap::DashMap;
use disk::{Dir, DiskError};
use hashbrown::{HashMap, HashSet};
use model::{Labels, SampleValue, StartRun, Timestamp};
use parking_lot::RwLock;

use super::exemplars::Exemplars;
use super::families::Families;
use super::series::{Admission, Series};
use super::{ChunkFiles, Counts, Head, HeadIndex, OFFLOAD_SAMPLES, chunk_files};
use crate::block::{Block, WalCover};
use crate::options::Options;
use crate::wal::{self, Describe, Record, Records, ReplayProgress, Replayed, SeriesRef, StartRecord, TombstoneRecord};

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
    /// Replays the log of the data directory `root`; sealed chunks go to `chunk_files`. `maxt` is the newest sample of all blocks.
    pub(crate) fn restore(
        root: &Dir,
        chunk_files: ChunkFiles,
        options: Options,
        covers: &WalCovers,
        maxt: Timestamp,
        progress: &ReplayProgress,
    ) -> Result<(Head, Replayed), DiskError> {
        let mut restored = Restored::new(chunk_files, maxt, Exemplars::new(options.exemplars_per_project_max));
        let mut apply = |segment, record| restored.apply(segment, record, covers);
        let (log, replayed) = wal::replay(root, covers.first_free(), progress, &mut apply)?;
        if restored.leaning {
            log.join_closed();
        }
        let head = Head {
            options,
            log,
            commit: Default::default(),
            index: RwLock::new(restored.index),
            senders: DashMap::default(),
            families: RwLock::new(restored.families),
            exemplars: RwLock::new(restored.exemplars),
            chunk_files: restored.chunk_files,
            offloaded_at: AtomicU64::new(0),
            next_id: AtomicU64::new(restored.newest_id.saturating_add(1)),
            longest_hold_ns: AtomicU64::new(0),
            counts: Counts::new(restored.mint, restored.maxt),
        };
        // Of what was deleted, and of what is in blocks, nothing but labels is left.
        head.retire_series(Timestamp::MIN);
        Ok((head, replayed))
    }
}

impl Describe for Head {
    fn pause(&self, then: &mut dyn FnMut()) {
        let _no_commit = self.hold();
        then();
    }

    fn describe(&self, series: &HashSet<SeriesRef>, into: &mut Records) {
        self.with_index(|index| {
            let found: Vec<&Arc<Series>> = index.iter().filter(|s| series.contains(&s.id)).collect();
            into.series(found.iter().map(|s| (s.id, &s.labels)));
            into.starts(found.iter().filter_map(|s| {
                let StartRun { from, start } = s.last_start()?;
                Some(StartRecord { series: s.id, from, start })
            }));
        });
    }
}

/// A head in the making.
struct Restored {
    index: HeadIndex,
    families: Families,
    exemplars: Exemplars,
    chunk_files: ChunkFiles,
    /// Samples added since sealed chunks were last looked at.
    added: u64,
    by_id: HashMap<SeriesRef, Arc<Series>>,
    newest_id: u64,
    mint: Timestamp,
    maxt: Timestamp,
    /// A segment has samples of a series that only one before it describes. Ours do not, those of Prometheus do.
    leaning: bool,
}

impl Restored {
    fn new(chunk_files: ChunkFiles, maxt: Timestamp, exemplars: Exemplars) -> Restored {
        Restored {
            index: HeadIndex::default(),
            families: Families::default(),
            exemplars,
            chunk_files,
            added: 0,
            by_id: HashMap::new(),
            newest_id: 0,
            mint: Timestamp::MAX,
            maxt,
            leaning: false,
        }
    }

    fn apply(&mut self, segment: Option<u64>, record: Record, covers: &WalCovers) -> Timestamp {
        let mut newest = Timestamp::MIN;
        match record {
            Record::Series(series) => series.into_iter().for_each(|(id, labels)| self.series(segment, id, labels)),
            Record::Metadata(families) => families.iter().for_each(|family| _ = self.families.set(family)),
            Record::Samples(samples) => {
                for record in samples {
                    newest = newest.max(record.sample.t);
                    let value = SampleValue::Float(record.sample.v);
                    self.sample(segment, record.series, record.sample.t, value, covers);
                }
            }
            Record::Histograms(histograms) => {
                for record in histograms {
                    newest = newest.max(record.t);
                    self.sample(segment, record.series, record.t, record.value, covers);
                }
            }
            Record::Exemplars(exemplars) => {
                for record in exemplars {
                    if let Some(series) = self.by_id.get(&record.series) {
                        self.exemplars.add(series, &record.exemplar);
                    }
                }
            }
            Record::Starts(starts) => {
                for StartRecord { series, from, start } in starts {
                    if let Some(series) = self.by_id.get(&series) {
                        series.set_start(StartRun { from, start });
                    }
                }
            }
            Record::Tombstones(tombstones) => {
                for TombstoneRecord { series, range } in tombstones {
                    if let Some(series) = self.by_id.get(&series) {
                        series.delete(range);
                        self.exemplars.delete(&series.labels, range);
                    }
                }
            }
            Record::SeriesMetadata(_) | Record::Commit(_) | Record::End { .. } => {}
            Record::Skipped(kind) => tracing::debug!(kind, "record of a kind that this version does not read"),
        }
        self.maxt = self.maxt.max(newest);
        if OFFLOAD_SAMPLES <= self.added {
            self.added = 0;
            if let Err(e) = chunk_files::offload(&self.chunk_files, self.index.iter(), chunk_files::FILE_BYTES) {
                tracing::warn!(error = %e, "sealed chunks stay in memory");
            }
        }
        newest
    }

    fn sample(&mut self, segment: Option<u64>, id: SeriesRef, t: Timestamp, value: SampleValue, covers: &WalCovers) {
        // A reference without a series belongs to one whose description was damaged: already told.
        let Some(series) = self.by_id.get(&id) else {
            self.newest_id = self.newest_id.max(id.0);
            return;
        };
        self.leaning |= segment.is_some_and(|number| !series.is_logged(number));
        if covers.cover(segment, t) {
            return;
        }
        if matches!(series.add(t, value), Admission::InOrder | Admission::OutOfOrder) {
            self.mint = self.mint.min(t);
            self.added += 1;
        }
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
    use crate::integrity::Findings;
    use crate::wal::SampleRecord;

    /// Three segments, each described in itself or only in the first one, with samples at 10, 20 and 30.
    fn obsolete_before_15(self_contained: bool) -> Option<u64> {
        let root = disk::Sim::new(1).root();
        let restore = || {
            let progress = ReplayProgress::default();
            let files = ChunkFiles::open(root.sub("chunks_head").unwrap(), Findings::default()).unwrap();
            Head::restore(&root, files, Options::default(), &WalCovers::default(), Timestamp::MIN, &progress).unwrap()
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
}
