//! Runs the scripts over the real store: live, after a crash and replay, after flush and compaction, and with half of
//! the samples late, with one result.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use model::{Labels, Queryable, SampleValue, Scope};
use promqltest::{Failure, Load, Names, Over, Script, Stage};
use tsdb::{Db, Options, SeriesKey};

/// Stages that our own scripts have at least: a lost file must not go unseen.
const STAGES_MIN: usize = 25;
/// Scripts start at the epoch and go on for days: nothing in them is too old or too new.
const OPEN_BOUNDS_MS: i64 = i64::MAX / 4;

/// How the scripts of one directory fared.
#[derive(Default)]
struct Tally {
    stages: usize,
    evals: usize,
    problems: Vec<String>,
}

#[test]
fn our_scripts_give_the_same_answers_over_the_store() {
    let tally = run_directory(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql"), Names::DroppedAtOnce);
    tally.check();
    assert!(tally.stages >= STAGES_MIN, "{} stages, at least {STAGES_MIN} expected", tally.stages);
}

/// The scripts of the Prometheus project, when `PROMQL_TESTDATA` names their directory.
#[test]
fn prometheus_scripts_give_the_same_answers_over_the_store() {
    let Some(dir) = std::env::var_os("PROMQL_TESTDATA") else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(dir);
    run_directory(&dir, Names::DroppedLate).check();
}

impl Tally {
    #[track_caller]
    fn check(&self) {
        let (n, problems) = (self.problems.len(), self.problems.join("\n"));
        assert!(self.problems.is_empty(), "{n} of 6 x {} evaluations differ:\n{problems}", self.evals);
    }
}

fn run_directory(dir: &Path, names: Names) -> Tally {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    paths.sort();
    let mut tally = Tally::default();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let names = if name == "type_and_unit.test" { Names::DroppedLateWithTypeAndUnit } else { names };
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for stage in script.stages().iter().filter(|stage| !stage.evals.is_empty()) {
            tally.stages += 1;
            tally.evals += stage.evals.len();
            for (when, failure) in run_stage(stage, names) {
                let Failure { line, expr, why } = failure;
                tally.problems.push(format!("{name}:{line}: {when}: {expr}\n    {why}"));
            }
        }
    }
    tally
}

/// The evaluations that pass over a memory store and not over the real one, with what had happened to it.
fn run_stage(stage: &Stage<'_>, names: Names) -> Vec<(&'static str, Failure)> {
    let memory = stage.memory_store().unwrap();
    let known = stage.failures(&Over { store: &memory, names });
    let [dir, late_dir] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut differences = Vec::new();
    let mut compare = |when: &'static str, db: &Db| {
        let querier: &dyn Queryable = &db.querier(Scope::All);
        let failures = stage.failures(&Over { store: querier, names });
        // A counter that was not reset is not known to be so while samples may have come in between.
        let is_hint =
            |failure: &Failure| when.starts_with("late") && failure.why.contains("counter_reset_hint:not_reset");
        let is_new = |failure: &Failure| known.iter().all(|other| other.line != failure.line) && !is_hint(failure);
        let news = failures.into_iter().filter(is_new);
        differences.extend(news.map(|failure| (when, failure)));
    };
    let db = open(dir.path());
    for load in &stage.loads {
        append(&db, load, |_| true);
    }
    compare("live", &db);
    // Nothing is closed: what was acknowledged is in the log, and that is all.
    drop(db);
    let db = open(dir.path());
    compare("after a restart", &db);
    db.flush().unwrap();
    db.compact().unwrap();
    compare("after flush and compaction", &db);
    drop(db);
    // Every second sample comes late, when those around it are in blocks already.
    let db = open(late_dir.path());
    for is_odd in [false, true] {
        for load in &stage.loads {
            append(&db, load, |idx| (idx % 2 == 1) == is_odd);
        }
        if !is_odd {
            db.flush().unwrap();
        }
    }
    compare("late", &db);
    db.flush().unwrap();
    compare("late, in blocks that overlap", &db);
    db.compact().unwrap();
    compare("late, after compaction", &db);
    differences
}

fn open(dir: &Path) -> Db {
    let options = Options { out_of_order_window_ms: OPEN_BOUNDS_MS, future_ms: OPEN_BOUNDS_MS, ..Options::default() };
    Db::open(disk::Dir::open(dir).unwrap(), options).unwrap()
}

/// Adds the samples in the slots that `takes` accepts, those of all series interleaved as scrapes would.
fn append(db: &Db, load: &Load, takes: impl Fn(usize) -> bool) {
    let loaded = load.samples().unwrap();
    let mut appender = db.appender();
    let handles: Vec<_> = loaded.iter().map(|(labels, _)| appender.series(key(labels), labels)).collect();
    let longest = loaded.iter().map(|(_, samples)| samples.len()).max().unwrap_or(0);
    let mut n = 0;
    for idx in (0..longest).filter(|idx| takes(*idx)) {
        for ((labels, samples), handle) in loaded.iter().zip(&handles) {
            let Some((t, value)) = samples.get(idx) else { continue };
            appender.value(handle, *t, as_sent(value));
            if let Some(starts) = load.starts_of(labels) {
                appender.start(handle, *t, load.start_at(starts, *t));
            }
            n += 1;
        }
    }
    let report = appender.commit(0).unwrap();
    assert_eq!(report.written.samples(), n, "{:?}", report.examples);
}

fn key(labels: &Labels) -> SeriesKey {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    SeriesKey(u128::from(hasher.finish()))
}

/// Senders say whole counts as whole numbers.
fn as_sent(value: &SampleValue) -> SampleValue {
    let is_whole = |counts: &[f64]| counts.iter().all(|count| count.fract() == 0.0 && (0.0..1e15).contains(count));
    match value {
        SampleValue::FloatHistogram(h)
            if is_whole(&[h.count, h.zero_count]) && is_whole(&h.positive_buckets) && is_whole(&h.negative_buckets) =>
        {
            SampleValue::Histogram(h.clone())
        }
        value => value.clone(),
    }
}
