//! The store under test: the only file that knows its interface.

use std::collections::BTreeSet;

use model::{Budget, Columns, Labels, Metadata, MetricKind, ProjectId, Queryable, SampleValue, Scope, TimeRange};
use tsdb::{Db, Options, SeriesKey};

use crate::model::{FUTURE_MS, Found, Key, Value, WINDOW_MS};

/// What an acknowledged request reported.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) written: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
}

pub(crate) fn open(dir: disk::Dir) -> Result<Db, String> {
    let options = Options {
        head_chunk_file_bytes: 64,
        out_of_order_window_ms: WINDOW_MS,
        future_ms: FUTURE_MS,
        ..Options::default()
    };
    Db::open(dir, options).map_err(|e| e.to_string())
}

/// Projects, so that scopes are read as well.
const PROJECTS: [&str; 2] = ["alpha", "beta"];

fn labels(series: u32) -> Labels {
    let project = PROJECTS[series as usize % 2];
    Labels::from_pairs([("__name__", "m"), ("project_id", project), ("series", &series.to_string())])
}

fn number(labels: &Labels) -> u32 {
    labels.get("series").unwrap().parse().unwrap()
}

/// Appends samples, and metadata whose help is `help`.
pub(crate) fn append(db: &Db, samples: &[(Key, Value)], help: Option<&str>, now: i64) -> Result<Report, String> {
    let mut appender = db.appender();
    for ((series, t), value) in samples {
        let key = SeriesKey((*series).into());
        let handle = appender.known(key).unwrap_or_else(|| appender.series(key, &labels(*series)));
        let SampleValue::Float(v) = value.0 else { panic!("not yet") };
        appender.sample(&handle, model::Sample { t: *t, v });
    }
    if let Some(help) = help {
        let metadata = Metadata { kind: MetricKind::Gauge, help: help.to_owned(), unit: String::new() };
        appender.metadata(&ProjectId::parse(PROJECTS[0]).unwrap(), "m", metadata);
    }
    let report = appender.commit(now).map_err(|e| e.to_string())?;
    let (written, duplicates) = (report.written.total(), report.duplicates.total());
    Ok(Report { written, duplicates, refused: report.refused_total() })
}

/// The help of the one family, if it has metadata.
pub(crate) fn help(db: &Db) -> Option<String> {
    db.querier(Scope::All).metadata(Some("m")).pop().map(|(_, metadata)| metadata.help)
}

/// Every sample, the projects together. Errors: something is missing, as the store says.
pub(crate) fn contents(db: &Db) -> Result<Found, String> {
    select(db, Scope::All)
}

/// Panics if the answers of the store contradict each other.
pub(crate) fn check_answers(db: &Db, found: &Found) -> Result<(), String> {
    let mut parts = Found::new();
    for project in PROJECTS {
        parts.extend(select(db, Scope::Project(ProjectId::parse(project).unwrap()))?);
    }
    parts.sort_by_key(|(key, _)| *key);
    assert_eq!(*found, parts, "the projects together have what everyone has");
    let series: BTreeSet<u32> = found.iter().map(|((series, _), _)| *series).collect();
    let budget = Budget::unlimited();
    let told = db.querier(Scope::All).series(&[], TimeRange::ALL, 0, &budget).unwrap();
    assert_eq!(told.iter().map(number).collect::<BTreeSet<u32>>(), series, "each series with a sample is told");
    let values = db.querier(Scope::All).label_values("series", &[], TimeRange::ALL, 0, &budget).unwrap();
    assert!(series.iter().all(|series| values.contains(&series.to_string())), "{series:?} and {values:?}");
    Ok(())
}

fn select(db: &Db, scope: Scope) -> Result<Found, String> {
    let budget = Budget::unlimited();
    let selected = db.querier(scope).select(&[], TimeRange::ALL, &budget).unwrap();
    if !selected.warnings.is_empty() {
        return Err(format!("warnings: {:?}", selected.warnings));
    }
    let (mut all, mut columns) = (Found::new(), Columns::default());
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).unwrap();
        let series = number(selected.series.labels(idx));
        let floats = columns.values.iter().map(|v| Value(SampleValue::Float(*v)));
        all.extend(columns.timestamps.iter().map(|t| (series, *t)).zip(floats));
    }
    all.sort_by_key(|(key, _)| *key);
    assert!(all.is_sorted_by(|(a, _), (b, _)| a < b), "each series and each of its times once");
    Ok(all)
}
