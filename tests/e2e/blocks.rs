//! The bytes on disk are Prometheus': promtool reads our blocks, and a Prometheus on a copy of our data answers alike.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Sample;
use wire::remote_write::WriteRequestEncoder;

use crate::http::Http;
use crate::peers::{self, Running, free_port, run, wait_for};
use crate::promenade::Promenade;

const SERIES: usize = 200;
const SAMPLES: usize = 500;
const STEP_MS: i64 = 15_000;

/// Series `i` at sample `k`: counters with a reset, gauges with NaN, a stale marker at the end of some.
fn value(series: usize, k: usize) -> f64 {
    match series % 4 {
        0 => (k % 300) as f64 * 7.0,
        1 if k % 50 == 49 => f64::NAN,
        1 => (k as f64 * 0.1).sin() * series as f64,
        2 if k + 1 == SAMPLES => model::STALE_NAN,
        2 => 1e9 + k as f64,
        _ => f64::INFINITY,
    }
}

fn ingest(promenade: &Promenade, token: &str, first: i64) {
    let http = Http::new(&promenade.url, Some(token));
    for from in (0..SAMPLES).step_by(100) {
        let mut encoder = WriteRequestEncoder::new();
        for series in 0..SERIES {
            let run: Vec<Sample> =
                (from..from + 100).map(|k| Sample { t: first + k as i64 * STEP_MS, v: value(series, k) }).collect();
            let instance = format!("node-{series}");
            encoder.push([("__name__", "block_test"), ("instance", instance.as_str()), ("job", "e2e")], &run);
        }
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "snappy")];
        let answer = http.post("/api/v1/write", &headers, encoder.finish_compressed().unwrap());
        assert_eq!(answer, Some((204, String::new())));
    }
}

#[test]
fn prometheus_and_promtool_read_our_blocks() {
    let Some([prometheus, promtool]) = peers::all(["prometheus", "promtool"]) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let mut promenade = Promenade::start(tmp.path());
    let token = promenade.project("inference");
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let first = now - SAMPLES as i64 * STEP_MS;
    ingest(&promenade, &token, first);
    let http = promenade.http();
    assert_eq!(http.post("/api/v1/admin/tsdb/flush", &[], Vec::new()).map(|(status, _)| status), Some(204));

    let data = promenade.data().to_str().unwrap();
    let blocks: Vec<String> = std::fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.len() == 26 && name.bytes().all(|b| b.is_ascii_alphanumeric()))
        .collect();
    assert!(blocks.len() >= 2, "two hours of samples lie in two block ranges: {blocks:?}");
    for block in &blocks {
        let analysis = run(&promtool, &["tsdb", "analyze", data, block]);
        assert!(analysis.contains(&format!("Total Series: {SERIES}")), "{analysis}");
    }
    let listed = run(&promtool, &["tsdb", "list", data]);
    assert_eq!(listed.lines().count(), 1 + blocks.len(), "{listed}");
    dump_has_every_sample(&promtool, data, first);
    same_answers(&prometheus, tmp.path(), &mut promenade, now);
}

fn dump_has_every_sample(promtool: &Path, data: &str, first: i64) {
    let dump = run(promtool, &["tsdb", "dump", data]);
    let mut expected: Vec<String> = Vec::new();
    for series in 0..SERIES {
        for k in 0..SAMPLES {
            let (v, t) = (value(series, k), first + k as i64 * STEP_MS);
            let mut line = format!(
                "{{__name__=\"block_test\", instance=\"node-{series}\", job=\"e2e\", project_id=\"inference\"}} "
            );
            match v {
                v if v.is_nan() => line.push_str("NaN"),
                v if v == f64::INFINITY => line.push_str("+Inf"),
                v => write!(line, "{v}").unwrap(),
            }
            write!(line, " {t}").unwrap();
            expected.push(line);
        }
    }
    // Go prints large and small numbers with an exponent: compare numbers, not their text.
    let number = |line: &str| -> (String, String, f64) {
        let mut parts = line.rsplitn(3, ' ');
        let (t, v, labels) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        (labels.to_owned(), t.to_owned(), v.parse().unwrap())
    };
    let sorted = |lines: &mut dyn Iterator<Item = &str>| {
        let mut all: Vec<_> = lines.map(number).collect();
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    };
    let theirs = sorted(&mut dump.lines().filter(|line| !line.is_empty()));
    let ours = sorted(&mut expected.iter().map(String::as_str));
    assert_eq!(theirs.len(), ours.len());
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!((&theirs.0, &theirs.1), (&ours.0, &ours.1));
        assert!(theirs.2 == ours.2 || (theirs.2.is_nan() && ours.2.is_nan()), "{theirs:?}, ours {ours:?}");
    }
}

/// Stops the server, starts a real Prometheus on a copy of its data, and asks both the same.
fn same_answers(prometheus: &Path, dir: &Path, promenade: &mut Promenade, now: i64) {
    promenade.end("TERM");
    let copy = dir.join("copy");
    let copied = Command::new("cp").arg("-r").arg(promenade.data()).arg(&copy).status().unwrap();
    assert!(copied.success());
    promenade.run();
    let port = free_port();
    let config = dir.join("empty.yml");
    std::fs::write(&config, "").unwrap();
    let _prometheus = Running::start(
        prometheus,
        &[
            &format!("--config.file={}", config.to_str().unwrap()),
            &format!("--storage.tsdb.path={}", copy.to_str().unwrap()),
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ],
        &dir.join("prometheus.log"),
    );
    let theirs = Http::new(&format!("http://127.0.0.1:{port}"), None);
    wait_for("Prometheus is ready", Duration::from_secs(60), || {
        theirs.get("/-/ready", &[]).filter(|(status, _)| *status == 200)
    });
    let ours = promenade.http();
    let (start, end) = ((now / 1000 - 7200).to_string(), (now / 1000).to_string());
    for query in [
        "block_test",
        "rate(block_test[5m])",
        "sum by (job) (increase(block_test{instance=~\"node-[0-9]0\"}[10m]))",
        "max_over_time(block_test{instance!=\"node-3\"}[1h])",
        "count(block_test)",
    ] {
        let params = [("query", query), ("start", &start), ("end", &end), ("step", "60")];
        let (mut a, mut b) = (ours.data("/api/v1/query_range", &params), theirs.data("/api/v1/query_range", &params));
        for data in [&mut a, &mut b] {
            data["result"].as_array_mut().unwrap().sort_by_key(|series| series["metric"].to_string());
        }
        assert!(!a["result"].as_array().unwrap().is_empty(), "{query}");
        assert_eq!(a, b, "{query}");
    }
}
