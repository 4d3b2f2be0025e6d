//! A running server on a free port with two projects, and the client that asks it.

use std::time::Duration;

use axum::Router;
use control::{Access, Action, NewToken, Scopes};
use model::{Labels, ProjectId, Sample};
use reqwest::{Method, RequestBuilder};
use server::{Config, Server};
use tokio::sync::oneshot;
use wire::remote_write::WriteRequestEncoder;

use crate::answer::Answer;

/// A series to be written: its name, its other labels and its samples.
pub(crate) type Series<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// The base of a project's API.
pub(crate) fn base(project: &str) -> String {
    format!("/v1alpha5/projects/{project}/metrics/timeseries")
}

/// Tokens of a stand; all but the first three must be refused somewhere.
pub(crate) struct Tokens {
    pub(crate) acme: String,
    pub(crate) other: String,
    pub(crate) operator: String,
    pub(crate) acme_write_only: String,
    pub(crate) acme_read_only: String,
    pub(crate) acme_delete_only: String,
    pub(crate) operator_read_only: String,
    pub(crate) expired: String,
}

/// A server that runs until it is dropped.
pub(crate) struct Stand {
    pub(crate) url: String,
    pub(crate) tokens: Tokens,
    pub(crate) router: Router,
    client: reqwest::Client,
    config: Config,
    stop: Option<oneshot::Sender<()>>,
    running: Option<tokio::task::JoinHandle<Result<(), server::ServeError>>>,
    dir: tempfile::TempDir,
}

impl Stand {
    pub(crate) async fn start() -> Stand {
        Stand::start_with(|_| {}).await
    }

    /// Starts a server with changed settings and waits until it is ready.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Stand {
        let dir = tempfile::tempdir().unwrap();
        let tokens = create_tokens(dir.path());
        let mut config = Config::new(dir.path(), "127.0.0.1:0".parse().unwrap());
        change(&mut config);
        // No connection outlives its request, so that a test knows how many there are.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let (url, router) = (String::new(), Router::new());
        let mut stand = Stand { url, tokens, router, client, config, stop: None, running: None, dir };
        stand.restart().await;
        stand
    }

    /// Starts a server on the same directory once the one before has stopped, and waits until it is ready.
    pub(crate) async fn restart(&mut self) {
        let server = Server::bind(self.config.clone()).await.unwrap();
        (self.url, self.router) = (format!("http://{}", server.address()), server.router());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            let _ = stopped.await;
        }));
        (self.stop, self.running) = (Some(stop), Some(running));
        while self.get("/-/ready", "").await.status != 200 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Stops the server and waits for its end.
    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    /// A request to be completed; no token when it is empty.
    pub(crate) fn request(&self, method: &str, path: &str, token: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.url)).timeout(Duration::from_secs(30));
        if token.is_empty() { request } else { request.bearer_auth(token) }
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        Answer::of(self.request("GET", path, token)).await
    }

    /// Posts a form.
    pub(crate) async fn post(&self, path: &str, token: &str, form: &str) -> Answer {
        let request = self.request("POST", path, token);
        Answer::of(request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned())).await
    }

    /// Writes series given as name, labels and samples.
    pub(crate) async fn write(&self, token: &str, series: &[Series<'_>]) -> Answer {
        self.write_body("/api/v1/write", token, body(series)).await
    }

    pub(crate) async fn write_body(&self, path: &str, token: &str, body: Vec<u8>) -> Answer {
        let request = self.request("POST", path, token);
        let headers = [("content-encoding", "snappy"), ("content-type", "application/x-protobuf")];
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        Answer::of(request.body(body)).await
    }
}

/// The body of a write.
pub(crate) fn body(series: &[Series<'_>]) -> Vec<u8> {
    let mut encoder = WriteRequestEncoder::new();
    for (name, labels, samples) in series {
        let pairs = labels.iter().copied().chain([("__name__", *name)]);
        let samples: Vec<_> = samples.iter().map(|&(t, v)| Sample { t, v }).collect();
        encoder.push(Labels::from_pairs(pairs).iter(), &samples);
    }
    encoder.finish_compressed().unwrap()
}

fn create_tokens(dir: &std::path::Path) -> Tokens {
    let control = server::open_control(dir).unwrap();
    let now = server::now_ms();
    for id in ["acme", "other"] {
        control.create_project(id, Some(ProjectId::parse(id).unwrap()), now).unwrap();
    }
    let create = |project: Option<&str>, scopes: Scopes, expires_ms| {
        let access = project.map_or(Access::Operator, |id| Access::Project(ProjectId::parse(id).unwrap()));
        let new = NewToken { access, name: String::new(), scopes, expires_ms };
        control.create_token(&new, now).unwrap().reveal()
    };
    let only = |action: Action| action.to_string().parse::<Scopes>().unwrap();
    Tokens {
        acme: create(Some("acme"), Scopes::WRITE_READ, None),
        other: create(Some("other"), Scopes::WRITE_READ, None),
        operator: create(None, Scopes::ALL, None),
        acme_write_only: create(Some("acme"), only(Action::Write), None),
        acme_read_only: create(Some("acme"), only(Action::Read), None),
        acme_delete_only: create(Some("acme"), only(Action::Delete), None),
        operator_read_only: create(None, only(Action::Read), None),
        expired: create(None, Scopes::ALL, Some(now - 1)),
    }
}
