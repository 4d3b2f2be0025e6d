//! A reader of remote read that believes nothing: every length, checksum, order and chunk is looked at.

use std::collections::BTreeMap;

use model::{Histogram, Labels, ResetHint, SampleValue, Span, TimeRange};
use prost::Message;
use tsdb::chunk::{self, Encoding};
use wire::proto;
use wire::remote_write::compress;

use crate::stand::Stand;

/// The samples of each series.
pub(crate) type Content = BTreeMap<Labels, BTreeMap<i64, SampleValue>>;

/// The kinds of answers by their numbers.
pub(crate) const SAMPLES: i32 = 0;
pub(crate) const CHUNKS: i32 = 1;

/// A question for the series called like `name`, a pattern.
pub(crate) fn question(name: &str, range: TimeRange, answers: &[i32]) -> Vec<u8> {
    let matcher = proto::LabelMatcher { r#type: 2, name: "__name__".to_owned(), value: name.to_owned() };
    let query = proto::Query {
        start_timestamp_ms: range.mint,
        end_timestamp_ms: range.maxt,
        matchers: vec![matcher],
        hints: None,
    };
    let request = proto::ReadRequest { queries: vec![query], accepted_response_types: answers.to_vec() };
    compress(&request.encode_to_vec()).unwrap()
}

/// Everything the series called like `name` have, by one kind of answer.
pub(crate) async fn read(stand: &Stand, path: &str, token: &str, name: &str, answer: i32) -> Content {
    let everything = TimeRange { mint: i64::MIN, maxt: i64::MAX };
    let request = stand.request("POST", path, token).header("content-encoding", "snappy");
    let response = request.body(question(name, everything, &[answer])).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let encoding = response.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
    let body = response.bytes().await.unwrap();
    if answer == SAMPLES {
        assert_eq!((content_type.as_str(), encoding.as_deref()), ("application/x-protobuf", Some("snappy")));
        return samples(&body);
    }
    assert_eq!(content_type, "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse");
    assert_eq!(encoding, None);
    chunks(&body)
}

fn labels(labels: &[proto::Label]) -> Labels {
    assert!(labels.windows(2).all(|pair| pair[0].name < pair[1].name), "labels are sorted: {labels:?}");
    Labels::from_pairs(labels.iter().map(|label| (label.name.as_str(), label.value.as_str())))
}

fn samples(body: &[u8]) -> Content {
    let message = snap::raw::Decoder::new().decompress_vec(body).unwrap();
    let response = proto::ReadResponse::decode(&message[..]).unwrap();
    assert_eq!(response.results.len(), 1);
    let mut content = Content::new();
    let mut last = None;
    for series in &response.results[0].timeseries {
        let labels = labels(&series.labels);
        assert!(last.as_ref() < Some(&labels), "series are sorted: {labels}");
        let floats = series.samples.iter().map(|sample| (sample.timestamp, SampleValue::Float(sample.value)));
        let histograms = series.histograms.iter().map(|h| (h.timestamp, histogram(h)));
        content.insert(labels.clone(), floats.chain(histograms).collect());
        last = Some(labels);
    }
    content
}

fn histogram(h: &proto::Histogram) -> SampleValue {
    use proto::histogram::{Count, ZeroCount};
    let spans = |spans: &[proto::BucketSpan]| {
        spans.iter().map(|span| Span { offset: span.offset, length: span.length }).collect()
    };
    let buckets = |deltas: &[i64], counts: &[f64]| -> Vec<f64> {
        let mut sum = 0;
        let absolute = deltas.iter().map(|delta| {
            sum += delta;
            sum as f64
        });
        absolute.chain(counts.iter().copied()).collect()
    };
    let (count, is_float) = match h.count.unwrap() {
        Count::CountInt(n) => (n as f64, false),
        Count::CountFloat(n) => (n, true),
    };
    let zero_count = h.zero_count.map_or(0.0, |zero| match zero {
        ZeroCount::ZeroCountInt(n) => n as f64,
        ZeroCount::ZeroCountFloat(n) => n,
    });
    let histogram = Histogram {
        reset_hint: if h.reset_hint == 3 { ResetHint::Gauge } else { ResetHint::Unknown },
        schema: h.schema,
        zero_threshold: h.zero_threshold,
        zero_count,
        count,
        sum: h.sum,
        positive_spans: spans(&h.positive_spans),
        negative_spans: spans(&h.negative_spans),
        positive_buckets: buckets(&h.positive_deltas, &h.positive_counts),
        negative_buckets: buckets(&h.negative_deltas, &h.negative_counts),
        custom_bounds: h.custom_values.clone(),
    };
    if is_float { SampleValue::FloatHistogram(histogram.into()) } else { SampleValue::Histogram(histogram.into()) }
}

/// Takes the frames apart: length, checksum, one series each, its chunks ascending without overlap.
fn chunks(mut body: &[u8]) -> Content {
    let mut content = Content::new();
    let mut last: Option<Labels> = None;
    while !body.is_empty() {
        let len = usize::try_from(prost::encoding::decode_varint(&mut body).unwrap()).unwrap();
        let (checksum, rest) = body.split_first_chunk().unwrap();
        let (data, rest) = rest.split_at(len);
        assert!(len > 0, "no frame is empty");
        assert_eq!(u32::from_be_bytes(*checksum), crc32c::crc32c(data));
        body = rest;
        let frame = proto::ChunkedReadResponse::decode(data).unwrap();
        let [series] = &frame.chunked_series[..] else { panic!("one series a frame: {frame:?}") };
        let labels = labels(&series.labels);
        assert!(last.as_ref() <= Some(&labels), "series are sorted: {labels}");
        let samples = content.entry(labels.clone()).or_default();
        assert!(!series.chunks.is_empty(), "a series without chunks");
        for chunk in &series.chunks {
            let encoding = Encoding::from_byte(u8::try_from(chunk.r#type).unwrap()).unwrap();
            let all = TimeRange { mint: i64::MIN, maxt: i64::MAX };
            let decoded = chunk::samples(encoding, &chunk.data, all).unwrap();
            let (first, end) = (decoded.first().unwrap().0, decoded.last().unwrap().0);
            assert_eq!((chunk.min_time_ms, chunk.max_time_ms), (first, end));
            assert!(samples.keys().next_back() < Some(&first), "chunks ascend without overlap");
            samples.extend(decoded);
        }
        last = Some(labels);
    }
    content
}

/// Compares by bits, so that a NaN is the NaN that was written.
#[track_caller]
pub(crate) fn assert_same(got: &Content, expected: &Content, what: &str) {
    let keys = |content: &Content| content.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(keys(got), keys(expected), "{what}: series");
    for (labels, samples) in expected {
        let got = &got[labels];
        let same = got.len() == samples.len()
            && got
                .iter()
                .zip(samples)
                .all(|((t, value), (expected_t, expected))| t == expected_t && value.same_bits(expected));
        assert!(same, "{what}: {labels}: got {got:?}, expected {samples:?}");
    }
}
