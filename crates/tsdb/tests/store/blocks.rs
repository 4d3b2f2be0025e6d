//! The life of blocks: merged without a sample lost, removed by age and size, replaced when damaged.

use std::path::{Path, PathBuf};

use disk::Dir;
use model::{Budget, Matcher, Queryable, Sample, Scope, TimeRange};
use tsdb::{Db, Options};

use crate::{Expected, HOUR_MS, MINUTE_MS, START, append, open, read_all};

/// Three series, a sample each five minutes for `hours`, with maintenance each hour.
fn fill(db: &Db, hours: i64) {
    for step in 0..hours * 12 {
        let t = START + step * 5 * MINUTE_MS;
        let samples: Vec<_> = (0..3).map(|series| (series, Sample { t, v: step as f64 })).collect();
        append(db, t, &samples);
        if step % 12 == 11 {
            db.maintain(t).unwrap();
        }
    }
}

/// The directories of blocks inside `path`.
fn block_dirs(path: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut dirs: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.join("meta.json").exists()).collect();
    dirs.sort();
    dirs
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

fn hours(db: &Db) -> Vec<(i64, i64)> {
    let hour = |t: i64| (t - START).div_euclid(HOUR_MS);
    let mut all: Vec<_> = db.block_list().iter().map(|(m, _)| (hour(m.min_time), hour(m.max_time))).collect();
    all.sort_unstable();
    all
}

#[test]
fn two_days_become_few_blocks() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 48);
    let expected = read_all(&db);
    assert_eq!(expected.values().map(|samples| samples.len()).sum::<usize>(), 48 * 12 * 3);
    // 2026-01-01 is no multiple of 18 hours, so the first ranges are cut.
    let blocks = hours(&db);
    assert!(blocks.len() <= 8 && blocks.windows(2).all(|w| w[0].1 <= w[1].0), "{blocks:?}");
    assert!(blocks.iter().any(|(start, end)| end - start == 18), "{blocks:?}");
    assert_eq!(block_dirs(tmp.path()).len(), blocks.len());
    drop(db);
    let db = open(tmp.path());
    assert!(read_all(&db) == expected);
    assert_eq!(hours(&db), blocks);
}

#[test]
fn blocks_of_two_hours_stay_when_told_so() {
    let tmp = tempfile::tempdir().unwrap();
    let options = Options { block_ms_max: Some(2 * HOUR_MS), ..Options::default() };
    let db = Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    fill(&db, 24);
    let blocks = hours(&db);
    assert!(blocks.len() >= 10 && blocks.iter().all(|(start, end)| end - start == 2), "{blocks:?}");
}

#[test]
fn parents_that_a_crash_left_behind_go_at_the_start() {
    let tmp = tempfile::tempdir().unwrap();
    let (root, kept) = (tmp.path().join("db"), tmp.path().join("kept"));
    let options = || Options { block_ms_max: Some(2 * HOUR_MS), ..Options::default() };
    let db = Db::open(Dir::open(&root).unwrap(), options()).unwrap();
    fill(&db, 24);
    let expected = read_all(&db);
    drop(db);
    copy(&root, &kept);
    let db = open(&root);
    db.compact().unwrap();
    let blocks = hours(&db);
    drop(db);
    let merged = block_dirs(&root);
    for parent in block_dirs(&kept) {
        copy(&parent, &root.join(parent.file_name().unwrap()));
    }
    assert!(block_dirs(&root).len() > merged.len());
    let db = open(&root);
    assert!(read_all(&db) == expected);
    assert_eq!(hours(&db), blocks);
    assert_eq!(block_dirs(&root), merged);
}

#[test]
fn deleted_bytes_are_gone_after_cleaning() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 12);
    db.flush().unwrap();
    let before = db.stats().block_bytes;
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-1")]], TimeRange::ALL).unwrap();
    let expected = read_all(&db);
    assert_eq!(expected.len(), 2);
    db.clean_tombstones().unwrap();
    assert_eq!(read_all(&db), expected);
    assert!(db.stats().block_bytes < before, "{} < {before}", db.stats().block_bytes);
    assert!(block_dirs(tmp.path()).iter().all(|dir| std::fs::metadata(dir.join("tombstones")).unwrap().len() == 9));
    drop(db);
    assert_eq!(read_all(&open(tmp.path())), expected);
}

/// A later version wrote a chunk of the oldest block: it stays as it is, which is told, and the others are cleaned.
#[test]
fn cleaning_goes_on_past_a_block_of_the_future() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 12);
    db.flush().unwrap();
    let (meta, _) = db.block_list().into_iter().min_by_key(|(meta, _)| meta.min_time).unwrap();
    drop(db);
    let block = tmp.path().join(meta.ulid.to_string());
    let mut bytes = std::fs::read(block.join("chunks/000001")).unwrap();
    // The first chunk, behind the header: its length, the encoding, the data, the checksum.
    let (len, from) = match bytes[8] {
        low if low < 0x80 => (usize::from(low), 9),
        low => (usize::from(low & 0x7f) | usize::from(bytes[9]) << 7, 10),
    };
    bytes[from] = 9;
    let crc = crc32c::crc32c(&bytes[from..=from + len]);
    bytes[from + len + 1..from + len + 5].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(block.join("chunks/000001"), bytes).unwrap();
    let db = open(tmp.path());
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-1")]], TimeRange::ALL).unwrap();
    let refused = db.clean_tombstones().unwrap_err().to_string();
    assert!(refused.contains("not supported"), "{refused}");
    let dirty = |dir: &PathBuf| std::fs::metadata(dir.join("tombstones")).unwrap().len() != 9;
    let (dirty, clean): (Vec<_>, Vec<_>) = block_dirs(tmp.path()).into_iter().partition(dirty);
    assert_eq!((&*dirty, clean.is_empty()), (&[block][..], false));
}

#[test]
fn the_oldest_blocks_go_when_the_store_is_too_large() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 48);
    let (blocks, all) = (hours(&db), Dir::open(tmp.path()).unwrap().size_bytes().unwrap());
    drop(db);
    let options = Options { retention_bytes: Some(all * 3 / 4), ..Options::default() };
    let db = Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    db.maintain(START + 48 * HOUR_MS).unwrap();
    let left = hours(&db);
    assert!(!left.is_empty() && left.len() < blocks.len(), "{left:?} of {blocks:?}");
    assert_eq!(left, blocks[blocks.len() - left.len()..]);
    assert!(Dir::open(tmp.path()).unwrap().size_bytes().unwrap() <= all * 3 / 4);
    drop(db);
    // However little is allowed, the newest block stays.
    let options = Options { retention_bytes: Some(1), ..Options::default() };
    let db = Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    db.maintain(START + 48 * HOUR_MS).unwrap();
    assert_eq!(hours(&db), blocks[blocks.len() - 1..]);
}

/// Changes one byte of `file`.
fn flip(file: &Path, at: impl FnOnce(usize) -> usize) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = at(bytes.len());
    bytes[at] ^= 0x10;
    // Not in place: the store may have the file mapped, and real damage does not come through the page cache either.
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

fn warnings(db: &Db, range: TimeRange) -> Vec<String> {
    let budget = Budget::unlimited();
    let selected = db.querier(Scope::All).select(&[], range, &budget).unwrap();
    let mut columns = model::Columns::default();
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
    }
    let mut all = [selected.warnings, budget.warnings()].concat();
    all.sort();
    all.dedup();
    all
}

fn read_quietly(db: &Db) -> Expected {
    let (budget, mut all, mut columns) = (Budget::unlimited(), Expected::new(), model::Columns::default());
    let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &budget).unwrap();
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        let bits = columns.values.iter().map(|v| v.to_bits());
        all.insert(selected.series.labels(idx).clone(), columns.timestamps.iter().copied().zip(bits).collect());
    }
    all
}

/// A store of several blocks, and the oldest of them, in which one byte of `file` was changed.
fn damaged(tmp: &Path, file: &str, at: impl FnOnce(usize) -> usize) -> (Expected, PathBuf) {
    let db = open(tmp);
    fill(&db, 24);
    let expected = read_all(&db);
    let (meta, _) = db.block_list().into_iter().min_by_key(|(meta, _)| meta.min_time).unwrap();
    drop(db);
    let block = tmp.join(meta.ulid.to_string());
    flip(&block.join(file), at);
    (expected, block)
}

#[test]
fn a_damaged_chunk_costs_its_samples_and_the_block_is_salvaged() {
    let tmp = tempfile::tempdir().unwrap();
    let (expected, block) = damaged(tmp.path(), "chunks/000001", |len| len / 2);
    let name = block.file_name().unwrap().to_str().unwrap().to_owned();
    let db = open(tmp.path());
    let last = START + 23 * HOUR_MS;
    let found = read_quietly(&db);
    let len = |samples: &Expected| samples.values().map(|samples| samples.len()).sum::<usize>();
    assert!(len(&found) < len(&expected) && len(&found) + 120 >= len(&expected));
    let told = warnings(&db, TimeRange::ALL);
    assert!(matches!(&*told, [one] if one.contains(&name)), "{told:?}");
    assert_eq!(warnings(&db, TimeRange { mint: last, maxt: last + HOUR_MS }), [""; 0]);
    db.maintain(last).unwrap();
    assert_eq!(read_quietly(&db), found);
    let findings = db.integrity();
    let place = format!("quarantine/{name}");
    assert!(findings.iter().all(|finding| finding.quarantined.as_deref() == Some(&place)), "{findings:?}");
    assert!(!block.exists() && tmp.path().join(&place).join("index").exists());
    drop(db);
    let db = open(tmp.path());
    assert_eq!((read_all(&db), db.integrity().len()), (found, 0));
}

#[test]
fn a_block_that_cannot_be_opened_is_set_aside_and_the_log_gives_what_it_has() {
    let tmp = tempfile::tempdir().unwrap();
    // The symbols: without them no series has a name.
    let (expected, block) = damaged(tmp.path(), "index", |_| 20);
    let name = block.file_name().unwrap().to_str().unwrap().to_owned();
    let db = open(tmp.path());
    let place = tmp.path().join("quarantine").join(&name);
    assert!(!block.exists() && place.join("index").exists());
    let findings = db.integrity();
    assert!(matches!(&*findings, [one] if one.file == name && one.quarantined.is_some()), "{findings:?}");
    assert!(warnings(&db, TimeRange { mint: START, maxt: START })[0].contains(&name));
    assert_eq!(warnings(&db, TimeRange { mint: START + 23 * HOUR_MS, maxt: START + 24 * HOUR_MS }), [""; 0]);
    let found = read_quietly(&db);
    drop(db);
    let db = open(tmp.path());
    assert_eq!((read_all(&db), db.integrity().len()), (found.clone(), 0));
    for (labels, samples) in &found {
        assert!(samples.iter().all(|(t, v)| expected[labels].get(t) == Some(v)));
    }
}

/// An unreadable block makes a start flush what the log has; the last flush ended in the middle of a block range.
#[test]
fn setting_a_block_aside_forgets_nothing_that_came_after_the_last_flush() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let write = |series: u32, minutes: std::ops::Range<i64>| {
        for minute in minutes {
            let sample = Sample { t: START + minute * MINUTE_MS, v: minute as f64 };
            assert_eq!(append(&db, START + 3 * HOUR_MS, &[(series, sample)]).written.floats, 1);
        }
    };
    write(0, 0..100);
    db.flush().unwrap();
    // A sender that lags: its samples lie on both sides of where the flush ended, and one is late.
    write(1, 90..110);
    write(1, 50..51);
    let expected = read_all(&db);
    drop(db);
    std::fs::create_dir(tmp.path().join("01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    for _ in 0..2 {
        assert_eq!(read_quietly(&open(tmp.path())), expected);
    }
}

/// Postings that cannot be read are made anew of the series: nobody's query fails or misses anything.
#[test]
fn damaged_postings_cost_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 24);
    let (range, node_1) = (TimeRange::ALL, [Matcher::equal("instance", "node-1")]);
    let expected = crate::read(&db, Scope::All, &node_1, range);
    let (meta, _) = db.block_list().into_iter().min_by_key(|(meta, _)| meta.min_time).unwrap();
    drop(db);
    let index = tmp.path().join(meta.ulid.to_string()).join("index");
    let sound = std::fs::read(&index).unwrap();
    // The table of contents says where postings begin, and the table behind them.
    let toc = sound[sound.len() - 52..].as_chunks::<8>().0;
    let [start, end] = [4, 5].map(|i| usize::try_from(u64::from_be_bytes(toc[i])).unwrap());
    let mut told = 0;
    for at in (start..end).step_by(5) {
        std::fs::write(&index, &sound).unwrap();
        flip(&index, |_| at);
        let db = open(tmp.path());
        let (querier, budget) = (db.querier(Scope::All), Budget::unlimited());
        let selected = querier.select(&node_1, range, &budget).unwrap();
        let (mut columns, mut found) = (model::Columns::default(), 0);
        for idx in 0..selected.series.len() {
            selected.series.read(idx, &mut columns, &budget).unwrap();
            found += columns.len();
        }
        let names = querier.label_names(&[node_1.to_vec()], range, 0, &budget).unwrap();
        let values = querier.label_values("instance", &[node_1.to_vec()], range, 0, &budget).unwrap();
        let series = querier.series(&[node_1.to_vec()], range, 0, &budget).unwrap();
        assert_eq!((names.len(), &*values, series.len()), (3, &["node-1".to_owned()][..], 1), "byte {at}");
        assert_eq!((found, budget.warnings()), (expected[&crate::labels(1)].len(), vec![]), "byte {at}");
        told += db.integrity().len();
    }
    assert!(0 < told);
}

#[test]
fn the_scrub_reads_every_chunk_within_a_week_of_running() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db, 24);
    let blocks: Vec<_> = db.block_list().iter().map(|(meta, _)| meta.ulid.to_string()).collect();
    drop(db);
    assert!(blocks.len() > 2);
    for block in &blocks {
        let chunks = tmp.path().join(block).join("chunks/000001");
        flip(&chunks, |len| len - 6);
    }
    let (start, week) = (START + 24 * HOUR_MS, 7 * 24 * HOUR_MS);
    let db = open(tmp.path());
    db.maintain(start).unwrap();
    assert_eq!(db.integrity(), []);
    for tick in 1..=7 * 24 {
        db.maintain(start + tick * HOUR_MS).unwrap();
        if tick == 12 {
            assert!(db.integrity().len() < blocks.len(), "not all at once");
        }
    }
    db.maintain(start + week).unwrap();
    let found: std::collections::BTreeSet<String> =
        db.integrity().iter().map(|finding| finding.file.split('/').next().unwrap().to_owned()).collect();
    assert!(blocks.iter().all(|block| found.contains(block)), "{found:?} of {blocks:?}");
    assert!(db.integrity().iter().all(|finding| finding.quarantined.is_some()), "{:?}", db.integrity());
}
