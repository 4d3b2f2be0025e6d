//! A crash between any two steps of a flush: pieces of the directory before and after it make every state in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use disk::Dir;
use model::{Sample, Scope, TimeRange};

use crate::{Expected, HOUR_MS, MINUTE_MS, START, append, labels, open, read, read_all};

/// Every file of a directory tree, by its path inside.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(root: &Path) -> Files {
    let (mut files, mut dirs) = (Files::new(), vec![root.to_owned()]);
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                let inside = path.strip_prefix(root).unwrap().to_owned();
                files.insert(inside, fs::read(path).unwrap());
            }
        }
    }
    files
}

fn put(root: &Path, files: &Files) {
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn blocks(files: &Files) -> Vec<String> {
    let metas = files.keys().filter(|path| path.ends_with("meta.json"));
    let mut names: Vec<String> = metas.map(|path| path.parent().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

fn filter(files: &Files, keep: impl Fn(&Path) -> bool) -> Files {
    files.iter().filter(|(path, _)| keep(path)).map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

/// Opens `state`, expects `expected`, and again after a restart, after a flush, and after a restart behind that.
#[track_caller]
fn assert_recovers(state: &Files, expected: &Expected, what: &str) {
    let tmp = tempfile::tempdir().unwrap();
    put(tmp.path(), state);
    for round in ["first open", "second open"] {
        let db = open(tmp.path());
        assert_eq!(db.damages(), [""; 0], "{what}, {round}");
        assert_eq!(&read_all(&db), expected, "{what}, {round}");
    }
    let db = open(tmp.path());
    db.flush().unwrap();
    assert_eq!(&read_all(&db), expected, "{what}, flushed");
    drop(db);
    assert_eq!(&read_all(&open(tmp.path())), expected, "{what}, flushed and opened");
}

/// Seven hours of three series, with late samples, in several segments.
fn fill(path: &Path) -> Expected {
    let mut expected = Expected::new();
    for part in 0..3 {
        let db = open(path);
        for step in 0..14 {
            let t = START + part * 140 * MINUTE_MS + step * 10 * MINUTE_MS;
            let late = Sample { t: t - 95 * MINUTE_MS, v: 2.5 };
            let samples =
                [(1, Sample { t, v: 1.0 }), (2, Sample { t: t + 1, v: 2.0 }), (1, late), (3, Sample { t, v: 3.0 })];
            assert_eq!(append(&db, t, &samples).written.floats, 4);
            for (series, sample) in samples {
                expected.entry(labels(series)).or_default().insert(sample.t, sample.v.to_bits());
            }
        }
    }
    expected
}

#[test]
fn every_state_between_the_steps_of_a_flush_recovers() {
    let tmp = tempfile::tempdir().unwrap();
    for forced in [false, true] {
        let path = tmp.path().join(forced.to_string());
        let expected = fill(&path);
        let before = files(&path);
        let db = open(&path);
        match forced {
            true => db.flush().unwrap(),
            false => db.maintain(START).unwrap(),
        }
        drop(db);
        let after = files(&path);
        let blocks = blocks(&after);
        assert!(blocks.len() >= 3, "{blocks:?}");
        let is_block = |path: &Path| !path.starts_with("wal") && path != Path::new("lock");
        let log_before = filter(&before, |path| !is_block(path));

        for count in 0..=blocks.len() {
            let mut state = filter(&after, |path| blocks[..count].iter().any(|block| path.starts_with(block)));
            state.extend(log_before.clone());
            assert_recovers(&state, &expected, &format!("forced {forced}, {count} blocks, whole log"));
            let Some(next) = blocks.get(count) else { continue };
            for (path, bytes) in filter(&after, |path| path.starts_with(next)) {
                let file = path.strip_prefix(next).unwrap();
                let half = bytes[..bytes.len() / 2].to_vec();
                state.insert(Path::new(&format!("{next}.tmp-for-creation")).join(file), half);
            }
            assert_recovers(&state, &expected, &format!("forced {forced}, {count} blocks and half of one"));
        }
        let mut state = after.clone();
        state.extend(log_before.clone());
        assert_recovers(&state, &expected, "checkpoint, and all segments");
        for segment in log_before.keys().filter(|path| path.starts_with("wal")) {
            let mut state = after.clone();
            state.extend(filter(&before, |path| path >= segment && path.starts_with("wal")));
            assert_recovers(&state, &expected, "checkpoint, and the segments from one on");
        }
        let mut state = log_before.clone();
        state.extend(filter(&after, is_block));
        state.insert("wal/checkpoint.tmp/00000000".into(), vec![1, 2, 3]);
        assert_recovers(&state, &expected, "half a checkpoint");
        assert_recovers(&after, &expected, "everything done");

        // Not a crash: what the log still has makes up for a block that cannot be read.
        let mut state = log_before;
        state.extend(filter(&after, is_block));
        state.insert(Path::new(&blocks[0]).join("meta.json"), b"{".to_vec());
        let path = tmp.path().join(format!("{forced}, unreadable"));
        put(&path, &state);
        let db = open(&path);
        assert!(matches!(&*db.damages(), [one] if one.contains(&blocks[0])), "{:?}", db.damages());
        assert_eq!(read_all(&db), expected, "forced {forced}, one block unreadable");
    }
}

#[test]
fn a_store_whose_log_was_taken_away_does_not_take_a_new_one_for_the_old() {
    let tmp = tempfile::tempdir().unwrap();
    let mut expected = fill(tmp.path());
    open(tmp.path()).flush().unwrap();
    fs::remove_dir_all(tmp.path().join("wal")).unwrap();
    let db = open(tmp.path());
    let t = START + 6 * HOUR_MS + 5;
    assert_eq!(append(&db, t, &[(1, Sample { t, v: 7.0 })]).written.floats, 1);
    drop(db);
    expected.entry(labels(1)).or_default().insert(t, 7f64.to_bits());
    assert_eq!(read_all(&open(tmp.path())), expected);
}

#[test]
fn the_first_value_of_a_time_stays_whatever_is_flushed_later() {
    for seed in 0..6 {
        let tmp = tempfile::tempdir().unwrap();
        let mut db = open(tmp.path());
        let at = |minute: i64, v: f64| (1, Sample { t: START + minute * MINUTE_MS, v });
        let now = START + 2 * HOUR_MS;
        assert_eq!(append(&db, now, &[at(60, 1.0), at(61, 1.0), at(125, 1.0)]).written.floats, 3);
        db.flush().unwrap();
        if seed % 2 == 0 {
            drop(db);
            db = open(tmp.path());
        }
        // The store compares late samples with the head only, which has none of these any more.
        assert_eq!(append(&db, now, &[at(50, 2.0), at(60, 2.0), at(61, 2.0), at(70, 2.0)]).written.floats, 4);
        let minutes = |values: &[(i64, f64)]| -> Expected {
            let samples = values.iter().map(|(minute, v)| (START + minute * MINUTE_MS, v.to_bits())).collect();
            [(labels(1), samples)].into()
        };
        let expected = minutes(&[(50, 2.0), (60, 1.0), (61, 1.0), (70, 2.0), (125, 1.0)]);
        assert_eq!(read_all(&db), expected, "in the head, seed {seed}");
        db.flush().unwrap();
        assert_eq!(read_all(&db), expected, "in a block, seed {seed}");
        drop(db);
        let db = open(tmp.path());
        assert_eq!(read_all(&db), expected, "after a restart, seed {seed}");
        let range = TimeRange { mint: START + 60 * MINUTE_MS, maxt: START + 60 * MINUTE_MS };
        assert_eq!(read(&db, Scope::All, &[], range), minutes(&[(60, 1.0)]), "seed {seed}");
    }
}

#[test]
fn retention_frees_the_disk_even_when_a_flush_fails() {
    let tmp = tempfile::tempdir().unwrap();
    let options = tsdb::Options { retention_ms: Some(6 * HOUR_MS), ..tsdb::Options::default() };
    let db = tsdb::Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    append(&db, START, &[(1, Sample { t: START, v: 1.0 })]);
    db.flush().unwrap();
    let now = START + 9 * HOUR_MS;
    append(&db, now, &[(1, Sample { t: START + 3 * HOUR_MS, v: 1.0 }), (1, Sample { t: now, v: 1.0 })]);
    // Without its directory the log cannot go on to the next segment, so no flush begins.
    fs::remove_dir_all(tmp.path().join("wal")).unwrap();
    db.maintain(now).unwrap_err();
    assert_eq!(db.stats().blocks_mint.filter(|t| *t <= START), None);
}
