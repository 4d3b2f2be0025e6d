//! Runs the scripts of the Prometheus project when `PROMQL_TESTDATA` names their directory; prints passed/total a file.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use promqltest::{Names, Report, Script, run};

/// The share of evaluations that must pass in each file, in percent; raise one as the engine completes, never lower it.
/// Files of features that the engine does not have are not listed.
const REQUIRED_PERCENT: &[(&str, usize)] = &[
    ("aggregators", 100),
    ("at_modifier", 100),
    ("collision", 100),
    ("duration_expression", 100),
    ("extended_vectors", 100),
    ("fill-modifier", 100),
    ("functions", 100),
    ("histograms", 100),
    ("info", 100),
    ("limit", 100),
    ("literals", 100),
    ("name_label_dropping", 100),
    ("native_histograms", 100),
    ("operators", 100),
    ("range_queries", 100),
    ("selectors", 100),
    ("staleness", 100),
    ("start_timestamps", 100),
    ("subquery", 100),
    ("trig_functions", 100),
    ("type_and_unit", 100),
];

/// The script that takes the labels of type and unit for what they are.
const TYPE_AND_UNIT: &str = "type_and_unit.test";

fn main() -> ExitCode {
    if std::env::args().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    let Some(dir) = std::env::var_os("PROMQL_TESTDATA").map(|dir| at_root(Path::new(&dir))) else {
        return say("upstream scripts: skipped, PROMQL_TESTDATA does not name their directory\n", true);
    };
    match table(&dir) {
        Ok((text, passed)) => say(&text, passed),
        Err(error) => say(&format!("upstream scripts in {}: {error}\n", dir.display()), false),
    }
}

/// A relative directory is meant from the root of the repository, where `cargo test` is typed.
fn at_root(dir: &Path) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(dir)
}

fn say(text: &str, passed: bool) -> ExitCode {
    let written = std::io::stderr().write_all(text.as_bytes());
    if passed && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every script; the failures, the table and whether each file reaches what is required of it.
fn table(dir: &Path) -> std::io::Result<(String, bool)> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "test"));
    paths.sort();
    let (mut failures, mut rows) = (String::new(), String::new());
    let (mut total, mut passed, mut short) = (0, 0, Vec::new());
    for path in &paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        let report = run_file(path, &mut failures)?;
        let required = REQUIRED_PERCENT.iter().find(|(file, _)| *file == name).map_or(0, |(_, percent)| *percent);
        let _ = writeln!(rows, "{name} {}/{}", report.passed(), report.evals);
        if report.passed() * 100 < report.evals * required || (required > 0 && report.evals == 0) {
            short.push(format!("{name} is below its {required} %"));
        }
        total += report.evals;
        passed += report.passed();
    }
    for (file, _) in REQUIRED_PERCENT.iter().filter(|(file, _)| !dir.join(format!("{file}.test")).exists()) {
        short.push(format!("{file}.test is not there"));
    }
    let verdict =
        if short.is_empty() { "every file reaches what is required of it".to_owned() } else { short.join("; ") };
    // A test here is a file, and it passes when it reaches what is required of it.
    let files = paths.len().saturating_sub(short.len());
    let text = format!("{failures}{rows}total {passed}/{total}; {verdict}\n{files} passed, {} failed\n", short.len());
    Ok((text, short.is_empty()))
}

/// Runs one script and adds its failures as `file:line: expression`, then what went wrong.
fn run_file(path: &Path, failures: &mut String) -> std::io::Result<Report> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = if name == TYPE_AND_UNIT { Names::DroppedLateWithTypeAndUnit } else { Names::DroppedLate };
    match Script::parse(&std::fs::read_to_string(path)?).and_then(|script| run(&script, names)) {
        Ok(report) => {
            for failure in &report.failures {
                let _ = writeln!(failures, "{name}:{}: {}\n    {}", failure.line, failure.expr, failure.why);
            }
            Ok(report)
        }
        Err(error) => {
            let _ = writeln!(failures, "{name}: {error}");
            Ok(Report::default())
        }
    }
}
