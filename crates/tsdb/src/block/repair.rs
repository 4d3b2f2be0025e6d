//! What a damaged block still tells: postings made anew from its series, a description from its series and chunks.

use model::{BlockRange, Budget, Timestamp};
use ulid::Ulid;

use super::error::BlockError;
use super::meta::{BlockMeta, BlockSpec, BlockStats};
use super::{Block, Tombstones};
use crate::chunk;

/// What is told when the deletions of a block, or whether the log holds what they deleted, are not known any more.
const DELETIONS_LOST: &str = "deleted samples may be back";

impl BlockMeta {
    /// What is known of block `name` when its own description is not: no more than that it is there.
    pub(super) fn unknown(name: &str) -> Option<BlockMeta> {
        let range = BlockRange { start: Timestamp::MIN, end: Timestamp::MAX };
        Some(BlockMeta::new(&BlockSpec::new(Ulid::from_string(name).ok()?, range), BlockStats::default()))
    }
}

impl Block {
    /// Reads the description, or learns from `Err` that it is damaged and returns what to go on with.
    pub(super) fn read_meta(dir: &disk::Dir, name: &str) -> Result<(BlockMeta, Option<BlockError>), BlockError> {
        match BlockMeta::read(dir, name) {
            Err(error) if error.is_damage() => match BlockMeta::unknown(name) {
                Some(meta) => Ok((meta, Some(error))),
                None => Err(error),
            },
            read => Ok((read?, None)),
        }
    }

    /// Describes the block by what is in it, once its own description is damaged: of the log it covers nothing.
    pub(super) fn describe_anew(&mut self, error: BlockError) -> Result<BlockError, BlockError> {
        let (mut stats, mut range) = (BlockStats::default(), None::<BlockRange>);
        for series in self.scan()? {
            stats.num_series += 1;
            for meta in &series.chunks {
                let (start, end) = (meta.mint, meta.maxt.saturating_add(1));
                let known = range.unwrap_or(BlockRange { start, end });
                range = Some(BlockRange { start: known.start.min(start), end: known.end.max(end) });
                if let Ok((encoding, bytes)) = self.chunk(meta) {
                    stats.count(encoding, chunk::num_samples(bytes));
                }
            }
        }
        let Some(range) = range else { return Err(error) };
        self.meta = BlockMeta::new(&BlockSpec::new(self.meta.ulid, range), stats);
        Ok(error)
    }

    /// Tells what was found damaged when the files were opened, and what that costs.
    pub(super) fn tell_opened(&self, meta: Option<&BlockError>, tombstones: &Tombstones) {
        let (range, budget) = (self.range().closed(), Budget::unlimited());
        if let Some(error) = meta {
            self.tell(error, if tombstones.is_empty() { "" } else { DELETIONS_LOST }, range, &budget);
        }
        if let Some(error) = self.index.damage() {
            self.tell_rebuilt(error, &budget);
        }
        for error in self.segments.damages() {
            self.tell(error, "", range, &budget);
        }
    }

    /// The deletions; a file that is damaged, or gone, is told and deletes nothing.
    pub(super) fn read_tombstones(&self, name: &str) -> Result<Tombstones, BlockError> {
        let lost = |error: &BlockError| {
            self.tell(error, DELETIONS_LOST, self.range().closed(), &Budget::unlimited());
            Ok(Tombstones::default())
        };
        match Tombstones::read(&self.dir, name) {
            Err(error @ BlockError::Corrupt { .. }) => lost(&error),
            Ok(read) if read.is_empty() && self.meta.stats.num_tombstones > 0 => {
                let file = format!("{name}/{}", super::tombstones::TOMBSTONES_FILE);
                lost(&BlockError::Corrupt { file, offset: 0, what: "the deletions are not there".into() })
            }
            read => read,
        }
    }

    /// Asks the index, and once more if its postings turn out to be damaged: with those made anew from the series.
    pub(super) fn with_postings<T>(
        &self,
        budget: &Budget,
        mut ask: impl FnMut() -> Result<T, BlockError>,
    ) -> Result<T, BlockError> {
        match ask() {
            Err(error @ BlockError::Corrupt { .. }) if !self.index.is_rebuilt() => {
                self.tell_rebuilt(&error, budget);
                ask()
            }
            asked => asked,
        }
    }

    /// Makes the postings anew; nothing is missing unless series are.
    fn tell_rebuilt(&self, error: &BlockError, budget: &Budget) {
        let is_whole = self.meta.stats.num_series <= self.index.rebuild();
        self.tell(error, if is_whole { "" } else { "series are missing" }, self.range().closed(), budget);
    }
}
