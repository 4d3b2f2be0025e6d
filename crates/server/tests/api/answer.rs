//! An answer as it came, and what tests ask of it.

use std::io::Read;

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::reader;

/// A whole answer, decompressed.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What was asked, without its parameters.
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// Sends the request and reads everything.
    pub(crate) async fn of(request: RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let path = response.url().path().to_owned();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let is_prometheus =
            !response.url().path().contains("/v2/endpoint") && !response.url().path().contains("/v2/monitoring");
        let bytes = response.bytes().await.unwrap();
        let body = match headers.get("content-encoding") {
            Some(encoding) => {
                assert_eq!(encoding, "gzip", "nothing but gzip may ever be sent");
                let mut body = String::new();
                flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut body).unwrap();
                body
            }
            None => String::from_utf8(bytes.to_vec()).unwrap(),
        };
        let answer = Answer { path, status, headers, body };
        // A HEAD has the type and no body.
        if is_prometheus && !answer.body.is_empty() {
            reader::check(&answer);
        }
        answer
    }

    /// A header's value, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The data of a success.
    #[track_caller]
    pub(crate) fn data(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()["data"].clone()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The lines of an answer, each JSON by itself.
    #[track_caller]
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Checks a refusal in Prometheus' envelope.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, kind: &str, message: &str) {
        assert_eq!(self.status, status, "{}", self.body);
        let json = self.json();
        assert_eq!(json["errorType"], kind, "{}", self.body);
        let error = json["error"].as_str().unwrap();
        assert!(error.contains(message), "{error:?} does not say {message:?}");
    }

    /// The result of a query as lines of `{labels} value@time ...`, the owner's label left out.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<String> {
        let data = self.data();
        let result = &data["result"];
        if data["resultType"] == "scalar" || data["resultType"] == "string" {
            return vec![point(result)];
        }
        let series = result.as_array().unwrap().iter().map(|series| {
            let points = series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
            format!("{} {}", labels(&series["metric"]), points.iter().map(point).collect::<Vec<_>>().join(" "))
        });
        series.collect()
    }
}

fn point(pair: &Value) -> String {
    format!("{}@{}", pair[1].as_str().unwrap(), pair[0])
}

fn labels(metric: &Value) -> String {
    let pairs = metric.as_object().unwrap().iter().filter(|(name, _)| *name != "project_id");
    model::Labels::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap()))).to_string()
}
