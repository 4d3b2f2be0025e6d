//! The store under test: the only file that knows its interface.

use std::collections::BTreeSet;

use model::{
    Budget, Columns, Exemplar, Labels, Matcher, Metadata, MetricKind, ProjectId, Queryable, SampleValue, Scope,
    TimeRange,
};
use tsdb::{Db, Options, SeriesKey};

use crate::HOUR_MS;
use crate::model::{Doomed, FUTURE_MS, Found, WINDOW_MS};
use crate::value::{Key, Value};

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
        head_image_log_bytes: 256,
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

fn number(labels: &Labels, name: &str) -> u32 {
    labels.get(name).unwrap().parse().unwrap()
}

/// Since when a sample counts; of some series it is said. Reads are not compared with it: blocks do not keep it yet.
fn start_of((series, t, _): &Key) -> Option<i64> {
    series.is_multiple_of(3).then_some(t - t.rem_euclid(HOUR_MS))
}

/// Appends samples and exemplars, and metadata whose help is `help`.
pub(crate) fn append(db: &Db, samples: &[(Key, Value)], help: Option<&str>, now: i64) -> Result<Report, String> {
    let mut appender = db.appender();
    for (key, value) in samples {
        let (series, t, number) = *key;
        let sender = SeriesKey(series.into());
        let handle = appender.known(sender).unwrap_or_else(|| appender.series(sender, &labels(series)));
        match value {
            Value::Sample(value) => {
                appender.value(&handle, t, value.clone());
                if let Some(start) = start_of(key) {
                    appender.start(&handle, t, start);
                }
            }
            Value::Exemplar(v) => {
                let labels = Labels::from_pairs([("trace", number.to_string().as_str())]);
                appender.exemplar(&handle, Exemplar { labels, t, v: *v });
            }
        }
    }
    if let Some(help) = help {
        let metadata = Metadata { kind: MetricKind::Gauge, help: help.to_owned(), unit: String::new() };
        appender.metadata(&ProjectId::parse(PROJECTS[0]).unwrap(), "m", metadata);
    }
    let report = appender.commit(now).map_err(|e| e.to_string())?;
    let (written, duplicates) = (report.written.total(), report.duplicates.total());
    Ok(Report { written, duplicates, refused: report.refused_total() })
}

pub(crate) fn delete(db: &Db, doomed: Doomed) -> Result<(), String> {
    let series = doomed.series.map(|series| Matcher::equal("series", &series.to_string()));
    let set = [Matcher::equal("__name__", "m")].into_iter().chain(series).collect();
    let range = TimeRange { mint: doomed.from, maxt: doomed.to };
    db.delete(&Scope::All, &[set], range).map(drop).map_err(|e| e.to_string())
}

/// Makes a copy of everything and returns its directory.
pub(crate) fn snapshot(db: &Db) -> Result<String, String> {
    db.snapshot(true).map_err(|e| e.to_string())
}

/// What a copy holds.
pub(crate) fn read_copy(root: &disk::Dir, name: &str) -> Result<Found, String> {
    let copy = root.sub("snapshots").and_then(|all| all.sub(name)).map_err(|e| e.to_string())?;
    contents(&open(copy)?)
}

/// The help of the one family, if it has metadata.
pub(crate) fn help(db: &Db) -> Option<String> {
    db.querier(Scope::All).metadata(Some("m")).pop().map(|(_, metadata)| metadata.help)
}

/// Every sample and exemplar, the projects together. Errors: something is missing, as the store says.
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
    let samples = found.iter().filter(|((.., exemplar), _)| *exemplar == 0);
    let series: BTreeSet<u32> = samples.map(|((series, ..), _)| *series).collect();
    let budget = Budget::unlimited();
    let told = db.querier(Scope::All).series(&[], TimeRange::ALL, 0, &budget).unwrap();
    let told: BTreeSet<u32> = told.iter().map(|labels| number(labels, "series")).collect();
    assert_eq!(told, series, "each series with a sample is told");
    let values = db.querier(Scope::All).label_values("series", &[], TimeRange::ALL, 0, &budget).unwrap();
    assert!(series.iter().all(|series| values.contains(&series.to_string())), "{series:?} and {values:?}");
    Ok(())
}

fn select(db: &Db, scope: Scope) -> Result<Found, String> {
    let budget = Budget::unlimited();
    let querier = db.querier(scope);
    let selected = querier.select(&[], TimeRange::ALL, &budget).map_err(|e| e.to_string())?;
    if !selected.warnings.is_empty() {
        return Err(format!("warnings: {:?}", selected.warnings));
    }
    let (mut all, mut columns) = (Found::new(), Columns::default());
    for idx in 0..selected.series.len() {
        selected.series.read(idx, &mut columns, &budget).map_err(|e| e.to_string())?;
        let series = number(selected.series.labels(idx), "series");
        let floats = columns.timestamps.iter().zip(columns.values.iter().map(|v| Value::from(*v)));
        // Whether the counts were integers is not told.
        let histograms = columns.histograms.iter().map(|h| Value::Sample(SampleValue::FloatHistogram(h.clone())));
        let samples = floats.chain(columns.histogram_timestamps.iter().zip(histograms));
        all.extend(samples.map(|(t, value)| ((series, *t, 0), value)));
    }
    for (labels, exemplars) in querier.exemplars(&[vec![]], TimeRange::ALL, &budget).map_err(|e| e.to_string())? {
        let key = |exemplar: &Exemplar| (number(&labels, "series"), exemplar.t, number(&exemplar.labels, "trace"));
        all.extend(exemplars.iter().map(|exemplar| (key(exemplar), Value::Exemplar(exemplar.v))));
    }
    all.sort_by_key(|(key, _)| *key);
    assert!(all.is_sorted_by(|(a, _), (b, _)| a < b), "each series and each of its times once");
    Ok(all)
}
