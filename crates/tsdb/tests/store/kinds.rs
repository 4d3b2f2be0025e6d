//! Samples of every kind, exemplars and start timestamps: what is decided on them, and that they outlive a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use disk::Dir;
use model::{
    Budget, Columns, Exemplar, Histogram, Labels, Matcher, Queryable, ResetHint, SampleValue, Scope, Span, StartRun,
    TimeRange,
};
use tsdb::{AppendReport, Db, Kinds, Options, Rejection};

use crate::{HOUR_MS, MINUTE_MS, START, key, labels, open};

/// What the store should show: the value by series and time.
pub(crate) type Values = BTreeMap<Labels, BTreeMap<i64, Shown>>;

/// A sample as an answer has it: bits, and of a histogram the buckets that are not empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Float(u64),
    Stale,
    Histogram { gauge: bool, schema: i32, numbers: [u64; 4], bounds: Vec<u64>, buckets: Vec<(bool, i64, u64)> },
}

impl From<&Histogram> for Shown {
    fn from(h: &Histogram) -> Shown {
        if model::is_stale(h.sum) {
            return Shown::Stale;
        }
        let mut buckets = Vec::new();
        for (side, spans, counts) in
            [(false, &h.negative_spans, &h.negative_buckets), (true, &h.positive_spans, &h.positive_buckets)]
        {
            let (mut counts, mut index) = (counts.iter(), 0);
            for span in spans {
                index += i64::from(span.offset);
                for _ in 0..span.length {
                    let count = *counts.next().unwrap();
                    if count != 0.0 {
                        buckets.push((side, index, count.to_bits()));
                    }
                    index += 1;
                }
            }
        }
        Shown::Histogram {
            gauge: h.reset_hint == ResetHint::Gauge,
            schema: h.schema,
            numbers: [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits),
            bounds: h.custom_bounds.iter().map(|bound| bound.to_bits()).collect(),
            buckets,
        }
    }
}

impl From<&SampleValue> for Shown {
    fn from(value: &SampleValue) -> Shown {
        match value {
            SampleValue::Float(v) => Shown::Float(v.to_bits()),
            SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => Shown::from(&**h),
        }
    }
}

/// Everything the store holds.
pub(crate) fn read_values(db: &Db) -> Values {
    let (values, warnings) = read_matching(db, &[]);
    assert_eq!(warnings, [""; 0]);
    values
}

/// What the series have that satisfy `matchers`, and what the query is told.
pub(crate) fn read_matching(db: &Db, matchers: &[Matcher]) -> (Values, Vec<String>) {
    let budget = Budget::unlimited();
    let selected = db.querier(Scope::All).select(matchers, TimeRange::ALL, &budget).unwrap();
    let (mut all, mut columns) = (Values::new(), Columns::default());
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, Shown::Float(v.to_bits())));
        let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
        let samples: BTreeMap<i64, Shown> = floats.chain(histograms.map(|(t, h)| (*t, Shown::from(&**h)))).collect();
        assert_eq!(samples.len(), columns.len(), "each timestamp once");
        if !samples.is_empty() {
            all.insert(selected.series.labels(idx).clone(), samples);
        }
    }
    (all, [selected.warnings, budget.warnings()].concat())
}

pub(crate) fn append_values(db: &Db, now: i64, samples: &[(u32, i64, SampleValue)]) -> AppendReport {
    let mut appender = db.appender();
    for (series, t, value) in samples {
        let handle = match appender.known(key(*series)) {
            Some(handle) => handle,
            None => appender.series(key(*series), &labels(*series)),
        };
        appender.value(&handle, *t, value.clone());
    }
    appender.commit(now).unwrap()
}

/// A histogram of whole numbers that grow with `n`.
pub(crate) fn histogram(n: u32, spans: &[(i32, u32)]) -> Histogram {
    let spans: Vec<Span> = spans.iter().map(|(offset, length)| Span { offset: *offset, length: *length }).collect();
    let buckets: u32 = spans.iter().map(|span| span.length).sum();
    let counts: Vec<f64> = (0..buckets).map(|i| f64::from(n + i)).collect();
    Histogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: f64::from(n),
        count: f64::from(n) + counts.iter().sum::<f64>(),
        sum: f64::from(n) * 1.5,
        positive_spans: spans,
        positive_buckets: counts,
        ..Histogram::default()
    }
}

fn stale() -> Arc<Histogram> {
    Arc::new(Histogram { sum: model::STALE_NAN, ..Histogram::default() })
}

/// One of each kind.
pub(crate) fn of_each_kind(n: u32) -> Vec<SampleValue> {
    let whole = || Arc::new(histogram(n, &[(0, 2), (3, 1)]));
    let gauge = Histogram { reset_hint: ResetHint::Gauge, ..histogram(n, &[(1, 2)]) };
    let mut fractions = histogram(n, &[(-2, 3)]);
    fractions.positive_buckets[1] += 0.5;
    let custom = Histogram {
        schema: model::CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        zero_count: 0.0,
        custom_bounds: vec![0.5, 1.0, 5.0],
        ..histogram(n, &[(0, 3)])
    };
    vec![
        SampleValue::Float(f64::from(n)),
        SampleValue::Float(model::STALE_NAN),
        SampleValue::Histogram(whole()),
        SampleValue::Histogram(Arc::new(gauge)),
        SampleValue::Histogram(Arc::new(custom.clone())),
        SampleValue::Histogram(stale()),
        SampleValue::FloatHistogram(whole()),
        SampleValue::FloatHistogram(Arc::new(fractions)),
        SampleValue::FloatHistogram(Arc::new(custom)),
        SampleValue::FloatHistogram(stale()),
    ]
}

/// `check` holds at once, after a restart, after a flush, and after a restart behind that.
#[track_caller]
fn holds_through_a_restart_and_a_flush(path: &Path, mut db: Db, check: impl Fn(&Db, &str)) {
    check(&db, "live");
    drop(db);
    db = open(path);
    check(&db, "after a restart");
    db.flush().unwrap();
    check(&db, "after a flush");
    drop(db);
    check(&open(path), "after a flush and a restart");
}

#[test]
fn a_series_may_change_its_kind_at_every_sample_and_late_ones_too() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let (mut expected, mut in_order, mut late) = (Values::new(), Vec::new(), Vec::new());
    for step in 0..60 {
        for (i, value) in (0i64..).zip(of_each_kind(step)) {
            let t = START + i64::from(step) * MINUTE_MS * 5 + i * 1000;
            // One series has them one after the other, the others stay with one kind each.
            for series in [0, u32::try_from(i).unwrap() + 1] {
                expected.entry(labels(series)).or_default().insert(t, Shown::from(&value));
                let to = if (step + series) % 7 == 3 { &mut late } else { &mut in_order };
                to.push((series, t, value.clone()));
            }
        }
    }
    let now = START + 5 * HOUR_MS;
    assert_eq!(append_values(&db, now, &in_order).written.samples(), in_order.len() as u64);
    late.reverse();
    assert_eq!(append_values(&db, now, &late).written.samples(), late.len() as u64);
    assert!(late.len() > 50 && db.stats().samples_out_of_order > 50);
    assert_eq!(db.stats().written.histograms, 60 * 2 * 8);
    holds_through_a_restart_and_a_flush(tmp.path(), db, |db, when| {
        let found = read_values(db);
        for (labels, samples) in &expected {
            for (t, value) in samples {
                assert_eq!(found[labels].get(t), Some(value), "{labels} at {}, {when}", t - START);
            }
        }
        assert_eq!(found, expected, "{when}");
    });
}

#[test]
fn the_same_again_is_a_duplicate_and_anything_else_a_conflict() {
    let tmp = tempfile::tempdir().unwrap();
    let mut db = open(tmp.path());
    let kinds = of_each_kind(7);
    let n = kinds.len();
    let is_histogram = |value: &SampleValue| !matches!(value, SampleValue::Float(_));
    // In order, then one that is older, so that it is found among the newest, in chunks and among the late ones.
    let times = [START + 10_000, START + 20_000, START + 5_000];
    let mut first = Vec::new();
    for t in times {
        first.extend((0..).zip(&kinds).map(|(series, value)| (series, t, value.clone())));
    }
    assert_eq!(append_values(&db, START, &first).written.samples(), first.len() as u64);
    // A wider histogram makes the chunk give empty buckets to those before it.
    let wider = SampleValue::Histogram(Arc::new(histogram(9, &[(-4, 12)])));
    assert_eq!(append_values(&db, START, &[(2, START + 30_000, wider)]).written.histograms, 1);
    for round in 0..2 {
        let expected = read_values(&db);
        let report = append_values(&db, START, &first);
        let histograms = (times.len() * kinds.iter().filter(|value| is_histogram(value)).count()) as u64;
        let duplicates = Kinds { floats: first.len() as u64 - histograms, histograms, exemplars: 0 };
        assert_eq!((report.duplicates, report.written.total(), report.refused_total()), (duplicates, 0, 0), "{round}");
        for other in 1..n {
            // The value of another series, so another value or another kind.
            let conflicting: Vec<_> = (first.iter().enumerate())
                .map(|(i, (series, t, _))| (*series, *t, first[i / n * n + (i + other) % n].2.clone()))
                .collect();
            let report = append_values(&db, START, &conflicting);
            assert_eq!(report.refused[Rejection::DuplicateConflict as usize].samples(), first.len() as u64, "{other}");
            assert_eq!(report.refused_total(), first.len() as u64);
        }
        assert_eq!(read_values(&db), expected);
        drop(db);
        db = open(tmp.path());
    }
}

pub(crate) fn exemplar(t: i64, trace: u32) -> Exemplar {
    Exemplar { labels: Labels::from_pairs([("trace_id", trace.to_string().as_str())]), t, v: f64::from(trace) }
}

pub(crate) fn append_exemplars(db: &Db, now: i64, exemplars: &[(u32, Exemplar)]) -> AppendReport {
    let mut appender = db.appender();
    for (series, exemplar) in exemplars {
        let handle = appender.series(key(*series), &labels(*series));
        appender.exemplar(&handle, exemplar.clone());
    }
    appender.commit(now).unwrap()
}

pub(crate) fn exemplars_of(db: &Db, scope: &Scope, range: TimeRange) -> BTreeMap<Labels, Vec<i64>> {
    let found = db.querier(scope.clone()).exemplars(&[], range, &Budget::unlimited()).unwrap();
    found.into_iter().map(|(labels, exemplars)| (labels, exemplars.iter().map(|e| e.t - START).collect())).collect()
}

#[test]
fn exemplars_are_kept_in_any_order_and_outlive_log_and_series() {
    let tmp = tempfile::tempdir().unwrap();
    let db = open(tmp.path());
    let some = [(1, exemplar(START + 50, 1)), (1, exemplar(START + 20, 2)), (3, exemplar(START + 30, 3))];
    assert_eq!(append_exemplars(&db, START, &some).written.exemplars, 3);
    let report = append_exemplars(&db, START, &some);
    assert_eq!((report.written.total(), report.duplicates.exemplars), (0, 3));
    let report = append_exemplars(&db, START, &[(1, exemplar(START + HOUR_MS, 9))]);
    assert_eq!(report.refused[Rejection::TooFarInFuture as usize], Kinds { exemplars: 1, ..Kinds::default() });
    // Samples of the hours that follow let the segment with the exemplars go, and the series after it.
    for hour in 0..12 {
        let t = START + hour * HOUR_MS;
        append_values(&db, t, &[(4, t, SampleValue::Float(1.0))]);
        db.maintain(t).unwrap();
    }
    let expected: BTreeMap<Labels, Vec<i64>> = [(labels(1), vec![20, 50]), (labels(3), vec![30])].into();
    holds_through_a_restart_and_a_flush(tmp.path(), db, |db, when| {
        assert_eq!(exemplars_of(db, &Scope::All, TimeRange::ALL), expected, "{when}");
        let alpha = Scope::Project(model::ProjectId::parse("alpha").unwrap());
        assert_eq!(exemplars_of(db, &alpha, TimeRange::ALL), [(labels(3), vec![30])].into(), "{when}");
        let range = TimeRange { mint: START + 21, maxt: START + 30 };
        assert_eq!(exemplars_of(db, &Scope::All, range), [(labels(3), vec![30])].into(), "{when}");
        assert_eq!(append_exemplars(db, START, &some).duplicates.exemplars, 3, "{when}");
    });
    let db = open(tmp.path());
    db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-1")]], TimeRange { mint: START, maxt: START + 20 })
        .unwrap();
    for _ in 0..2 {
        assert_eq!(exemplars_of(&db, &Scope::All, TimeRange::ALL)[&labels(1)], [50]);
    }
    drop(db);
    assert_eq!(exemplars_of(&open(tmp.path()), &Scope::All, TimeRange::ALL)[&labels(1)], [50]);
}

#[test]
fn start_timestamps_are_steps_and_outlive_a_restart() {
    let tmp = tempfile::tempdir().unwrap();
    let mut db = open(tmp.path());
    let tell = |db: &Db, t: i64, start: i64| {
        let mut appender = db.appender();
        let handle = appender.series(key(1), &labels(1));
        appender.start(&handle, START + t, START + start);
        appender.value(&handle, START + t, SampleValue::Float(t as f64));
        appender.commit(START).unwrap()
    };
    for (t, start) in [(10, -5), (20, -5), (30, 25), (40, 25), (35, 33)] {
        assert_eq!(tell(&db, t, start).written.floats, 1);
    }
    let expected: Vec<StartRun> = [(10, -5), (30, 25), (35, 33), (40, 25)]
        .map(|(from, start)| StartRun { from: START + from, start: START + start })
        .to_vec();
    for round in 0..3 {
        let mut columns = Columns::default();
        let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &Budget::unlimited()).unwrap();
        selected.series.read(0, &mut columns, &Budget::unlimited()).unwrap();
        assert_eq!(columns.starts, expected, "round {round}");
        drop(selected);
        drop(db);
        db = open(tmp.path());
    }
}

#[test]
fn a_project_has_no_more_series_than_it_may() {
    let tmp = tempfile::tempdir().unwrap();
    let options = Options { series_per_project_max: 3, ..Options::default() };
    let open = || Db::open(Dir::open(tmp.path()).unwrap(), options.clone()).unwrap();
    let mut db = open();
    for round in 0..2 {
        // Every third series is the other project's.
        let t = START + round * 1000;
        let samples: Vec<_> = (0..9).map(|series| (series, t, SampleValue::Float(1.0))).collect();
        let report = append_values(&db, t, &samples);
        assert_eq!(report.refused[Rejection::SeriesLimit as usize].floats, 3, "{report:?}");
        assert_eq!((report.written.floats, report.examples.len()), (6, 3));
        assert_eq!((report.examples[0].reason.name(), &report.examples[0].labels), ("series_limit", &labels(5)));
        let report = append_exemplars(&db, t, &[(8, exemplar(t, 1)), (1, exemplar(t, 1))]);
        assert_eq!((report.written.exemplars, report.refused_total()), (1, 1));
        drop(db);
        db = open();
    }
    // Once those of before have left the head there is room.
    let t = START + 5 * HOUR_MS;
    append_values(&db, t, &[(0, t, SampleValue::Float(1.0))]);
    db.maintain(t).unwrap();
    assert_eq!(append_values(&db, t, &[(8, t, SampleValue::Float(1.0))]).written.floats, 1);
}
