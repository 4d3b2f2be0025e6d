//! Taking over the data directory of a Prometheus: which samples of its log are in its blocks, or were deleted there.

use std::sync::Arc;

use disk::Dir;
use model::Timestamp;

use crate::block::{Block, BlockError, BlockMeta, WalCover};
use crate::error::TsdbError;
use crate::wal::{self, WAL_DIR};

/// What is known of a log that was taken over, beside its segments.
const ADOPTED_FILE: &str = "adopted";
/// How Prometheus marks a block of samples that came late: it says nothing of the log.
const LATE_HINT: &str = "from-out-of-order";

/// Where the blocks end that were written in order: older samples of the log are in them, or were deleted there.
/// Source: Prometheus `tsdb/db.go`, `blocks.maxTime` and `head.Init`.
pub(crate) fn in_order_end<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> Option<Timestamp> {
    metas.filter(|meta| meta.compaction.hints.iter().all(|hint| hint != LATE_HINT)).map(|meta| meta.max_time).max()
}

/// Which samples of the log in `dir` are in blocks that do not say so. Decided when a log is taken over, which is when it
/// has no identity yet, and durable before it gets one.
pub(super) fn elsewhere(dir: &Dir, blocks: &[Arc<Block>]) -> Result<Option<WalCover>, TsdbError> {
    let log = dir.sub(WAL_DIR)?;
    if log.list()?.iter().any(|entry| entry.name == ADOPTED_FILE) {
        let read = serde_json::from_slice(&log.read(ADOPTED_FILE)?);
        return Ok(Some(read.map_err(|e| BlockError::invalid(format!("{WAL_DIR}/{ADOPTED_FILE}: {e}")))?));
    }
    let ours = wal::store_of(dir)?.is_some() || blocks.iter().any(|block| !block.meta().log_covers().covers.is_empty());
    let end = in_order_end(blocks.iter().map(|block| block.meta()));
    let (false, Some(segment), Some(before)) = (ours, wal::segments(dir)?.into_iter().max(), end) else {
        return Ok(None);
    };
    let cover = WalCover { segment, before };
    log.replace(ADOPTED_FILE, &serde_json::to_vec(&cover).map_err(|e| BlockError::invalid(e.to_string()))?)?;
    Ok(Some(cover))
}
