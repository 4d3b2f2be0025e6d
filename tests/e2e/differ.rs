//! Random queries over the same series, asked of a real Prometheus and of promenade by `promenade bench diff`.

use std::process::Command;

use crate::peers;
use crate::promenade::{BINARY, Promenade};
use crate::prometheus::Prometheus;

/// Queries asked unless `DIFF_QUERIES` says otherwise.
const QUERIES: u64 = 500;

#[test]
fn random_queries_are_answered_as_prometheus_does() {
    let Some([prometheus]) = peers::all(["prometheus"]) else { return };
    let queries = std::env::var("DIFF_QUERIES").map_or(QUERIES, |text| text.parse().unwrap());
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let prometheus = Prometheus::start(&prometheus, tmp.path(), &tmp.path().join("prometheus"), "");
    let (reference, n) = (&prometheus.url, queries.to_string());
    let diff = ["bench", "diff", "--reference", reference, "--target", &promenade.url, "--queries", &n];
    let output = Command::new(BINARY).args(diff).env("PROMENADE_TOKEN", &promenade.operator).output().unwrap();
    let (report, found) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{report}{found}");
    // Queries that select nothing compare nothing.
    let [with_samples, annotated] = ["with samples", "annotated"].map(|what| number_before(&report, what));
    assert!(queries / 2 <= with_samples && queries / 20 <= annotated, "{report}");
    eprintln!("{}", report.trim());
}

/// The number that stands before `what`.
fn number_before(report: &str, what: &str) -> u64 {
    let before = report.split(what).next().unwrap().trim_end();
    before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
