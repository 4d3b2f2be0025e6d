//! A real Prometheus on a directory of its own, which takes remote write and knows all functions.

use std::path::Path;
use std::time::Duration;

use crate::http::Http;
use crate::peers::{Running, free_port, wait_for};

pub(crate) struct Prometheus {
    pub(crate) running: Running,
    pub(crate) http: Http,
    /// Where it answers.
    pub(crate) url: String,
}

impl Prometheus {
    /// Starts one on `data`, with `more` at the end of its configuration, and waits until it is ready.
    pub(crate) fn start(binary: &Path, dir: &Path, data: &Path, more: &str) -> Prometheus {
        let config = dir.join("prometheus.yml");
        std::fs::write(&config, format!("storage:\n  tsdb:\n    out_of_order_time_window: 24h\n{more}")).unwrap();
        // It ends when somebody has taken the port meanwhile.
        let started = (0..3).find_map(|_| Prometheus::try_start(binary, dir, &config, data));
        started.expect("Prometheus starts")
    }

    /// Nothing if it ended before it was ready.
    fn try_start(binary: &Path, dir: &Path, config: &Path, data: &Path) -> Option<Prometheus> {
        let listen = format!("127.0.0.1:{}", free_port());
        let mut running = Running::start(
            binary,
            &[
                &format!("--config.file={}", config.to_str().unwrap()),
                &format!("--storage.tsdb.path={}", data.to_str().unwrap()),
                &format!("--web.listen-address={listen}"),
                "--web.enable-remote-write-receiver",
                "--web.enable-admin-api",
                "--enable-feature=native-histograms,exemplar-storage,promql-experimental-functions,promql-per-step-stats",
            ],
            &dir.join("prometheus.log"),
        );
        let url = format!("http://{listen}");
        let http = Http::new(&url, None);
        let ready = wait_for("Prometheus is ready", Duration::from_secs(60), || {
            let ready = http.get("/-/ready", &[]).is_some_and(|(status, _)| status == 200);
            // Another program may answer at its port.
            if running.has_ended() { Some(false) } else { ready.then_some(true) }
        });
        ready.then_some(Prometheus { running, http, url })
    }
}
