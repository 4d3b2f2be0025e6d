//! The store against a plain map: random appends, flushes, maintenance and restarts must never lose or invent a sample.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use disk::Dir;
use model::{Budget, Columns, Labels, Matcher, ProjectId, Queryable, Sample, Scope, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tsdb::{Db, Options, SeriesKey};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// 2026-01-01, a block boundary.
const START: i64 = 1_767_225_600_000;

/// What the store should hold: bits of the value by series and time.
type Expected = BTreeMap<Labels, BTreeMap<i64, u64>>;

fn labels(series: u32) -> Labels {
    let project = if series.is_multiple_of(3) { "alpha" } else { "beta" };
    let instance = format!("node-{series}");
    Labels::from_pairs([("__name__", "m"), ("instance", &instance), ("project_id", project)])
}

fn key(series: u32) -> SeriesKey {
    SeriesKey(u128::from(series) << 64 | u128::from(series))
}

fn read(db: &Db, scope: Scope, matchers: &[Matcher], range: TimeRange) -> Expected {
    let budget = Budget::unlimited();
    let selected = db.querier(scope).select(matchers, range, &budget).unwrap();
    assert!(selected.warnings.is_empty(), "{:?}", selected.warnings);
    let (mut all, mut columns) = (Expected::new(), Columns::default());
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        let bits = columns.values.iter().map(|v| v.to_bits());
        let samples: BTreeMap<i64, u64> = columns.timestamps.iter().copied().zip(bits).collect();
        assert_eq!(samples.len(), columns.len(), "each timestamp once");
        if !samples.is_empty() {
            assert!(all.insert(selected.series.labels(idx).clone(), samples).is_none(), "each series once");
        }
    }
    all
}

fn append(db: &Db, now: i64, samples: &[(u32, Sample)]) -> tsdb::AppendReport {
    let mut appender = db.appender();
    for (series, sample) in samples {
        let handle = match appender.known(key(*series)) {
            Some(handle) => handle,
            None => appender.series(key(*series), &labels(*series)),
        };
        appender.sample(&handle, *sample);
    }
    appender.commit(now).unwrap()
}

struct Model {
    expected: Expected,
    newest: i64,
    clock: i64,
}

impl Model {
    /// Adds a sample by the documented rules and says which counter it moves: written, duplicate or refused.
    fn add(&mut self, series: u32, sample: Sample) -> usize {
        if self.newest != i64::MIN && sample.t < self.newest - 24 * HOUR_MS {
            return 2;
        }
        let samples = self.expected.entry(labels(series)).or_default();
        match samples.get(&sample.t) {
            Some(bits) if *bits == sample.v.to_bits() => 1,
            Some(_) => 2,
            None => {
                samples.insert(sample.t, sample.v.to_bits());
                self.newest = self.newest.max(sample.t);
                0
            }
        }
    }
}

fn random_value(rng: &mut StdRng) -> f64 {
    match rng.random_range(0..10) {
        0 => model::STALE_NAN,
        1 => f64::from_bits(0x7ff8_0000_0000_1234),
        2 => f64::NEG_INFINITY,
        3..6 => f64::from(rng.random_range(0..100)),
        _ => rng.random::<f64>() * 1e6,
    }
}

fn batch(rng: &mut StdRng, model: &Model) -> Vec<(u32, Sample)> {
    let n = rng.random_range(1..60);
    (0..n)
        .map(|_| {
            let t = match rng.random_range(0..10) {
                0 => model.clock - rng.random_range(0..26 * HOUR_MS),
                1 => model.clock - rng.random_range(0..10) * 15_000,
                _ => model.clock - rng.random_range(0..1000),
            };
            (rng.random_range(0..12), Sample { t, v: random_value(rng) })
        })
        .collect()
}

fn check(db: &Db, model: &Model, rng: &mut StdRng, seed: u64) {
    let everything = read(db, Scope::All, &[Matcher::equal("__name__", "m")], TimeRange::ALL);
    assert_eq!(everything, model.expected, "seed {seed}");
    let mint = model.clock - rng.random_range(0..20 * HOUR_MS);
    let range = TimeRange { mint, maxt: mint + rng.random_range(0..8 * HOUR_MS) };
    let alpha = Scope::Project(ProjectId::parse("alpha").unwrap());
    let part: Expected = (model.expected.iter())
        .filter(|(labels, _)| labels.get("project_id") == Some("alpha"))
        .map(|(labels, samples)| {
            (labels.clone(), samples.range(range.mint..=range.maxt).map(|(t, v)| (*t, *v)).collect())
        })
        .filter(|(_, samples): &(Labels, BTreeMap<i64, u64>)| !samples.is_empty())
        .collect();
    assert_eq!(read(db, alpha, &[], range), part, "seed {seed}, {range:?}");
}

fn run(seed: u64) {
    let tmp = tempfile::tempdir().unwrap();
    let open = || Db::open(Dir::open(tmp.path()).unwrap(), Options::default()).unwrap();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model { expected: Expected::new(), newest: i64::MIN, clock: START + seed.cast_signed() % HOUR_MS };
    let mut db = open();
    for _ in 0..60 {
        match rng.random_range(0..20) {
            0 => db.flush().unwrap(),
            1 | 2 => db.maintain(model.clock).unwrap(),
            3 | 4 => {
                drop(db);
                db = open();
            }
            5 => check(&db, &model, &mut rng, seed),
            6 => model.clock += rng.random_range(0..2 * HOUR_MS),
            _ => {
                model.clock += rng.random_range(0..10) * MINUTE_MS;
                let samples = batch(&mut rng, &model);
                let mut counts = [0u64; 3];
                // A value that differs from one in a block is refused when read, not when written.
                let known = |model: &Model, (series, sample): &(u32, Sample)| {
                    let samples = model.expected.get(&labels(*series));
                    samples.is_some_and(|samples| samples.contains_key(&sample.t))
                };
                let fresh: Vec<_> = samples.into_iter().filter(|sample| !known(&model, sample)).collect();
                for (series, sample) in &fresh {
                    counts[model.add(*series, *sample)] += 1;
                }
                let report = append(&db, model.clock, &fresh);
                assert_eq!([report.written, report.duplicates, report.refused_total()], counts, "seed {seed}");
            }
        }
    }
    check(&db, &model, &mut rng, seed);
}

#[test]
fn random_operations_agree_with_a_map() {
    for seed in 0..16 {
        run(seed);
    }
}

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
    assert_eq!((report.written, report.duplicates, report.refused), (2, 1, [1, 1, 2]));
    let reasons: Vec<_> = report.examples.iter().map(|e| (e.reason.name(), e.sample.t - START)).collect();
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
    let open = || Db::open(Dir::open(tmp.path()).unwrap(), Options::default()).unwrap();
    let db = open();
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
    let db = open();
    assert_eq!(db.querier(Scope::Project(project)).metadata(Some("m")), [("m".to_owned(), metadata)]);
    let beta = Scope::Project(ProjectId::parse("beta").unwrap());
    assert_eq!(db.querier(beta).metadata(None), []);
    assert_eq!(read(&db, Scope::All, &[], TimeRange::ALL).values().map(BTreeMap::len).sum::<usize>(), 8);
}
