//! The series of a `load` as a body of remote write: 2.0 where start timestamps are told, else 1.0.

use model::{Histogram, SampleValue, Timestamp};
use promqltest::Load;
use wire::remote_write::{SeriesContent, WriteMessage, WriteRequestEncoder, WriteRequestV2Encoder, encode_labels};

/// The content type and the body.
pub(crate) fn body(load: &Load) -> (String, Vec<u8>) {
    let (mut v1, mut v2) = (WriteRequestEncoder::new(), WriteRequestV2Encoder::new());
    for (labels, samples) in load.samples().unwrap() {
        let starts = load.starts_of(&labels);
        let start = |t: Timestamp| starts.map_or(0, |starts| load.start_at(starts, t));
        let samples: Vec<_> = samples.into_iter().map(|(t, value)| (t, as_sent(value))).collect();
        // A message holds a series' floats before its histograms: what alternates is sent as several series.
        for values in samples.chunk_by(|a, b| is_float(&a.1) == is_float(&b.1) && start(a.0) == start(b.0)) {
            let content = SeriesContent { values, start: start(values[0].0), ..SeriesContent::default() };
            v1.push_content(&encode_labels(labels.iter()), &content);
            v2.push(labels.iter(), &content);
        }
    }
    let (message, body) = match load.starts.is_empty() {
        true => (WriteMessage::V1, v1.finish_compressed()),
        false => (WriteMessage::V2, v2.finish_compressed()),
    };
    (format!("application/x-protobuf;proto={}", message.as_str()), body.unwrap())
}

fn is_float(value: &SampleValue) -> bool {
    matches!(value, SampleValue::Float(_))
}

/// Senders say whole counts as whole numbers, if they add up.
fn as_sent(value: SampleValue) -> SampleValue {
    match value {
        SampleValue::FloatHistogram(h) if is_whole(&h) => SampleValue::Histogram(h),
        value => value,
    }
}

fn is_whole(h: &Histogram) -> bool {
    let counts = || h.positive_buckets.iter().chain(&h.negative_buckets).chain([&h.zero_count]);
    counts().all(|count| count.fract() == 0.0 && (0.0..1e15).contains(count)) && counts().sum::<f64>() == h.count
}
