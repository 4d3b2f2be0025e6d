//! Files of chunks alone, and under a whole store: moved out, read back, damaged, rebuilt from the log.

use std::path::{Path, PathBuf};
use std::process::Command;

use model::{Budget, Columns, Histogram, Labels, Queryable, Sample, SampleValue, Scope, Span, Timestamp};

use super::*;
use crate::head::SeriesKey;
use crate::{Db, Options};

fn sealed(series: u64, len: usize) -> Sealed {
    let range = TimeRange { mint: 10, maxt: 20 };
    Sealed {
        series: SeriesRef(series),
        range,
        encoding: Encoding::Xor,
        bytes: vec![u8::try_from(series % 251).unwrap(); len].into(),
    }
}

fn names(dir: &Dir) -> Vec<String> {
    dir.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

/// Flips a bit in place, as a bad disk would: a map sees it.
fn flip(path: &Path, at: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn chunks_come_back_and_files_go_from_the_front_when_unused() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let files = ChunkFiles::open(dir.clone(), 1, Kept::default()).unwrap();
    let given: Vec<_> = (1..=300).map(|i| sealed(i, usize::try_from(i).unwrap())).collect();
    let first = files.write(&given).unwrap();
    for (mapped, sealed) in first.iter().zip(&given) {
        assert_eq!(mapped.bytes(TimeRange::ALL).unwrap(), &*sealed.bytes);
        assert_eq!(mapped.len(), sealed.bytes.len());
    }
    let second = files.write(&given[..1]).unwrap();
    let third = files.write(&given[..1]).unwrap();
    assert_eq!(names(&dir), ["000001", "000002", "000003"]);
    drop(second);
    files.remove_unused().unwrap();
    assert_eq!(names(&dir), ["000001", "000002", "000003"]);
    drop(first);
    files.remove_unused().unwrap();
    assert_eq!(names(&dir), ["000003"]);
    drop(third);
    files.remove_unused().unwrap();
    let _fourth = files.write(&given[..1]).unwrap();
    assert_eq!(names(&dir), ["000004"]);
}

#[test]
fn files_of_an_earlier_run_are_removed_and_others_left_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    for name in ["000007", "000008", "000009.tmp", "notes.txt"] {
        dir.replace(name, b"x").unwrap();
    }
    let files = ChunkFiles::open(dir.clone(), 1, Kept::default()).unwrap();
    files.write(&[sealed(1, 20)]).unwrap();
    assert_eq!(names(&dir), ["000001", "notes.txt"]);
}

/// Worked out by hand from the format's description, the checksums aside.
#[test]
fn bytes_are_those_of_the_format() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let chunk = Sealed { range: TimeRange { mint: -1, maxt: 256 }, ..sealed(7, 3) };
    ChunkFiles::open(dir.clone(), 1, Kept::default()).unwrap().write(&[chunk]).unwrap();
    let bytes = dir.read("000001").unwrap();
    let header = [0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    let (series, mint, maxt) = ([0, 0, 0, 0, 0, 0, 0, 7], [0xff; 8], [0, 0, 0, 0, 0, 0, 1, 0]);
    let body = [&series[..], &mint, &maxt, &[1, 3, 7, 7, 7]].concat();
    let crc = crc32c::crc32c(&body).to_be_bytes();
    assert_eq!(bytes, [&header[..], &body, &crc].concat());
}

#[test]
fn a_damaged_chunk_is_refused_and_told_and_the_others_are_served() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let findings = Findings::default();
    let files = ChunkFiles::open(dir, 1, Kept::none(findings.clone())).unwrap();
    let mapped = files.write(&[sealed(1, 40), sealed(2, 40)]).unwrap();
    flip(&tmp.path().join("000001"), 60);
    assert!(!files.is_damaged());
    let range = TimeRange { mint: 10, maxt: 20 };
    assert!(mapped[0].bytes(range).is_err() && mapped[0].bytes(range).is_err());
    assert!(mapped[1].bytes(range).is_ok() && files.is_damaged());
    let found = findings.all();
    assert_eq!((found.len(), &*found[0].file), (1, "chunks_head/000001"));
    assert!(found[0].touches(range) && found[0].warning().starts_with("chunks_head is damaged"));
}

/// 2026-01-01, a block boundary.
const START: Timestamp = 1_767_225_600_000;

fn open(path: &Path) -> Db {
    Db::open(Dir::open(path).unwrap(), Options { head_chunk_file_bytes: 1000, ..Options::default() }).unwrap()
}

fn append(db: &Db, series: u128, samples: impl Iterator<Item = (Timestamp, f64)>) -> crate::AppendReport {
    let mut appender = db.appender();
    let labels = Labels::from_pairs([("__name__", "m"), ("i", series.to_string().as_str())]);
    let handle = appender.series(SeriesKey(series), &labels);
    samples.for_each(|(t, v)| appender.sample(&handle, Sample { t, v }));
    appender.commit(START + 3_600_000).unwrap()
}

/// The number of samples of each series, and the warnings.
fn read(db: &Db) -> (Vec<usize>, Vec<String>) {
    let budget = Budget::unlimited();
    let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &budget).unwrap();
    let mut columns = Columns::default();
    let lens = (0..selected.series.len()).map(|idx| {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        assert!(columns.timestamps.is_sorted());
        columns.len()
    });
    (lens.collect(), budget.warnings())
}

/// A store of three series, 1000 samples each, whose 24 sealed chunks are in files.
fn offloaded(path: &Path) -> Db {
    let db = open(path);
    for series in 0..3 {
        append(&db, series, (0..1000).map(|i| (START + i * 1000, i as f64 / 3.0)));
    }
    db.maintain(START).unwrap();
    assert_eq!(in_memory(&db), 0);
    db
}

#[test]
fn a_store_reads_adds_and_flushes_what_is_in_files() {
    let tmp = tempfile::tempdir().unwrap();
    let db = offloaded(tmp.path());
    let size = db.head().size();
    assert_eq!((read(&db), size.0), ((vec![1000; 3], vec![]), 27));
    let late = append(&db, 1, [(START + 5000, 5.0 / 3.0), (START + 6000, 7.0), (START + 6500, 1.0)].into_iter());
    assert_eq!((late.written.floats, late.duplicates.floats, db.head().out_of_order()), (1, 1, 1));
    assert_eq!(read(&db).0, [1000, 1001, 1000]);
    assert!(!names(&Dir::open(tmp.path().join(CHUNKS_HEAD_DIR)).unwrap()).is_empty());
    db.flush().unwrap();
    db.maintain(START).unwrap();
    assert_eq!(names(&Dir::open(tmp.path().join(CHUNKS_HEAD_DIR)).unwrap()), [""; 0]);
    assert_eq!(read(&db).0, [1000, 1001, 1000]);
    drop(db);
    assert_eq!(read(&open(tmp.path())).0, [1000, 1001, 1000]);
}

/// Sealed chunks in the memory of the store.
fn in_memory(db: &Db) -> usize {
    db.head().all_series().iter().map(|series| series.sealed_in_memory().len()).sum()
}

#[test]
fn a_start_takes_all_from_the_log_and_writes_files_as_it_goes() {
    let tmp = tempfile::tempdir().unwrap();
    drop(offloaded(tmp.path()));
    flip(&tmp.path().join(CHUNKS_HEAD_DIR).join("000001"), 60);
    let db = open(tmp.path());
    assert_eq!((read(&db), db.integrity()), ((vec![1000; 3], vec![]), vec![]));
    assert_eq!(in_memory(&db), 0);
    let whole = Options { head_chunk_file_bytes: 1 << 20, ..Options::default() };
    drop(db);
    let db = Db::open(Dir::open(tmp.path()).unwrap(), whole).unwrap();
    assert_eq!((names(&Dir::open(tmp.path().join(CHUNKS_HEAD_DIR)).unwrap()), in_memory(&db)), (vec![], 24));
}

/// What a damaged chunk had is missing and told; a flush in between must not make the log forget it.
#[test]
fn a_damaged_chunk_comes_back_with_the_next_start_even_after_a_flush() {
    for flushed in [false, true] {
        let tmp = tempfile::tempdir().unwrap();
        let db = offloaded(tmp.path());
        flip(&tmp.path().join(CHUNKS_HEAD_DIR).join("000001"), 60);
        for _ in 0..2 {
            let (lens, warnings) = read(&db);
            assert_eq!((lens.iter().sum::<usize>(), warnings.len()), (3000 - 120, 1), "{warnings:?}");
        }
        assert_eq!(db.integrity().len(), 1);
        if flushed {
            db.flush().unwrap();
            append(&db, 0, [(START + 2_000_000, 1.0)].into_iter());
            db.flush().unwrap();
            assert_eq!(read(&db).0.iter().sum::<usize>(), 3001 - 120);
        }
        drop(db);
        let db = open(tmp.path());
        assert_eq!(read(&db), (vec![1000 + usize::from(flushed), 1000, 1000], vec![]));
    }
}

/// The `promtool` of a real Prometheus, in `$PEERS_BIN`, if that is set.
fn promtool() -> Option<PathBuf> {
    let dir = std::env::var_os("PEERS_BIN").filter(|dir| !dir.is_empty())?;
    Some(PathBuf::from(dir).join("promtool"))
}

/// A counter that grows by one bucket every so often.
fn histogram(i: i64) -> Histogram {
    let buckets: Vec<f64> = (0..=i / 50).map(|bucket| (i - 50 * bucket + 1) as f64 * 3.0).collect();
    Histogram {
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: buckets.iter().sum::<f64>() + 2.0,
        sum: i as f64 / 4.0,
        positive_spans: vec![Span { offset: 5, length: u32::try_from(buckets.len()).unwrap() }],
        positive_buckets: buckets,
        ..Histogram::default()
    }
}

/// What it reads must be the chunks of the files with what the log has behind them, and later the same in a block.
#[test]
fn prometheus_reads_the_files_the_log_behind_them_and_blocks() {
    let Some(promtool) = promtool() else { return };
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let labels = |name| Labels::from_pairs([("__name__", name)]);
    let mut appender = db.appender();
    let [floats, whole, fractions] = ["floats", "whole", "fractions"].map(|name| {
        let key = SeriesKey(name.len() as u128);
        appender.series(key, &labels(name))
    });
    let mut expected = Vec::new();
    for i in 0..500 {
        let t = START + i * 1000;
        let half = |count: &f64| count / 2.0;
        let one = Arc::new(histogram(i));
        let mut other = Histogram { count: one.count / 2.0, zero_count: 1.0, ..histogram(i) };
        other.positive_buckets = one.positive_buckets.iter().map(half).collect();
        expected.push(format!("{{__name__=\"floats\"}} {i} {t}"));
        // Its dump loses the first histogram of a series, and of whole counts the second too.
        if 1 < i {
            expected.push(format!("{{__name__=\"whole\"}} {one} {t}"));
        }
        if 0 < i {
            expected.push(format!("{{__name__=\"fractions\"}} {other} {t}"));
        }
        appender.sample(&floats, Sample { t, v: i as f64 });
        appender.value(&whole, t, SampleValue::Histogram(one));
        appender.value(&fractions, t, SampleValue::FloatHistogram(Arc::new(other)));
    }
    assert_eq!(appender.commit(START + 3_600_000).unwrap().written.samples(), 1500);
    expected.sort();
    db.maintain(START).unwrap();
    let files = || names(&Dir::open(tmp.path().join(CHUNKS_HEAD_DIR)).unwrap()).len();
    for in_block in [false, true] {
        if in_block {
            db.flush().unwrap();
            db.maintain(START).unwrap();
        }
        assert_eq!((files() == 0, read(&db).0), (in_block, vec![500; 3]));
        let output = Command::new(&promtool).args(["tsdb", "dump"]).arg(tmp.path()).output().unwrap();
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        // A file it could not read would be named here, and its samples taken from the log.
        assert!(output.status.success() && err.is_empty(), "{err}");
        let mut found: Vec<&str> = out.lines().collect();
        found.sort_unstable();
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected);
        }
        assert_eq!(found.len(), expected.len());
    }
}
