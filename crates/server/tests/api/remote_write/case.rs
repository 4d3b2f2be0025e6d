//! One case of the table: what is sent, what must be answered, and what must be read back.

use std::collections::BTreeMap;

use model::{Columns, Labels, RangeSeries, SampleValue, Value};
use serde_json::{Value as Json, json};

use super::sent::{Sent, Version};
use crate::answer::Answer;
use crate::remote_read::client::{self as remote_read, Content};
use crate::stand::{Stand, base};

/// A request and everything that must come of it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) sent: Vec<Sent>,
    /// What of it must be stored; nothing else may be.
    pub(crate) stored: Vec<Sent>,
    /// A text of the refusal; a success without one.
    pub(crate) refusal: Option<&'static str>,
}

impl Case {
    /// Everything is stored, and the answer is 204.
    pub(crate) fn good(name: impl Into<String>, sent: Vec<Sent>) -> Case {
        Case { name: name.into(), stored: sent.clone(), sent, refusal: None }
    }

    /// The answer is 400 and says `refusal`; only `stored` is there afterwards.
    pub(crate) fn bad(name: impl Into<String>, sent: Vec<Sent>, stored: Vec<Sent>, refusal: &'static str) -> Case {
        Case { name: name.into(), sent, stored, refusal: Some(refusal) }
    }

    /// Sends the case as a project of its own, twice: a retry must change nothing and get the same answer.
    pub(crate) async fn check(&self, stand: &Stand, project: &str, version: Version) {
        for attempt in ["first", "again"] {
            let answer = send(stand, project, version, version.body(&self.sent)).await;
            let what = format!("{} {version:?} {attempt}", self.name);
            match self.refusal {
                None => assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{what}"),
                Some(text) => {
                    assert_eq!(answer.status, 400, "{what}: {}", answer.body);
                    assert!(answer.body.contains(text), "{what}: {text:?} is not in {}", answer.body);
                }
            }
            assert_eq!(written(&answer), self.written(version), "{what}: {}", answer.body);
            self.read_back(stand, project, &what).await;
        }
    }

    /// The counts of the answer's headers: none in version 1.
    fn written(&self, version: Version) -> Option<[usize; 3]> {
        let count = |of: fn(&Sent) -> usize| self.stored.iter().map(of).sum();
        let counts = [count(|s| s.samples.len()), count(|s| s.histograms.len()), count(|s| s.exemplars.len())];
        (version == Version::V2).then_some(counts)
    }

    /// Compares the whole content of the project with what must be stored.
    async fn read_back(&self, stand: &Stand, project: &str, what: &str) {
        let get =
            async |path: &str| stand.get(&format!("{}/api/v1/{path}", base(project)), &stand.tokens.operator).await;
        let samples = get(&format!("query?query={{__name__=~\".%2B\"}}[4h]&time={}", server::now_ms() / 1000 + 120))
            .await
            .data()["result"]
            .clone();
        assert_eq!(sorted(&samples), sorted(&self.expected_samples(project)), "{what}: samples");
        // Values of any bits, staleness markers among them, by one kind of answer or the other.
        let answer = if what.contains("V1") { remote_read::SAMPLES } else { remote_read::CHUNKS };
        let path = format!("{}/api/v1/read", base(project));
        let content = remote_read::read(stand, &path, &stand.tokens.operator, ".*", answer).await;
        remote_read::assert_same(&content, &self.expected_content(project), what);
        let exemplars = get("query_exemplars?query={__name__=~\".%2B\"}").await.data();
        assert_eq!(sorted(&exemplars), sorted(&self.expected_exemplars(project)), "{what}: exemplars");
        let metadata = get("metadata").await.data();
        assert_eq!(metadata, self.expected_metadata(), "{what}: metadata");
    }

    /// All samples, markers too.
    fn expected_content(&self, project: &str) -> Content {
        let mut content = Content::new();
        for sent in &self.stored {
            let floats = sent.samples.iter().map(|(t, v)| (*t, SampleValue::Float(*v)));
            let samples = content.entry(sent.stored_labels(project)).or_default();
            samples.extend(floats.chain(sent.histograms.iter().cloned()));
        }
        content.retain(|_, samples| !samples.is_empty());
        content
    }

    /// What a range selector shows: all but staleness markers.
    fn expected_samples(&self, project: &str) -> Json {
        let mut series = self.expected_content(project);
        series.values_mut().for_each(|samples| samples.retain(|_, value| !value.is_stale()));
        let matrix = series.into_iter().filter(|(_, samples)| !samples.is_empty());
        let value = Value::Matrix(matrix.map(|(labels, samples)| range_series(labels, samples)).collect());
        let mut text = vec![b'{'];
        wire::json::encode_value(&value, &mut text);
        text.push(b'}');
        serde_json::from_slice::<Json>(&text).unwrap()["result"].clone()
    }

    fn expected_exemplars(&self, project: &str) -> Json {
        let mut series: BTreeMap<Labels, BTreeMap<(i64, String), Json>> = BTreeMap::new();
        for sent in &self.stored {
            for (labels, t, v) in &sent.exemplars {
                let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| (name, value)).collect();
                let mut value = Vec::new();
                wire::json::push_number(*v, &mut value);
                let value = String::from_utf8(value).unwrap();
                let exemplar = json!({"labels": labels, "value": value, "timestamp": seconds(*t)});
                let place = (*t, exemplar.to_string());
                series.entry(sent.stored_labels(project)).or_default().insert(place, exemplar);
            }
        }
        let series = series.into_iter().map(|(labels, exemplars)| {
            let labels: BTreeMap<_, _> = labels.iter().collect();
            json!({"seriesLabels": labels, "exemplars": exemplars.into_values().collect::<Vec<_>>()})
        });
        Json::Array(series.collect())
    }

    fn expected_metadata(&self) -> Json {
        let families = self.stored.iter().filter_map(|sent| Some((sent.name().to_owned(), sent.metadata.as_ref()?)));
        let describe = |m: &model::Metadata| json!([{"type": m.kind.as_str(), "help": m.help, "unit": m.unit}]);
        Json::Object(families.map(|(name, metadata)| (name, describe(metadata))).collect())
    }
}

/// Sends a body for a project; the operator may write for any.
pub(crate) async fn send(stand: &Stand, project: &str, version: Version, body: Vec<u8>) -> Answer {
    let request = stand.request("POST", &format!("{}/api/v1/write", base(project)), &stand.tokens.operator);
    let request = request.header("content-encoding", "snappy").header("content-type", version.content_type());
    Answer::of(request.body(body)).await
}

/// Samples, histograms and exemplars written, as the answer's headers say; either all three are there or none.
pub(crate) fn written(answer: &Answer) -> Option<[usize; 3]> {
    let names = ["samples", "histograms", "exemplars"].map(|kind| format!("x-prometheus-remote-write-{kind}-written"));
    if names.iter().all(|name| !answer.headers.contains_key(name)) {
        return None;
    }
    Some(names.map(|name| answer.header(&name).parse().unwrap_or_else(|_| panic!("{name}: {:?}", answer.headers))))
}

fn range_series(labels: Labels, samples: BTreeMap<i64, SampleValue>) -> RangeSeries {
    let mut columns = Columns::default();
    for (t, value) in samples {
        match value {
            SampleValue::Float(v) => columns.push(t, v),
            SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => {
                columns.histogram_timestamps.push(t);
                columns.histograms.push(h);
            }
        }
    }
    RangeSeries { labels, columns }
}

fn seconds(ms: i64) -> Json {
    let mut text = Vec::new();
    wire::json::push_timestamp(ms, &mut text);
    serde_json::from_slice(&text).unwrap()
}

/// The items of an array by their text.
fn sorted(array: &Json) -> BTreeMap<String, Json> {
    let items = array.as_array().unwrap();
    items.iter().map(|item| (item.to_string(), item.clone())).collect()
}
