//! Data directories change hands: Prometheus and promtool read ours, and we read one of theirs, with every kind of
//! sample in blocks and log, late ones, deleted ones and exemplars.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::http::Http;
use crate::kinds::{SAMPLES, STEP_MS, Sent, send};
use crate::peers::{self, run, wait_for};
use crate::promenade::Promenade;
use crate::prometheus::Prometheus;
use crate::tsdb::{Dumped, assert_same_samples, dumped, dumped_openmetrics, tsdb_ok};

/// What both are asked; the first three bring every sample.
const QUERIES: &[&str] = &[
    "{__name__=~\"k_.+\",instance=\"late\"}",
    "{__name__=~\"k_.+\",instance=\"steady\"}",
    "k_stale",
    "rate(k_counter[5m])",
    "max_over_time(k_gauge[30m])",
    "rate(k_histogram[10m])",
    "histogram_quantile(0.9, rate(k_histogram[10m]))",
    "increase(k_float_histogram[1h])",
    "histogram_avg(k_gauge_histogram)",
    "sum by (job) (rate(k_custom_float_histogram[10m]))",
    "histogram_fraction(0, 1, k_custom_float_histogram)",
    "rate(k_widening_histogram[15m])",
    "count_over_time(k_stale_histogram[1h])",
    "count({__name__=~\"k_.+\"})",
];

/// Where the head of a Prometheus begins that was sent all steps; only few of them are in no block.
///
/// Of a series that changes between kinds in one request Prometheus takes the floats first, and what is older than they
/// are is late: of `k_mixed` the float histograms from step 780 to 809. So its head begins with late samples, which are
/// older than all that this series has in order.
const HEAD_FROM: i64 = 785;

pub(crate) fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The first sample's time: a block range of two hours begins with step [`HEAD_FROM`], and the last sample is at most
/// that long ago.
fn first_ms() -> i64 {
    let last = now_ms() - SAMPLES * STEP_MS;
    last - (last + HEAD_FROM * STEP_MS).rem_euclid(2 * 3_600_000)
}

pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap().success());
}

/// The answers to all queries, series sorted by labels.
fn answers(http: &Http, first: i64) -> Vec<Value> {
    let (start, end) = ((first / 1000).to_string(), ((first + SAMPLES * STEP_MS) / 1000).to_string());
    let params = |query| [("query", query), ("start", start.as_str()), ("end", end.as_str()), ("step", "60")];
    let mut all: Vec<Value> = QUERIES.iter().map(|query| http.data("/api/v1/query_range", &params(query))).collect();
    all.push(http.data("/api/v1/query_exemplars", &params("k_counter")));
    for data in &mut all {
        let list = if data["result"].is_array() { &mut data["result"] } else { data };
        list.as_array_mut().unwrap().sort_by_key(|s| s["metric"].to_string() + &s["seriesLabels"].to_string());
    }
    all
}

#[track_caller]
fn assert_same_answers(ours: &[Value], theirs: &[Value]) {
    for (query, (ours, theirs)) in QUERIES.iter().chain(&["exemplars"]).zip(ours.iter().zip(theirs)) {
        let list = |data: &Value| data["result"].as_array().or(data.as_array()).unwrap().clone();
        let (ours, theirs) = (list(ours), list(theirs));
        assert!(!theirs.is_empty(), "{query}");
        assert_eq!(ours.len(), theirs.len(), "{query}: series");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            for key in ["metric", "seriesLabels", "values", "histograms", "exemplars"] {
                let (none, ours, theirs) = (Vec::new(), &ours[key], &theirs[key]);
                let (list, their_list) = (ours.as_array().unwrap_or(&none), theirs.as_array().unwrap_or(&none));
                let differ = list.iter().zip(their_list).find(|(a, b)| a != b);
                assert_eq!((differ, list.len()), (None, their_list.len()), "{query} {key}: ours and theirs");
                assert!(ours.is_array() || ours == theirs, "{query} {key}: {ours}, theirs {theirs}");
            }
        }
    }
}

#[test]
fn prometheus_and_promtool_read_our_directory() {
    let Some([prometheus, promtool]) = peers::all(["prometheus", "promtool"]) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let mut promenade = Promenade::start(tmp.path());
    let token = promenade.project("inference");
    let writer = Http::new(&promenade.url, Some(&token));
    let (first, mut sent) = (first_ms(), Sent::default());
    let own = ", project_id=\"inference\"";
    send(&writer, first, 0..SAMPLES / 2, true, own, &mut sent);
    flush(&promenade);
    send(&writer, first, SAMPLES / 2..SAMPLES - 60, true, own, &mut sent);
    flush(&promenade);
    wait_for("blocks were merged", Duration::from_secs(60), || (2 <= highest_level(promenade.data())).then_some(()));
    // Late samples are in our log where Prometheus does not look for them: it sees them once they are in a block.
    send(&writer, first, SAMPLES - 60..SAMPLES, false, own, &mut sent);
    // In blocks, across blocks and the log, and one series whole.
    for (name, from, to) in [("k_histogram", 100, 200), ("k_gauge", 300, SAMPLES - 30), ("k_mixed", 0, SAMPLES)] {
        delete(&promenade.http(), &mut sent, name, first + from * STEP_MS, first + to * STEP_MS);
    }
    let answered = answers(&promenade.http(), first);
    assert!(promenade.end("TERM"), "{}", promenade.log());

    let data = promenade.data().to_str().unwrap().to_owned();
    let copied = tmp.path().join("copy");
    copy(promenade.data(), &copied);
    let blocks = peers::blocks(promenade.data());
    assert!(2 <= blocks.len() && 2 <= highest_level(promenade.data()), "{blocks:?}");
    let listed = run(&promtool, &["tsdb", "list", &data]);
    assert_eq!(listed.lines().count(), 1 + blocks.len(), "{listed}");
    for block in &blocks {
        run(&promtool, &["tsdb", "analyze", &data, block]);
    }
    let theirs = run(&promtool, &["tsdb", "dump", &data]);
    assert_same_samples(&dumped(&theirs), &as_promtool_dumps(&sent));
    assert_same_samples(&dumped(&tsdb_ok(&["dump", &data])), &sent.0);
    let theirs = run(&promtool, &["tsdb", "dump-openmetrics", &data]);
    assert_same_samples(&dumped_openmetrics(&theirs), &floats(&sent));

    let prometheus = Prometheus::start(&prometheus, tmp.path(), &copied, "");
    let theirs = answers(&prometheus.http, first);
    let (samples, exemplars) = (QUERIES.len(), QUERIES.len());
    assert_same_answers(&answered[..samples], &theirs[..samples]);
    // Of exemplars Prometheus finds those that are in the log still.
    assert!(!theirs[exemplars].as_array().unwrap().is_empty());
    promenade.run();
    assert_same_answers(&answers(&promenade.http(), first), &answered);
}

/// promtool 3.5 looks for floats, then float histograms, then others, and loses the sample that ends each search.
fn as_promtool_dumps(sent: &Sent) -> Dumped {
    let mut dumped = sent.0.clone();
    for (labels, samples) in dumped.iter_mut().filter(|(labels, _)| labels.contains("histogram")) {
        (0..if labels.contains("float") { 1 } else { 2 }).for_each(|_| drop(samples.pop_first()));
    }
    dumped
}

/// The series that have floats alone: of others promtool writes what comes before the first histogram.
fn floats(sent: &Sent) -> Dumped {
    let has_histograms = |labels: &str| labels.contains("histogram") || labels.contains("k_mixed");
    sent.0
        .iter()
        .filter(|(labels, _)| !has_histograms(labels))
        .map(|(l, samples)| (l.clone(), samples.clone()))
        .collect()
}

/// How often the blocks in a data directory were merged, at most.
fn highest_level(data: &Path) -> u64 {
    let level = |name: &String| {
        // A block may be gone by now.
        let meta = std::fs::read(data.join(name).join("meta.json")).ok()?;
        serde_json::from_slice::<Value>(&meta).unwrap()["compaction"]["level"].as_u64()
    };
    peers::blocks(data).iter().filter_map(level).max().unwrap_or(0)
}

pub(crate) fn flush(promenade: &Promenade) {
    let flushed = promenade.http().post("/api/v1/admin/tsdb/flush", &[], Vec::new());
    assert_eq!(flushed.map(|(status, _)| status), Some(204));
}

/// Deletes the samples of a family between two times.
pub(crate) fn delete(http: &Http, sent: &mut Sent, name: &str, from: i64, to: i64) {
    let seconds = |ms: i64| format!("{}", ms / 1000);
    let path = format!("/api/v1/admin/tsdb/delete_series?match[]={name}&start={}&end={}", seconds(from), seconds(to));
    let deleted = http.post(&path, &[], Vec::new());
    assert_eq!(deleted, Some((204, String::new())), "{name}");
    sent.delete(name, from, to);
}

/// A directory that Prometheus wrote, ended by `signal`; with what was sent to it and what it answered.
fn written_by_prometheus(binary: &Path, dir: &Path, signal: &str) -> (PathBuf, i64, Sent, Vec<Value>) {
    let data = dir.join("theirs");
    let mut prometheus = Prometheus::start(binary, dir, &data, "");
    let (first, mut sent) = (first_ms(), Sent::default());
    // What it is told to delete Prometheus does not leave out of the blocks it makes of late samples, nor does it delete
    // late samples older than its head. So all that are older than the head are in blocks before anything is deleted:
    // those of the first part, once the second one has made it write the block that ends where the head begins.
    send(&prometheus.http, first, 0..HEAD_FROM + 55, true, "", &mut sent);
    send(&prometheus.http, first, HEAD_FROM + 55..HEAD_FROM + 85, true, "", &mut sent);
    wait_for("Prometheus wrote its blocks", Duration::from_secs(60), || {
        let head = prometheus.http.data("/api/v1/status/tsdb", &[])["headStats"]["minTime"].as_i64();
        (head == Some(first + HEAD_FROM * STEP_MS)).then_some(())
    });
    // It waits for the end of the compaction.
    delete(&prometheus.http, &mut sent, "k_histogram", first + 100 * STEP_MS, first + 200 * STEP_MS);
    // Late samples that are in no block.
    send(&prometheus.http, first, HEAD_FROM + 85..SAMPLES, true, "", &mut sent);
    for (name, from, to) in [("k_gauge", 300, SAMPLES - 30), ("k_mixed", 0, SAMPLES)] {
        delete(&prometheus.http, &mut sent, name, first + from * STEP_MS, first + to * STEP_MS);
    }
    let answered = answers(&prometheus.http, first);
    prometheus.running.end(signal);
    let left = answered.iter().filter(|data| data.to_string().contains("k_mixed")).count();
    assert_eq!(left, 0, "answers of Prometheus with what it was told to delete");
    (data, first, sent, answered)
}

#[test]
fn we_read_a_directory_of_prometheus() {
    let Some([prometheus]) = peers::all(["prometheus"]) else { return };
    for signal in ["TERM", "KILL"] {
        let tmp = tempfile::tempdir().unwrap();
        let (data, first, sent, answered) = written_by_prometheus(&prometheus, tmp.path(), signal);
        for part in ["wal", "wbl", "chunks_head"] {
            let files =
                std::fs::read_dir(data.join(part)).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len());
            assert!(0 < files.sum::<u64>(), "{part}");
        }
        // Into a store of ours, block by block and log.
        let ours = tmp.path().join("ours");
        tsdb_ok(&["import", ours.to_str().unwrap(), "--prometheus", data.to_str().unwrap(), "--project", "p"]);
        let imported = tsdb_ok(&["dump", ours.to_str().unwrap()]).replace(", project_id=\"p\"", "");
        assert_same_samples(&dumped(&imported), &sent.0);

        // As it is.
        std::fs::rename(&data, tmp.path().join("promenade")).unwrap();
        let mut promenade = Promenade::start(tmp.path());
        assert_same_answers(&answers(&promenade.http(), first), &answered);
        promenade.end("KILL");
        promenade.run();
        assert_same_answers(&answers(&promenade.http(), first), &answered);
        flush(&promenade);
        assert_same_answers(&answers(&promenade.http(), first), &answered);
        promenade.end("TERM");
        let dump = tsdb_ok(&["dump", promenade.data().to_str().unwrap()]);
        assert_same_samples(&dumped(&dump), &sent.0);
    }
}
