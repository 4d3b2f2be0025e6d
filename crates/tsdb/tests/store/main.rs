//! The store as a whole: against a map, under load, after crashes and damage, at the ends of time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocks;
mod cancel;
mod crash;
mod damage;
mod delete;
mod extremes;
mod flips;
mod followers;
mod histograms;
mod holds;
mod image;
mod kinds;
mod kinds_random;
mod load;
mod random;
mod rules;

use std::collections::BTreeMap;
use std::path::Path;

use disk::Dir;
use model::{Budget, Columns, Labels, Matcher, Queryable, Sample, Scope, TimeRange};
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
    let blocks_missing =
        db.integrity().iter().any(|finding| !finding.lost.is_empty() && !finding.file.starts_with("wal"));
    assert_eq!(!selected.warnings.is_empty(), blocks_missing, "{:?}", selected.warnings);
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

/// Everything the store holds.
fn read_all(db: &Db) -> Expected {
    read(db, Scope::All, &[], TimeRange::ALL)
}

fn open(path: &Path) -> Db {
    // Small files, so that chunks leave the memory in tests too.
    Db::open(Dir::open(path).unwrap(), Options { head_chunk_file_bytes: 4 << 10, ..Options::default() }).unwrap()
}
