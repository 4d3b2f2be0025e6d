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

/// The range that Prometheus cuts from its head at once, unless its blocks tell another one.
const HEAD_RANGE_MS: i64 = 2 * 3_600_000;

/// Where the blocks end that were cut from the head whose log `dir` has: older samples of the log are in them, or were
/// deleted there.
///
/// Not every block that has no hint was cut from the head. When Prometheus 3.5 merges blocks of late samples the merged
/// one has none, and `promtool` gives none to what it makes of text. Such a block may end in the head's range, and
/// most samples of the log in its range are in no block at all; a Prometheus that starts there loses them.
/// But it cuts its head only when that spans more than one and a half of its ranges, so once a block was cut, the log
/// has a sample that is newer than the block's end by more than half a range. If it has none, its samples are taken:
/// those that are in the block as well are merged away, and at worst some come back that were deleted in the block.
/// Source: Prometheus `tsdb/db.go`, `inOrderBlocksMaxTime`, and `tsdb/head.go`, `Head.Init` and `Head.compactable`.
fn in_order_end<'a>(
    dir: &Dir,
    metas: impl Iterator<Item = &'a BlockMeta> + Clone,
) -> Result<Option<Timestamp>, TsdbError> {
    let is_merged = |meta: &&BlockMeta| 1 < meta.compaction.level;
    let spans = metas.clone().filter(|meta| !is_merged(meta)).map(|meta| meta.max_time.saturating_sub(meta.min_time));
    let half = spans.max().unwrap_or(HEAD_RANGE_MS) / 2;
    let is_whole = |meta: &&BlockMeta| meta.compaction.hints.iter().all(|hint| !PARTIAL_HINTS.contains(&hint.as_str()));
    let ends = metas.filter(is_whole).map(|meta| meta.max_time);
    let Some(last) = ends.clone().max() else { return Ok(None) };
    let newest = wal::newest(dir, last.saturating_add(half))?;
    Ok(ends.filter(|end| end.saturating_add(half) < newest).max())
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
    let cover = WalCover { segment, before: in_order_end(dir, blocks)?.unwrap_or(Timestamp::MIN) };
    log.replace(ADOPTED_FILE, &serde_json::to_vec(&cover).map_err(|e| BlockError::invalid(e.to_string()))?)?;
    Ok(Some(cover))
}
