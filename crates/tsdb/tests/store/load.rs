//! Writers, a reader, maintenance and copies at the same time: what was acknowledged is always there, once.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};

use disk::Dir;
use model::{Budget, Sample, Scope, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tsdb::{Db, Options};

use crate::{Expected, HOUR_MS, MINUTE_MS, START, append, labels, read_all};

const WRITERS: usize = 3;
const COMMITS: usize = 500;

/// What writers, the reader and the flusher share.
struct Shared<'a> {
    db: &'a Db,
    /// Each commit takes its times after it, so no two samples share one.
    clock: AtomicI64,
    acknowledged: Mutex<Expected>,
    writing: AtomicUsize,
}

/// A writer at work; one that fails is no longer at work either, so that nobody waits for it.
struct Writing<'a>(&'a AtomicUsize);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Shared<'_> {
    fn write(&self, seed: u64) {
        let _writing = Writing(&self.writing);
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..COMMITS {
            let now = self.clock.fetch_add(7 * MINUTE_MS, SeqCst);
            // Late samples of one commit must not fall on those of another.
            let own = (now - START) / (7 * MINUTE_MS) % 1000 * 10;
            let mut samples = Vec::new();
            for i in 0..rng.random_range(1..8) {
                let late =
                    if rng.random_range(0..4) == 0 { rng.random_range(0..5 * HOUR_MS / 10_000) * 10_000 } else { 0 };
                // Series come and go with the hours, so that some leave the head, and one comes back.
                let series = u32::try_from((now - START) / (9 * HOUR_MS)).unwrap() * 4 + rng.random_range(0..4);
                let series = if rng.random_range(0..12) == 0 { 0 } else { series };
                samples.push((series, Sample { t: now - late + own + i, v: rng.random() }));
            }
            let report = append(self.db, now, &samples);
            assert_eq!(report.refused_total(), 0, "{report:?}");
            let mut acknowledged = self.acknowledged.lock().unwrap();
            for (series, sample) in samples {
                acknowledged.entry(labels(series)).or_default().entry(sample.t).or_insert(sample.v.to_bits());
            }
        }
    }

    fn is_writing(&self) -> bool {
        self.writing.load(SeqCst) > 0
    }

    fn acknowledged(&self) -> Expected {
        self.acknowledged.lock().unwrap().clone()
    }
}

/// Opens the store with a window that no writer falls out of, however long the machine lets it wait for its turn.
fn open(path: &Path) -> Db {
    let options = Options { head_chunk_file_bytes: 4 << 10, out_of_order_window_ms: i64::MAX, ..Options::default() };
    Db::open(Dir::open(path).unwrap(), options).unwrap()
}

/// `found` has every sample of `acknowledged`, whatever else it has.
#[track_caller]
fn assert_holds(found: &Expected, acknowledged: &Expected) {
    for (labels, samples) in acknowledged {
        for (t, bits) in samples {
            let there = found.get(labels).and_then(|samples| samples.get(t));
            assert_eq!(there, Some(bits), "{labels} at {}", t - START);
        }
    }
}

/// Every label value of `acknowledged` is found.
#[track_caller]
fn assert_names(db: &Db, acknowledged: &Expected) {
    let (querier, budget) = (db.querier(Scope::All), Budget::unlimited());
    let found = querier.label_values("instance", &[], TimeRange::ALL, 0, &budget).unwrap();
    for labels in acknowledged.keys() {
        let value = labels.get("instance").unwrap();
        assert!(found.iter().any(|found| found == value), "{value} is not among {found:?}");
    }
}

/// Copies a store that is being written, the log before the blocks: what leaves the log meanwhile is in a block by then.
fn copy_running(from: &Path, to: &Path) {
    copy(&from.join("wal"), &to.join("wal"));
    copy(from, to);
}

/// Copies a directory. What is there already stays, and what goes away meanwhile is left out.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let Ok(entries) = fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && entry.file_name() == "wal" && to.exists() => {}
            Ok(kind) if kind.is_dir() => copy(&entry.path(), &to),
            _ => _ = fs::copy(entry.path(), to),
        }
    }
}

#[test]
fn nothing_acknowledged_is_missed_while_the_head_is_flushed() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let shared = Shared {
        db: &db,
        clock: AtomicI64::new(START),
        acknowledged: Mutex::default(),
        writing: AtomicUsize::new(WRITERS),
    };
    let checks = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let shared = &shared;
        for seed in 0..WRITERS as u64 {
            scope.spawn(move || shared.write(seed));
        }
        scope.spawn(|| {
            while shared.is_writing() {
                let acknowledged = shared.acknowledged();
                assert_holds(&read_all(shared.db), &acknowledged);
                assert_names(shared.db, &acknowledged);
                checks.fetch_add(1, SeqCst);
            }
        });
        scope.spawn(|| {
            let mut round = 0;
            while shared.is_writing() {
                round += 1;
                if round % 8 == 0 {
                    shared.db.flush().unwrap();
                } else {
                    shared.db.maintain(shared.clock.load(SeqCst)).unwrap();
                }
            }
        });
    });
    assert!(checks.load(SeqCst) > 0);
    let acknowledged = shared.acknowledged();
    assert_eq!(read_all(&db), acknowledged);
    drop(db);
    assert_eq!(read_all(&open(tmp.path())), acknowledged);
}

#[test]
fn a_copy_of_a_running_store_has_what_was_acknowledged_before() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(&tmp.path().join("store"));
    let shared =
        Shared { db: &db, clock: AtomicI64::new(START), acknowledged: Mutex::default(), writing: AtomicUsize::new(1) };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| shared.write(9));
        scope.spawn(|| {
            while !done.load(SeqCst) {
                // Not merged meanwhile: files that replace others are for snapshots, not for a copy made one by one.
                shared.db.flush().unwrap();
            }
        });
        for i in 0..8 {
            let acknowledged = shared.acknowledged();
            let to = tmp.path().join(format!("copy-{i}"));
            copy_running(&tmp.path().join("store"), &to);
            let found = read_all(&open(&to));
            assert_holds(&found, &acknowledged);
            assert_eq!(read_all(&open(&to)), found, "copy {i}");
        }
        done.store(true, SeqCst);
    });
}
