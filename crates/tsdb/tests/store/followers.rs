//! Series that follow others: they get copies, and nobody who sent nothing is told of their trouble.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use disk::Dir;
use model::{Budget, Columns, Histogram, Labels, Queryable, Sample, SampleValue, Scope, TimeRange};
use tsdb::{Copies, Db, Follower, Options};

use crate::{START, key, labels, open, read_all};

/// Markers of staleness are NaNs with these bits. Source: Prometheus `model/value/value.go`.
const STALE: u64 = 0x7ff0_0000_0000_0002;

fn followed(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name), ("project_id", "alpha")])
}

/// Writes `sample` to series 0, which a copy times a thousandth follows as long as `gate` is open.
fn write(db: &Db, gate: &Arc<AtomicBool>, sample: Sample) -> tsdb::AppendReport {
    let mut appender = db.appender();
    let leader = match appender.known(key(0)) {
        Some(leader) => leader,
        None => {
            let leader = appender.series(key(0), &labels(0));
            let series = appender.follower(&followed("seconds"));
            leader.lead(vec![Follower { series, factor: 0.001, closed: gate.clone() }]);
            leader
        }
    };
    appender.sample(&leader, sample);
    for follower in leader.followers() {
        appender.copy(follower, sample);
    }
    appender.commit(START).unwrap()
}

#[test]
fn a_follower_gets_each_float_times_its_factor_while_its_gate_is_open() {
    let tmp = tempfile::tempdir().unwrap();
    let gate = Arc::new(AtomicBool::new(false));
    let db = open(tmp.path());
    for (t, v) in [(0, 1500.0), (1, f64::from_bits(STALE))] {
        let report = write(&db, &gate, Sample { t: START + t, v });
        assert_eq!((report.written.floats, report.copies), (1, Copies { written: 1, refused: 0 }));
    }
    gate.store(true, Relaxed);
    assert_eq!(write(&db, &gate, Sample { t: START + 2, v: 3.0 }).copies, Copies::default());
    drop(db);
    // The log has the copies as any other sample.
    let all = read_all(&open(tmp.path()));
    assert_eq!(all[&labels(0)].len(), 3);
    assert_eq!(all[&followed("seconds")].clone().into_values().collect::<Vec<_>>(), [1.5f64.to_bits(), STALE]);
}

#[test]
fn a_copy_that_is_refused_is_no_refusal_of_what_was_sent() {
    let tmp = tempfile::tempdir().unwrap();
    let gate = Arc::new(AtomicBool::new(false));
    let db = open(tmp.path());
    let mut appender = db.appender();
    let own = appender.follower(&followed("seconds"));
    appender.sample(&own, Sample { t: START, v: 7.0 });
    appender.commit(START).unwrap();
    let report = write(&db, &gate, Sample { t: START, v: 1500.0 });
    assert_eq!((report.written.floats, report.refused_total(), report.examples.len()), (1, 0, 0));
    assert_eq!(report.copies, Copies { written: 0, refused: 1 });
    assert_eq!(read_all(&db)[&followed("seconds")][&START], 7.0f64.to_bits(), "what was sent stays");
}

#[test]
fn a_project_that_is_full_keeps_its_samples_and_gets_no_copies() {
    let tmp = tempfile::tempdir().unwrap();
    let gate = Arc::new(AtomicBool::new(false));
    let options = Options { series_per_project_max: 1, ..Options::default() };
    let db = Db::open(Dir::open(tmp.path()).unwrap(), options).unwrap();
    let report = write(&db, &gate, Sample { t: START, v: 1.0 });
    assert_eq!((report.written.floats, report.refused_total()), (1, 0));
    assert_eq!(report.copies, Copies { written: 0, refused: 1 });
    assert_eq!(crate::read(&db, Scope::All, &[], TimeRange::ALL).len(), 1);
}

#[test]
fn a_histogram_is_copied_to_followers_in_the_same_unit_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let gate = Arc::new(AtomicBool::new(false));
    let db = open(tmp.path());
    let mut appender = db.appender();
    let leader = appender.series(key(0), &labels(0));
    let followers = [("same", 1.0), ("scaled", 0.001)].map(|(name, factor)| Follower {
        series: appender.follower(&followed(name)),
        factor,
        closed: gate.clone(),
    });
    let value = SampleValue::Histogram(Arc::new(Histogram { zero_count: 3.0, count: 3.0, ..Histogram::default() }));
    for (t, is_closed) in [(START, false), (START + 1, true)] {
        gate.store(is_closed, Relaxed);
        appender.value(&leader, t, value.clone());
        followers.iter().for_each(|follower| appender.copy_histogram(follower, t, &value));
    }
    let report = appender.commit(START).unwrap();
    assert_eq!((report.written.histograms, report.copies), (2, Copies { written: 1, refused: 0 }));
    drop((leader, followers));
    drop(db);
    // The log has the copies as any other sample.
    let db = open(tmp.path());
    let found = db.querier(Scope::All).select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap().series;
    let mut columns = Columns::default();
    let mut read = |idx: usize| {
        found.read(idx, &mut columns, &Budget::unlimited()).unwrap();
        (found.labels(idx).clone(), columns.histogram_timestamps.clone(), columns.histograms[0].count)
    };
    let mut all: Vec<_> = (0..found.len()).map(&mut read).collect();
    all.sort_by_key(|(_, times, _)| times.len());
    assert_eq!(all, [(followed("same"), vec![START], 3.0), (labels(0), vec![START, START + 1], 3.0)]);
}
