//! `promenade tsdb`: what it prints and imports is what promtool prints and makes of the same.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::peers::{self, blocks, run};
use crate::promenade::{BINARY, Promenade};

/// 2026-01-01.
const START_S: i64 = 1_767_225_600;

/// Runs `promenade tsdb` and returns success, standard output and standard error.
fn tsdb(args: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } = Command::new(BINARY).arg("tsdb").args(args).output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The same, and it must succeed.
#[track_caller]
pub(crate) fn tsdb_ok(args: &[&str]) -> String {
    let (ok, out, err) = tsdb(args);
    assert!(ok, "{args:?}: {out}{err}");
    out
}

/// For each series, as promtool writes its labels, its samples as text.
pub(crate) type Dumped = BTreeMap<String, BTreeMap<i64, String>>;

/// Reads a dump in promtool's form.
pub(crate) fn dumped(text: &str) -> Dumped {
    let mut all = Dumped::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let (rest, t) = line.rsplit_once(' ').unwrap();
        let (labels, value) = rest.split_once("} ").unwrap();
        // Numbers, not their text: Go shows large ones with an exponent. A histogram's text begins with a brace.
        let value = value.parse::<f64>().map_or_else(|_| value.to_owned(), |v| v.to_string());
        let again = all.entry(format!("{labels}}}")).or_default().insert(t.parse().unwrap(), value);
        assert_eq!(again, None, "twice: {line}");
    }
    all
}

/// Reads samples in the text form of OpenMetrics, with times in seconds.
pub(crate) fn dumped_openmetrics(text: &str) -> Dumped {
    let as_dumped = |line: &str| {
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, rest) = rest.split_once("} ").unwrap();
        let (value, t) = rest.split_once(' ').unwrap();
        let (seconds, millis) = t.split_once('.').unwrap();
        format!("{{__name__=\"{name}\", {}}} {value} {seconds}{millis}\n", labels.replace("\",", "\", "))
    };
    dumped(&text.lines().filter(|line| !line.starts_with('#')).map(as_dumped).collect::<String>())
}

/// The samples of both are equal, or the first difference is shown. Returns how many there are.
#[track_caller]
pub(crate) fn assert_same_samples(ours: &Dumped, theirs: &Dumped) -> usize {
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (labels, theirs) in theirs {
        let ours = &ours[labels];
        let differ = theirs.iter().find(|(t, v)| ours.get(t) != Some(v));
        let of_ours = differ.and_then(|(t, _)| ours.get(t));
        assert_eq!((differ, ours.len()), (None, theirs.len()), "{labels}: {of_ours:?} in ours");
    }
    ours.values().map(BTreeMap::len).sum()
}

/// Two days of a few series: one series after the other in the first family, one time after the other in the second.
fn text() -> String {
    let mut text =
        "# HELP grouped What \\\"it\\\" is.\n# TYPE grouped counter\n# UNIT grouped_seconds seconds\n".to_owned();
    for series in 0..8 {
        for k in 0..1500 {
            let (t, v) = (START_S + k * 115, k * series * 1_000_000);
            writeln!(text, "grouped_total{{series=\"{series}\",path=\"a\\\"b\\\\c\\nd\"}} {v} {t}").unwrap();
        }
    }
    text.push_str("# TYPE ticks gauge\n");
    for k in 0..1500 {
        for series in 0..8 {
            let t = START_S * 1000 + k * 115_000 + 250;
            let v = match (series, k % 10) {
                (0, 3) => "NaN".to_owned(),
                (1, 4) => "-Inf".to_owned(),
                (2, 5) => "+Inf".to_owned(),
                _ => format!("{:e}", (k as f64 / 7.0).sin() * 10f64.powi(series * 5 - 20)),
            };
            writeln!(text, "ticks{{series=\"{series}\",zone=\"\u{e9}\"}} {v} {}.{:03}", t / 1000, t % 1000).unwrap();
        }
    }
    text.push_str("# TYPE h histogram\n");
    for k in 0..100 {
        let t = START_S + k * 60;
        writeln!(text, "h_bucket{{le=\"1.0\"}} {k} {t} # {{trace_id=\"a{k}\"}} 0.5 {t}").unwrap();
        writeln!(text, "h_bucket{{le=\"+Inf\"}} {k} {t}\nh_count {k} {t}\nh_sum 0.5 {t}").unwrap();
    }
    text.push_str("# EOF\n");
    text
}

#[test]
fn text_is_imported_as_promtool_does_and_exported_again() {
    let tmp = tempfile::tempdir().unwrap();
    let path = |name: &str| tmp.path().join(name).to_str().unwrap().to_owned();
    let (file, data) = (path("in.om"), path("data"));
    fs::write(&file, text()).unwrap();
    let told = tsdb_ok(&["import", &data, &file, "--project", "acme"]);
    assert!(told.starts_with("24400 samples from 2026-01-01T00:00:00Z to 2026-01-02T23:53:05Z in 24 blocks"), "{told}");
    assert_eq!(blocks(Path::new(&data)).len(), 24);

    // Once more, from what was exported: the same samples, already there or in another directory.
    let exported = tsdb_ok(&["export", &data, "--match", "{project_id=\"acme\"}"]);
    assert_eq!(exported.lines().count(), 24_401);
    fs::write(path("out.om"), &exported).unwrap();
    for data in [&data, &path("second")] {
        tsdb_ok(&["import", data, &path("out.om")]);
        assert_eq!(tsdb_ok(&["export", data]), exported);
    }

    let report = tsdb_ok(&["verify", &path("second")]);
    assert!(report.starts_with("24 blocks with ") && report.ends_with(" and 24400 samples read\n"), "{report}");
    let chunks = tmp.path().join("second").join(&blocks(&tmp.path().join("second"))[0]).join("chunks/000001");
    let mut bytes = fs::read(&chunks).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path("damaged"), bytes).unwrap();
    fs::rename(&chunks, path("whole")).unwrap();
    fs::rename(path("damaged"), &chunks).unwrap();
    let (ok, out, err) = tsdb(&["verify", &path("second")]);
    assert!(!ok && out.contains("problem: ") && err.contains("problem"), "{out}{err}");
    fs::rename(path("whole"), &chunks).unwrap();

    let few = tsdb_ok(&["dump", &data, "--match", "h_count", "--from", "2026-01-01T00:10:00Z", "--to", "1767226260"]);
    assert_eq!(
        few,
        "{__name__=\"h_count\", project_id=\"acme\"} 10 1767226200000\n{__name__=\"h_count\", project_id=\"acme\"} 11 1767226260000\n"
    );

    let Some([promtool]) = peers::all(["promtool"]) else { return };
    run(&promtool, &["tsdb", "create-blocks-from", "openmetrics", &file, &path("theirs")]);
    // promtool reads no directory without a log.
    fs::create_dir(path("theirs/wal")).unwrap();
    let theirs = run(&promtool, &["tsdb", "dump", &path("theirs")]);
    let second = path("second");
    for ours in [run(&promtool, &["tsdb", "dump", &second]), tsdb_ok(&["dump", &second])] {
        let ours = dumped(&ours.replace(", project_id=\"acme\"", ""));
        assert_eq!(assert_same_samples(&ours, &dumped(&theirs)), 24_400);
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_its_place_and_leaves_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let (data, file) = (tmp.path().join("data"), tmp.path().join("in.om"));
    let (data, file) = (data.to_str().unwrap(), file.to_str().unwrap());
    for (text, project, expected) in [
        ("a 1 1\nb{ 1 1\n# EOF\n", None, "line 2, column 4: "),
        ("a 1 1\nb 1\n# EOF\n", None, "line 2, column 2: the sample has no time"),
        (
            "a 1 1\nb 1 32503680000\n# EOF\n",
            None,
            "line 2, column 2: the sample is of 3000-01-01T00:00:00Z, more than ten",
        ),
        ("a 1 1\nb x 1\n# EOF\n", None, "line 2, column 3: "),
        ("a 1 1\n", None, "ends without # EOF"),
        ("a 1 1\n{b=\"c\"} 1 1\n# EOF\n", None, "line 2, column 1: "),
        ("a{project_id=\"../x\"} 1 1\n# EOF\n", None, "line 1, column 1: project id \"../x\""),
        ("# EOF\n", Some("NO"), "project id \"NO\" must be"),
    ] {
        fs::write(file, text).unwrap();
        let mut args = vec!["import", data, file];
        args.extend(project.into_iter().flat_map(|project| ["--project", project]));
        let (ok, out, err) = tsdb(&args);
        assert!(!ok && err.contains(expected), "{text:?}: {out}{err}");
        assert_eq!(blocks(Path::new(data)), [""; 0], "{text:?}");
    }
    let (ok, _, err) = tsdb(&["dump", "/nowhere"]);
    assert!(!ok && err.contains("/nowhere is not a directory"), "{err}");
}

#[test]
fn a_directory_in_use_is_left_alone() {
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let file = tmp.path().join("in.om");
    fs::write(&file, "a 1 1\n# EOF\n").unwrap();
    let (data, file) = (promenade.data().to_str().unwrap(), file.to_str().unwrap());
    for args in [&["import", data, file][..], &["dump", data], &["export", data], &["verify", data]] {
        let (ok, _, err) = tsdb(args);
        assert!(!ok && err.contains("is in use: stop the server"), "{args:?}: {err}");
    }
}
