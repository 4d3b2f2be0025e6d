//! Blocks between us and a real Prometheus: its `promtool` reads what we write, and we read what it writes.
//!
//! Skipped, with a line that says so, when there is no `promtool` in `$PEERS_BIN` or on the PATH.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use disk::Dir;
use model::{BlockRange, Budget, Columns, Labels, Matcher, STALE_NAN, TimeRange, Timestamp, is_stale};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tsdb::block::{Block, BlockSpec, LogCovers, SeriesChunks, WalCover, write_block};
use tsdb::chunk::{EncodedChunk, Encoding, XorAppender, xor};
use ulid::Ulid;

/// All samples of a store: label pairs sorted by name, then time, then the value's bits.
type Samples = BTreeMap<Vec<(String, String)>, BTreeMap<Timestamp, u64>>;

/// The selector that finds every series.
const ALL: &str = "{__name__=~'.*'}";

fn promtool() -> Option<PathBuf> {
    let given = std::env::var_os("PEERS_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut all = given.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join("promtool"));
    let found = all.find(|file| file.is_file());
    if found.is_none() {
        // Past the test runner, which would keep a passing test's words to itself.
        let _ =
            writeln!(std::io::stderr(), "a block test is skipped: `promtool` is neither in $PEERS_BIN nor on the PATH");
    }
    found
}

#[track_caller]
fn run(promtool: &Path, args: &[&str]) -> String {
    let output = Command::new(promtool).args(args).output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {args:?}: {err}{out}");
    out
}

/// One series of each character: their codes take every way through the chunk format.
fn value(kind: usize, last: f64, rng: &mut SmallRng) -> f64 {
    match kind {
        0 => last + f64::from(rng.random_range(0..300)),
        1 => last + rng.random_range(0.0..5.0),
        2 => f64::from(rng.random_range(0..100)) / 4.0,
        3 => 7.0,
        4 if rng.random_ratio(1, 20) => STALE_NAN,
        4 => f64::from(rng.random_range(0..3)),
        5 if rng.random_ratio(1, 9) => {
            [f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::NAN, 1e-310][rng.random_range(0..5)]
        }
        _ => f64::from_bits(rng.random_range(0x3ff0_0000_0000_0000..0x4100_0000_0000_0000)),
    }
}

fn samples(series_idx: usize, start: Timestamp, rng: &mut SmallRng) -> Vec<(Timestamp, f64)> {
    let (mut t, mut v) = (start, 1.0);
    let step = |rng: &mut SmallRng| match series_idx % 5 {
        0 => 15_000,
        1 | 2 => 15_000 + rng.random_range(-2..=2),
        3 => rng.random_range(10_000..20_000),
        _ if rng.random_ratio(1, 40) => 600_000,
        _ => 15_000,
    };
    (0..240)
        .map(|_| {
            t += step(rng);
            v = value(series_idx % 7, v, rng);
            (t, v)
        })
        .collect()
}

fn labels(series_idx: usize) -> Labels {
    let (name, node, gpu) = (
        format!("metric_{}", series_idx % 40),
        format!("gpu-node-{:05}", series_idx / 40),
        (series_idx % 8).to_string(),
    );
    let quote = ["plain", "with \"quotes\" and \\ and \u{e4}\u{1f980}", "two words"][series_idx % 3];
    let pairs = [("__name__", name.as_str()), ("instance", &node), ("gpu", &gpu), ("note", quote)];
    Labels::from_pairs(pairs.into_iter().take(if series_idx.is_multiple_of(4) { 3 } else { 4 }))
}

fn encode(samples: &[(Timestamp, f64)]) -> EncodedChunk {
    let mut chunk = XorAppender::new();
    for (t, v) in samples {
        chunk.append(*t, *v);
    }
    let (mint, maxt) = (samples[0].0, samples[samples.len() - 1].0);
    EncodedChunk { mint, maxt, encoding: Encoding::Xor, bytes: chunk.into_bytes() }
}

fn pairs(labels: &Labels) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Reads a line of `tsdb dump`: `{name="value", ...} value timestamp`.
fn parse_line(line: &str) -> (Vec<(String, String)>, Timestamp, u64) {
    let (head, t) = line.rsplit_once(' ').unwrap();
    let (head, v) = head.rsplit_once(' ').unwrap();
    let mut rest = head.strip_prefix('{').unwrap().strip_suffix('}').unwrap();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').unwrap();
        let end = (1..).find(|i| behind.as_bytes()[*i] == b'"' && !escaped(behind, *i)).unwrap();
        let value: String = serde_json::from_str(&behind[..=end]).unwrap();
        pairs.push((name.to_owned(), value));
        rest = behind[end + 1..].trim_start_matches(", ");
    }
    (pairs, t.parse().unwrap(), bits(v.parse().unwrap()))
}

fn escaped(text: &str, at: usize) -> bool {
    text[..at].bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// `promtool` prints every NaN alike, so payloads are left out of the comparison; round trips test them.
fn bits(v: f64) -> u64 {
    if v.is_nan() { f64::NAN.to_bits() } else { v.to_bits() }
}

/// What `promtool` finds through the postings, and how it decodes the chunks.
fn dump(promtool: &Path, dir: &Path, selector: &str) -> Samples {
    let sandbox = tempfile::tempdir().unwrap();
    // It insists on a log, if an empty one.
    Dir::open(dir.join("wal")).unwrap();
    let (root, selector) = (format!("--sandbox-dir-root={}", sandbox.path().display()), format!("--match={selector}"));
    let text = run(promtool, &["tsdb", "dump", &root, &selector, dir.to_str().unwrap()]);
    let mut all = Samples::new();
    for line in text.lines() {
        let (pairs, t, v) = parse_line(line);
        assert_eq!(all.entry(pairs).or_default().insert(t, v), None, "twice: {line}");
    }
    all
}

fn read(block: &Block, into: &mut Samples) {
    for series in block.select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap() {
        let mut columns = Columns::default();
        for meta in &series.chunks {
            let (encoding, bytes) = block.chunk(meta).unwrap();
            assert_eq!(encoding, Encoding::Xor);
            xor::decode(bytes, meta.range(), &mut columns).unwrap();
        }
        let samples = columns.timestamps.into_iter().zip(columns.values.into_iter().map(bits));
        into.entry(pairs(&series.labels)).or_default().extend(samples);
    }
}

#[test]
fn promtool_reads_our_blocks() {
    let Some(promtool) = promtool() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut rng = SmallRng::seed_from_u64(11);
    let range = BlockRange::around(1_760_000_400_000, 7_200_000);
    let all: BTreeMap<Labels, Vec<(Timestamp, f64)>> =
        (0..1000).map(|i| (labels(i), samples(i, range.start, &mut rng))).collect();
    let inside = |samples: &[(Timestamp, f64)]| -> Vec<(Timestamp, f64)> {
        samples.iter().copied().filter(|(t, _)| range.contains(*t)).collect()
    };
    let series = all.iter().map(|(labels, samples)| {
        let chunks = inside(samples).chunks(120).map(encode).collect();
        Ok(SeriesChunks { labels: labels.clone(), chunks, starts: Vec::new() })
    });
    let ulid = Ulid::from_parts(range.end.cast_unsigned(), 1);
    // A key of our own in meta.json, which must not disturb anyone.
    let log = LogCovers { store: Some(ulid), covers: vec![WalCover { segment: 3, before: range.end }] };
    let spec = BlockSpec { log, ..BlockSpec::new(ulid, range) };
    let meta = write_block(&dir, spec, series).unwrap();
    assert_eq!(meta.stats.num_series, 1000);

    let path = tmp.path().to_str().unwrap();
    let list = run(&promtool, &["tsdb", "list", path]);
    assert!(list.contains(&ulid.to_string()) && list.contains(&meta.stats.num_samples.to_string()), "{list}");
    let analysis = run(&promtool, &["tsdb", "analyze", path, &ulid.to_string()]);
    assert!(analysis.contains("Total Series: 1000") && analysis.contains("Label names: 4"), "{analysis}");

    let mut expected: Samples = all
        .iter()
        .map(|(labels, samples)| (pairs(labels), inside(samples).into_iter().map(|(t, v)| (t, bits(v))).collect()))
        .collect();
    assert!(dump(&promtool, tmp.path(), ALL) == expected, "promtool sees other samples");

    let matched = dump(&promtool, tmp.path(), r#"{__name__=~"metric_(4|8|17)",gpu!="4",note=""}"#);
    let by_name = |pairs: &[(String, String)]| ["metric_4", "metric_8", "metric_17"].contains(&pairs[0].1.as_str());
    expected.retain(|pairs, _| by_name(pairs) && !pairs.iter().any(|(n, v)| n == "note" || (n == "gpu" && v == "4")));
    assert!(!expected.is_empty() && matched == expected, "promtool finds other series by our postings");
}

#[test]
fn we_read_blocks_of_promtool() {
    let Some(promtool) = promtool() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let (input, data) = (tmp.path().join("input.txt"), tmp.path().join("data"));
    let mut rng = SmallRng::seed_from_u64(12);
    let mut text = String::new();
    for i in 0..300 {
        for (t, v) in samples(i * 5, 1_760_000_400_000, &mut rng) {
            if is_stale(v) {
                continue;
            }
            let value = if v.is_infinite() { format!("{}Inf", if v > 0.0 { '+' } else { '-' }) } else { v.to_string() };
            let seconds = format!("{}.{:03}", t / 1000, t % 1000);
            text += &format!("metric_{}{{node=\"n{i}\",zone=\"{}\"}} {value} {seconds}\n", i % 10, i % 3);
        }
    }
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_by_key(|line| line.split(['{', ' ']).next());
    std::fs::write(&input, lines.join("\n") + "\n# EOF\n").unwrap();
    let paths = [input.to_str().unwrap(), data.to_str().unwrap()];
    run(&promtool, &["tsdb", "create-blocks-from", "openmetrics", paths[0], paths[1]]);

    let dir = Dir::open(&data).unwrap();
    let (mut found, mut blocks) = (Samples::new(), 0);
    for entry in dir.list().unwrap().into_iter().filter(|entry| Ulid::from_string(&entry.name).is_ok()) {
        let block = Block::open(&dir, &entry.name, 1 << 20).unwrap();
        assert_eq!(block.meta().ulid.to_string(), entry.name);
        read(&block, &mut found);
        let budget = Budget::unlimited();
        let zones = block.label_values("zone", &[Matcher::equal("__name__", "metric_3")], 9, &budget).unwrap();
        assert_eq!(zones, ["0", "1", "2"]);
        blocks += 1;
    }
    let expected = dump(&promtool, &data, ALL);
    assert!(blocks > 0 && expected.len() == 300);
    assert!(found == expected, "we see other samples than promtool in its own {blocks} blocks");
}
