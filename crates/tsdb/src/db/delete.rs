//! Deleting series: durable and invisible at once, physically gone after the next compaction.

use model::{Matcher, Scope, TimeRange};

use super::Db;
use crate::error::TsdbError;
use crate::querier::scoped_sets;

/// What a deletion reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// Series that lost samples, counted in the head and in each block that has them.
    pub series: u64,
    /// Blocks that have samples less.
    pub blocks: u64,
}

impl Db {
    /// Deletes the samples inside `range` of the series in `scope` that satisfy one of `sets`; none without a set.
    ///
    /// Once it returns the deletion is durable, and no answer has the samples any more; their bytes go with the next
    /// compaction. Samples that come later may lie inside `range` again. After an error a part may be deleted: try again.
    pub fn delete(&self, scope: &Scope, sets: &[Vec<Matcher>], range: TimeRange) -> Result<Deleted, TsdbError> {
        if sets.is_empty() {
            return Ok(Deleted::default());
        }
        if self.some_unread {
            return Err(TsdbError::BlocksUnread);
        }
        let sets = scoped_sets(scope, sets);
        let _one = self.exclusive();
        let mut deleted = Deleted { series: self.head.delete(&sets, range)?, blocks: 0 };
        // Backwards, so that a crash in between brings nothing to light that an earlier part of the store outranks.
        for block in self.blocks().iter().rev().filter(|block| block.range().closed().overlaps(range)) {
            let series = block.delete(&sets, range)?;
            deleted.series += series;
            deleted.blocks += u64::from(series > 0);
        }
        Ok(deleted)
    }
}
