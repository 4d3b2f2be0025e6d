//! A small HTTP client for the tests: GET and POST with a bearer token, answers as text or Prometheus JSON.

use std::time::Duration;

use serde_json::Value;
use wire::remote_write::WriteMessage;

/// Talks to one server.
pub(crate) struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) text: String,
}

impl Http {
    pub(crate) fn new(base: &str, token: Option<&str>) -> Http {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(Duration::from_secs(30));
        let client = client.build().unwrap();
        Http { runtime, client, base: base.to_owned(), token: token.map(str::to_owned) }
    }

    /// Status and text of a GET; nothing when nobody answers.
    pub(crate) fn get(&self, path: &str, params: &[(&str, &str)]) -> Option<(u16, String)> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base)).unwrap();
        url.query_pairs_mut().extend_pairs(params);
        self.send(self.client.get(url)).map(|answer| (answer.status, answer.text))
    }

    /// Status and text of a GET that asks for a kind of answer.
    pub(crate) fn get_as(&self, path: &str, accept: &str) -> Option<(u16, String)> {
        let request = self.client.get(format!("{}{path}", self.base)).header("Accept", accept);
        self.send(request).map(|answer| (answer.status, answer.text))
    }

    /// Status and text of a POST.
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<(u16, String)> {
        let request = self.client.post(format!("{}{path}", self.base)).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request).map(|answer| (answer.status, answer.text))
    }

    /// The answer to a remote write of a compressed message; nothing when nobody answers.
    pub(crate) fn write(&self, message: WriteMessage, body: Vec<u8>) -> Option<Answer> {
        let request = self.client.post(format!("{}/api/v1/write", self.base)).body(body);
        let content_type = format!("application/x-protobuf;proto={}", message.as_str());
        self.send(request.header("Content-Type", content_type).header("Content-Encoding", "snappy"))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Option<Answer> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        self.runtime.block_on(async {
            let response = request.send().await.ok()?;
            let status = response.status().as_u16();
            let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
            let retry_after = retry_after.map(str::to_owned);
            Some(Answer { status, retry_after, text: response.text().await.ok()? })
        })
    }

    /// The `data` of a successful API answer.
    #[track_caller]
    pub(crate) fn data(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let (status, text) = self.get(path, params).unwrap_or_else(|| panic!("{path}: no answer"));
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{path}: {status} {text}: {e}"));
        assert_eq!((status, &answer["status"]), (200, &Value::from("success")), "{path} {params:?}: {text}");
        answer["data"].clone()
    }

    /// An instant vector: labels, joined as text without `drop`, and value, sorted.
    #[track_caller]
    pub(crate) fn vector(&self, query: &str, time: &str, drop: &[&str]) -> Vec<(String, f64)> {
        let data = self.data("/api/v1/query", &[("query", query), ("time", time)]);
        assert_eq!(data["resultType"], "vector", "{query}");
        let mut all: Vec<(String, f64)> = data["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|series| {
                let labels = series["metric"].as_object().unwrap().iter();
                let kept: Vec<String> = labels
                    .filter(|(name, _)| !drop.contains(&name.as_str()))
                    .map(|(n, v)| format!("{n}={v}"))
                    .collect();
                (kept.join(","), series["value"][1].as_str().unwrap().parse().unwrap())
            })
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }
}
