//! What lies on a disk: the log's segments and records, and the files of a block, of the golden directory.

use std::fs;
use std::path::{Path, PathBuf};

use disk::Dir;
use model::{BlockRange, Labels, SampleValue, StartRun};
use tsdb::block::{BlockSpec, SeriesChunks, write_block};
use tsdb::{chunk, fuzzing};

use crate::bounded::Decoder;
use crate::damage::varint;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const FULL: u8 = 1;
const SNAPPY: u8 = 1 << 3;
const ZSTD: u8 = 1 << 4;
/// The kind of a record that has patterns.
const DELETION: u8 = 132;

fn golden(path: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/v1/data");
    fs::read(data.join(path)).unwrap()
}

fn of_block(file: &str) -> Vec<u8> {
    golden(&format!("01M8107SV1G68E1WXF13RE7548/{file}"))
}

/// The records of the golden log, each of one fragment, and one of each kind that it lacks.
fn records() -> Vec<Vec<u8>> {
    let (segment, mut records) = (golden("wal/00000001"), Vec::new());
    let mut rest = &segment[..];
    while let [FULL, high, low, _, _, _, _, behind @ ..] = rest {
        let (record, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        records.push(record.to_vec());
        rest = behind;
    }
    assert!(10 < records.len(), "the golden log has a record of most kinds");
    let text = |text: &str| [varint(text.len() as u64), text.as_bytes().to_vec()].concat();
    let series = [0, 0, 0, 0, 0, 0, 0, 7];
    records.push([vec![6, 7, 1, 2], text("UNIT"), text("s"), text("HELP"), text("How long.")].concat());
    records.push([vec![128], text("acme"), text("up"), text("gauge"), text("Whether."), text("s")].concat());
    records.push([&[129][..], &series, &[20, 10]].concat());
    records.push(
        [vec![DELETION, 2, 40, 1, 0], text("__name__"), text("up"), vec![1, 2], text("job"), text("a|b.*")].concat(),
    );
    records
}

/// A record as a fragment; its checksum is left to the decoder under test.
fn fragment(kind: u8, record: &[u8]) -> Vec<u8> {
    let len = u16::try_from(record.len()).unwrap().to_be_bytes();
    [&[kind, len[0], len[1], 0, 0, 0, 0], record].concat()
}

/// A frame of zstd around blocks: none of them compressed, or each a byte that stands for as many as `runs` says.
fn zstd(window: u8, blocks: &[(u8, Vec<u8>, usize)]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, window];
    for (n, (kind, content, size)) in blocks.iter().enumerate() {
        let header = size << 3 | usize::from(kind << 1) | usize::from(n + 1 == blocks.len());
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.extend_from_slice(content);
    }
    frame
}

#[test]
fn wal_segment() {
    let records = records();
    let plain: Vec<u8> = records.iter().flat_map(|record| fragment(FULL, record)).collect();
    let snappy = |record: &Vec<u8>| fragment(FULL | SNAPPY, &snap::raw::Encoder::new().compress_vec(record).unwrap());
    let raw = |record: &Vec<u8>| fragment(FULL | ZSTD, &zstd(0, &[(0, record.clone(), record.len())]));
    let small: Vec<&Vec<u8>> = records.iter().filter(|record| record.len() < KIB).collect();
    let good = [
        plain,
        small.iter().flat_map(|record| snappy(record)).collect(),
        small.iter().flat_map(|record| raw(record)).collect(),
    ];
    let runs = |n| zstd(0x68, &vec![(1, vec![0], 128 * KIB); n]);
    let dense = [fragment(FULL | ZSTD, &runs(2000)), fragment(FULL | ZSTD, &runs(2000)).repeat(3)];
    // A window of zstd is 8 MiB whatever is in it, and a record of 16 MiB grows to its length by doubling.
    let decoder = Decoder { name: "wal_segment", decode: fuzzing::wal_segment, slack: 64 * MIB };
    decoder.fuzz(&good, &dense);
    // Without zstd, and without the pattern of a deletion, there is no such room.
    let decoder = Decoder { slack: 64 * KIB, ..decoder };
    for record in small.iter().filter(|record| record[0] != DELETION) {
        assert!(decoder.run("a record that is not compressed", &fragment(FULL, record)));
        assert!(decoder.run("a record of snappy", &snappy(record)));
    }
    decoder.run("a bomb of snappy", &fragment(FULL | SNAPPY, &[&varint(255 << 20)[..], &[0xfe; 999]].concat()));
}

#[test]
fn wal_record() {
    let series = [0; 8];
    let repeated = |kind: u8, one: &[u8]| [&[kind][..], &one.repeat(20_000)].concat();
    let counted = |kind: u8, one: &[u8]| [&[kind][..], &[0; 16], &one.repeat(20_000)].concat();
    // Reference, time, hint, schema, threshold, two counts, sum, four lists without entries.
    let histogram = [&[0; 4][..], &[0; 8], &[0; 2], &[0; 8], &[0; 4]].concat();
    let spans =
        [&[7][..], &[0; 16], &[0; 4], &[0; 8], &[0; 2], &[0; 8], &varint(100_000), &[0; 200_000], &[0; 3]].concat();
    let mut buckets =
        [&[7][..], &[0; 16], &[0; 4], &[0; 8], &[0; 2], &[0; 8], &[1, 0], &varint(100_000), &[0]].concat();
    buckets.extend([&varint(100_000)[..], &[0; 100_000], &[0]].concat());
    let pattern = [&[1, 2, 1, b'a', 22][..], b"((a{100}){10}){9}|xyz*"].concat();
    let dense = [
        repeated(1, &[&series[..], &[0]].concat()),
        repeated(1, &[&series[..], &[1, 1, b'a', 1, b'b']].concat()),
        counted(2, &[&[0, 0][..], &[0; 8]].concat()),
        repeated(3, &[&series[..], &[0, 0]].concat()),
        counted(4, &[&[0, 0][..], &[0; 8], &[0]].concat()),
        repeated(6, &[0, 0, 0]),
        counted(7, &histogram),
        spans,
        buckets,
        repeated(128, &[1, b'a', 0, 0, 0, 0]),
        repeated(129, &[&series[..], &[0, 0]].concat()),
        repeated(DELETION, &[0]),
        [&[DELETION, 0, 0][..], &pattern.repeat(64)].concat(),
        [&[DELETION, 0, 0][..], &pattern.repeat(1000)].concat(),
        repeated(DELETION, &[1, 0, 0, 0]),
    ];
    // The patterns of a deletion are compiled to automata, of 128 MiB together.
    let decoder = Decoder { name: "wal_record", decode: fuzzing::wal_record, slack: 160 * MIB };
    decoder.fuzz(&records(), &dense);
    let decoder = Decoder { slack: 16 * KIB, ..decoder };
    records().iter().chain(&dense).filter(|record| record[0] != DELETION).for_each(|record| {
        decoder.run("a record without patterns", record);
    });
}

/// The chunks of a segment of a block, each with its encoding in front.
fn chunks(segment: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut chunks) = (&segment[8..], Vec::new());
    while !rest.is_empty() {
        let digits = rest.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let len = rest[..digits].iter().rev().fold(0, |len, byte| len << 7 | usize::from(byte & 0x7f));
        chunks.push(rest[digits..][..len + 1].to_vec());
        rest = &rest[digits + len + 1 + 4..];
    }
    chunks
}

/// The bytes of ones and zeros, filled up with zeros to `len`.
fn bits(text: &str, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (n, _) in text.bytes().filter(|bit| *bit != b' ').enumerate().filter(|(_, bit)| *bit == b'1') {
        bytes[n / 8] |= 0x80 >> (n % 8);
    }
    bytes
}

#[test]
fn chunk() {
    let mut good = chunks(&of_block("chunks/000001"));
    assert!([1, 2, 3].iter().all(|encoding| good.iter().any(|chunk| chunk[0] == *encoding)), "chunks of each encoding");
    let steady: Vec<_> = (0..120).map(|n| (n * 15_000, SampleValue::Float(1.0))).collect();
    good.extend(chunk::encode(steady).into_iter().map(|chunk| [&[chunk.encoding.byte()], &chunk.bytes[..]].concat()));
    // 65,535 samples of a constant, two bits each.
    let constant = [&[1, 0xff, 0xff, 0][..], &[0; 8], &[1], &[0; 17_000]].concat();
    // Threshold, schema, so many positive spans without buckets, no negative ones; times 0, 1, 2...; nothing changes.
    let many_spans = format!("00000000 0 11110 111111111111 {} 0 0 0 0 {} 10001", "00".repeat(4095), "0".repeat(64));
    let no_spans = format!("00000000 0 0 0 0 0 0 {} 10001", "0".repeat(64));
    // The schema of custom bounds, and bounds of 0.001 each.
    let bound = "10010".repeat(4095);
    let many_bounds = format!("00000000 1110110010110 0 0 11110 111111111111 {bound} 0 0 0 {} 10001", "0".repeat(64));
    let histograms =
        [many_spans, no_spans, many_bounds].map(|text| [&[2, 0xff, 0xff, 0][..], &bits(&text, 36_000)].concat());
    let dense = [&[constant][..], &histograms].concat();
    // The format lets a chunk have 65,535 histograms of four bits each: some 16 MiB, and their places in lists.
    let decoder = Decoder { name: "chunk", decode: fuzzing::chunk, slack: 24 * MIB };
    decoder.fuzz(&good, &dense);
    // Chunks as they are written, of 120 samples, come nowhere near that.
    let decoder = Decoder { slack: 128 * KIB, ..decoder };
    good.iter().for_each(|chunk| assert!(decoder.run("a chunk as it is written", chunk)));
}

/// A block of series with these labels, each with a start.
fn write(series: impl Iterator<Item = Labels>, file: &str) -> Vec<u8> {
    let tmp = tempfile::tempdir().unwrap();
    let mut labels: Vec<Labels> = series.collect();
    labels.sort();
    let series = labels.into_iter().map(|labels| {
        let starts = vec![StartRun { from: 0, start: 5 }, StartRun { from: 9, start: 8 }];
        Ok(SeriesChunks { labels, chunks: chunk::encode([(9, SampleValue::Float(1.0))]), starts })
    });
    let range = BlockRange { start: 0, end: 7_200_000 };
    let meta =
        write_block(&Dir::open(tmp.path()).unwrap(), BlockSpec::new(ULID.parse().unwrap(), range), series).unwrap();
    fs::read(PathBuf::from(tmp.path()).join(meta.ulid.to_string()).join(file)).unwrap()
}

const ULID: &str = "01BX5ZZKBKACTAV9WEVGEMMVRZ";

/// Labels whose values are few and long.
fn few_long(series: usize) -> Labels {
    let value = |n: usize| format!("{n}{}", "x".repeat(4000));
    let unique = ("__name__".to_owned(), series.to_string());
    let pairs: Vec<_> =
        std::iter::once(unique).chain((0..100).map(|n| (format!("label_{n}"), value((series + n) % 20)))).collect();
    Labels::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)))
}

#[test]
fn index() {
    let named = |n: usize| Labels::from_pairs([("__name__", "m"), ("n", &*n.to_string()), ("job", "a")]);
    let good = [of_block("index"), write((0..40).map(named), "index"), write(std::iter::once(named(0)), "index")];
    let whole = write((0..50).map(few_long), "index");
    // Series that name long symbols over and over, their postings cut off: all of them are made anew.
    let table = whole.len() - 52 + 5 * 8;
    let cut = usize::try_from(u64::from_be_bytes(whole[table..][..8].try_into().unwrap())).unwrap();
    let dense = [write((0..5000).map(named), "index"), whole[..cut].to_vec(), whole];
    Decoder { name: "index", decode: fuzzing::index, slack: MIB }.fuzz(&good, &dense);
}

#[test]
fn meta() {
    let foreign = format!(
        r#"{{"ulid": "{ULID}", "minTime": -7200000, "maxTime": 0, "version": 1, "stats": {{ "numSamples": 5 }},
        "compaction": {{ "level": 2, "sources": ["{ULID}"], "parents": [{{ "ulid": "{ULID}", "minTime": -7200000,
        "maxTime": 0 }}] }}, "thanos": {{ "labels": {{ "replica": "a" }}, "downsample": {{ "resolution": 0 }} }}}}"#
    );
    let with = |value: String| foreign.replace("\"thanos\": ", &format!("\"x\": {value}, \"thanos\": ")).into_bytes();
    let many = |one: &str| format!("[{}0]", one.repeat(50_000));
    let keys: String = (0..20_000).map(|n| format!("\"{n}\":0,")).collect();
    let nested = "[".repeat(50_000);
    let dense =
        [with(many("0,")), with(many("[],")), with(many("\"\",")), with(format!("{{{keys}\"\":0}}")), with(nested)];
    let good = [of_block("meta.json"), foreign.clone().into_bytes()];
    Decoder { name: "meta", decode: fuzzing::meta, slack: 16 * MIB }.fuzz(&good, &dense);
}

#[test]
fn tombstones() {
    let file = |stones: Vec<u8>| [&0x0130_ba30_u32.to_be_bytes()[..], &[1], &stones, &[0; 4]].concat();
    let each = |n| (0..n).flat_map(|reference| [varint(reference), vec![0, 2]].concat()).collect();
    // All of one series.
    let same = |n: u64| (0..n).flat_map(|t| [vec![1], varint(t * 8), varint(t * 8 + 2)].concat()).collect();
    let good = [of_block("tombstones"), file(each(99)), file(same(99))];
    let decoder = Decoder { name: "tombstones", decode: fuzzing::tombstones, slack: 16 * KIB };
    decoder.fuzz(&good, &[file(each(50_000)), file(same(50_000))]);
}

#[test]
fn starts() {
    let named = |n: usize| Labels::from_pairs([("__name__", "m"), ("n", &*n.to_string())]);
    let good = [write((0..40).map(named), "starts"), write(std::iter::once(named(0)), "starts")];
    let dense = [write((0..5000).map(named), "starts")];
    Decoder { name: "starts", decode: fuzzing::starts, slack: 16 * KIB }.fuzz(&good, &dense);
}
