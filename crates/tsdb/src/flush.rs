//! From the head to blocks: one block for each block range with samples, then the log is cut behind them.

use std::collections::BTreeSet;
use std::sync::Arc;

use disk::Dir;
use model::{BlockRange, SampleValue, TimeRange, Timestamp};

use crate::block::{BlockMeta, BlockSpec, LogCovers, SeriesChunks, WalCover, new_ulid, write_block};
use crate::chunk::{self, EncodedChunk};
use crate::error::TsdbError;
use crate::head::{Head, HeadChunk, Series, Snapshot};
use crate::options::{BLOCK_MS, GRACE_MS};
use crate::steps;
use crate::wal::{self, Records};

/// Writes the head's samples before `before` to blocks, calls `publish` with each, and lets the head forget them.
///
/// Order, so that a crash at any point loses nothing: the log is cut; the blocks are written, the oldest first, and each
/// is durable before the head forgets; each says which samples of the log it and those before it cover; then a
/// checkpoint, then the segments go.
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
        series.block_starts(before, &mut starts);
    }
    let newest = head.maxt().unwrap_or(Timestamp::MIN);
    let flush = Flush { dir, head, series: &series, covered, before, newest };
    for start in starts {
        flush.write_range(BlockRange::around(start, BLOCK_MS), publish)?;
    }
    head.retire_series(newest.saturating_sub(GRACE_MS));
    truncate_log(head, covered, before)
}

/// One flush: from which series, and how far.
struct Flush<'a> {
    dir: &'a Dir,
    head: &'a Head,
    series: &'a [Arc<Series>],
    /// The last segment of the log whose samples the head had when the flush began.
    covered: u64,
    before: Timestamp,
    /// The store's newest sample when the flush began.
    newest: Timestamp,
}

impl Flush<'_> {
    fn write_range(
        &self,
        mut range: BlockRange,
        publish: &mut dyn FnMut(&BlockMeta) -> Result<(), TsdbError>,
    ) -> Result<(), TsdbError> {
        let taken = TimeRange { mint: range.start, maxt: range.closed().maxt.min(self.before.saturating_sub(1)) };
        let snapshots: Vec<(&Arc<Series>, Snapshot)> =
            self.series.iter().map(|s| (s, s.snapshot(taken))).filter(|(_, snapshot)| !snapshot.is_empty()).collect();
        // A request that failed may be here in part: the rest of it must not get lost once the block is there.
        self.head.sync_log()?;
        // A block must not claim times that have not been: it would move the store's newest time ahead. Samples may
        // have come since the flush began.
        let newest = snapshots.iter().filter_map(|(_, snapshot)| snapshot.maxt()).fold(self.newest, Timestamp::max);
        range.end = range.end.min(newest.saturating_add(1));
        let ulid = new_ulid(range)?;
        // What a damaged chunk had is only in the log, which must hand it to the next start.
        let mut chunks = snapshots.iter().flat_map(|(_, snapshot)| &snapshot.chunks);
        let is_whole = !self.head.chunk_files().is_damaged() && chunks.all(|chunk| chunk.bytes().is_ok());
        let cover = WalCover { segment: self.covered, before: range.end.min(self.before) };
        let covers = is_whole.then_some(cover).into_iter().collect();
        let log = LogCovers { store: Some(self.head.log().store()), covers };
        let spec = BlockSpec { log, ..BlockSpec::new(ulid, range) };
        let chunks = snapshots.iter().map(|(series, snapshot)| {
            let mut starts = Vec::new();
            steps::note_range(&mut starts, &snapshot.starts, TimeRange { maxt: Timestamp::MAX, ..taken });
            Ok(SeriesChunks { labels: series.labels.clone(), chunks: encode(snapshot), starts })
        });
        let meta = write_block(self.dir, spec, chunks)?;
        publish(&meta)?;
        for (series, snapshot) in &snapshots {
            self.head.forget(series, snapshot);
        }
        tracing::info!(block = %ulid, start = range.start, series = snapshots.len(), "head range written to a block");
        Ok(())
    }
}

/// The chunks of one series, not overlapping: as they are, or encoded again when there are late samples. Damaged ones
/// are left out: the log keeps what they had. The others are there to the last sample, since the head forgets them whole.
fn encode(snapshot: &Snapshot) -> Vec<EncodedChunk> {
    if snapshot.late.is_empty() {
        let as_is = |chunk: &HeadChunk| {
            let (mint, maxt, bytes) = (chunk.range.mint, chunk.range.maxt, chunk.bytes().ok()?.to_vec());
            Some(EncodedChunk { mint, maxt, encoding: chunk.encoding, bytes })
        };
        return snapshot.chunks.iter().filter_map(as_is).collect();
    }
    let in_order = |chunk: &HeadChunk| chunk.samples(TimeRange::ALL).unwrap_or_default();
    let mut all: Vec<(Timestamp, SampleValue)> = snapshot.chunks.iter().flat_map(in_order).collect();
    all.extend_from_slice(&snapshot.late);
    all.sort_by_key(|(t, _)| *t);
    chunk::encode(all)
}

/// Removes the segments that blocks cover whole, after a checkpoint of what else they held.
fn truncate_log(head: &Head, covered: u64, before: Timestamp) -> Result<(), TsdbError> {
    if head.chunk_files().is_damaged() {
        return Ok(());
    }
    let Some(number) = head.log().obsolete(covered, before) else { return Ok(()) };
    let mut records = Records::default();
    head.outliving_records(&mut records);
    wal::write_checkpoint(head.log().dir(), number, &records)?;
    head.log().remove_through(number)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{Budget, Columns, Labels, Sample};
    use ulid::Ulid;

    use super::*;
    use crate::block::Block;
    use crate::head::{Appender, ChunkFiles, Kept, Known, ReplayLimits, SeriesKey};
    use crate::options::Options;
    use crate::wal::ReplayProgress;

    /// 2026-01-01, a block boundary.
    const START: i64 = 1_767_225_600_000;
    const MINUTE_MS: i64 = 60_000;

    fn add(head: &Head, series: u128, minutes: &[i64]) {
        let mut appender = Appender::new(head);
        let labels = Labels::from_pairs([("__name__", "m"), ("i", series.to_string().as_str())]);
        let handle = appender.series(SeriesKey(series), &labels);
        for minute in minutes {
            appender.sample(&handle, Sample { t: START + minute * MINUTE_MS, v: 1.0 });
        }
        let report = appender.commit(START + 1000 * MINUTE_MS).unwrap();
        assert_eq!(report.written.floats, minutes.len() as u64);
    }

    /// How often each sample is in `blocks` and the head, by its series and its minute.
    fn found(dir: &Dir, head: &Head, blocks: &[Ulid]) -> BTreeMap<(String, i64), usize> {
        let (mut all, mut columns) = (Vec::new(), Columns::default());
        let name = |labels: &Labels| labels.get("i").unwrap().to_owned();
        for ulid in blocks {
            let block = Block::open(dir, &ulid.to_string(), 0).unwrap();
            for series in block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap() {
                columns.clear();
                for at in &series.chunks {
                    let (encoding, bytes) = block.chunk(at).unwrap();
                    chunk::decode(encoding, bytes, TimeRange::ALL, &mut columns).unwrap();
                }
                all.extend(columns.timestamps.iter().map(|t| (name(&series.labels), *t)));
            }
        }
        for series in head.all_series() {
            let snapshot = series.snapshot(TimeRange::ALL);
            columns.clear();
            snapshot.chunks.iter().for_each(|c| c.decode(TimeRange::ALL, &mut columns).unwrap());
            let late = snapshot.late.iter().map(|(t, _)| *t);
            all.extend(columns.timestamps.iter().copied().chain(late).map(|t| (name(&series.labels), t)));
        }
        let mut counts = BTreeMap::new();
        for (series, t) in all {
            *counts.entry((series, (t - START) / MINUTE_MS)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn samples_that_come_during_a_flush_stay() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let restore = || {
            let progress = ReplayProgress::default();
            let files = ChunkFiles::open(dir.sub("chunks_head").unwrap(), 1 << 20, Kept::default()).unwrap();
            Head::restore(&dir, files, Options::default(), &Known::default(), &progress, &ReplayLimits::default())
                .unwrap()
                .unwrap()
                .0
        };
        let head = restore();
        add(&head, 1, &[10, 130, 250]);
        add(&head, 2, &[5]);
        add(&head, 3, &[131, 12]);
        let mut blocks = Vec::new();
        flush_head(&dir, &head, Timestamp::MAX, &mut |meta| {
            if blocks.is_empty() {
                // Before the second block is written: newer than all, older than the second block to a series that
                // has nothing any more, late, and in the block that is being finished.
                add(&head, 1, &[260, 245, 11]);
                add(&head, 2, &[6, 132, 251]);
                add(&head, 3, &[7, 133]);
            }
            blocks.push(meta.ulid);
            Ok(())
        })
        .unwrap();
        assert_eq!(blocks.len(), 3);
        let expected =
            [("1", vec![10, 11, 130, 245, 250, 260]), ("2", vec![5, 6, 132, 251]), ("3", vec![7, 12, 131, 133])];
        let expected: BTreeMap<(String, i64), usize> = expected
            .into_iter()
            .flat_map(|(series, minutes)| minutes.into_iter().map(|m| ((series.to_owned(), m), 1)))
            .collect();
        assert_eq!(found(&dir, &head, &blocks), expected);
        flush_head(&dir, &head, Timestamp::MAX, &mut |meta| {
            blocks.push(meta.ulid);
            Ok(())
        })
        .unwrap();
        assert_eq!(found(&dir, &head, &blocks), expected);
        drop(head);
        assert_eq!(found(&dir, &restore(), &blocks), expected);
    }
}
