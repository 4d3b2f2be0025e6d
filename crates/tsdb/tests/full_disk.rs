//! A disk without room, made by a limit on the size of files: writes are refused, nothing is lost, and the store goes on
//! when there is room again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use disk::Dir;
use model::{Budget, Columns, Labels, Queryable, Sample, Scope, TimeRange};
use tsdb::{AppendError, AppendReport, Db, Options, SeriesKey};

const NAME: &str = "writes_are_refused_and_come_back";
/// Set for the process that has the limit.
const LIMITED: &str = "PROMENADE_TEST_FILE_LIMIT";
/// 2026-01-01.
const START: i64 = 1_767_225_600_000;

fn append(db: &Db, commit: i64) -> Result<AppendReport, AppendError> {
    let mut appender = db.appender();
    let series = appender.series(SeriesKey(1), &Labels::from_pairs([("__name__", "m")]));
    for i in 0..500 {
        appender.sample(&series, Sample { t: START + commit * 1000 + i, v: 1.0 / (1 + i + commit) as f64 });
    }
    appender.commit(START + commit * 1000)
}

fn count(db: &Db) -> usize {
    let (budget, mut columns) = (Budget::unlimited(), Columns::default());
    let selected = db.querier(Scope::All).select(&[], TimeRange::ALL, &budget).unwrap();
    selected.series.read(0, &mut columns, &budget).unwrap();
    assert_eq!(selected.series.len(), 1);
    columns.len()
}

fn segments(path: &Path) -> BTreeMap<String, u64> {
    let entries = Dir::open(path.join("wal")).unwrap().list().unwrap();
    entries.into_iter().map(|entry| (entry.name, entry.len)).collect()
}

fn limited() {
    let tmp = tempfile::tempdir().unwrap();
    let open = || Db::open(Dir::open(tmp.path()).unwrap(), Options::default()).unwrap();
    let db = open();
    let mut commits = 0;
    while append(&db, commits).is_ok() {
        commits += 1;
    }
    assert!(commits > 5, "{commits}");
    let acknowledged = usize::try_from(commits).unwrap() * 500;
    let full = segments(tmp.path());
    for _ in 0..20 {
        append(&db, commits).unwrap_err();
        append(&db, commits + 1).unwrap_err();
    }
    assert_eq!(segments(tmp.path()), full, "what failed leaves nothing behind");
    assert!(count(&db) >= acknowledged);

    let pid = std::process::id().to_string();
    assert!(Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status().unwrap().success());
    let report = append(&db, commits).unwrap();
    assert_eq!((report.written.floats, report.duplicates.floats), (0, 500), "the head had them, the log has them now");
    assert_eq!(append(&db, commits + 1).unwrap().written.floats, 500);
    assert_eq!(count(&db), acknowledged + 1000);
    drop(db);
    let db = open();
    assert_eq!(db.damages(), [""; 0]);
    assert_eq!(count(&db), acknowledged + 1000);
}

/// The limit is the process's, and its signal has to be ignored from the start, so the test runs itself in a shell.
#[test]
fn writes_are_refused_and_come_back() {
    if std::env::var_os(LIMITED).is_some() {
        return limited();
    }
    if Command::new("prlimit").arg("--version").output().is_err() {
        return;
    }
    let script = "trap '' XFSZ; ulimit -S -f 150; exec \"$0\" --exact \"$1\"";
    let exe = std::env::current_exe().unwrap();
    let output = Command::new("sh").args(["-c", script]).arg(exe).arg(NAME).env(LIMITED, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
