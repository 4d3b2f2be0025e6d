//! Runs our own scripts in `tests/promql`: every evaluation must pass.

use std::path::Path;

use promqltest::{Names, Script, run};

/// The scripts cover the language only while they are many: a lost file must not go unseen.
const EVALS_MIN: usize = 300;

#[test]
fn every_evaluation_of_our_scripts_passes() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/promql");
    let mut failures = Vec::new();
    let mut evals = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let script = Script::parse(&std::fs::read_to_string(&path).unwrap());
        let report = script
            .and_then(|script| run(&script, Names::DroppedAtOnce))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        evals += report.evals;
        failures.extend(report.failures.iter().map(|f| format!("{name}:{}: {}\n    {}", f.line, f.expr, f.why)));
    }
    assert!(failures.is_empty(), "{} of {evals} evaluations failed:\n{}", failures.len(), failures.join("\n"));
    assert!(evals >= EVALS_MIN, "{evals} evaluations, at least {EVALS_MIN} expected");
}
