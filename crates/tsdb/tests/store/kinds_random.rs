//! Random appends of every kind, some with start timestamps, late ones, deletions, flushes, compactions and restarts: the
//! store against a plain map.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use model::{
    Budget, Columns, Exemplar, Histogram, Labels, Matcher, Queryable, ResetHint, SampleValue, Scope, TimeRange,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::kinds::{Shown, Values, append_exemplars, exemplars_of, histogram, read_values};
use crate::{HOUR_MS, MINUTE_MS, START, key, labels, open};

const SERIES: u32 = 6;

type Starts = BTreeMap<Labels, BTreeMap<i64, i64>>;

struct Model {
    values: Values,
    /// Since when each sample counts, 0 where that is not known.
    starts: Starts,
    exemplars: BTreeMap<Labels, Vec<i64>>,
    clock: i64,
    traces: u32,
}

fn random_value(rng: &mut StdRng) -> SampleValue {
    let n = rng.random_range(0..50);
    let offset = rng.random_range(-3..4);
    let mut h = histogram(n, &[(offset, rng.random_range(1..5)), (rng.random_range(1..4), rng.random_range(1..3))]);
    if rng.random_range(0..4) == 0 {
        h.reset_hint = ResetHint::Gauge;
    }
    if rng.random_range(0..8) == 0 {
        h.schema = rng.random_range(-4..9);
    }
    if rng.random_range(0..10) == 0 {
        h = Histogram { sum: model::STALE_NAN, ..Histogram::default() };
    }
    match rng.random_range(0..10) {
        0 => SampleValue::Float(model::STALE_NAN),
        1..4 => SampleValue::Float(rng.random::<f64>() * 1e6),
        4..7 => SampleValue::Histogram(Arc::new(h)),
        _ => {
            for bucket in &mut h.positive_buckets {
                *bucket += rng.random_range(0..4) as f64 / 4.0;
            }
            SampleValue::FloatHistogram(Arc::new(h))
        }
    }
}

impl Model {
    /// Samples, and since when they count, at times that the model does not know yet: what is decided on others depends
    /// on where they are.
    fn batch(&mut self, rng: &mut StdRng) -> Vec<(u32, i64, SampleValue, i64)> {
        let mut all = Vec::new();
        for _ in 0..rng.random_range(1..50) {
            let ago = match rng.random_range(0..8) {
                0 => rng.random_range(0..20 * HOUR_MS),
                1 => rng.random_range(0..10) * 15_000,
                _ => rng.random_range(0..1000),
            };
            let (series, t, value) = (rng.random_range(0..SERIES), self.clock - ago, random_value(rng));
            let samples = self.values.entry(labels(series)).or_default();
            if let Entry::Vacant(free) = samples.entry(t) {
                free.insert(Shown::from(&value));
                let start = match series {
                    0 | 1 => 0,
                    // The same for long, as a counter's.
                    2 | 3 => t - t.rem_euclid(3 * HOUR_MS),
                    // Another one at each sample, as deltas have it; of some nothing is known.
                    _ => [t - 15_000, t - 15_000, t - 1, 0][rng.random_range(0..4)],
                };
                self.starts.entry(labels(series)).or_default().insert(t, start);
                all.push((series, t, value, start));
            }
        }
        all
    }

    fn exemplar(&mut self, rng: &mut StdRng) -> (u32, Exemplar) {
        let (series, t) = (rng.random_range(0..SERIES), self.clock - rng.random_range(0..HOUR_MS));
        self.traces += 1;
        let times = self.exemplars.entry(labels(series)).or_default();
        times.insert(times.partition_point(|known| *known <= t - START), t - START);
        let trace = self.traces.to_string();
        (series, Exemplar { labels: Labels::from_pairs([("trace_id", trace.as_str())]), t, v: 0.5 })
    }

    fn delete(&mut self, series: u32, range: TimeRange) {
        if let Some(samples) = self.values.get_mut(&labels(series)) {
            samples.retain(|t, _| !range.contains(*t));
        }
        if let Some(starts) = self.starts.get_mut(&labels(series)) {
            starts.retain(|t, _| !range.contains(*t));
        }
        if let Some(times) = self.exemplars.get_mut(&labels(series)) {
            times.retain(|t| !range.contains(t + START));
        }
    }

    #[track_caller]
    fn check(&mut self, db: &tsdb::Db, what: &str) {
        self.values.retain(|_, samples| !samples.is_empty());
        self.exemplars.retain(|_, times| !times.is_empty());
        self.starts.retain(|_, starts| !starts.is_empty());
        let found = read_values(db);
        for (labels, samples) in &self.values {
            for (t, value) in samples {
                let there = found.get(labels).and_then(|samples| samples.get(t));
                assert_eq!(there, Some(value), "{what}: {labels} at {}", t - START);
            }
        }
        assert_eq!(found, self.values, "{what}");
        assert_eq!(exemplars_of(db, &Scope::All, TimeRange::ALL), self.exemplars, "{what}");
        let mut found = read_starts(db, TimeRange::ALL);
        for (labels, starts) in &self.starts {
            assert_eq!(found.remove(labels).as_ref(), Some(starts), "{what}: {labels}");
        }
        assert_eq!(found, Starts::new(), "{what}");
    }
}

/// Since when each sample inside `range` counts.
fn read_starts(db: &tsdb::Db, range: TimeRange) -> Starts {
    let budget = Budget::unlimited();
    let selected = db.querier(Scope::All).select(&[], range, &budget).unwrap();
    let (mut all, mut columns) = (Starts::new(), Columns::default());
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        assert!(columns.starts.is_sorted_by(|a, b| a.from < b.from), "{:?}", columns.starts);
        let times = columns.timestamps.iter().chain(&columns.histogram_timestamps);
        let starts: BTreeMap<i64, i64> = times.map(|t| (*t, columns.start_at(*t))).collect();
        if !starts.is_empty() {
            all.insert(selected.series.labels(idx).clone(), starts);
        }
    }
    all
}

fn append_with_starts(db: &tsdb::Db, now: i64, samples: &[(u32, i64, SampleValue, i64)]) -> tsdb::AppendReport {
    let mut appender = db.appender();
    for (series, t, value, start) in samples {
        let handle = match appender.known(key(*series)) {
            Some(handle) => handle,
            None => appender.series(key(*series), &labels(*series)),
        };
        appender.value(&handle, *t, value.clone());
        appender.start(&handle, *t, *start);
    }
    appender.commit(now).unwrap()
}

fn run(seed: u64) {
    let tmp = tempfile::tempdir().unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model =
        Model { values: Values::new(), starts: Starts::new(), exemplars: BTreeMap::new(), clock: START, traces: 0 };
    let mut db = open(tmp.path());
    for step in 0..60 {
        match rng.random_range(0..20) {
            0 => db.flush().unwrap(),
            1 | 2 => db.maintain(model.clock).unwrap(),
            17 => db.compact().unwrap(),
            3 | 4 => {
                drop(db);
                db = open(tmp.path());
            }
            5 => model.check(&db, &format!("seed {seed}, step {step}")),
            6 => model.clock += rng.random_range(0..2 * HOUR_MS),
            7 | 8 => {
                let mint = model.clock - rng.random_range(0..10 * HOUR_MS);
                let range = TimeRange { mint, maxt: mint + rng.random_range(0..10 * HOUR_MS) };
                let series = rng.random_range(0..SERIES);
                let instance = format!("node-{series}");
                db.delete(&Scope::All, &[vec![Matcher::equal("instance", &instance)]], range).unwrap();
                model.delete(series, range);
            }
            9 | 10 => {
                let exemplars: Vec<_> = (0..5).map(|_| model.exemplar(&mut rng)).collect();
                assert_eq!(append_exemplars(&db, model.clock, &exemplars).written.exemplars, 5, "seed {seed}");
            }
            _ => {
                model.clock += rng.random_range(0..10) * MINUTE_MS;
                let samples = model.batch(&mut rng);
                let report = append_with_starts(&db, model.clock, &samples);
                assert_eq!(report.written.samples(), samples.len() as u64, "seed {seed}: {report:?}");
            }
        }
    }
    model.check(&db, &format!("seed {seed}, at the end"));
    db.flush().unwrap();
    db.compact().unwrap();
    model.check(&db, &format!("seed {seed}, merged"));
    let mint = model.clock - rng.random_range(0..20 * HOUR_MS);
    let range = TimeRange { mint, maxt: mint + rng.random_range(0..8 * HOUR_MS) };
    let mut inside = model.starts.clone();
    inside.values_mut().for_each(|starts| starts.retain(|t, _| range.contains(*t)));
    inside.retain(|_, starts| !starts.is_empty());
    assert_eq!(read_starts(&db, range), inside, "seed {seed}");
    drop(db);
    model.check(&open(tmp.path()), &format!("seed {seed}, at the end, opened again"));
}

#[test]
fn random_operations_on_every_kind_agree_with_a_map() {
    for seed in 0..16 {
        run(seed);
    }
}
