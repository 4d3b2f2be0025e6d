//! Compaction: blocks become fewer and larger, without what is deleted or damaged, in one pass over their series.

mod merge;
mod plan;

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::Dir;
use model::{BlockRange, Interrupt};

use crate::block::{Block, BlockError, BlockMeta, BlockSpec, LogCovers, new_ulid, write_block};
use crate::error::TsdbError;
use merge::MergedSeries;

pub(crate) use plan::{Candidate, plan, widths};

/// Why a block was written: one that replaces a damaged block says so.
pub(crate) const SALVAGED_HINT: &str = "salvaged";
/// Series between two looks at whether to give up.
const SERIES_PER_CHECK: u64 = 256;

/// Writes one block of all that is in `parents`, the one written first in front: at equal times its samples win.
///
/// Returns nothing when no sample is left. The parents stay: whoever calls removes them once the new block is in use.
/// Errors: `Interrupted` when `give_up` says so, `Unsupported` for a chunk that only a later version can read; nothing is
/// published then.
/// Cost: one pass; memory for one series, and for what [`write_block`] needs.
pub(crate) fn compact(
    dir: &Dir,
    parents: &[Arc<Block>],
    give_up: &dyn Fn() -> bool,
) -> Result<Option<BlockMeta>, TsdbError> {
    let mut series = MergedSeries::new(parents)?.peekable();
    if series.peek().is_none() {
        return Ok(None);
    }
    let mut count = 0;
    let checked = series.map(|series| {
        count += 1;
        if count % SERIES_PER_CHECK == 0 && give_up() {
            return Err(BlockError::Interrupted(Interrupt::Canceled));
        }
        series
    });
    Ok(Some(write_block(dir, spec(parents)?, checked)?))
}

/// What the block made of `parents` says of itself.
fn spec(parents: &[Arc<Block>]) -> Result<BlockSpec, TsdbError> {
    let metas = || parents.iter().map(|block| block.meta());
    let start = metas().map(|meta| meta.min_time).min().unwrap_or_default();
    let end = metas().map(|meta| meta.max_time).max().unwrap_or_default();
    let range = BlockRange { start, end };
    let ulid = new_ulid(range)?;
    let deepest = metas().map(|meta| meta.compaction.level).max().unwrap_or(1);
    // A block written anew stays what it was, and is a source itself: to those who have the old one it is another one.
    let (level, own) = if parents.len() == 1 { (deepest, Some(ulid)) } else { (deepest.saturating_add(1), None) };
    let known: BTreeSet<_> = metas().flat_map(|meta| meta.compaction.sources.iter().copied()).chain(own).collect();
    let sources = if known.is_empty() { vec![ulid] } else { known.into_iter().collect() };
    let newest = metas().max_by_key(|meta| meta.log_covers().covers.last().map(|cover| cover.segment));
    let store = newest.and_then(|meta| meta.log_covers().store);
    let damaged = parents.iter().any(|block| block.is_damaged());
    Ok(BlockSpec {
        sources,
        level,
        log: LogCovers::joined(metas().map(BlockMeta::log_covers), store),
        parents: metas().map(BlockMeta::desc).collect(),
        hints: damaged.then(|| SALVAGED_HINT.to_owned()).into_iter().collect(),
        ..BlockSpec::new(ulid, range)
    })
}

#[cfg(test)]
mod tests;
