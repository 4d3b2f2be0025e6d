//! From the head to blocks: one block for each block range with samples, then the log is cut behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::Dir;
use model::{BlockRange, Columns, TimeRange, Timestamp};
use ulid::Ulid;

use crate::block::{BlockMeta, BlockSpec, SeriesChunks, WalCover, write_block};
use crate::chunk::{EncodedChunk, Encoding, XorAppender, xor};
use crate::error::TsdbError;
use crate::head::{Head, Series, Snapshot};
use crate::options::{BLOCK_MS, GRACE_MS};
use crate::wal::{self, RecordWriter};

/// Samples in a chunk that is encoded again. Source: Prometheus `tsdb/head_append.go`, `samplesPerChunk`.
const SAMPLES_PER_CHUNK: usize = 120;

/// Writes the head's samples before `before` to blocks, calls `publish` with each, and lets the head forget them.
///
/// Order, so that a crash at any point loses nothing: the log is cut; each block is durable before the head forgets;
/// the last block says which samples of the log it and its siblings cover; then a checkpoint, then the segments go.
/// A crash between two blocks replays samples that are in a block already: equal duplicates, merged when read.
pub(crate) fn flush_head(
    dir: &Dir,
    head: &Head,
    before: Timestamp,
    publish: &mut dyn FnMut(&BlockMeta) -> Result<(), TsdbError>,
) -> Result<(), TsdbError> {
    let Some(covered) = head.cut_log()? else { return Ok(()) };
    let mut series = head.all_series();
    series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    let mut starts = BTreeSet::new();
    for series in &series {
        series.block_starts(before, BLOCK_MS, &mut starts);
    }
    let newest = head.maxt().unwrap_or(Timestamp::MIN);
    let last = starts.last().copied();
    for start in starts {
        let mut range = BlockRange::around(start, BLOCK_MS);
        // A block must not claim times that have not been: it would move the store's newest time ahead.
        range.end = range.end.min(newest.saturating_add(1));
        let wal_cover = (Some(start) == last).then_some(WalCover { segment: covered, before });
        flush_range(dir, &series, range, before, wal_cover, publish)?;
    }
    head.retire_series(newest.saturating_sub(GRACE_MS));
    truncate_log(head, covered, before)
}

fn flush_range(
    dir: &Dir,
    series: &[Arc<Series>],
    range: BlockRange,
    before: Timestamp,
    wal_cover: Option<WalCover>,
    publish: &mut dyn FnMut(&BlockMeta) -> Result<(), TsdbError>,
) -> Result<(), TsdbError> {
    let closed = range.closed();
    let taken = TimeRange { maxt: closed.maxt.min(before.saturating_sub(1)), ..closed };
    let snapshots: Vec<(&Arc<Series>, Snapshot)> =
        series.iter().map(|s| (s, s.snapshot(taken))).filter(|(_, snapshot)| !snapshot.is_empty()).collect();
    let ulid = new_ulid(range)?;
    let spec = BlockSpec { ulid, range, sources: vec![ulid], level: 1, wal_cover };
    let chunks = snapshots
        .iter()
        .map(|(series, snapshot)| Ok(SeriesChunks { labels: series.labels.clone(), chunks: encode(snapshot, taken) }));
    let meta = write_block(dir, spec, chunks)?;
    publish(&meta)?;
    for (series, snapshot) in &snapshots {
        series.forget(snapshot);
    }
    tracing::info!(block = %ulid, start = range.start, series = snapshots.len(), "head range written to a block");
    Ok(())
}

/// A fresh name for a block. Its time part is the end of the block's range: the store knows no clock.
fn new_ulid(range: BlockRange) -> Result<Ulid, TsdbError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_| TsdbError::NoRandomness)?;
    Ok(Ulid::from_parts(range.end.max(0).cast_unsigned(), u128::from_le_bytes(random)))
}

/// The chunks of one series, not overlapping: as they are, or encoded again when late samples fall among them.
fn encode(snapshot: &Snapshot, range: TimeRange) -> Vec<EncodedChunk> {
    if snapshot.late.is_empty() {
        let as_is = |chunk: &crate::head::ChunkBytes| EncodedChunk {
            mint: chunk.range.mint,
            maxt: chunk.range.maxt,
            encoding: Encoding::Xor,
            bytes: chunk.bytes.to_vec(),
        };
        return snapshot.chunks.iter().map(as_is).collect();
    }
    let mut columns = Columns::default();
    for chunk in &snapshot.chunks {
        xor::decode(&chunk.bytes, range, &mut columns).expect("the head's own chunks decode");
    }
    let in_order = columns.timestamps.into_iter().zip(columns.values);
    let mut all: Vec<(Timestamp, f64)> = in_order.chain(snapshot.late.iter().map(|s| (s.t, s.v))).collect();
    all.sort_by_key(|(t, _)| *t);
    all.chunks(SAMPLES_PER_CHUNK).map(encode_run).collect()
}

fn encode_run(run: &[(Timestamp, f64)]) -> EncodedChunk {
    let mut xor = XorAppender::new();
    for (t, v) in run {
        xor.append(*t, *v);
    }
    let (mint, maxt) = (run[0].0, run[run.len() - 1].0);
    EncodedChunk { mint, maxt, encoding: Encoding::Xor, bytes: xor.into_bytes() }
}

/// Removes the segments that blocks cover whole, after a checkpoint of what else they held.
fn truncate_log(head: &Head, covered: u64, before: Timestamp) -> Result<(), TsdbError> {
    let Some(number) = head.log().obsolete(covered, before) else { return Ok(()) };
    let families = head.families().read().all();
    let mut writer = RecordWriter::default();
    let record = (!families.is_empty()).then(|| writer.metadata(families.iter()));
    wal::write_checkpoint(head.log().dir(), number, record.into_iter())?;
    head.log().remove_through(number)?;
    Ok(())
}
