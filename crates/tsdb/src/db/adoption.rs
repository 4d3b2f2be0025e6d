//! Taking over the data directory of a Prometheus: which samples of its log are in its blocks, or were deleted there.

use disk::Dir;
use model::Timestamp;

use crate::block::{BlockError, BlockMeta, WalCover};
use crate::error::TsdbError;
use crate::wal::{self, WAL_DIR};

/// What is known of a log that was taken over, beside its segments.
const ADOPTED_FILE: &str = "adopted";
/// How Prometheus marks blocks that are not all it had up to their end, of late samples or of some series: they say
/// nothing of the log.
const PARTIAL_HINTS: [&str; 3] = ["from-out-of-order", "from-stale-series", "from-selected-series"];

/// Where the blocks end that were written in order: older samples of the log are in them, or were deleted there.
/// Source: Prometheus `tsdb/db.go`, `inOrderBlocksMaxTime`, and `tsdb/head.go`, `Head.Init`.
fn in_order_end<'a>(metas: impl Iterator<Item = &'a BlockMeta>) -> Option<Timestamp> {
    let is_whole = |meta: &&BlockMeta| meta.compaction.hints.iter().all(|hint| !PARTIAL_HINTS.contains(&hint.as_str()));
    metas.filter(is_whole).map(|meta| meta.max_time).max()
}

/// Which segments of the log in `dir` a Prometheus wrote, and which of their samples are in `blocks`, which do not say so.
/// Decided when a log is taken over, which is when it has no name yet, and durable before it gets one.
pub(crate) fn adopted<'a>(
    dir: &Dir,
    blocks: impl Iterator<Item = &'a BlockMeta> + Clone,
) -> Result<Option<WalCover>, TsdbError> {
    let log = dir.sub(WAL_DIR)?;
    if log.list()?.iter().any(|entry| entry.name == ADOPTED_FILE) {
        let read = serde_json::from_slice(&log.read(ADOPTED_FILE)?);
        return Ok(Some(read.map_err(|e| BlockError::invalid(format!("{WAL_DIR}/{ADOPTED_FILE}: {e}")))?));
    }
    let ours = wal::is_ours(dir)? || blocks.clone().any(|block| !block.log_covers().covers.is_empty());
    let (false, Some(segment)) = (ours, wal::segments(dir)?.into_iter().max()) else { return Ok(None) };
    let cover = WalCover { segment, before: in_order_end(blocks).unwrap_or(Timestamp::MIN) };
    log.replace(ADOPTED_FILE, &serde_json::to_vec(&cover).map_err(|e| BlockError::invalid(e.to_string()))?)?;
    Ok(Some(cover))
}
