//! Runs the scripts against a running server: written by remote write, read as JSON, with the answers the scripts state.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod read;
mod served;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use promqltest::{Names, Script};

use crate::served::Served;

/// Scripts run at once: one waits for the disk while another computes.
const THREADS: usize = 4;
/// Evaluations that our own scripts have at least: a lost file must not go unseen.
const EVALS_MIN: usize = 300;

#[test]
fn our_scripts_give_the_same_answers_over_http() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql");
    let evals = run_directory(&dir, Names::DroppedAtOnce);
    assert!(evals >= EVALS_MIN, "{evals} evaluations, at least {EVALS_MIN} expected");
}

/// The scripts of the Prometheus project, when `PROMQL_TESTDATA` names their directory.
#[test]
fn prometheus_scripts_give_the_same_answers_over_http() {
    let Some(dir) = std::env::var_os("PROMQL_TESTDATA") else { return };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(dir);
    run_directory(&dir, Names::DroppedLate);
}

/// Runs every script, a few at once, and returns how many evaluations passed: all of them.
fn run_directory(dir: &Path, names: Names) -> usize {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "test"));
    // The longest ones first, so that no thread is left with one at the end.
    paths.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (next, evals, problems) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (n, found) = run_file(path, names, &runtime);
                    evals.fetch_add(n, Ordering::Relaxed);
                    problems.lock().unwrap().extend(found);
                }
            });
        }
    });
    let (problems, evals) = (problems.into_inner().unwrap(), evals.into_inner());
    assert!(problems.is_empty(), "{} of {evals} evaluations differ:\n{}", problems.len(), problems.join("\n"));
    evals
}

/// The number of evaluations of one script and what is wrong with some of them.
fn run_file(path: &Path, names: Names, runtime: &tokio::runtime::Runtime) -> (usize, Vec<String>) {
    let name = path.file_name().unwrap().to_string_lossy();
    let names = if name == "type_and_unit.test" { Names::DroppedLateWithTypeAndUnit } else { names };
    let script = Script::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (mut evals, mut problems) = (0, Vec::new());
    for stage in script.stages().iter().filter(|stage| !stage.evals.is_empty()) {
        let served = Served::start(names, runtime.handle());
        for load in &stage.loads {
            served.write(&write::body(load));
        }
        let failures = stage.failures(&served);
        problems.extend(failures.iter().map(|f| format!("{name}:{}: {}\n    {}", f.line, f.expr, f.why)));
        evals += stage.evals.len();
        served.stop();
    }
    (evals, problems)
}
