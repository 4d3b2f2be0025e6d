//! Random appends, flushes, maintenance and restarts must never lose or invent a sample: the store against a plain map.

use std::collections::BTreeMap;

use model::{Labels, Matcher, ProjectId, Sample, Scope, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tsdb::Db;

use crate::{Expected, HOUR_MS, MINUTE_MS, START, append, labels, open, read};

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
    let mut rng = StdRng::seed_from_u64(seed);
    let mut model = Model { expected: Expected::new(), newest: i64::MIN, clock: START + seed.cast_signed() % HOUR_MS };
    let mut db = open(tmp.path());
    for _ in 0..60 {
        match rng.random_range(0..20) {
            0 => db.flush().unwrap(),
            1 | 2 => db.maintain(model.clock).unwrap(),
            3 | 4 => {
                drop(db);
                db = open(tmp.path());
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
                assert_eq!(
                    [report.written.floats, report.duplicates.floats, report.refused_total()],
                    counts,
                    "seed {seed}"
                );
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
