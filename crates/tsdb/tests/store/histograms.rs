//! Native histograms in the store: of both kinds, beside floats, in and out of order, in the head and in blocks.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use model::{Budget, Columns, Histogram, Queryable, ResetHint, SampleValue, Scope, Span, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tsdb::Db;

use crate::{HOUR_MS, START, key, labels, open};

fn histogram(count: f64) -> Histogram {
    let buckets = vec![count / 2.0, 0.0, count / 2.0];
    let positive_spans = vec![Span { offset: 1, length: 3 }];
    Histogram { count, sum: count, positive_spans, positive_buckets: buckets, ..Histogram::default() }
}

fn append(db: &Db, samples: &[(i64, SampleValue)]) -> u64 {
    let mut appender = db.appender();
    let handle = appender.series(key(1), &labels(1));
    samples.iter().for_each(|(t, value)| appender.value(&handle, *t, value.clone()));
    appender.commit(START + 10 * HOUR_MS).unwrap().written.samples()
}

/// What the one series has.
fn read(db: &Db) -> Columns {
    let budget = Budget::unlimited();
    let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &budget).unwrap();
    let mut columns = Columns::default();
    selected.series.read(0, &mut columns, &budget).unwrap();
    columns
}

/// Which samples are resets to those who read them as they were written.
fn resets_as_written(db: &Db) -> Vec<bool> {
    let budget = Budget::unlimited();
    let values = db.querier(Scope::All).values(&[], TimeRange::ALL, &budget).unwrap().read(0, &budget).unwrap();
    let histogram = |value: &SampleValue| match value {
        SampleValue::Histogram(h) => h.clone(),
        other => panic!("{other:?}"),
    };
    let all: Vec<_> = values.iter().map(|(_, value)| histogram(value)).collect();
    all.windows(2).map(|two| two[1].detect_reset(&two[0])).collect()
}

/// Each sample as its time, its kind in an answer, and its count or value.
fn told(columns: &Columns) -> BTreeMap<i64, (bool, u64)> {
    let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, (false, v.to_bits())));
    let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
    floats.chain(histograms.map(|(t, h)| (*t, (true, h.count.to_bits())))).collect()
}

#[test]
fn every_kind_comes_back_from_the_head_the_log_and_blocks() {
    let mut rng = StdRng::seed_from_u64(9);
    for _ in 0..5 {
        let tmp = tempfile::tempdir().unwrap();
        let mut db = open(tmp.path());
        let mut expected = BTreeMap::new();
        for _ in 0..20 {
            let mut samples = Vec::new();
            for _ in 0..rng.random_range(1..100) {
                let t = START + rng.random_range(0..5 * HOUR_MS);
                let whole = f64::from(rng.random_range(0..1000) * 2);
                let value = match rng.random_range(0..3) {
                    0 => SampleValue::Float(whole),
                    1 => SampleValue::Histogram(Arc::new(histogram(whole))),
                    _ => SampleValue::FloatHistogram(Arc::new(histogram(whole + 0.5))),
                };
                let count = if matches!(value, SampleValue::FloatHistogram(_)) { whole + 0.5 } else { whole };
                let is_histogram = !matches!(value, SampleValue::Float(_));
                if let Entry::Vacant(place) = expected.entry(t) {
                    place.insert((is_histogram, count.to_bits()));
                    samples.push((t, value));
                }
            }
            samples.sort_by_key(|(t, _)| *t);
            assert_eq!(append(&db, &samples), samples.len() as u64);
            assert_eq!(told(&read(&db)), expected);
            match rng.random_range(0..8) {
                0 => db.flush().unwrap(),
                1 => {
                    drop(db);
                    db = open(tmp.path());
                }
                _ => continue,
            }
            assert_eq!(told(&read(&db)), expected);
        }
    }
}

/// A counter that was reset between a late sample and the one behind it, which came first and knew of no reset.
#[test]
fn a_late_histogram_leaves_unknown_what_was_known_of_its_neighbours() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let at = |t: i64, count: f64| (START + t, SampleValue::Histogram(Arc::new(histogram(count))));
    append(&db, &[at(0, 10.0), at(1000, 12.0), at(2000, 14.0)]);
    let hints = |db: &Db| read(db).histograms.iter().map(|h| h.reset_hint).collect::<Vec<_>>();
    assert_eq!(hints(&db), [ResetHint::Unknown, ResetHint::NoReset, ResetHint::NoReset]);
    append(&db, &[at(1500, 50.0)]);
    for _ in 0..2 {
        let found = read(&db);
        let resets = found.histograms.windows(2).map(|two| two[1].detect_reset(&two[0]));
        assert!(resets.eq([false, false, true]), "{:?}", hints(&db));
        assert_eq!(resets_as_written(&db), [false, false, true]);
        db.flush().unwrap();
    }
}

/// What was known of the sample behind the deleted ones was known against those.
#[test]
fn a_deletion_leaves_unknown_what_was_known_against_what_is_gone() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let at = |t: i64, count: f64| (START + t, SampleValue::Histogram(Arc::new(histogram(count))));
    // A reset begins a chunk, and the sample that shows it goes.
    append(&db, &[at(0, 100.0), at(1000, 110.0), at(2000, 2.0), at(3000, 50.0), at(4000, 60.0)]);
    db.flush().unwrap();
    let gone = TimeRange { mint: START + 2000, maxt: START + 2000 };
    db.delete(&Scope::All, &[vec![]], gone).unwrap();
    for _ in 0..2 {
        let found = read(&db);
        let resets = found.histograms.windows(2).map(|two| two[1].detect_reset(&two[0])).collect::<Vec<_>>();
        assert_eq!(resets, [false, true, false]);
        assert_eq!(resets_as_written(&db), [false, true, false]);
        db.clean_tombstones().unwrap();
    }
}
