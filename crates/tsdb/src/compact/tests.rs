//! Compaction of real blocks: what was in them is in the new one, except what is deleted or damaged.

use std::collections::BTreeMap;

use model::{Budget, Labels, Matcher, SampleValue, TimeRange, Timestamp};
use ulid::Ulid;

use super::*;
use crate::block::{SeriesChunks, WalCover};
use crate::chunk::{self, EncodedChunk};

/// Values by series and time.
type Samples = BTreeMap<String, BTreeMap<Timestamp, u64>>;

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn float_chunks(samples: impl IntoIterator<Item = (Timestamp, f64)>) -> Vec<EncodedChunk> {
    chunk::encode(samples.into_iter().map(|(t, v)| (t, SampleValue::Float(v))))
}

/// Writes a block of series, each with samples at `times` of one value.
fn write(dir: &Dir, segment: u64, series: &[(&str, std::ops::Range<i64>, f64)]) -> Arc<Block> {
    let end = series.iter().map(|(_, times, _)| times.end).max().unwrap();
    let start = series.iter().map(|(_, times, _)| times.start).min().unwrap();
    let range = BlockRange { start, end };
    let covers = vec![WalCover { segment, before: end }];
    let log = LogCovers { store: Some(Ulid(9)), covers };
    let spec = BlockSpec { log, ..BlockSpec::new(Ulid::from_parts(segment, 1), range) };
    let chunks = series.iter().map(|(name, times, v)| {
        Ok(SeriesChunks {
            labels: labels(name),
            chunks: float_chunks(times.clone().step_by(10).map(|t| (t, *v))),
            starts: Vec::new(),
        })
    });
    let meta = write_block(dir, spec, chunks).unwrap();
    open(dir, &meta)
}

fn open(dir: &Dir, meta: &BlockMeta) -> Arc<Block> {
    Arc::new(Block::open(dir, &meta.ulid.to_string(), 0).unwrap())
}

fn read(block: &Block) -> (Samples, usize) {
    let (mut all, mut chunks) = (Samples::new(), 0);
    for series in block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap() {
        let name = series.labels.get("__name__").unwrap().to_owned();
        for meta in &series.chunks {
            let (encoding, bytes) = block.chunk(meta).unwrap();
            for (t, value) in chunk::samples(encoding, bytes, TimeRange::ALL).unwrap() {
                let SampleValue::Float(v) = value else { panic!("{value:?}") };
                assert_eq!(all.entry(name.clone()).or_default().insert(t, v.to_bits()), None, "{name} at {t} twice");
            }
            chunks += 1;
        }
    }
    (all, chunks)
}

fn expected(series: &[(&str, std::ops::Range<i64>, f64)]) -> Samples {
    let mut all = Samples::new();
    for (name, times, v) in series {
        for t in times.clone().step_by(10) {
            all.entry((*name).to_owned()).or_default().entry(t).or_insert(v.to_bits());
        }
    }
    all
}

#[test]
fn blocks_become_one_with_all_their_samples() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let series = [
        vec![("a", 0..5000, 1.0), ("b", 0..5000, 1.0)],
        vec![("b", 5000..9000, 1.0), ("c", 6000..9000, 1.0)],
        // Written last, so that its samples lose where there are others, and fall between them where not.
        vec![("b", 4000..6000, 2.0), ("c", 5005..7000, 2.0)],
    ];
    let parents: Vec<Arc<Block>> = series.iter().zip(1..).map(|(series, n)| write(&dir, n, series)).collect();
    let meta = compact(&dir, &parents, &|| false).unwrap().unwrap();
    let block = open(&dir, &meta);
    let (samples, chunks) = read(&block);
    assert_eq!(samples, expected(&series.concat()));
    assert_eq!(meta.stats.num_samples, samples.values().map(|s| s.len() as u64).sum::<u64>());
    assert_eq!((meta.stats.num_series, meta.stats.num_chunks), (3, chunks as u64));
    let compaction = &meta.compaction;
    let of_parents: Vec<Ulid> = parents.iter().map(|block| block.meta().ulid).collect();
    assert_eq!((compaction.level, &compaction.sources), (2, &of_parents));
    assert_eq!(compaction.parents, parents.iter().map(|b| b.meta().desc()).collect::<Vec<_>>());
    assert_eq!((meta.min_time, meta.max_time), (0, 9000));
    let covers = vec![WalCover { segment: 2, before: 9000 }, WalCover { segment: 3, before: 7000 }];
    assert_eq!(meta.log_covers(), &LogCovers { store: Some(Ulid(9)), covers });
}

#[test]
fn chunks_that_nothing_touches_keep_their_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let parents = [write(&dir, 1, &[("a", 0..3000, 1.5)]), write(&dir, 2, &[("a", 3000..6000, 2.5)])];
    let block = open(&dir, &compact(&dir, &parents, &|| false).unwrap().unwrap());
    let bytes = |block: &Block| {
        let series = block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
        series[0].chunks.iter().map(|meta| block.chunk(meta).unwrap().1.to_vec()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(&block), parents.iter().flat_map(|parent| bytes(parent)).collect::<Vec<_>>());
}

#[test]
fn what_is_deleted_is_not_written_again() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let first = write(&dir, 1, &[("a", 0..5000, 1.0), ("b", 0..5000, 1.0)]);
    let second = write(&dir, 2, &[("a", 0..5000, 2.0)]);
    let only = |name: &str| [vec![Matcher::equal("__name__", name)]];
    let gone = TimeRange { mint: 1005, maxt: 3000 };
    assert_eq!(first.delete(&only("a"), gone).unwrap(), 1);
    assert_eq!(first.delete(&only("b"), TimeRange::ALL).unwrap(), 1);
    // A single block: what is left of it.
    let alone = compact(&dir, std::slice::from_ref(&first), &|| false).unwrap().unwrap();
    let mut left = expected(&[("a", 0..5000, 1.0)]);
    left.get_mut("a").unwrap().retain(|t, _| !gone.contains(*t));
    assert_eq!(read(&open(&dir, &alone)).0, left);
    assert_eq!(alone.compaction.level, 1);
    assert_eq!(alone.compaction.sources, [first.meta().ulid, alone.ulid]);
    // What another block has at the deleted times was not deleted.
    let merged = open(&dir, &compact(&dir, &[first.clone(), second], &|| false).unwrap().unwrap());
    for t in (0..5000).step_by(10) {
        let v = if gone.contains(t) { 2.0f64 } else { 1.0 };
        left.get_mut("a").unwrap().insert(t, v.to_bits());
    }
    assert_eq!(read(&merged).0, left);
    // Nothing is left: no block.
    first.delete(&only("a"), TimeRange::ALL).unwrap();
    assert_eq!(compact(&dir, &[first], &|| false).unwrap(), None);
}

#[test]
fn giving_up_leaves_nothing_behind() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let names: Vec<String> = (100..900).map(|i| format!("m{i}")).collect();
    let series: Vec<_> = names.iter().map(|name| (name.as_str(), 0..30, 1.0)).collect();
    let block = write(&dir, 1, &series);
    let given_up = compact(&dir, &[block], &|| true);
    assert!(matches!(given_up, Err(TsdbError::Block(BlockError::Interrupted(Interrupt::Canceled)))));
    assert_eq!(dir.list().unwrap().len(), 1);
}

/// A later version wrote it: this one cannot read the chunk, and so must not make a block without it.
#[test]
fn chunks_of_the_future_are_not_lost() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let parents = [write(&dir, 1, &[("a", 0..3000, 1.5)]), write(&dir, 2, &[("a", 3000..6000, 2.5)])];
    let name = parents[0].meta().ulid.to_string();
    let chunks = dir.sub(&name).unwrap().sub("chunks").unwrap();
    let mut bytes = chunks.read("000001").unwrap();
    // The first chunk, behind the header: a length of one byte, the encoding, the data, the checksum.
    let end = 10 + usize::from(bytes[8]);
    assert!(bytes[8] < 0x80 && bytes[9] == 1);
    bytes[9] = 9;
    let crc = crc32c::crc32c(&bytes[9..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_be_bytes());
    chunks.replace("000001", &bytes).unwrap();
    let parents = [open(&dir, parents[0].meta()), parents[1].clone()];
    let refused = compact(&dir, &parents, &|| false);
    assert!(matches!(refused, Err(TsdbError::Block(BlockError::Unsupported { .. }))), "{refused:?}");
    assert_eq!(dir.list().unwrap().len(), 2);
}
