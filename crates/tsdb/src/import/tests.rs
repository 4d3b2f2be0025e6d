//! Imports against a plain list of what was handed in.

mod prometheus;

use std::collections::BTreeMap;

use disk::Dir;
use model::{Budget, Columns, Histogram, Labels, LabelsBuilder, MatchOp, Matcher, Queryable, Sample, Scope};

use super::*;
use crate::{Db, Options};

/// 2026-01-01, where a block range begins.
const START: Timestamp = 1_767_225_600_000;
const HOUR: Timestamp = 3_600_000;

/// What a store answers: every series with its samples as text.
fn contents(db: &Db) -> BTreeMap<String, Vec<(Timestamp, String)>> {
    let (budget, mut columns) = (Budget::unlimited(), Columns::default());
    let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &budget).unwrap();
    let mut contents = BTreeMap::new();
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, v.to_string()));
        let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
        let mut all: Vec<_> = floats.chain(histograms.map(|(t, h)| (*t, h.to_string()))).collect();
        all.sort();
        contents.insert(selected.series.labels(idx).to_string(), all);
    }
    contents
}

#[track_caller]
fn assert_same(
    found: &BTreeMap<String, Vec<(Timestamp, String)>>,
    expected: &BTreeMap<String, Vec<(Timestamp, String)>>,
) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (name, expected) in expected {
        let found = &found[name];
        let differ = found.iter().zip(expected).find(|(found, expected)| found != expected);
        assert_eq!((differ, found.len()), (None, expected.len()), "{name}: found and expected");
    }
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn key(name: &str) -> SeriesKey {
    SeriesKey(name.bytes().fold(7, |key, b| key * 257 + u128::from(b)))
}

fn histogram(count: f64) -> SampleValue {
    SampleValue::Histogram(Arc::new(Histogram { count, zero_count: count, sum: 1.0, ..Histogram::default() }))
}

/// Hands in samples as a reader of text does.
fn push(import: &mut Import, name: &str, t: Timestamp, value: &SampleValue) {
    let key = key(name);
    let series = import.known(key).unwrap_or_else(|| import.series(key, labels(name)));
    import.sample(series, t, value);
    import.relieve().unwrap();
}

/// What is expected of samples in the order they are handed in: the first one at a time stays.
#[derive(Default)]
struct Expected(BTreeMap<String, BTreeMap<Timestamp, String>>);

impl Expected {
    fn push(&mut self, name: &str, t: Timestamp, value: &SampleValue) {
        let text = match value {
            SampleValue::Float(v) => v.to_string(),
            SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => h.to_string(),
        };
        self.0.entry(name.to_owned()).or_default().entry(t).or_insert(text);
    }

    fn contents(&self) -> BTreeMap<String, Vec<(Timestamp, String)>> {
        let samples = |(name, samples): (&String, &BTreeMap<_, _>)| {
            (name.clone(), samples.iter().map(|(t, v): (&Timestamp, &String)| (*t, v.clone())).collect())
        };
        self.0.iter().map(samples).collect()
    }
}

/// Samples that jump about in time, repeat themselves and contradict themselves, over eleven hours.
fn samples() -> Vec<(&'static str, Timestamp, SampleValue)> {
    let mut all = Vec::new();
    for (i, name) in (0..3000).zip(["a", "b", "c"].into_iter().cycle()) {
        let t = START + i * 7919 % 2500 * 16_000;
        all.push((name, t, SampleValue::Float((i % 100) as f64)));
        if i % 50 == 0 {
            all.push(("h", t, histogram((i % 7 * 10) as f64)));
            all.push(("mixed", t, if i % 100 == 0 { histogram(5.0) } else { SampleValue::Float(5.0) }));
        }
    }
    for i in 0..500 {
        all.push(("steady", START + i * 15_000, SampleValue::Float(i as f64)));
        all.push(("steady_h", START + i * 15_000, histogram(i as f64)));
    }
    all
}

#[test]
fn samples_in_any_order_become_blocks_of_two_hours() {
    for bytes_max in [usize::MAX, 20_000, 1] {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let (mut import, mut expected) = (Import::start(dir.clone()).unwrap(), Expected::default());
        import.bytes_max = bytes_max;
        for (name, t, value) in samples().iter().take(if bytes_max == 1 { 60 } else { usize::MAX }) {
            push(&mut import, name, *t, value);
            expected.push(name, *t, value);
        }
        let imported = import.finish().unwrap();
        let expected = expected.contents();
        assert_eq!(imported.written, expected.values().map(|samples| samples.len() as u64).sum::<u64>());
        assert!(imported.blocks <= 6, "one for each range of two hours");
        let names: Vec<String> = dir.list().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names.len() as u64, imported.blocks + 2, "blocks, the lock and the log's directory: {names:?}");
        let db = Db::open(dir, Options::default()).unwrap();
        assert_same(&contents(&db), &expected);
        for (meta, _) in db.block_list() {
            assert!(meta.min_time.rem_euclid(2 * HOUR) == 0 && meta.max_time - meta.min_time <= 2 * HOUR);
            assert_eq!((meta.compaction.level, meta.compaction.sources), (1, vec![meta.ulid]));
        }
    }
}

#[test]
fn an_import_that_is_not_finished_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let mut import = Import::start(dir.clone()).unwrap();
    push(&mut import, "a", START, &SampleValue::Float(1.0));
    import.spill().unwrap();
    assert!(Db::open(dir.clone(), Options::default()).is_err(), "the store is taken");
    // As a crash would: what lies aside stays, and the next import removes it.
    let aside = import.staging.clone();
    drop(import);
    aside.sub("x").unwrap();
    assert_eq!(contents(&Db::open(dir.clone(), Options::default()).unwrap()), BTreeMap::new());
    let mut import = Import::start(dir.clone()).unwrap();
    push(&mut import, "b", START, &SampleValue::Float(2.0));
    assert_eq!(import.finish().unwrap().blocks, 1);
    let db = Db::open(dir, Options::default()).unwrap();
    assert_eq!(contents(&db), BTreeMap::from([("b".to_owned(), vec![(START, "2".to_owned())])]));
}

#[test]
fn what_the_store_has_stays() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = Dir::open(tmp.path()).unwrap();
    let append = |db: &Db, t: Timestamp, v: f64| {
        let mut appender = db.appender();
        let series = appender.series(key("a"), &labels("a"));
        appender.sample(&series, Sample { t, v });
        appender.commit(t).unwrap();
    };
    let db = Db::open(dir.clone(), Options::default()).unwrap();
    append(&db, START, 1.0);
    db.flush().unwrap();
    append(&db, START + 1000, 1.0);
    drop(db);
    let mut import = Import::start(dir.clone()).unwrap();
    for t in [START, START + 1000, START + 2000] {
        push(&mut import, "a", t, &SampleValue::Float(2.0));
    }
    import.finish().unwrap();
    let db = Db::open(dir.clone(), Options::default()).unwrap();
    append(&db, START + 3000, 4.0);
    db.flush().unwrap();
    drop(db);
    let db = Db::open(dir, Options::default()).unwrap();
    let found: Vec<_> = contents(&db)["a"].iter().map(|(t, v)| (t - START, v.clone())).collect();
    let stays = [(0, "1"), (1000, "2"), (2000, "2"), (3000, "4")];
    assert_eq!(found, stays.map(|(t, v)| (t, v.to_owned())), "earlier blocks win, and blocks over the log");
}

/// A store with samples in blocks, in the log alone, and deleted ones; its answer.
fn source(dir: &Dir) -> BTreeMap<String, Vec<(Timestamp, String)>> {
    let db = Db::open(dir.clone(), Options::default()).unwrap();
    let append = |name: &str, from: i64, to: i64| {
        let mut appender = db.appender();
        let series = appender.series(key(name), &labels(name));
        for i in from..to {
            appender.sample(&series, Sample { t: START + i * 15_000, v: i as f64 });
        }
        appender.commit(START + to * 15_000).unwrap();
    };
    append("a", 0, 1000);
    append("b", 0, 1000);
    db.flush().unwrap();
    append("a", 1000, 1500);
    append("c", 1000, 1500);
    // Late: older than the end of the block, and in none.
    append("c", 500, 600);
    let matcher = Matcher::new("__name__", MatchOp::Equal, "b").unwrap();
    let range = TimeRange { mint: START + HOUR, maxt: START + 3 * HOUR };
    db.delete(&Scope::All, &[vec![matcher]], range).unwrap();
    contents(&db)
}

#[test]
fn another_store_is_copied_with_its_log_and_without_what_it_deleted() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = |name: &str| Dir::open(tmp.path().join(name)).unwrap();
    let expected = source(&dir("from"));
    let files = |dir: &Dir| dir.list().unwrap().into_iter().map(|entry| (entry.name, entry.len)).collect::<Vec<_>>();
    let before = (files(&dir("from")), files(&dir("from").sub("wal").unwrap()));

    let mut import = Import::start(dir("to")).unwrap();
    let foreign = Foreign::open(dir("from")).unwrap();
    let mut relabel = |labels: &Labels| Ok::<_, TsdbError>(LabelsBuilder::new(labels).set("z", "1").build());
    for part in foreign.parts() {
        import.copy(&foreign, part, &mut relabel).unwrap();
    }
    drop(foreign);
    let imported = import.finish().unwrap();
    assert_eq!(before, (files(&dir("from")), files(&dir("from").sub("wal").unwrap())), "the source is as it was");
    assert_eq!(imported.written, imported.samples);
    let db = Db::open(dir("to"), Options::default()).unwrap();
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(name, samples)| (format!("{name}{{z=\"1\"}}"), samples)).collect();
    assert_same(&contents(&db), &expected);
}
