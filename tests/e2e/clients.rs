//! Clients as people run them: promtool, vmalert, a Prometheus that reads from us, and the Python client of PyPI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::exchange::now_ms;
use crate::http::Http;
use crate::kinds::{SAMPLES, STEP_MS, Sent, send};
use crate::peers::{self, Running, free_port, run, wait_for};
use crate::promenade::Promenade;
use crate::prometheus::Prometheus;

/// A server with two hours of samples of every kind, the last one a minute ago, and a token of their project.
struct Stand {
    promenade: Promenade,
    token: String,
    /// The time of the last sample, ms.
    last: i64,
    dir: tempfile::TempDir,
}

impl Stand {
    fn start() -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let promenade = Promenade::start(dir.path());
        let token = promenade.project("inference");
        let first = now_ms().div_euclid(STEP_MS) * STEP_MS - SAMPLES * STEP_MS;
        let http = Http::new(&promenade.url, Some(&token));
        send(&http, first, SAMPLES - 120..SAMPLES, false, "", &mut Sent::default());
        Stand { promenade, token, last: first + (SAMPLES - 1) * STEP_MS, dir }
    }

    fn http(&self) -> Http {
        Http::new(&self.promenade.url, Some(&self.token))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file that has `text`.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn promtool_asks_everything_it_can() {
    let Some([promtool]) = peers::all(["promtool"]) else { return };
    let stand = Stand::start();
    let config = stand.file("promtool.yml", &format!("authorization:\n  credentials: {}\n", stand.token));
    let config = format!("--http.config.file={config}");
    let (url, seconds) = (stand.promenade.url.as_str(), |ms: i64| (ms / 1000).to_string());
    let (start, end) = (seconds(stand.last - 600_000), seconds(stand.last));
    let ask = |args: &[&str]| run(&promtool, &[&[args[0], args[1], &config], &args[2..]].concat());

    let time = format!("--time={end}");
    let counter = ask(&["query", "instant", &time, url, "sum(k_counter)"]);
    assert_eq!(counter.trim(), format!("{{}} => {} @[{end}]", 2 * ((SAMPLES - 1) % 300 * 7)), "{counter}");
    let histogram = ask(&["query", "instant", &time, url, "histogram_count(k_custom_histogram{instance=\"steady\"})"]);
    assert_eq!(histogram.lines().count(), 1, "{histogram}");

    let (from, to) = (format!("--start={start}"), format!("--end={end}"));
    let range = ask(&["query", "range", &from, &to, "--step=60s", url, "k_counter{instance=\"steady\"}"]);
    // A line of labels, then one for each step.
    assert_eq!(range.lines().count(), 12, "{range}");

    let series = ask(&["query", "series", "--match=k_counter", "--match=k_gauge", url]);
    assert_eq!(series.lines().filter(|line| line.contains("project_id=\"inference\"")).count(), 4, "{series}");
    let labels = ask(&["query", "labels", url, "instance"]);
    assert_eq!(labels.lines().collect::<Vec<_>>(), ["late", "steady"]);

    let server = format!("--server={url}");
    let histograms = "--match={__name__=\"k_histogram\"}";
    let analyzed = ask(&["query", "analyze", &server, "--type=histogram", "--duration=1h", &time, histograms]);
    assert!(analyzed.contains("k_histogram") && analyzed.contains("steady"), "{analyzed}");

    let url = format!("--url={url}");
    // What is not well is told by the exit code, which `run` looks at.
    for what in ["healthy", "ready"] {
        ask(&["check", what, &url]);
    }
}

#[test]
fn vmalert_evaluates_rules_and_writes_back_what_came_of_them() {
    let Some([vmalert]) = peers::all(["vmalert"]) else { return };
    let stand = Stand::start();
    let rules = "groups:
- name: inference
  interval: 1s
  rules:
  - record: job:k_counter:sum
    expr: sum by (job) (k_counter)
  - alert: Busy
    expr: max by (job) (k_stale_histogram) or max by (job) (k_counter) > 0
    labels:
      severity: page
";
    let (rules, token) = (stand.file("rules.yml", rules), stand.file("token", &stand.token));
    let url = &stand.promenade.url;
    let _vmalert = Running::start(
        &vmalert,
        &[
            &format!("-rule={rules}"),
            &format!("-datasource.url={url}"),
            &format!("-datasource.bearerTokenFile={token}"),
            &format!("-remoteWrite.url={url}"),
            &format!("-remoteWrite.bearerTokenFile={token}"),
            &format!("-remoteRead.url={url}"),
            &format!("-remoteRead.bearerTokenFile={token}"),
            "-remoteWrite.flushInterval=200ms",
            "-notifier.blackhole",
            &format!("-httpListenAddr=127.0.0.1:{}", free_port()),
        ],
        &stand.path("vmalert.log"),
    );
    let http = stand.http();
    let now = || format!("{:.3}", now_ms() as f64 / 1000.0);
    let recorded = wait_for("the rule's series is written", Duration::from_secs(60), || {
        let found = http.vector("job:k_counter:sum", &now(), &["project_id"]);
        (!found.is_empty()).then_some(found)
    });
    let expected = http.vector("sum by (job) (k_counter)", &now(), &[]);
    assert_eq!(recorded, [("__name__=\"job:k_counter:sum\",job=\"kinds\"".to_owned(), expected[0].1)]);
    let alerts = wait_for("the alert's series is written", Duration::from_secs(60), || {
        let found = http.vector("ALERTS{alertstate=\"firing\"}", &now(), &["project_id"]);
        (!found.is_empty()).then_some(found)
    });
    assert!(alerts[0].0.contains("alertname=\"Busy\"") && alerts[0].0.contains("severity=\"page\""), "{alerts:?}");
}

/// The series of an answer without the project's label, which a reader by remote read is shown too.
fn result(http: &Http, query: &str, time: &str) -> Vec<Value> {
    let data = http.data("/api/v1/query", &[("query", query), ("time", time)]);
    let mut all = data["result"].as_array().unwrap().clone();
    all.sort_by_key(|series| series["metric"].to_string());
    all
}

#[test]
fn a_prometheus_reads_from_us_by_remote_read() {
    let Some([prometheus]) = peers::all(["prometheus"]) else { return };
    let stand = Stand::start();
    let token = stand.file("token", &stand.token);
    let read = format!(
        "remote_read:\n- url: {}/api/v1/read\n  read_recent: true\n  authorization:\n    credentials_file: {token}\n",
        stand.promenade.url
    );
    let theirs = Prometheus::start(&prometheus, stand.dir.path(), &stand.path("prometheus"), &read);
    let (ours, time) = (stand.http(), (stand.last / 1000).to_string());
    for query in [
        "k_counter",
        "{__name__=~\"k_.+\",instance=\"steady\"}",
        "rate(k_counter[10m])",
        "histogram_quantile(0.9, rate(k_histogram[10m]))",
        "sum by (job) (k_float_histogram)",
        "histogram_count(k_custom_float_histogram)",
        "count_over_time(k_stale[1h])",
        "max_over_time(k_gauge[40m])",
    ] {
        let (ours, theirs) = (result(&ours, query, &time), result(&theirs.http, query, &time));
        assert!(!theirs.is_empty(), "{query}: nothing");
        assert_eq!(ours, theirs, "{query}");
    }
}

/// What the Python client is asked to do; it prints one line of JSON.
const PYTHON: &str = r#"
import datetime, json, sys
from prometheus_api_client import PrometheusConnect
url, token, last = sys.argv[1], sys.argv[2], int(sys.argv[3])
at = lambda s: datetime.datetime.fromtimestamp(s)
out = {}
for method in ["GET", "POST"]:
    c = PrometheusConnect(url=url + "/", headers={"Authorization": "Bearer " + token}, method=method)
    assert c.check_prometheus_connection()
    value = c.custom_query("sum(k_counter)", params={"time": last})
    rows = c.custom_query_range("k_counter", at(last - 600), at(last), "60")
    raw = c.get_metric_range_data("k_counter", {"instance": "steady"}, at(last - 600), at(last))
    now = c.get_current_metric_value("k_counter", {"instance": "steady"}, params={"time": last})
    out[method] = {
        "sum": value[0]["value"][1],
        "rows": [len(row["values"]) for row in rows],
        "raw": [len(row["values"]) for row in raw],
        "current": now[0]["value"][1],
        "metrics": "k_counter" in c.all_metrics(),
        "labels": sorted(c.get_label_names()),
        "values": sorted(c.get_label_values("instance")),
    }
print(json.dumps(out))
"#;

/// Needs a Python that has the package: `PYTHON_CLIENT=/path/to/venv/bin/python`.
#[test]
fn the_python_client_asks_in_both_ways() {
    let Some(python) = std::env::var_os("PYTHON_CLIENT") else {
        return peers::say_skipped("PYTHON_CLIENT names no Python with prometheus-api-client");
    };
    let stand = Stand::start();
    let script = stand.file("client.py", PYTHON);
    let last = (stand.last / 1000).to_string();
    let output = Command::new(Path::new(&python)).args([&script, &stand.promenade.url, &stand.token, &last]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    for method in ["GET", "POST"] {
        let expected = serde_json::json!({
            "sum": (2 * ((SAMPLES - 1) % 300 * 7)).to_string(),
            "rows": [11, 11],
            // A range begins behind its start.
            "raw": [10],
            "current": ((SAMPLES - 1) % 300 * 7).to_string(),
            "metrics": true,
            "labels": ["__name__", "instance", "job", "project_id"],
            "values": ["late", "steady"],
        });
        assert_eq!(said[method], expected, "{method}");
    }
}
