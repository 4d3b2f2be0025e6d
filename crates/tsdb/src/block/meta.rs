//! A block's description, `meta.json`: what it holds, where it came from, and how far it covers the log.

use disk::Dir;
use model::{BlockRange, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use ulid::Ulid;

use super::error::BlockError;
use crate::chunk::Encoding;

const META_FILE: &str = "meta.json";
const VERSION: u64 = 1;
/// A description is refused beyond: one of thirty thousand sources is as long, and each byte may take eighty.
const BYTES_MAX: usize = 1 << 20;

/// What `meta.json` says of a block. Keys that are not known here survive reading and writing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// The block's name, new for each block written.
    pub ulid: Ulid,
    /// First timestamp inside.
    pub min_time: Timestamp,
    /// First timestamp after the block.
    pub max_time: Timestamp,
    /// Counts of what is inside.
    #[serde(default)]
    pub stats: BlockStats,
    /// Where the block came from.
    pub compaction: Compaction,
    version: u64,
    #[serde(default, skip_serializing_if = "Own::is_empty")]
    promenade: Own,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// What is ours in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Own {
    #[serde(flatten)]
    log: LogCovers,
    /// The checksum of the whole file, in the file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crc: Option<u32>,
}

impl Own {
    fn is_empty(&self) -> bool {
        self.log.covers.is_empty() && self.crc.is_none()
    }
}

/// Counts of what a block holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples of all kinds.
    pub num_samples: u64,
    /// Floats among them.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_float_samples: u64,
    /// Histograms among them.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_histogram_samples: u64,
    /// Series.
    pub num_series: u64,
    /// Chunks.
    pub num_chunks: u64,
    /// Deleted ranges of series.
    #[serde(skip_serializing_if = "is_zero")]
    pub num_tombstones: u64,
}

impl BlockStats {
    /// Counts a chunk.
    pub(super) fn count(&mut self, encoding: Encoding, samples: u16) {
        let samples = u64::from(samples);
        self.num_chunks += 1;
        self.num_samples += samples;
        match encoding {
            Encoding::Xor => self.num_float_samples += samples,
            Encoding::Histogram | Encoding::FloatHistogram => self.num_histogram_samples += samples,
        }
    }
}

/// Where a block came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Compaction {
    /// 1 for a block of the head, one more than its parents for a merged one.
    pub level: u32,
    /// The level-1 blocks whose samples are inside: itself for such a block. Never empty in blocks written here, since
    /// Thanos deletes a block whose sources are all in another one.
    #[serde(default)]
    pub sources: Vec<Ulid>,
    /// The blocks it was merged from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<BlockDesc>,
    /// How it came to be, such as from out-of-order samples.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

/// A block named by another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockDesc {
    /// Its name.
    pub ulid: Ulid,
    /// First timestamp inside.
    pub min_time: Timestamp,
    /// First timestamp after it.
    pub max_time: Timestamp,
}

/// Which samples of the log are in this block and those written before it: those before a time, in segments up to a
/// number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalCover {
    /// The last segment of the log that is covered.
    pub segment: u64,
    /// The first timestamp that is not.
    pub before: Timestamp,
}

/// Which samples of which log are in blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogCovers {
    /// The identity of the log that the covers are of; they say nothing about any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<Ulid>,
    /// None of them is inside another one; segments ascend.
    pub covers: Vec<WalCover>,
}

impl LogCovers {
    /// What blocks of these covers cover together, merged into one: those of the newest log, without the ones inside
    /// others. `newest` is the identity of that log.
    pub(crate) fn joined<'a>(all: impl Iterator<Item = &'a LogCovers> + Clone, newest: Option<Ulid>) -> LogCovers {
        let mut covers: Vec<WalCover> =
            all.filter(|own| own.store == newest).flat_map(|own| own.covers.iter().copied()).collect();
        covers.sort_unstable_by_key(|cover| (cover.segment, cover.before));
        let mut kept: Vec<WalCover> = Vec::new();
        // From the last segment backwards: an earlier one matters only if it reaches further in time.
        for cover in covers.into_iter().rev() {
            if kept.last().is_none_or(|last| last.before < cover.before) {
                kept.push(cover);
            }
        }
        kept.reverse();
        LogCovers { store: newest, covers: kept }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What the writer of a block decides before it knows the series.
#[derive(Clone, Debug)]
pub struct BlockSpec {
    /// The block's name: fresh and random, since a name seen before counts as uploaded.
    pub ulid: Ulid,
    /// No sample lies outside.
    pub range: BlockRange,
    /// The level-1 blocks whose samples are inside; its own name for such a block.
    pub sources: Vec<Ulid>,
    /// 1 for a block of the head.
    pub level: u32,
    /// How far it covers the log.
    pub log: LogCovers,
    /// The blocks that it replaces.
    pub parents: Vec<BlockDesc>,
    /// How it came to be.
    pub hints: Vec<String>,
}

impl BlockSpec {
    /// A block of new samples, which covers no log.
    pub fn new(ulid: Ulid, range: BlockRange) -> BlockSpec {
        BlockSpec {
            ulid,
            range,
            sources: vec![ulid],
            level: 1,
            log: LogCovers::default(),
            parents: Vec::new(),
            hints: Vec::new(),
        }
    }
}

impl BlockMeta {
    pub(super) fn new(spec: &BlockSpec, stats: BlockStats) -> BlockMeta {
        let compaction = Compaction {
            level: spec.level,
            sources: spec.sources.clone(),
            parents: spec.parents.clone(),
            hints: spec.hints.clone(),
            other: Map::new(),
        };
        BlockMeta {
            ulid: spec.ulid,
            min_time: spec.range.start,
            max_time: spec.range.end,
            stats,
            compaction,
            version: VERSION,
            promenade: Own { log: spec.log.clone(), crc: None },
            other: Map::new(),
        }
    }

    /// The timestamps that the block may hold.
    pub fn range(&self) -> BlockRange {
        BlockRange { start: self.min_time, end: self.max_time }
    }

    /// How far the block and those written before it cover the log.
    pub fn log_covers(&self) -> &LogCovers {
        &self.promenade.log
    }

    /// The name, the range and nothing else.
    pub fn desc(&self) -> BlockDesc {
        BlockDesc { ulid: self.ulid, min_time: self.min_time, max_time: self.max_time }
    }

    /// Reads the description of block `name`.
    pub(crate) fn read(block: &Dir, name: &str) -> Result<BlockMeta, BlockError> {
        BlockMeta::parse(name, &block.read(META_FILE)?)
    }

    /// Reads the file of block `name`.
    pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<BlockMeta, BlockError> {
        let file = || format!("{name}/{META_FILE}");
        let corrupt = |what: String| BlockError::Corrupt { file: file(), offset: 0, what: what.into() };
        if BYTES_MAX < bytes.len() {
            return Err(corrupt(format!("{} bytes, at most {BYTES_MAX}", bytes.len())));
        }
        let mut meta: BlockMeta = serde_json::from_slice(bytes).map_err(|e| corrupt(e.to_string()))?;
        if let Some(crc) = meta.promenade.crc.take()
            && crc != meta.checksum()?
        {
            return Err(corrupt("the checksum does not match".to_owned()));
        }
        if meta.version != VERSION {
            return Err(BlockError::Unsupported { file: file(), offset: 0, what: "version", number: meta.version });
        }
        if meta.ulid.to_string() != name {
            return Err(corrupt(format!("it describes block {}", meta.ulid)));
        }
        if meta.max_time < meta.min_time {
            return Err(corrupt(format!("it ends at {} before it starts at {}", meta.max_time, meta.min_time)));
        }
        Ok(meta)
    }

    /// Writes the file into a block that is not published yet.
    pub(super) fn write(&self, block: &Dir) -> Result<(), BlockError> {
        let file = block.create(META_FILE)?;
        file.append(&self.to_bytes()?)?;
        Ok(file.sync()?)
    }

    /// Writes it in the place of the one there is, durably.
    pub(super) fn replace(&self, block: &Dir) -> Result<(), BlockError> {
        Ok(block.replace(META_FILE, &self.to_bytes()?)?)
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, BlockError> {
        let mut meta = self.clone();
        meta.promenade.crc = Some(self.checksum()?);
        serde_json::to_vec_pretty(&meta).map_err(|e| BlockError::invalid(e.to_string()))
    }

    /// The checksum of the file without white space and without the checksum.
    fn checksum(&self) -> Result<u32, BlockError> {
        let bytes = serde_json::to_vec(self).map_err(|e| BlockError::invalid(e.to_string()))?;
        Ok(crc32c::crc32c(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = r#"{
        "ulid": "01BX5ZZKBKACTAV9WEVGEMMVRZ", "minTime": -7200000, "maxTime": 0, "version": 1,
        "stats": { "numSamples": 5, "numSeries": 2, "numChunks": 3 },
        "compaction": { "level": 2, "sources": ["01BX5ZZKBKACTAV9WEVGEMMVRY"], "deletable": true,
            "parents": [{ "ulid": "01BX5ZZKBKACTAV9WEVGEMMVRY", "minTime": -7200000, "maxTime": 0 }] },
        "thanos": { "labels": { "replica": "a" }, "downsample": { "resolution": 0 } }
    }"#;

    #[test]
    fn keys_of_others_survive() {
        let meta: BlockMeta = serde_json::from_str(FOREIGN).unwrap();
        assert_eq!(meta.range(), BlockRange { start: -7_200_000, end: 0 });
        assert_eq!((meta.stats.num_samples, meta.compaction.level, meta.log_covers().covers.len()), (5, 2, 0));
        let (before, after): (Value, Value) =
            (serde_json::from_str(FOREIGN).unwrap(), serde_json::to_value(&meta).unwrap());
        assert_eq!(before, after);
    }

    /// Found by the fuzzer: a number read one bit off was written so, and read again one more: the checksum was wrong.
    #[test]
    fn numbers_of_others_survive_to_the_last_bit() {
        for number in
            ["17900000000000001107806513", "0.1", "5e-324", "1.7976931348623157e308", "2.2250738585072011e-308"]
        {
            let foreign = FOREIGN.replace("\"resolution\": 0", &format!("\"resolution\": {number}"));
            let meta = BlockMeta::parse("01BX5ZZKBKACTAV9WEVGEMMVRZ", foreign.as_bytes()).unwrap();
            let again = BlockMeta::parse("01BX5ZZKBKACTAV9WEVGEMMVRZ", &meta.to_bytes().unwrap());
            assert_eq!(again.unwrap(), meta, "{number}");
        }
    }

    #[test]
    fn covers_are_joined_without_those_inside_others() {
        let cover = |(segment, before)| WalCover { segment, before };
        let own = |store, covers: &[(u64, i64)]| LogCovers {
            store: Some(Ulid::from_parts(store, 0)),
            covers: covers.iter().copied().map(cover).collect(),
        };
        for (all, expected) in [
            (vec![own(1, &[(3, 20)])], own(1, &[(3, 20)])),
            (vec![own(1, &[(3, 20)]), own(1, &[(4, 20), (5, 10)])], own(1, &[(4, 20), (5, 10)])),
            (vec![own(1, &[(5, 30)]), own(1, &[(4, 20), (6, 10)]), own(1, &[(5, 30)])], own(1, &[(5, 30), (6, 10)])),
            (vec![own(2, &[(9, 90)]), own(1, &[(1, 2)])], own(1, &[(1, 2)])),
            (vec![own(2, &[(9, 90)])], own(1, &[])),
        ] {
            assert_eq!(LogCovers::joined(all.iter(), expected.store), expected, "{all:?}");
        }
    }

    #[test]
    fn what_is_no_description_is_refused() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        for (from, to, error) in [
            ("\"version\": 1", "\"version\": 2", "version 2 is not supported"),
            ("-7200000, \"maxTime\": 0, \"v", "1, \"maxTime\": 0, \"v", "it ends at 0 before it starts at 1"),
            ("\"level\": 2", "\"level\": -2", "invalid value"),
            ("MMVRZ", "MMVRX", "it describes block 01BX5ZZKBKACTAV9WEVGEMMVRX"),
            ("01BX5ZZKBKACTAV9WEVGEMMVRZ", "01", "invalid length"),
            ("}", "", ""),
        ] {
            dir.replace(META_FILE, FOREIGN.replacen(from, to, 1).as_bytes()).unwrap();
            let found = BlockMeta::read(&dir, "01BX5ZZKBKACTAV9WEVGEMMVRZ").unwrap_err().to_string();
            assert!(found.starts_with(&format!("01BX5ZZKBKACTAV9WEVGEMMVRZ/meta.json at byte 0: {error}")), "{found}");
        }
    }
}
