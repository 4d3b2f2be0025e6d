//! The head after a start: what the log has and no block does.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use dashmap::DashMap;
use disk::{Dir, DiskError};
use hashbrown::HashMap;
use model::{Labels, Timestamp};
use parking_lot::RwLock;

use super::families::Families;
use super::series::{Admission, Series};
use super::{Counts, Head, HeadIndex};
use crate::block::WalCover;
use crate::options::{BLOCK_MS, Options};
use crate::wal::{self, Record, Replayed, SeriesRef};

/// Which samples of the log are in blocks already: those before a time, in segments up to a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct WalCovers(pub(crate) Vec<WalCover>);

impl WalCovers {
    fn cover(&self, segment: Option<u64>, t: Timestamp) -> bool {
        segment.is_some_and(|n| self.0.iter().any(|cover| n <= cover.segment && t < cover.before))
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
        let (log, replayed) = wal::replay(dir, |segment, record| restored.apply(segment, record, covers))?;
        let head = Head {
            options,
            log,
            commit: Default::default(),
            index: RwLock::new(restored.index),
            senders: DashMap::default(),
            families: RwLock::new(restored.families),
            next_id: AtomicU64::new(restored.newest_id + 1),
            counts: Counts {
                maxt: AtomicI64::new(restored.maxt),
                mint: AtomicI64::new(restored.mint),
                mint_added: AtomicI64::new(Timestamp::MAX),
                written: AtomicU64::new(0),
                duplicates: AtomicU64::new(0),
                out_of_order: AtomicU64::new(0),
                refused: Default::default(),
            },
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
        }
    }
}

impl Restored {
    fn apply(&mut self, segment: Option<u64>, record: Record, covers: &WalCovers) -> Timestamp {
        let mut newest = Timestamp::MIN;
        match record {
            Record::Series(series) => series.into_iter().for_each(|(id, labels)| self.series(id, labels)),
            Record::Metadata(families) => families.iter().for_each(|family| _ = self.families.set(family)),
            Record::Samples(samples) => {
                for record in samples {
                    let t = record.sample.t;
                    newest = newest.max(t);
                    // A reference without a series belongs to one whose description was damaged: already told.
                    let Some(series) = self.by_id.get(&record.series) else { continue };
                    if covers.cover(segment, t) {
                        continue;
                    }
                    if matches!(series.add(record.sample, BLOCK_MS), Admission::InOrder | Admission::OutOfOrder) {
                        self.mint = self.mint.min(t);
                    }
                }
                self.maxt = self.maxt.max(newest);
            }
            Record::Unknown(kind) => tracing::debug!(kind, "record of a kind that this version does not read"),
        }
        newest
    }

    fn series(&mut self, id: SeriesRef, labels: Labels) {
        self.newest_id = self.newest_id.max(id.0);
        let series = match self.index.get(&labels) {
            Some(series) => series.clone(),
            None => self.index.insert(id, labels),
        };
        self.by_id.insert(id, series);
    }
}
