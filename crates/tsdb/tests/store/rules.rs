//! What the store promises about single samples, blocks and segments.

use std::collections::BTreeMap;

use disk::Dir;
use model::{ProjectId, Sample, Scope, TimeRange};
use tsdb::{Db, Options};

use crate::{HOUR_MS, MINUTE_MS, START, append, open, read};

#[test]
fn every_sample_of_a_request_is_decided_on_its_own() {
    let tmp = tempfile::tempdir().unwrap();
    let db = Db::open(Dir::open(tmp.path()).unwrap(), Options::default()).unwrap();
    let at = |t: i64, v: f64| (1, Sample { t: START + t, v });
    append(&db, START, &[at(0, 1.0)]);
    let report = append(
        &db,
        START,
        &[
            at(0, 1.0),
            at(0, 2.0),
            at(1, 1.0),
            at(11 * MINUTE_MS, 1.0),
            at(-25 * HOUR_MS, 1.0),
            at(-HOUR_MS, 5.0),
            at(-HOUR_MS, 6.0),
        ],
    );
    let refused = report.refused.map(|kinds| kinds.floats);
    assert_eq!((report.written.floats, report.duplicates.floats, refused), (2, 1, [1, 1, 2, 0]));
    let reasons: Vec<_> = report.examples.iter().map(|e| (e.reason.name(), e.t - START)).collect();
    assert_eq!(
        reasons,
        [
            ("duplicate_conflict", 0),
            ("too_far_in_future", 11 * MINUTE_MS),
            ("too_old", -25 * HOUR_MS),
            ("duplicate_conflict", -HOUR_MS)
        ]
    );
}

#[test]
fn one_process_at_a_time() {
    let tmp = tempfile::tempdir().unwrap();
    let _db = Db::open(Dir::open(tmp.path()).unwrap(), Options::default()).unwrap();
    let second = Db::open(Dir::open(tmp.path()).unwrap(), Options::default());
    let error = second.err().unwrap().to_string();
    assert!(error.contains("another process has this data directory open"), "{error}");
}

#[test]
fn retention_removes_whole_blocks_only() {
    let tmp = tempfile::tempdir().unwrap();
    let options = Options { retention_ms: Some(6 * HOUR_MS), ..Options::default() };
    let db = Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    for step in 0..(12 * 60) {
        let t = START + step * MINUTE_MS;
        append(&db, t, &[(1, Sample { t, v: 1.0 })]);
        if step % 60 == 59 {
            db.maintain(t).unwrap();
        }
    }
    let left = read(&db, Scope::All, &[], TimeRange::ALL);
    let first = left.values().next().and_then(|samples| samples.keys().next().copied());
    assert_eq!(first, Some(START + 4 * HOUR_MS));
    assert!(db.stats().blocks >= 3, "{:?}", db.stats());
}

#[test]
fn flushed_segments_leave_the_disk_and_metadata_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let project = ProjectId::parse("alpha").unwrap();
    let metadata = model::Metadata { kind: model::MetricKind::Gauge, help: "h".into(), unit: String::new() };
    let db = open(tmp.path());
    for hour in 0..8 {
        let mut appender = db.appender();
        appender.metadata(&project, "m", metadata.clone());
        appender.commit(START).unwrap();
        let t = START + hour * HOUR_MS;
        append(&db, t, &[(1, Sample { t, v: 1.0 })]);
        db.maintain(t).unwrap();
    }
    drop(db);
    let wal: Vec<String> = std::fs::read_dir(tmp.path().join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(wal.iter().any(|name| name.starts_with("checkpoint.")), "{wal:?}");
    assert!(!wal.contains(&"00000000".to_owned()), "{wal:?}");
    let db = open(tmp.path());
    assert_eq!(db.querier(Scope::Project(project)).metadata(Some("m")), [("m".to_owned(), metadata)]);
    let beta = Scope::Project(ProjectId::parse("beta").unwrap());
    assert_eq!(db.querier(beta).metadata(None), []);
    assert_eq!(read(&db, Scope::All, &[], TimeRange::ALL).values().map(BTreeMap::len).sum::<usize>(), 8);
}
