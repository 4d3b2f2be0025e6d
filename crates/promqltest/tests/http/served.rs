//! A server of its own for the series of one stage, and the client that writes them and asks about them.

use std::time::Duration;

use promqltest::{Engine, Names, StepGrid, Told, When};
use server::{Config, Features, ServeError, Server};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::read;

/// A month: scripts begin at the epoch, and what follows is never older than this.
const WINDOW: Duration = server::OUT_OF_ORDER_WINDOW_MAX;
/// What Prometheus and we put before the message of an expression that cannot be read.
const BAD_QUERY: &str = "invalid parameter \"query\": ";

pub(crate) struct Served {
    url: String,
    client: reqwest::Client,
    runtime: Handle,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), ServeError>>,
    _dir: tempfile::TempDir,
}

impl Served {
    /// Starts a server on an empty directory; the first request waits until it is ready.
    pub(crate) fn start(names: Names, runtime: &Handle) -> Served {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path(), "127.0.0.1:0".parse().unwrap());
        config.retention = None;
        config.out_of_order_window = WINDOW;
        // Scripts know nothing of projects: what an expression says of all labels would not hold with one more.
        config.insecure_no_auth = true;
        config.stamps_default_project = false;
        config.mapping = std::sync::Arc::new(server::Mapping::off());
        config.features = Features {
            late_names: names != Names::DroppedAtOnce,
            type_and_unit_labels: names == Names::DroppedLateWithTypeAndUnit,
            start_timestamps: true,
        };
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        let server = runtime.block_on(Server::bind(config)).unwrap();
        let url = format!("http://{}", server.address());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = runtime.spawn(server.run(async {
            let _ = stopped.await;
        }));
        let served = Served { url, client, runtime: runtime.clone(), stop, running, _dir: dir };
        while served.get("/-/ready", &[]).0 != 200 {
            std::thread::yield_now();
        }
        served
    }

    /// Writes a body of remote write, which must be accepted whole.
    pub(crate) fn write(&self, (content_type, body): &(String, Vec<u8>)) {
        let request = self.client.post(format!("{}/api/v1/write", self.url)).body(body.clone());
        let (status, text) =
            self.send(request.header("content-type", content_type).header("content-encoding", "snappy"));
        assert_eq!((status, text.as_str()), (204, ""));
    }

    /// Stops the server and waits for its end.
    pub(crate) fn stop(self) {
        let Served { client, runtime, stop, running, .. } = self;
        drop((client, stop));
        runtime.block_on(running).unwrap().unwrap();
    }

    fn get(&self, path: &str, params: &[(&str, &str)]) -> (u16, String) {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.url)).unwrap();
        url.query_pairs_mut().extend_pairs(params);
        self.send(self.client.get(url))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> (u16, String) {
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        })
    }
}

impl Engine for Served {
    fn ask(&self, expr: &str, when: When) -> Result<Told, String> {
        let seconds = |ms: i64| format!("{}{}.{:03}", if ms < 0 { "-" } else { "" }, ms.abs() / 1000, ms.abs() % 1000);
        let (status, text) = match when {
            When::Instant(t) => self.get("/api/v1/query", &[("query", expr), ("time", &seconds(t))]),
            When::Range(StepGrid { start, end, step_ms }) => {
                let [start, end, step] = [start, end, step_ms].map(seconds);
                let range = [("query", expr), ("start", &start), ("end", &end), ("step", &step)];
                self.get("/api/v1/query_range", &range)
            }
        };
        let answer = read::answer(status, &text).unwrap_or_else(|what| panic!("{expr}: {what}: {status} {text}"));
        answer.map_err(|error| error.strip_prefix(BAD_QUERY).map(str::to_owned).unwrap_or(error))
    }
}
