//! Ten thousand malformed bodies of each version: none panics, none makes memory grow beyond what its bytes can hold.

use std::sync::Arc;

use model::{Exemplar, Histogram, Labels, LabelsBuilder, Metadata, MetricKind, STALE_NAN, SampleValue, Span};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{
    BodyLimits, SeriesContent, WriteMessage, WriteRequest, WriteRequestEncoder, WriteRequestV2Encoder, compress,
    decompress, encode_labels,
};
use crate::WireError;
use crate::field::push_varint;

const N_BODIES: usize = 10_000;

/// A value of some kind.
fn value(rng: &mut StdRng) -> SampleValue {
    let n = rng.random_range(0..5u8);
    let histogram = Arc::new(Histogram {
        schema: rng.random_range(-4..=8),
        count: f64::from(n),
        sum: rng.random(),
        positive_spans: vec![Span { offset: rng.random_range(-9..9), length: u32::from(n) }],
        positive_buckets: vec![1.0; usize::from(n)],
        ..Histogram::default()
    });
    match rng.random_range(0..4) {
        0 => SampleValue::Histogram(histogram),
        1 => SampleValue::FloatHistogram(histogram),
        2 => SampleValue::Float(STALE_NAN),
        _ => SampleValue::Float(rng.random()),
    }
}

/// A request of a few series with everything in it.
fn valid_message(version: WriteMessage, rng: &mut StdRng) -> Vec<u8> {
    let mut v1 = WriteRequestEncoder::new();
    let mut v2 = WriteRequestV2Encoder::new();
    let metadata = Metadata { kind: MetricKind::Gauge, help: "Whether it is up.".into(), unit: String::new() };
    for i in 0..rng.random_range(0..8) {
        let pod = format!("pod-{i}-{}", "x".repeat(rng.random_range(0..200)));
        let labels = [("__name__", "up"), ("pod", &*pod)];
        let values: Vec<_> = (0..rng.random_range(0..5)).map(|t| (t - 2, value(rng))).collect();
        let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), t: i, v: 0.5 };
        let content = SeriesContent {
            values: &values,
            exemplars: if rng.random() { std::slice::from_ref(&exemplar) } else { &[] },
            start: rng.random_range(0..3),
            metadata: rng.random::<bool>().then_some(&metadata),
        };
        match version {
            WriteMessage::V1 => v1.push_content(&encode_labels(labels), &content),
            WriteMessage::V2 => v2.push(labels, &content),
        }
    }
    v1.push_metadata("up", &metadata);
    match version {
        WriteMessage::V1 => v1.finish(),
        WriteMessage::V2 => v2.finish(),
    }
}

/// One of the ways in which a message goes wrong.
fn mutate(mut message: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    if message.is_empty() {
        return message;
    }
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..message.len());
        match rng.random_range(0..5) {
            0 => message[at] = rng.random(),
            1 => message[at] ^= 1 << rng.random_range(0..8),
            2 => message.truncate(at + 1),
            3 => message.insert(at, rng.random()),
            _ => {
                // A length, or whatever stands there, becomes a huge one.
                let mut huge = Vec::new();
                push_varint(rng.random::<u64>() >> rng.random_range(0..40), &mut huge);
                message.splice(at..=at, huge);
            }
        }
    }
    message
}

/// Reads whatever can be read.
fn read_all(version: WriteMessage, message: &[u8], limits: &BodyLimits) -> Result<(), WireError> {
    let request = match version {
        WriteMessage::V1 => WriteRequest::parse(message, limits)?,
        WriteMessage::V2 => WriteRequest::parse_v2(message, limits)?,
    };
    // A series takes at least two bytes of the body and 36 of memory, a sample 2 and 24, a symbol 2 and 8, a reference
    // 1 and 4, metadata 2 and 16.
    let bytes_max = 64 * message.len() + 1024;
    assert!(request.heap_bytes() <= bytes_max, "{} bytes of memory for {}", request.heap_bytes(), message.len());
    let (mut builder, mut raw) = (LabelsBuilder::default(), Vec::new());
    let mut counts = (0, 0, 0);
    for series in request.series() {
        if let Err(refused) = series.labels(&mut builder) {
            assert!(refused.to_string().len() < 2048, "an error of {} bytes", refused.to_string().len());
            assert!(builder.build().is_empty());
        }
        assert!(series.raw_labels(&mut raw).len() <= 64 * message.len() + 1024);
        counts.0 += series.samples().len();
        counts.1 += series.histograms().inspect(|read| assert_whole(read.as_ref().ok())).count();
        counts.2 += series.exemplars().count();
        assert!(series.starts().count() <= series.samples().len() + series.n_histograms());
    }
    assert_eq!(counts, (request.n_samples(), request.n_histograms(), request.n_exemplars()));
    assert!(request.metadata().count() <= message.len());
    Ok(())
}

/// A histogram that was accepted keeps its invariant.
fn assert_whole(read: Option<&(i64, SampleValue)>) {
    if let Some((_, SampleValue::Histogram(histogram) | SampleValue::FloatHistogram(histogram))) = read {
        let n: u64 = histogram.positive_spans.iter().map(|span| u64::from(span.length)).sum();
        assert_eq!(n, histogram.positive_buckets.len() as u64);
        assert!(histogram.schema <= 8 && histogram.count >= 0.0 || histogram.count.is_nan());
    }
}

#[test]
fn malformed_messages_are_refused_without_a_panic() {
    let mut rng = StdRng::seed_from_u64(20_260_901);
    let limits = BodyLimits { series_max: 50, samples_max: 200, ..BodyLimits::default() };
    for version in [WriteMessage::V1, WriteMessage::V2] {
        let mut n_refused = 0;
        for i in 0..N_BODIES {
            let valid = valid_message(version, &mut rng);
            assert_eq!(read_all(version, &valid, &limits), Ok(()));
            let message = match i % 3 {
                0 => (0..rng.random_range(0..300)).map(|_| rng.random()).collect(),
                _ => mutate(valid, &mut rng),
            };
            n_refused += usize::from(read_all(version, &message, &limits).is_err());
        }
        assert!(n_refused > N_BODIES / 2, "only {n_refused} refused: the mutations do not bite");
    }
}

#[test]
fn malformed_blocks_are_refused_without_a_panic() {
    let mut rng = StdRng::seed_from_u64(9_062_026);
    let limits = BodyLimits { decompressed_bytes_max: 1 << 20, ..BodyLimits::default() };
    let mut n_refused = 0;
    for i in 0..N_BODIES {
        let version = if i % 2 == 0 { WriteMessage::V1 } else { WriteMessage::V2 };
        let valid = compress(&valid_message(version, &mut rng)).unwrap();
        let body = match i % 4 {
            0 => (0..rng.random_range(0..300)).map(|_| rng.random()).collect(),
            1 => {
                // A bomb: a declared size of up to 2^40 in front of a few honest bytes.
                let mut bomb = Vec::new();
                push_varint(rng.random::<u64>() >> rng.random_range(24..64), &mut bomb);
                bomb.extend_from_slice(&valid);
                bomb
            }
            _ => mutate(valid, &mut rng),
        };
        let mut into = Vec::new();
        match decompress(&body, &limits, &mut into) {
            Ok(()) => drop(read_all(version, &into, &limits)),
            Err(_) => n_refused += 1,
        }
        assert!(into.capacity() <= 64 * body.len() + 1024, "{} bytes for a body of {}", into.capacity(), body.len());
    }
    assert!(n_refused > N_BODIES / 2, "only {n_refused} refused: the mutations do not bite");
}
