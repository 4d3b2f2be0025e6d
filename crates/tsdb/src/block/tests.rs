//! Blocks written and read back: every selection against a plain list of series, and bytes that were changed.

use std::collections::BTreeSet;

use disk::Dir;
use model::{BlockRange, Budget, Columns, Interrupt, Labels, MatchOp, Matcher, Pool, Stop, TimeRange, Timestamp};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use ulid::Ulid;

use super::*;
use crate::chunk::{EncodedChunk, XorAppender, xor};

const RANGE: BlockRange = BlockRange { start: 0, end: 7_200_000 };
const CACHE_BYTES: usize = 1 << 20;

fn spec(n: u64) -> BlockSpec {
    BlockSpec::new(Ulid::from_parts(n, 7), RANGE)
}

fn chunk(samples: &[(Timestamp, f64)]) -> EncodedChunk {
    let mut xor = XorAppender::new();
    for (t, v) in samples {
        xor.append(*t, *v);
    }
    let (mint, maxt) = (samples[0].0, samples[samples.len() - 1].0);
    EncodedChunk { mint, maxt, encoding: Encoding::Xor, bytes: xor.into_bytes() }
}

/// Series of a small fleet, sorted. Some labels are absent from some; values have common prefixes.
fn fleet(n: usize) -> Vec<SeriesChunks> {
    let mut rng = SmallRng::seed_from_u64(n as u64);
    let mut labels = BTreeSet::new();
    for i in 0..n {
        let (name, node) = (format!("metric_{}", i % 7), format!("node-{:03}", i / 7 % 40));
        let gpu = (i / 280).to_string();
        let mut pairs = vec![("__name__", name.as_str()), ("node", &node), ("project_id", ["a", "b", "c"][i % 3])];
        if i % 4 != 0 {
            pairs.push(("gpu", &gpu));
        }
        labels.insert(Labels::from_pairs(pairs));
    }
    let series = |labels| {
        let start = rng.random_range(0..3_000_000);
        let chunks =
            (0..3).map(|c| chunk(&[(start + c * 1_000_000, c as f64), (start + c * 1_000_000 + 900_000, 1.5)]));
        SeriesChunks { labels, chunks: chunks.collect(), starts: Vec::new() }
    };
    labels.into_iter().map(series).collect()
}

fn write(dir: &Dir, n: u64, series: &[SeriesChunks]) -> BlockMeta {
    write_block(dir, spec(n), series.iter().cloned().map(Ok)).unwrap()
}

fn open(dir: &Dir, meta: &BlockMeta) -> Block {
    Block::open(dir, &meta.ulid.to_string(), CACHE_BYTES).unwrap()
}

fn samples(block: &Block, series: &BlockSeries) -> Result<Columns, BlockError> {
    let mut columns = Columns::default();
    for meta in &series.chunks {
        let (encoding, bytes) = block.chunk(meta)?;
        if encoding == Encoding::Xor {
            // Bytes that passed their checksum and still do not decode are an answer too: the caller's error.
            let _ = xor::decode(bytes, TimeRange::ALL, &mut columns);
        }
    }
    Ok(columns)
}

#[test]
fn a_block_gives_back_what_was_written() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let fleet = fleet(1000);
    let meta = write(&dir, 1, &fleet);
    let stats = BlockStats {
        num_samples: 6 * fleet.len() as u64,
        num_float_samples: 6 * fleet.len() as u64,
        num_chunks: 3 * fleet.len() as u64,
        num_series: fleet.len() as u64,
        ..BlockStats::default()
    };
    assert_eq!((meta.stats.clone(), meta.range(), meta.compaction.sources.clone()), (stats, RANGE, vec![meta.ulid]));
    let names: Vec<String> = dir.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [meta.ulid.to_string()]);

    let block = open(&dir, &meta);
    assert_eq!((block.meta(), block.range()), (&meta, RANGE));
    assert_eq!(block.size_bytes(), dir.size_bytes().unwrap());
    for _ in ["from the index", "from the cache"] {
        let found = block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
        assert_eq!(found.len(), fleet.len());
        for (found, written) in found.iter().zip(&fleet) {
            assert_eq!(found.labels, written.labels);
            let mut expected = Columns::default();
            for chunk in &written.chunks {
                xor::decode(&chunk.bytes, TimeRange::ALL, &mut expected).unwrap();
            }
            assert_eq!(samples(&block, found).unwrap(), expected);
        }
    }
}

/// Blocks of one version of the format are the same for ever: a change here is a change of FORMAT.md first.
#[test]
fn the_bytes_of_a_block_do_not_change() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let series = |node: &str, chunks: Vec<EncodedChunk>| SeriesChunks {
        labels: Labels::from_pairs([("__name__", "up"), ("node", node)]),
        chunks,
        starts: Vec::new(),
    };
    let first = vec![chunk(&[(1000, 1.0), (2000, 1.0)]), chunk(&[(3000, 0.0)])];
    let meta = write(&dir, 1, &[series("a", first), series("b", vec![chunk(&[(1500, 0.5)])])]);
    let block = dir.sub(&meta.ulid.to_string()).unwrap();
    let sums = ["index", "chunks/000001", "tombstones"].map(|file| {
        let bytes = block.read(file).unwrap();
        (bytes.len(), crc32c::crc32c(&bytes))
    });
    assert_eq!(sums, [(270, 3_468_007_882), (65, 1_359_322_788), (9, 1_895_909_621)]);
}

fn matchers() -> Vec<Matcher> {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    let cases = [
        ("__name__", Equal, "metric_3"),
        ("__name__", Equal, "nothing"),
        ("__name__", Regex, "metric_(1|2)"),
        ("__name__", Regex, "metric_[0-4].*"),
        ("__name__", NotEqual, "metric_3"),
        ("project_id", Equal, "b"),
        ("project_id", NotRegex, "a|b"),
        ("node", Regex, "node-01.+"),
        ("node", Regex, ".+9"),
        ("node", NotRegex, "node-0.*"),
        ("node", Equal, "node-038"),
        ("gpu", Equal, ""),
        ("gpu", NotEqual, ""),
        ("gpu", NotEqual, "1"),
        ("gpu", Regex, ""),
        ("gpu", Regex, "|2"),
        ("gpu", NotRegex, "|2"),
        ("gpu", Regex, ".*"),
        ("gpu", NotRegex, ".*"),
        ("gpu", Regex, ".+"),
        ("absent", Equal, ""),
        ("absent", NotEqual, ""),
        ("absent", NotEqual, "x"),
        ("absent", Regex, "x?"),
    ];
    cases.into_iter().map(|(name, op, value)| Matcher::new(name, op, value).unwrap()).collect()
}

#[test]
fn every_selection_finds_the_series_that_match_one_by_one() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let fleet = fleet(1000);
    let block = open(&dir, &write(&dir, 1, &fleet));
    let (all, budget) = (matchers(), Budget::unlimited());
    for (i, first) in all.iter().enumerate() {
        for second in &all[i..] {
            let set = [first.clone(), second.clone()];
            let range = TimeRange { mint: 1_000_000, maxt: 1_500_000 };
            let matching = |s: &&SeriesChunks| set.iter().all(|m| m.matches_labels(&s.labels));
            let inside = |s: &&SeriesChunks| s.chunks.iter().any(|c| c.mint <= range.maxt && range.mint <= c.maxt);
            let expected: Vec<&Labels> = fleet.iter().filter(matching).filter(inside).map(|s| &s.labels).collect();
            let found = block.select(&set, range, &budget).unwrap();
            assert_eq!(found.iter().map(|s| &s.labels).collect::<Vec<_>>(), expected, "{first} {second}");

            let labels: Vec<&Labels> = fleet.iter().filter(matching).map(|s| &s.labels).collect();
            let names: BTreeSet<&str> = labels.iter().flat_map(|l| l.iter()).map(|(name, _)| name).collect();
            assert!(block.label_names(&set, usize::MAX, &budget).unwrap().iter().eq(names), "{first} {second}");
            for name in ["node", "gpu", "absent"] {
                let values: BTreeSet<&str> = labels.iter().filter_map(|l| l.get(name)).collect();
                let found = block.label_values(name, &set, 3, &budget).unwrap();
                assert!(found.iter().eq(values.into_iter().take(3)), "{name} of {first} {second}");
            }
        }
    }
}

#[test]
fn labels_of_all_series_come_from_the_table() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let block = open(&dir, &write(&dir, 1, &fleet(500)));
    let budget = Budget::unlimited();
    let names = block.label_names(&[], usize::MAX, &budget).unwrap();
    assert_eq!(names, ["__name__", "gpu", "node", "project_id"]);
    assert_eq!(block.label_names(&[], 2, &budget).unwrap(), names[..2]);
    assert_eq!(block.label_values("project_id", &[], usize::MAX, &budget).unwrap(), ["a", "b", "c"]);
    assert_eq!(block.label_values("node", &[], 2, &budget).unwrap(), ["node-000", "node-001"]);
    assert_eq!(block.label_values("node", &[], usize::MAX, &budget).unwrap().len(), 40);
}

/// More series than are read one by one, so that names and values come from the postings.
#[test]
fn labels_of_many_series_come_from_the_postings() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let labels: BTreeSet<Labels> = (0..6000)
        .map(|i| {
            let id = i.to_string();
            Labels::from_pairs([("__name__", "m"), ("id", &id), (["even", "odd"][i % 2], "yes")])
        })
        .collect();
    let series: Vec<_> = labels
        .into_iter()
        .map(|labels| SeriesChunks { labels, chunks: vec![chunk(&[(5, 1.0)])], starts: Vec::new() })
        .collect();
    let block = open(&dir, &write(&dir, 1, &series));
    let (budget, most) = (Budget::unlimited(), [Matcher::new("id", MatchOp::NotRegex, "1.?").unwrap()]);
    assert_eq!(block.label_names(&most, usize::MAX, &budget).unwrap(), ["__name__", "even", "id", "odd"]);
    assert_eq!(block.label_names(&most, 3, &budget).unwrap(), ["__name__", "even", "id"]);
    assert_eq!(block.label_values("id", &most, 4, &budget).unwrap(), ["0", "100", "1000", "1001"]);
    assert_eq!(block.label_values("odd", &most, 4, &budget).unwrap(), ["yes"]);
}

#[test]
fn an_ended_query_stops_a_selection() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let block = open(&dir, &write(&dir, 1, &fleet(50)));
    let stop = Stop::default();
    stop.cancel();
    let budget = Budget::new(stop, Pool::new(u64::MAX), u64::MAX, u64::MAX);
    let found = block.select(&[], TimeRange::ALL, &budget);
    assert!(matches!(found, Err(BlockError::Interrupted(Interrupt::Canceled))));
    let found = block.label_values("node", &[Matcher::equal("gpu", "1")], 9, &budget);
    assert!(matches!(found, Err(BlockError::Interrupted(Interrupt::Canceled))));
}

#[test]
fn series_that_break_a_rule_publish_nothing() {
    let labels = |v: &str| Labels::from_pairs([("a", v)]);
    let one = || chunk(&[(10, 1.0), (20, 2.0)]);
    let series = |v: &str, chunks: Vec<EncodedChunk>| SeriesChunks { labels: labels(v), chunks, starts: Vec::new() };
    let (reversed, empty) = (EncodedChunk { maxt: 5, ..one() }, EncodedChunk { bytes: vec![0, 0], ..one() });
    let late = chunk(&[(RANGE.end - 1, 1.0), (RANGE.end, 1.0)]);
    for (series, error) in [
        (vec![series("y", vec![one()]), series("x", vec![one()])], "series {a=\"x\"} comes after {a=\"y\"}"),
        (vec![series("x", vec![one()]), series("x", vec![one()])], "series {a=\"x\"} comes after {a=\"x\"}"),
        (
            vec![SeriesChunks { labels: Labels::empty(), chunks: vec![one()], starts: Vec::new() }],
            "series {} comes after {}",
        ),
        (vec![series("x", vec![])], "series {a=\"x\"} has no chunk"),
        (
            vec![series("x", vec![one(), one()])],
            "chunk [10, 20] of series {a=\"x\"} overlaps the one before, which ends at 20",
        ),
        (vec![series("x", vec![reversed])], "chunk [10, 5] of series {a=\"x\"} ends before it starts"),
        (vec![series("x", vec![empty])], "chunk [10, 20] of series {a=\"x\"} has no sample"),
        (
            vec![series("x", vec![late])],
            "chunk [7199999, 7200000] of series {a=\"x\"} leaves the block's range [0, 7200000)",
        ),
        (vec![], "there is no series"),
    ] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let refused = write_block(&dir, spec(1), series.into_iter().map(Ok)).unwrap_err();
        assert_eq!(refused.to_string(), format!("block cannot be written: {error}"));
        assert_eq!(dir.list().unwrap(), []);
    }
}

#[test]
fn remains_of_a_crash_do_not_hinder_the_next_attempt() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let remains = dir.sub(&format!("{}{CREATION_SUFFIX}", spec(1).ulid)).unwrap();
    remains.create("index").unwrap().append(b"half").unwrap();
    let failing = [Ok(fleet(1).remove(0)), Err(BlockError::invalid("the disk is on fire"))];
    assert!(write_block(&dir, spec(2), failing.into_iter()).is_err());
    open(&dir, &write(&dir, 1, &fleet(10)));
    assert_eq!(dir.list().unwrap().len(), 1);
}

#[test]
fn how_far_the_log_is_covered_comes_back() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let log = LogCovers {
        store: Some(Ulid::from_parts(5, 6)),
        covers: vec![WalCover { segment: 12, before: -5 }, WalCover { segment: 13, before: -7 }],
    };
    let meta = write_block(&dir, BlockSpec { log: log.clone(), ..spec(1) }, fleet(1).into_iter().map(Ok)).unwrap();
    assert_eq!(open(&dir, &meta).meta().log_covers(), &log);
}

#[test]
fn histogram_chunks_are_handed_out_and_counted() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let float = chunk(&[(10, 1.0), (20, 2.0)]);
    let histogram = EncodedChunk { mint: 30, maxt: 40, encoding: Encoding::Histogram, bytes: vec![0, 3, 1, 2, 3] };
    let series = SeriesChunks {
        labels: Labels::from_pairs([("a", "b")]),
        chunks: vec![float, histogram.clone()],
        starts: Vec::new(),
    };
    let meta = write(&dir, 1, &[series]);
    let counts = (meta.stats.num_samples, meta.stats.num_float_samples, meta.stats.num_histogram_samples);
    assert_eq!(counts, (5, 2, 3));
    let block = open(&dir, &meta);
    let found = block.select(&[], TimeRange { mint: 35, maxt: 35 }, &Budget::unlimited()).unwrap();
    let found = block.chunk(&found[0].chunks[1]).unwrap();
    assert_eq!(found, (Encoding::Histogram, &histogram.bytes[..]));
}

/// Reads all there is in a block, whatever it is.
fn read_everything(dir: &Dir, name: &str) -> Result<(Vec<(Labels, Columns)>, bool), BlockError> {
    let (block, budget) = (Block::open(dir, name, 0)?, Budget::unlimited());
    block.label_names(&[Matcher::equal("project_id", "a")], 9, &budget)?;
    block.label_values("node", &[Matcher::new("gpu", MatchOp::NotEqual, "").unwrap()], 9, &budget)?;
    let read = |series: Arc<BlockSeries>| Ok((series.labels.clone(), samples(&block, &series)?));
    let all = block.select(&[], TimeRange::ALL, &budget)?.into_iter().map(read).collect::<Result<_, BlockError>>()?;
    Ok((all, block.is_damaged()))
}

/// Writes a file anew without the care that a real one gets.
fn overwrite(dir: &Dir, file: &str, bytes: &[u8]) {
    dir.remove(file).unwrap();
    dir.create(file).unwrap().append(bytes).unwrap();
}

/// Every byte of every file is changed in turn, twice. A change of the index or of chunks is always found by a
/// checksum, unless the byte is padding; one of meta.json may be white space, or take its checksum away.
#[test]
fn no_changed_byte_makes_reading_panic_or_lie() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let meta = write(&dir, 1, &fleet(12));
    let name = meta.ulid.to_string();
    let block = dir.sub(&name).unwrap();
    let (whole, _) = read_everything(&dir, &name).unwrap();
    let mut rng = SmallRng::seed_from_u64(9);
    let mut found = 0;
    for file in ["index", "chunks/000001", "meta.json", "tombstones"] {
        let bytes = block.read(file).unwrap();
        for at in 0..bytes.len() {
            for change in [1 << rng.random_range(0..8), rng.random_range(1..=255)] {
                let mut changed = bytes.clone();
                changed[at] ^= change;
                overwrite(&block, file, &changed);
                match read_everything(&dir, &name) {
                    Ok((read, true)) => {
                        assert!(
                            read.iter().all(|series| whole.contains(series)),
                            "byte {at} of {file} changed a series"
                        );
                        found += 1;
                    }
                    Ok((read, false)) => assert!(read == whole, "byte {at} of {file} changed the answer"),
                    Err(_) => found += 1,
                }
            }
        }
        overwrite(&block, file, &bytes);
    }
    assert!(found > 4000, "{found} changes were found");
}

#[test]
fn no_cut_file_makes_reading_panic() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let meta = write(&dir, 1, &fleet(12));
    let name = meta.ulid.to_string();
    let block = dir.sub(&name).unwrap();
    let (whole, _) = read_everything(&dir, &name).unwrap();
    for file in ["index", "chunks/000001", "meta.json"] {
        let bytes = block.read(file).unwrap();
        for len in (0..bytes.len()).step_by(3) {
            overwrite(&block, file, &bytes[..len]);
            if let Ok((read, damaged)) = read_everything(&dir, &name) {
                let right = read.iter().all(|series| whole.contains(series));
                assert!(damaged && right && file != "chunks/000001", "{len} bytes of {file}");
            }
        }
        block.remove(file).unwrap();
        // The description is made anew of what it describes.
        match read_everything(&dir, &name) {
            Ok((read, damaged)) => assert!(damaged && read == whole && file == "meta.json", "no {file}"),
            Err(_) => assert_ne!(file, "meta.json"),
        }
        overwrite(&block, file, &bytes);
    }
}

#[test]
fn start_timestamps_come_back_and_no_changed_byte_is_believed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let run = |from, start| StartRun { from, start };
    let mut series = fleet(12);
    series[3].starts = vec![run(-7, -50), run(1000, 900), run(1015, 1000)];
    series[11].starts = vec![run(i64::MIN, 3), run(i64::MAX, 0)];
    let name = write(&dir, 1, &series).ulid.to_string();
    let open = || {
        let findings = Findings::default();
        let block = Block::open_telling(&dir, &name, &Caches::new(0, 0), findings.clone()).unwrap();
        let found = block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
        let starts: Vec<_> = found.iter().map(|series| block.starts(series.reference, TimeRange::ALL)).collect();
        (block, findings.all(), starts)
    };
    let (block, findings, starts) = open();
    assert_eq!((findings, &starts), (vec![], &series.iter().map(|series| series.starts.clone()).collect()));
    let fourth = block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap()[3].reference;
    for (mint, maxt, expected) in [(-8, -8, 0..0), (0, 999, 0..1), (1000, 1014, 1..2), (500, 5000, 0..3)] {
        assert_eq!(block.starts(fourth, TimeRange { mint, maxt }), starts[3][expected], "[{mint}, {maxt}]");
    }
    let (files, bytes) = (dir.sub(&name).unwrap(), dir.read(&format!("{name}/starts")).unwrap());
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x41;
        for damaged in [&changed[..], &bytes[..at]] {
            overwrite(&files, "starts", damaged);
            let (block, findings, starts) = open();
            assert_eq!((findings.len(), block.is_damaged()), (1, true), "byte {at}");
            assert!(starts.iter().all(Vec::is_empty), "byte {at}");
        }
    }
    files.remove("starts").unwrap();
    let (_, findings, starts) = open();
    assert!(findings.is_empty() && starts.iter().all(Vec::is_empty), "a block of others has none");
}
