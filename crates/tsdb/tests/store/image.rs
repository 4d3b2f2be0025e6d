//! Images of the head: a start with one has what a start without one has, reads little of the log, and a bad one costs time
//! only.

use std::collections::BTreeMap;

use disk::{Dir, Sim};
use model::{Budget, Exemplar, Labels, Matcher, Metadata, MetricKind, ProjectId, SampleValue, Scope, TimeRange};
use tsdb::{Db, Options, ReplayProgress};

use crate::kinds::{Values, append_exemplars, append_values, exemplar, of_each_kind, read_values};
use crate::{MINUTE_MS, START, key, labels};

const STEPS: i64 = 150;
const NOW: i64 = START + STEPS * MINUTE_MS;

/// Everything that a start brings back.
#[derive(Debug, PartialEq)]
struct Contents {
    values: Values,
    exemplars: Vec<(Labels, Vec<Exemplar>)>,
    families: Vec<(String, Metadata)>,
    newest: Option<i64>,
}

fn options() -> Options {
    Options { head_chunk_file_bytes: 500, head_image_log_bytes: 1, ..Options::default() }
}

fn open(disk: &Sim) -> Db {
    Db::open(disk.root(), options()).unwrap()
}

/// The store, and how many bytes of the log were read.
fn reopen(disk: &Sim) -> (Db, u64) {
    let progress = ReplayProgress::default();
    let db = Db::open_with(disk.root(), options(), &progress).unwrap();
    let (bytes, read) = progress.bytes();
    assert_eq!(bytes, read);
    (db, bytes)
}

fn contents(db: &Db) -> Contents {
    let querier = db.querier(Scope::All);
    let budget = Budget::unlimited();
    let exemplars = querier.exemplars(&[vec![]], TimeRange::ALL, &budget).unwrap();
    let families = querier.metadata(None);
    Contents { values: read_values(db), exemplars, families, newest: db.stats().head_maxt }
}

/// Samples of every kind at `step`, some of them late, with exemplars and start timestamps.
fn append(db: &Db, step: i64) {
    let (t, n) = (START + step * MINUTE_MS, u32::try_from(step).unwrap());
    let mut samples: Vec<_> = (0..).zip(of_each_kind(n)).map(|(series, value)| (series, t, value)).collect();
    let other = of_each_kind(n).swap_remove(usize::try_from(step).unwrap() % 10);
    samples.push((20, t - 7 * MINUTE_MS * (step % 3) + step % 3, other));
    samples.push((21, t, SampleValue::Float(f64::from(n) / 3.0)));
    assert_eq!(append_values(db, NOW, &samples).refused_total(), 0);
    if step % 10 == 0 {
        assert_eq!(append_exemplars(db, NOW, &[(1, exemplar(t, n))]).refused_total(), 0);
        let mut appender = db.appender();
        let handle = appender.series(key(21), &labels(21));
        appender.start(&handle, t, t - 5);
        let metadata = Metadata { kind: MetricKind::Gauge, help: format!("as of {step}"), unit: String::new() };
        appender.metadata(&ProjectId::default_project(), "m", metadata);
        appender.commit(NOW).unwrap();
    }
}

fn filled(disk: &Sim) -> Db {
    let db = open(disk);
    (0..STEPS - 20).for_each(|step| append(&db, step));
    db
}

/// The paths of the files of the image, and their bytes.
fn image_files(disk: &Sim) -> BTreeMap<(Option<&'static str>, String), Vec<u8>> {
    let (root, chunks) = (disk.root(), disk.root().sub("chunks_head").unwrap());
    let of_dir =
        |dir: Dir, sub| dir.list().unwrap().into_iter().map(move |e| ((sub, e.name.clone()), dir.read(&e.name)));
    let all = of_dir(chunks, Some("chunks_head")).chain([((None, "head_image".to_owned()), root.read("head_image"))]);
    all.map(|(path, bytes)| (path, bytes.unwrap())).collect()
}

#[test]
fn a_start_reads_the_log_behind_the_image_only_and_has_the_same() {
    let disk = Sim::new(1);
    let db = filled(&disk);
    db.image();
    // Commits whose samples are all behind the image, some of them late for what is in it.
    (STEPS - 20..STEPS).for_each(|step| append(&db, step));
    let expected = contents(&db);
    assert_eq!((expected.exemplars.len(), expected.families.len(), expected.values.len()), (1, 1, 12));
    drop(db);
    let without = disk.fork();
    without.root().remove("head_image").unwrap();
    let ((db, read), (whole, all)) = (reopen(&disk), reopen(&without));
    assert!(0 < read && read * 4 < all, "{read} of {all} bytes of the log");
    assert_eq!((contents(&db), contents(&whole)), (expected, contents(&db)));
    // The same is a duplicate, something else a conflict, and what is late is late, whether it is in the image or not.
    for step in [3, STEPS - 30, STEPS - 5] {
        let at = |v| [(0, START + step * MINUTE_MS, SampleValue::Float(v))];
        for (v, written, duplicates) in [(step as f64, 0, 1), (0.5, 0, 0)] {
            let report = append_values(&db, NOW, &at(v));
            assert_eq!((report.written.total(), report.duplicates.total()), (written, duplicates), "{step}: {v}");
        }
        let late = [(0, START + step * MINUTE_MS + 1, SampleValue::Float(0.5))];
        assert_eq!(append_values(&db, NOW, &late).written.total(), 1);
    }
    let expected = contents(&db);
    db.close();
    let (db, read) = reopen(&disk);
    assert_eq!((read, contents(&db)), (0, expected), "an orderly end leaves nothing to be read");
    db.flush().unwrap();
    let expected = contents(&db);
    assert_eq!(contents(&reopen_after(db, &disk)), expected);
}

fn reopen_after(db: Db, disk: &Sim) -> Db {
    drop(db);
    reopen(disk).0
}

/// A flush takes samples from the head, and a deletion too: no image brings them back.
#[test]
fn an_image_brings_nothing_back() {
    let disk = Sim::new(2);
    let db = filled(&disk);
    db.image();
    let some = TimeRange { mint: START + 5 * MINUTE_MS, maxt: START + 125 * MINUTE_MS };
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-0")]], some).unwrap();
    let deleted = contents(&db);
    let db = reopen_after(db, &disk);
    assert_eq!(contents(&db), deleted);
    db.flush().unwrap();
    db.delete(&Scope::All, &[vec![]], TimeRange::ALL).unwrap();
    db.clean_tombstones().unwrap();
    assert!(db.block_list().is_empty());
    let db = reopen_after(db, &disk);
    assert_eq!(contents(&db).values, Values::new());
}

/// Damage anywhere in the image or in a file of chunks, a file that is gone or that is another one: the log has it all.
#[test]
fn a_bad_image_costs_nothing_but_time() {
    let disk = Sim::new(3);
    let db = filled(&disk);
    db.maintain(NOW).unwrap();
    append(&db, STEPS - 20);
    let expected = contents(&db);
    drop(db);
    let files = image_files(&disk);
    assert!(files.len() > 3, "{:?}", files.keys());
    let log = {
        let without = disk.fork();
        without.root().remove("head_image").unwrap();
        reopen(&without).1
    };
    let check = |(sub, name): &(Option<&'static str>, String), bytes: Option<&[u8]>, what: &str| {
        let disk = disk.fork();
        let dir = sub.map_or_else(|| disk.root(), |sub| disk.root().sub(sub).unwrap());
        match bytes {
            Some(bytes) => dir.replace(name, bytes).unwrap(),
            None => dir.remove(name).unwrap(),
        }
        dir.sync().unwrap();
        let (db, read) = reopen(&disk);
        assert!(contents(&db) == expected && db.integrity().is_empty(), "{name} {what}");
        // A byte of a file of chunks that no series has any more harms nothing.
        assert!(read == log || sub.is_some(), "{name} {what}: {read} bytes of {log} were read");
        read
    };
    let mut whole = 0;
    for (path, bytes) in &files {
        for at in (0..bytes.len()).step_by(bytes.len().div_ceil(200)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            whole += u32::from(check(path, Some(&changed), &format!("byte {at}")) == log);
        }
        for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            check(path, Some(&bytes[..len]), &format!("cut off at {len}"));
        }
        check(path, None, "gone");
    }
    assert!(whole > 400, "{whole}");
    let mut of_chunks = files.iter().filter(|((sub, _), _)| sub.is_some());
    let ((path, _), (_, other)) = (of_chunks.next().unwrap(), of_chunks.next().unwrap());
    assert_eq!(check(path, Some(other), "is another one"), log);
}

/// The log that is there must be the one that the image was made of.
#[test]
fn an_image_of_another_log_is_not_used() {
    let (disk, other) = (Sim::new(4), Sim::new(5));
    filled(&disk).image();
    let db = open(&other);
    append(&db, 1);
    let expected = contents(&db);
    db.close();
    other.root().replace("head_image", &disk.root().read("head_image").unwrap()).unwrap();
    let (db, read) = reopen(&other);
    assert!(0 < read);
    assert_eq!(contents(&db), expected);
}
