//! Every rule is broken once, and the verification says which one.

use model::{BlockRange, Labels, SampleValue};

use super::*;
use crate::block::{BlockSpec, SeriesChunks, write_block};
use crate::chunk;
use crate::index::{ChunkMeta, IndexWriter};

const RANGE: BlockRange = BlockRange { start: 0, end: 10_000 };

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("job", "j")])
}

/// Writes a sound block of three series into `dir`.
fn write(dir: &Dir, ulid: Ulid) -> Dir {
    let series = ["a", "b", "c"].map(|name| {
        let samples = (0..200).map(|i| (i * 10, SampleValue::Float(1.5)));
        Ok(SeriesChunks { labels: labels(name), chunks: chunk::encode(samples), starts: Vec::new() })
    });
    write_block(dir, BlockSpec::new(ulid, RANGE), series.into_iter()).unwrap();
    dir.sub(&ulid.to_string()).unwrap()
}

fn edit_meta(block: &Dir, from: &str, to: &str) {
    let text = String::from_utf8(block.read("meta.json").unwrap()).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    // Nobody's mistake is under a checksum.
    let text = text.replacen("\"crc\"", "\"none\"", 1);
    block.replace("meta.json", text.replacen(from, to, 1).as_bytes()).unwrap();
}

fn edit(block: &Dir, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = block.read(file).unwrap();
    change(&mut bytes);
    block.replace(file, &bytes).unwrap();
}

/// Replaces the index by one of `series` with their chunks.
fn reindex(block: &Dir, series: &[(&str, &[ChunkMeta])]) {
    block.remove("index").unwrap();
    let mut index = IndexWriter::create(block).unwrap();
    for (name, chunks) in series {
        index.add(&labels(name), chunks).unwrap();
    }
    index.finish().unwrap();
}

fn checks(report: &Report) -> Vec<Check> {
    let all: BTreeSet<Check> = report.problems.iter().map(|problem| problem.check).collect();
    all.into_iter().collect()
}

#[test]
fn a_sound_store_has_no_problem() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    write(&dir, Ulid(1));
    let report = verify(&dir).unwrap();
    let expected = Report { blocks: 1, series: 3, chunks: 6, samples: 600, ..Report::default() };
    assert_eq!(report, expected);
}

#[test]
fn every_broken_rule_is_found() {
    let own = Ulid(1).to_string();
    let first = ChunkMeta { mint: 0, maxt: 1190, reference: 8 };
    let swap_sections = |bytes: &mut Vec<u8>| {
        let toc = bytes.len() - 52;
        // The postings table where the postings are said to begin.
        bytes.copy_within(toc + 40..toc + 48, toc + 32);
        let crc = crc32c::crc32c(&bytes[toc..toc + 48]).to_be_bytes();
        bytes[toc + 48..].copy_from_slice(&crc);
    };
    let swap_labels = |bytes: &mut Vec<u8>| {
        let toc = bytes.len() - 52;
        let series = u64::from_be_bytes(*bytes[toc + 8..].first_chunk().unwrap());
        // Behind the length, one byte long: two labels, each of a name and a value of one byte.
        let start = usize::try_from(series).unwrap().next_multiple_of(16) + 1;
        let end = start + usize::from(bytes[start - 1]);
        bytes[start + 1..start + 5].rotate_left(2);
        let crc = crc32c::crc32c(&bytes[start..end]).to_be_bytes();
        bytes[end..end + 4].copy_from_slice(&crc);
    };
    type Break<'a> = Box<dyn Fn(&Dir, &Dir) + 'a>;
    let cases: Vec<(Break<'_>, Check)> = vec![
        (Box::new(|_, block| edit(block, "chunks/000001", |bytes| bytes[40] ^= 1)), Check::Readable),
        (Box::new(|_, block| edit(block, "index", |bytes| bytes[20] ^= 1)), Check::Readable),
        (Box::new(|_, block| edit_meta(block, "\"version\": 1", "\"version\": 2")), Check::Readable),
        (Box::new(|_, block| edit_meta(block, &format!("\"{own}\"\n    ]"), "]")), Check::Sources),
        (Box::new(|dir, _| edit_meta(&write(dir, Ulid(2)), "\"level\": 1", "\"level\": 2")), Check::BlockOverlap),
        (
            Box::new(|dir, _| {
                let (other, first) = (write(dir, Ulid(2)), format!("\"{own}\""));
                edit_meta(&other, "\"sources\": [", &format!("\"sources\": [ {first},"));
            }),
            Check::SharedSources,
        ),
        (Box::new(|_, block| edit(block, "index", swap_sections)), Check::SectionOrder),
        (Box::new(|_, block| edit_meta(block, "\"maxTime\": 10000", "\"maxTime\": 1990")), Check::ChunkBounds),
        (Box::new(|_, block| edit_meta(block, "\"minTime\": 0", "\"minTime\": 1")), Check::ChunkBounds),
        (Box::new(|_, block| edit_meta(block, "\"numChunks\": 6", "\"numChunks\": 7")), Check::Counts),
        (Box::new(|_, block| reindex(block, &[("b", &[first]), ("a", &[first])])), Check::SeriesOrder),
        (Box::new(|_, block| reindex(block, &[("a", &[first]), ("a", &[first])])), Check::SeriesOrder),
        (Box::new(|_, block| edit(block, "index", swap_labels)), Check::Readable),
        // A sidecar uploads nothing at all while there is such a directory.
        (Box::new(|_, block| block.remove("meta.json").unwrap()), Check::Readable),
        (Box::new(|_, block| reindex(block, &[("a", &[])])), Check::SeriesChunks),
        (Box::new(|_, block| reindex(block, &[("a", &[first, first])])), Check::Readable),
        (Box::new(|_, block| reindex(block, &[("a", &[ChunkMeta { maxt: 1189, ..first }])])), Check::ChunkSamples),
        (
            Box::new(|_, block| {
                edit(block, "chunks/000001", |bytes| {
                    // The first chunk as one of an encoding of the future, under a right checksum.
                    let len = usize::from(bytes[8] & 0x7f) | usize::from(bytes[9]) << 7;
                    let (start, wide) =
                        if bytes[8] & 0x80 == 0 { (9, 9 + usize::from(bytes[8]) + 1) } else { (10, 11 + len) };
                    bytes[start] = 5;
                    let crc = crc32c::crc32c(&bytes[start..wide]).to_be_bytes();
                    bytes[wide..wide + 4].copy_from_slice(&crc);
                });
            }),
            Check::ChunkEncoding,
        ),
        (
            Box::new(|_, block| {
                // The list of all series names one less, under right checksums.
                edit(block, "index", |bytes| {
                    let toc = bytes.len() - 52;
                    let postings = u64::from_be_bytes(*bytes[toc + 32..].first_chunk().unwrap());
                    let all = usize::try_from(postings).unwrap().next_multiple_of(4);
                    let list = all + 4 + 4 + 3 * 4 + 4;
                    let first = u32::from_be_bytes(*bytes[list + 8..].first_chunk().unwrap());
                    bytes[list + 8..list + 12].copy_from_slice(&(first - 1).to_be_bytes());
                    let len = u32::from_be_bytes(*bytes[list..].first_chunk().unwrap()) as usize;
                    let crc = crc32c::crc32c(&bytes[list + 4..list + 4 + len]).to_be_bytes();
                    bytes[list + 4 + len..list + 8 + len].copy_from_slice(&crc);
                });
            }),
            Check::Postings,
        ),
    ];
    for (i, (break_it, check)) in cases.into_iter().enumerate() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let block = write(&dir, Ulid(1));
        break_it(&dir, &block);
        let report = verify(&dir).unwrap();
        assert!(checks(&report).contains(&check), "case {i}, {}: {:?}", check.name(), report.problems);
    }
}

#[test]
fn the_log_and_its_checkpoint_are_read() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut records = wal::Records::default();
    let sample = |t: i64| wal::SampleRecord { series: wal::SeriesRef(1), sample: model::Sample { t, v: 0.5 } };
    records.samples((0..5).map(sample));
    let (log, bytes) = (dir.sub("wal").unwrap(), wal::segment_of(&records));
    let checkpoint = log.sub("checkpoint.00000003").unwrap();
    for (place, name) in [(&checkpoint, "00000000"), (&log, "00000004"), (&log, "00000005")] {
        place.replace(name, &bytes).unwrap();
    }
    assert_eq!(verify(&dir).unwrap(), Report { records: 3, ..Report::default() });
    edit(&checkpoint, "00000000", |bytes| bytes[9] ^= 1);
    edit(&log, "00000004", |bytes| bytes[9] ^= 1);
    let report = verify(&dir).unwrap();
    let files: Vec<&str> = report.problems.iter().map(|problem| &*problem.file).collect();
    assert_eq!((report.records, checks(&report)), (1, vec![Check::Readable]));
    assert_eq!(files, ["wal/checkpoint.00000003/00000000", "wal/00000004"]);
}
