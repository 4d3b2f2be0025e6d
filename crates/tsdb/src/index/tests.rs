//! The writer's batches, and indexes whose checksums are right and whose contents are not.

#![expect(clippy::cast_possible_truncation, reason = "the files of tests are small")]

use std::ops::Range;

use disk::Dir;
use model::{Budget, Labels, MatchOp, Matcher};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::layout::{CRC_BYTES, LEN_BYTES};
use super::*;
use crate::chunk::varint;
use crate::select;

fn series(n: usize) -> Vec<(Labels, Vec<ChunkMeta>)> {
    let mut all: Vec<_> = (0..n)
        .map(|i| {
            let (id, zone, one) = (i.to_string(), (i % 3).to_string(), format!("label_{}", i % 20));
            let labels = Labels::from_pairs([("id", id.as_str()), ("zone", &zone), (&one, "x")]);
            let chunk = |c: i64| ChunkMeta { mint: c * 100 - 50, maxt: c * 100, reference: 8 + c.cast_unsigned() * 40 };
            (labels, (0..1 + i as i64 % 3).map(chunk).collect())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn write(dir: &Dir, series: &[(Labels, Vec<ChunkMeta>)], batch_refs_max: Option<u64>) -> Vec<u8> {
    let mut writer = IndexWriter::create(dir).unwrap();
    writer.batch_refs_max = batch_refs_max.unwrap_or(writer.batch_refs_max);
    for (labels, chunks) in series {
        writer.add(labels, chunks).unwrap();
    }
    writer.finish().unwrap();
    let names: Vec<String> = dir.list().unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, [INDEX_FILE], "no temporary file stays");
    let bytes = dir.read(INDEX_FILE).unwrap();
    dir.remove(INDEX_FILE).unwrap();
    bytes
}

#[test]
fn postings_in_many_batches_are_the_same_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let series = series(100);
    let whole = write(&dir, &series, None);
    for batch_refs_max in [0, 1, 7, 50, 299] {
        assert!(write(&dir, &series, Some(batch_refs_max)) == whole, "batches of {batch_refs_max}");
    }
}

#[test]
fn series_come_back_with_their_chunks() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let written = series(300);
    let bytes = write(&dir, &written, None);
    dir.replace(INDEX_FILE, &bytes).unwrap();
    let index = Index::open(&dir, "b").unwrap();
    let mut reader = index.series();
    let read = index.all().unwrap().into_iter().map(|reference| reader.read(reference).unwrap());
    let read: Vec<_> = read.map(|series| (series.labels, series.chunks.into_vec())).collect();
    assert_eq!(read, written);
}

/// What each checksum of the file covers; the checksum is behind it.
fn checked_ranges(file: &BlockFile) -> Vec<Range<usize>> {
    let toc = Toc::read(file).unwrap();
    let section = |offset: u64| {
        let (start, content) = layout::section(file, offset).unwrap();
        start as usize..start as usize + content.len()
    };
    let mut ranges = vec![section(toc.symbols), section(toc.postings_table)];
    let mut at = toc.series as usize;
    while at < toc.label_indices as usize {
        at = at.next_multiple_of(16);
        let (len, rest) = varint::split_uvarint(&file.bytes()[at..]).unwrap();
        let start = file.bytes().len() - rest.len();
        ranges.push(start..start + len as usize);
        at = start + len as usize + CRC_BYTES;
    }
    let mut at = (toc.postings as usize).next_multiple_of(LEN_BYTES);
    while at < toc.postings_table as usize {
        ranges.push(section(at as u64));
        at = section(at as u64).end + CRC_BYTES;
    }
    let end = file.bytes().len();
    ranges.push(end - 52..end - CRC_BYTES);
    ranges
}

fn read_everything(dir: &Dir) -> Result<usize, BlockError> {
    let (index, budget) = (Index::open(dir, "b")?, Budget::unlimited());
    let mut reader = index.series();
    let mut count = 0;
    for (name, op, value) in [
        ("", MatchOp::Equal, ""),
        ("id", MatchOp::Regex, "1.*"),
        ("id", MatchOp::Equal, "7"),
        ("zone", MatchOp::NotEqual, "1"),
        ("label_3", MatchOp::NotEqual, ""),
    ] {
        for reference in select::select(&index, &[Matcher::new(name, op, value).unwrap()], &budget)? {
            count += usize::from(reader.read(reference).is_ok());
        }
    }
    for name in index.names() {
        for value in index.values(name) {
            count += usize::from(value?.is_among(&RoaringBitmap::from([1, 2]))?);
        }
    }
    Ok(count)
}

/// A checksum tells of a broken disk, not of a broken or hostile writer.
#[test]
fn wrong_contents_under_right_checksums_do_not_make_reading_panic() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let bytes = write(&dir, &series(60), None);
    dir.replace(INDEX_FILE, &bytes).unwrap();
    let ranges = checked_ranges(&BlockFile::map(&dir, INDEX_FILE, "b".to_owned()).unwrap());
    assert!(ranges.len() > 60 + 20);
    let mut rng = SmallRng::seed_from_u64(5);
    for round in 0..2000 {
        let range = &ranges[round % ranges.len()];
        let mut changed = bytes.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(range.clone());
            changed[at] = if rng.random() { rng.random() } else { changed[at].wrapping_add(1) };
        }
        let crc = crc32c::crc32c(&changed[range.clone()]);
        changed[range.end..range.end + CRC_BYTES].copy_from_slice(&crc.to_be_bytes());
        dir.remove(INDEX_FILE).unwrap();
        dir.create(INDEX_FILE).unwrap().append(&changed).unwrap();
        let _ = read_everything(&dir);
    }
}
