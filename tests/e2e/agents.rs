//! node_exporter, scraped by vmagent and by Prometheus, both writing to promenade by remote write 1.0.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::acks::{AckLog, Load};
use crate::http::Http;
use crate::peers::{self, Running, free_port, wait_for};
use crate::promenade::Promenade;

/// How long the agents run before their numbers are compared.
const WARM_UP: Duration = Duration::from_secs(60);
/// Labels that only promenade's copy has.
const OURS: &[&str] = &["agent", "project_id"];

/// A node exporter and two agents that scrape it each two seconds.
struct Agents {
    prometheus: Http,
    _running: Vec<Running>,
}

impl Agents {
    fn start(dir: &Path, bins: &[PathBuf; 3], promenade: &Promenade, token: &str) -> Agents {
        let [exporter, vmagent, prometheus] = bins;
        let (node, vm, prom) = (free_port(), free_port(), free_port());
        let scrape =
            format!("scrape_configs:\n- job_name: node\n  static_configs:\n  - targets: ['127.0.0.1:{node}']\n");
        let vm_config = dir.join("vmagent.yml");
        let global = |agent: &str| {
            format!("global:\n  scrape_interval: 2s\n  scrape_timeout: 2s\n  external_labels:\n    agent: {agent}\n")
        };
        std::fs::write(&vm_config, format!("{}{scrape}", global("vmagent"))).unwrap();
        let prom_config = dir.join("prometheus.yml");
        let remote = format!(
            "remote_write:\n- url: {}/api/v1/write\n  authorization:\n    credentials: {token}\n  queue_config:\n    batch_send_deadline: 1s\n",
            promenade.url
        );
        std::fs::write(&prom_config, format!("{}{remote}{scrape}", global("prometheus"))).unwrap();
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let running = vec![
            Running::start(exporter, &[&format!("--web.listen-address=127.0.0.1:{node}")], &dir.join("node.log")),
            Running::start(
                vmagent,
                &[
                    &format!("-promscrape.config={}", text(&vm_config)),
                    &format!("-remoteWrite.url={}/api/v1/write", promenade.url),
                    &format!("-remoteWrite.bearerToken={token}"),
                    &format!("-remoteWrite.tmpDataPath={}", text(&dir.join("vmagent-data"))),
                    &format!("-httpListenAddr=127.0.0.1:{vm}"),
                ],
                &dir.join("vmagent.log"),
            ),
            Running::start(
                prometheus,
                &[
                    &format!("--config.file={}", text(&prom_config)),
                    &format!("--storage.tsdb.path={}", text(&dir.join("prometheus-data"))),
                    &format!("--web.listen-address=127.0.0.1:{prom}"),
                ],
                &dir.join("prometheus.log"),
            ),
        ];
        Agents { prometheus: Http::new(&format!("http://127.0.0.1:{prom}"), None), _running: running }
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

#[track_caller]
fn assert_same(query: &str, ours: &[(String, f64)], theirs: &[(String, f64)]) {
    assert!(!ours.is_empty(), "{query}: no series");
    let labels = |all: &[(String, f64)]| all.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>();
    assert_eq!(labels(ours), labels(theirs), "{query}");
    for ((labels, a), (_, b)) in ours.iter().zip(theirs) {
        let same = a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
        assert!(same, "{query} {labels}: {a}, Prometheus has {b}");
    }
}

/// Compares what promenade and Prometheus say of the same samples at `time`.
fn compare(promenade: &Http, prometheus: &Http, time: f64) {
    let time = format!("{time:.3}");
    for (ours, theirs) in [
        ("up{agent=\"prometheus\"}", "up"),
        ("rate(node_cpu_seconds_total{agent=\"prometheus\"}[30s])", "rate(node_cpu_seconds_total[30s])"),
        ("node_memory_MemTotal_bytes{agent=\"prometheus\"}", "node_memory_MemTotal_bytes"),
        (
            "sum by (mode) (increase(node_cpu_seconds_total{agent=\"prometheus\"}[30s]))",
            "sum by (mode) (increase(node_cpu_seconds_total[30s]))",
        ),
        ("count({agent=\"prometheus\"})", "count({job=\"node\"})"),
    ] {
        assert_same(ours, &promenade.vector(ours, &time, OURS), &prometheus.vector(theirs, &time, OURS));
    }
}

#[test]
fn agents_write_what_prometheus_has_and_survive_kill_9() {
    let Some(bins) = peers::all(["prometheus-node-exporter", "vmagent", "prometheus"]) else { return };
    let Some([promtool]) = peers::all(["promtool"]) else { return };
    let tmp = tempfile::tempdir().unwrap();
    let mut promenade = Promenade::start(tmp.path());
    let token = promenade.project("inference");
    let agents = Agents::start(tmp.path(), &bins, &promenade, &token);
    let http = Http::new(&promenade.url, Some(&token));
    let load = Load { senders: 1, pause: Duration::from_millis(5) };
    let mut acks = AckLog::start(&promenade.url, &token, load);
    let started = now();
    std::thread::sleep(WARM_UP);

    let time = now() - 5.0;
    let up = http.vector("up", &format!("{time:.3}"), &[]);
    assert_eq!(up.iter().map(|(_, v)| *v).collect::<Vec<_>>(), [1.0, 1.0], "{up:?}");
    for agent in ["vmagent", "prometheus"] {
        let idle = format!("avg(rate(node_cpu_seconds_total{{agent=\"{agent}\",mode=\"idle\"}}[30s]))");
        let idle = http.vector(&idle, &format!("{time:.3}"), &[])[0].1;
        assert!((0.0..=1.1).contains(&idle), "{agent}: {idle} idle seconds a second");
    }
    compare(&http, &agents.prometheus, time);
    promtool_agrees(&promtool, tmp.path(), &promenade.url, &token);

    // Killed under load, the server must come back with every acknowledged sample, and the agents must fill the gap.
    let killed = now();
    promenade.end("KILL");
    std::thread::sleep(Duration::from_secs(6));
    promenade.run();
    std::thread::sleep(Duration::from_secs(5));
    acks.stop();
    acks.assert_all_there(&http);
    let samples = "sum(count_over_time(up{job=\"node\"}[30s]))";
    let after = format!("{:.3}", killed + 12.0);
    let theirs = agents.prometheus.vector(samples, &after, &[])[0].1;
    let ours = "sum(count_over_time(up{job=\"node\",agent=\"prometheus\"}[30s]))";
    wait_for("the agents caught up", Duration::from_secs(60), || {
        let (ours, now) = (http.vector(ours, &after, &[]), now());
        (killed + 12.0 < now && ours.first().is_some_and(|(_, count)| *count == theirs)).then_some(())
    });
    compare(&http, &agents.prometheus, killed - 1.0);
    compare(&http, &agents.prometheus, started + 40.0);
}

/// promtool prints the same `up` series as the API has.
fn promtool_agrees(promtool: &Path, dir: &Path, url: &str, token: &str) {
    let config = dir.join("promtool.yml");
    std::fs::write(&config, format!("authorization:\n  credentials: {token}\n")).unwrap();
    let config = format!("--http.config.file={}", config.to_str().unwrap());
    let up = peers::run(promtool, &["query", "instant", &config, url, "up == 1"]);
    assert_eq!(up.lines().count(), 2, "{up}");
    assert!(up.lines().all(|line| line.starts_with("up{") && line.contains("=> 1 @")), "{up}");
    let ready = peers::run(promtool, &["check", "ready", &config, &format!("--url={url}")]);
    assert!(ready.is_empty() || ready.contains("SUCCESS") || ready.contains("eady"), "{ready}");
    let labels = peers::run(promtool, &["query", "labels", &config, url, "agent"]);
    assert_eq!(labels.lines().collect::<Vec<_>>(), ["prometheus", "vmagent"]);
}
