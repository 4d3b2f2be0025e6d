//! Deleted samples are gone from every answer at once, and stay gone.

use model::{Budget, Matcher, ProjectId, Sample, Scope, TimeRange};
use tsdb::{Db, Deleted, Options};

use crate::{HOUR_MS, MINUTE_MS, START, append, labels, open, read_all};

/// Four series, a sample a minute for six hours; the last hour is in the head alone.
fn fill(db: &Db) {
    for minute in 0..360 {
        let t = START + minute * MINUTE_MS;
        let samples: Vec<_> = (0..4).map(|series| (series, Sample { t, v: minute as f64 })).collect();
        append(db, t, &samples);
        if minute == 300 {
            db.flush().unwrap();
        }
    }
}

fn instances(db: &Db, range: TimeRange) -> (Vec<String>, usize, usize) {
    let (querier, budget) = (db.querier(Scope::All), Budget::unlimited());
    let values = querier.label_values("instance", &[], range, 0, &budget).unwrap();
    let names = querier.label_names(&[vec![Matcher::equal("instance", "node-1")]], range, 0, &budget).unwrap();
    (values, querier.series(&[], range, 0, &budget).unwrap().len(), names.len())
}

#[test]
fn what_is_deleted_is_gone_from_every_answer_and_after_a_restart() {
    let tmp = tempfile::tempdir().unwrap();
    let mut db = open(tmp.path());
    fill(&db);
    let mut expected = read_all(&db);
    let set = |i: u32| vec![Matcher::equal("instance", &format!("node-{i}"))];

    // A part of one series, over blocks and the head.
    let part = TimeRange { mint: START + HOUR_MS + 1, maxt: START + 5 * HOUR_MS + 30 * MINUTE_MS };
    let deleted = db.delete(&Scope::All, &[set(0), set(0)], part).unwrap();
    assert!(deleted.series > 0, "{deleted:?}");
    expected.get_mut(&labels(0)).unwrap().retain(|t, _| !part.contains(*t));
    assert_eq!(read_all(&db), expected);

    // All of another one.
    db.delete(&Scope::All, &[set(1)], TimeRange::ALL).unwrap();
    expected.remove(&labels(1));
    for round in 0..2 {
        assert_eq!(read_all(&db), expected, "round {round}");
        let left = ["node-0", "node-2", "node-3"].map(str::to_owned).to_vec();
        assert_eq!(instances(&db, TimeRange::ALL), (left, 3, 0), "round {round}");
        drop(db);
        db = open(tmp.path());
    }

    // Nothing without a set, nothing twice, nothing of other projects.
    assert_eq!(db.delete(&Scope::All, &[], TimeRange::ALL).unwrap(), Deleted::default());
    assert_eq!(db.delete(&Scope::All, &[set(1)], TimeRange::ALL).unwrap(), Deleted::default());
    let alpha = Scope::Project(ProjectId::parse("alpha").unwrap());
    assert_eq!(db.delete(&alpha, &[set(2)], TimeRange::ALL).unwrap(), Deleted::default());
    assert_eq!(read_all(&db), expected);

    // What comes later may lie where samples were deleted.
    let t = START + 5 * HOUR_MS + 10 * MINUTE_MS;
    append(&db, t, &[(0, Sample { t, v: 77.0 })]);
    expected.get_mut(&labels(0)).unwrap().insert(t, 77f64.to_bits());
    for _ in 0..2 {
        assert_eq!(read_all(&db), expected);
        drop(db);
        db = open(tmp.path());
    }
}

#[test]
fn a_snapshot_is_a_store_that_later_changes_do_not_reach() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    fill(&db);
    let expected = read_all(&db);
    let name = db.snapshot(true).unwrap();
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-1")]], TimeRange::ALL).unwrap();
    drop(db);
    let copy = open(&tmp.path().join("snapshots").join(&name));
    assert_eq!(read_all(&copy), expected);
    let left = read_all(&open(tmp.path()));
    assert_eq!(left.len(), expected.len() - 1);
}

#[test]
fn what_a_block_had_stays_gone_when_retention_removes_it_before_the_log() {
    let tmp = tempfile::tempdir().unwrap();
    let options = || Options { retention_ms: Some(24 * HOUR_MS), ..Options::default() };
    let dir = || disk::Dir::open(tmp.path()).unwrap();
    let db = Db::open(dir(), options()).unwrap();
    let at = |minute: i64| Sample { t: START + minute * MINUTE_MS, v: 1.0 };
    append(&db, START, &[(0, at(10)), (1, at(10))]);
    append(&db, START + 4 * HOUR_MS, &[(1, at(190))]);
    db.maintain(START + 4 * HOUR_MS).unwrap();
    assert_eq!(db.block_list().len(), 1);
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-0")]], TimeRange::ALL).unwrap();
    db.maintain(START + 27 * HOUR_MS).unwrap();
    let before = read_all(&db);
    assert_eq!((before.len(), before[&labels(1)].len(), db.block_list().len()), (1, 1, 0));
    drop(db);
    let db = Db::open(dir(), options()).unwrap();
    assert_eq!(read_all(&db), before);
}

/// With an unreadable block nothing is known of what the others have of the log, so all of it is read.
#[test]
fn an_unreadable_block_brings_back_nothing_that_was_deleted() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let at = |minute: i64| Sample { t: START + minute * MINUTE_MS, v: 1.0 };
    append(&db, START, &[(0, at(10)), (1, at(10))]);
    append(&db, START + 4 * HOUR_MS, &[(1, at(190))]);
    db.maintain(START + 4 * HOUR_MS).unwrap();
    assert_eq!((db.block_list().len(), db.stats().head_series), (1, 1));
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-0")]], TimeRange::ALL).unwrap();
    let expected = read_all(&db);
    drop(db);
    std::fs::create_dir(tmp.path().join("01ARZ3NDEKTSV4RRFFQ69G5FAV")).unwrap();
    for _ in 0..2 {
        assert_eq!(read_all(&open(tmp.path())), expected);
    }
}
