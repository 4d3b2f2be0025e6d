//! Deleted ranges of a block's series: the file that holds them, and whether they hide a sample.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::Dir;
use model::{TimeRange, Timestamp};
use roaring::RoaringBitmap;

use super::error::BlockError;
use crate::chunk::varint::{push_uvarint, push_varint, split_uvarint, split_varint};
use crate::index::BlockSeries;

pub(super) const TOMBSTONES_FILE: &str = "tombstones";
const MAGIC: u32 = 0x0130_BA30;
const VERSION: u8 = 1;
/// Magic and version.
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;

/// Ranges without samples, ascending, with a gap between each two.
pub(crate) type DeletedRanges = Arc<[TimeRange]>;

/// What is deleted from each series of a block, by the series' reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tombstones {
    series: BTreeMap<u32, DeletedRanges>,
    /// The series without a sample left: they are in no answer at all.
    hidden: RoaringBitmap,
}

impl Tombstones {
    /// Whether nothing is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The number of ranges.
    pub(crate) fn len(&self) -> usize {
        self.series.values().map(|ranges| ranges.len()).sum()
    }

    /// What is deleted from the series at `reference`.
    pub(crate) fn of(&self, reference: u32) -> Option<&DeletedRanges> {
        self.series.get(&reference)
    }

    /// The series that have something deleted.
    pub(crate) fn references(&self) -> impl Iterator<Item = u32> {
        self.series.keys().copied()
    }

    /// The series without a sample left.
    pub(crate) fn hidden(&self) -> &RoaringBitmap {
        &self.hidden
    }

    /// Whether every chunk of `series` inside `range` is deleted there.
    pub(crate) fn hide(&self, series: &BlockSeries, range: TimeRange) -> bool {
        let Some(deleted) = self.of(series.reference) else { return false };
        let inside = series.chunks.iter().filter(|chunk| chunk.range().overlaps(range));
        inside.into_iter().all(|chunk| {
            let part = TimeRange { mint: chunk.mint.max(range.mint), maxt: chunk.maxt.min(range.maxt) };
            covers(deleted, part)
        })
    }

    /// Adds the part of `range` in which `series` has chunks. Returns whether that was news.
    pub(crate) fn delete(&mut self, series: &BlockSeries, range: TimeRange) -> bool {
        let (Some(first), Some(last)) = (series.chunks.first(), series.chunks.last()) else { return false };
        let part = TimeRange { mint: range.mint.max(first.mint), maxt: range.maxt.min(last.maxt) };
        let known = self.of(series.reference).cloned().unwrap_or_default();
        if part.maxt < part.mint || covers(&known, part) {
            return false;
        }
        self.series.insert(series.reference, merged(&known, part));
        self.note_hidden(series);
        true
    }

    /// Notes whether a series has a sample left.
    pub(super) fn note_hidden(&mut self, series: &BlockSeries) {
        if self.hide(series, TimeRange::ALL) {
            self.hidden.insert(series.reference);
        }
    }

    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_be_bytes().to_vec();
        bytes.push(VERSION);
        for (reference, ranges) in &self.series {
            for range in ranges.iter() {
                push_uvarint(&mut bytes, u64::from(*reference));
                push_varint(&mut bytes, range.mint);
                push_varint(&mut bytes, range.maxt);
            }
        }
        let crc = crc32c::crc32c(&bytes[HEADER_BYTES..]);
        bytes.extend_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// What a file says. Which series are hidden is not in it: see [`Tombstones::note_hidden`].
    pub(crate) fn decode(file: &str, bytes: &[u8]) -> Result<Tombstones, BlockError> {
        let corrupt = |what: &'static str| BlockError::Corrupt { file: file.to_owned(), offset: 0, what: what.into() };
        let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(|| corrupt("the file is too short"))?;
        let (header, mut rest) =
            content.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| corrupt("the file is too short"))?;
        if header[..4] != MAGIC.to_be_bytes() {
            return Err(corrupt("the file holds no tombstones"));
        }
        if header[4] != VERSION {
            let number = u64::from(header[4]);
            return Err(BlockError::Unsupported { file: file.to_owned(), offset: 4, what: "version", number });
        }
        if crc32c::crc32c(rest).to_be_bytes() != *crc {
            return Err(corrupt("the checksum does not match"));
        }
        let mut stones: Vec<(u32, TimeRange)> = Vec::new();
        while !rest.is_empty() {
            let Some((reference, range, behind)) = split_stone(rest) else {
                return Err(corrupt("a deleted range is cut or names no series"));
            };
            if range.mint <= range.maxt {
                stones.push((reference, range));
            }
            rest = behind;
        }
        stones.sort_unstable_by_key(|(reference, range)| (*reference, range.mint));
        let of_series = stones.chunk_by(|(a, _), (b, _)| a == b);
        let series = of_series.map(|stones| (stones[0].0, joined(stones.iter().map(|(_, range)| *range)))).collect();
        Ok(Tombstones { series, hidden: RoaringBitmap::new() })
    }

    /// The tombstones of the block that errors call `name`; none without a file.
    pub(super) fn read(block: &Dir, name: &str) -> Result<Tombstones, BlockError> {
        match block.read(TOMBSTONES_FILE) {
            Ok(bytes) => Tombstones::decode(&format!("{name}/{TOMBSTONES_FILE}"), &bytes),
            Err(e) if e.is_not_found() => Ok(Tombstones::default()),
            Err(e) => Err(e.into()),
        }
    }

    /// Makes the file say this and nothing else, durably.
    pub(super) fn write(&self, block: &Dir) -> Result<(), BlockError> {
        Ok(block.replace(TOMBSTONES_FILE, &self.encode())?)
    }
}

fn split_stone(bytes: &[u8]) -> Option<(u32, TimeRange, &[u8])> {
    let (reference, rest) = split_uvarint(bytes)?;
    let (mint, rest) = split_varint(rest)?;
    let (maxt, rest) = split_varint(rest)?;
    Some((u32::try_from(reference).ok()?, TimeRange { mint, maxt }, rest))
}

/// Whether every timestamp of `range` is deleted.
pub(crate) fn covers(deleted: &[TimeRange], range: TimeRange) -> bool {
    let at = deleted.partition_point(|deleted| deleted.maxt < range.mint);
    deleted.get(at).is_some_and(|deleted| deleted.mint <= range.mint && range.maxt <= deleted.maxt)
}

/// Whether some timestamp of `range` is deleted.
pub(crate) fn touches(deleted: &[TimeRange], range: TimeRange) -> bool {
    let at = deleted.partition_point(|deleted| deleted.maxt < range.mint);
    deleted.get(at).is_some_and(|deleted| deleted.mint <= range.maxt)
}

/// Whether the sample at `t` is deleted.
pub(crate) fn deletes(deleted: &[TimeRange], t: Timestamp) -> bool {
    covers(deleted, TimeRange { mint: t, maxt: t })
}

/// `deleted` and `range` as one list: ranges that overlap or follow each other become one.
fn merged(deleted: &[TimeRange], range: TimeRange) -> DeletedRanges {
    let at = deleted.partition_point(|deleted| deleted.mint <= range.mint);
    joined(deleted[..at].iter().chain([&range]).chain(&deleted[at..]).copied())
}

/// Ranges in the order of their starts as one list, those that overlap or follow each other as one.
fn joined(ranges: impl Iterator<Item = TimeRange>) -> DeletedRanges {
    let mut all: Vec<TimeRange> = Vec::new();
    for next in ranges {
        match all.last_mut() {
            Some(last) if next.mint <= last.maxt.saturating_add(1) => last.maxt = last.maxt.max(next.maxt),
            _ => all.push(next),
        }
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;
    use crate::index::ChunkMeta;

    fn at(mint: Timestamp, maxt: Timestamp) -> TimeRange {
        TimeRange { mint, maxt }
    }

    fn series(reference: u32, chunks: &[(Timestamp, Timestamp)]) -> BlockSeries {
        let chunks = chunks.iter().map(|(mint, maxt)| ChunkMeta { mint: *mint, maxt: *maxt, reference: 8 });
        BlockSeries::new(reference, Labels::empty(), chunks.collect())
    }

    #[test]
    fn ranges_are_joined_when_they_meet() {
        for (known, range, expected) in [
            (vec![], at(5, 9), vec![at(5, 9)]),
            (vec![at(0, 3)], at(5, 9), vec![at(0, 3), at(5, 9)]),
            (vec![at(0, 4)], at(5, 9), vec![at(0, 9)]),
            (vec![at(5, 9)], at(0, 4), vec![at(0, 9)]),
            (vec![at(0, 2), at(4, 6), at(20, 30)], at(1, 10), vec![at(0, 10), at(20, 30)]),
            (vec![at(0, 100)], at(5, 9), vec![at(0, 100)]),
            (vec![at(i64::MIN, i64::MAX)], at(5, 9), vec![at(i64::MIN, i64::MAX)]),
            (vec![at(0, 1)], at(i64::MIN, i64::MAX), vec![at(i64::MIN, i64::MAX)]),
        ] {
            assert_eq!(*merged(&known, range), expected, "{known:?} and {range:?}");
        }
    }

    #[test]
    fn what_is_deleted_is_hidden() {
        let mut tombstones = Tombstones::default();
        let (a, b) = (series(1, &[(0, 10), (20, 30)]), series(2, &[(0, 10)]));
        assert!(tombstones.delete(&a, at(-100, 10)) && !tombstones.delete(&a, at(0, 5)));
        assert!(!tombstones.delete(&a, at(31, 40)) && !tombstones.delete(&b, at(11, 40)));
        assert!(tombstones.hide(&a, at(0, 19)) && !tombstones.hide(&a, at(0, 20)) && !tombstones.hide(&b, at(0, 1)));
        assert!(tombstones.hidden().is_empty());
        assert!(tombstones.delete(&a, at(20, i64::MAX)));
        assert!(tombstones.hide(&a, TimeRange::ALL) && tombstones.hidden().contains(1));
        assert_eq!((tombstones.len(), tombstones.of(1).unwrap().to_vec()), (2, vec![at(0, 10), at(20, 30)]));
        let deleted = tombstones.of(1).unwrap();
        assert!(touches(deleted, at(10, 15)) && !touches(deleted, at(11, 19)) && deletes(deleted, 20));
        let mut back = Tombstones::decode("b", &tombstones.encode()).unwrap();
        back.note_hidden(&a);
        assert_eq!(back, tombstones);
    }

    #[test]
    fn no_changed_byte_is_read() {
        let mut tombstones = Tombstones::default();
        tombstones.delete(&series(1, &[(i64::MIN, i64::MAX)]), at(-5, 1_767_225_600_000));
        tombstones.delete(&series(u32::MAX, &[(0, 10)]), at(0, 10));
        let bytes = tombstones.encode();
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 0x41;
            assert!(Tombstones::decode("b/tombstones", &changed).is_err(), "byte {i}");
            assert!(Tombstones::decode("b/tombstones", &bytes[..i]).is_err(), "{i} bytes");
        }
        assert_eq!(Tombstones::default().encode(), [1, 0x30, 0xba, 0x30, 1, 0, 0, 0, 0]);
    }
}
