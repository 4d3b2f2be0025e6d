//! Prints what a remote-write request of 2,000 series costs to receive and to make, in ns for each sample.

#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use std::hint::black_box;
use std::time::Instant;

use model::{LabelsBuilder, Sample, SampleValue};
use wire::remote_write::{
    BodyLimits, SeriesContent, WriteRequest, WriteRequestEncoder, WriteRequestV2Encoder, compress, decompress,
    encode_labels,
};

const N_SERIES: usize = 2000;
const N_ROUNDS: usize = 500;

/// Labels as an inference fleet sends them: about 250 bytes.
fn labels(i: usize) -> Vec<(String, String)> {
    [
        ("__name__", "vllm:time_to_first_token_seconds_bucket".to_owned()),
        ("cluster", "eu-north-1a".to_owned()),
        ("engine", format!("{}", i % 8)),
        ("instance", format!("10.{}.{}.{}:8000", i / 1000, i / 100 % 10, i % 100)),
        ("job", "inference/vllm".to_owned()),
        ("le", format!("{}", (i % 20) as f64 * 0.25)),
        ("model_name", format!("meta-llama/Llama-3.{}-70B-Instruct", i % 3)),
        ("namespace", "serving-prod".to_owned()),
        ("pod", format!("vllm-{:x}-{:x}", i.wrapping_mul(0x9e37_79b9), i)),
        ("node", format!("gpu-node-{:05}", i / 16)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn main() {
    let series: Vec<Vec<u8>> = (0..N_SERIES)
        .map(|i| encode_labels(labels(i).iter().map(|(name, value)| (name.as_str(), value.as_str()))))
        .collect();
    let mut encoder = WriteRequestEncoder::new();
    let fill = |encoder: &mut WriteRequestEncoder| {
        for (i, labels) in series.iter().enumerate() {
            encoder.push_encoded(labels, &[Sample { t: 1_795_310_698_929, v: i as f64 * 0.37 }]);
        }
    };
    fill(&mut encoder);
    let message = encoder.finish();
    let body = compress(&message).expect("a message of half a megabyte");
    let limits = BodyLimits::default();
    let mut buf = Vec::new();
    decompress(&body, &limits, &mut buf).expect("own block");
    let request = WriteRequest::parse(&buf, &limits).expect("own message");
    let mut raw = Vec::new();
    let label_bytes: usize = request.series().map(|one| one.raw_labels(&mut raw).len()).sum();
    println!(
        "{N_SERIES} series, {} label bytes each, {} bytes in {} compressed",
        label_bytes / N_SERIES,
        message.len(),
        body.len()
    );

    let mut into = Vec::new();
    println!("version 1.0");
    measure("decompress", || decompress(&body, &limits, &mut into).expect("own block"));
    measure("parse", || drop(black_box(WriteRequest::parse(&buf, &limits))));
    measure("iterate", || {
        for one in request.series() {
            black_box(one.raw_labels(&mut raw));
            black_box(one.samples().map(|sample| sample.v).sum::<f64>());
        }
    });
    let mut builder = LabelsBuilder::default();
    measure("labels", || {
        for one in request.series() {
            one.labels(&mut builder).expect("own labels");
        }
    });
    measure("encode", || {
        fill(&mut encoder);
        drop(black_box(encoder.finish()));
    });
    measure("compress", || drop(black_box(compress(&message))));
    version_2();
}

fn version_2() {
    let mut encoder = WriteRequestV2Encoder::new();
    let fill = |encoder: &mut WriteRequestV2Encoder| {
        for i in 0..N_SERIES {
            let values = [(1_795_310_698_929, SampleValue::Float(i as f64 * 0.37))];
            let content = SeriesContent { values: &values, start: 1_795_310_000_000, ..SeriesContent::default() };
            encoder.push(labels(i).iter().map(|(name, value)| (name.as_str(), value.as_str())), &content);
        }
    };
    fill(&mut encoder);
    let message = encoder.finish();
    let body = compress(&message).expect("a message of half a megabyte");
    println!("version 2.0, {} bytes in {} compressed", message.len(), body.len());
    let limits = BodyLimits::default();
    let mut buf = Vec::new();
    measure("decompress", || decompress(&body, &limits, &mut buf).expect("own block"));
    measure("parse", || drop(black_box(WriteRequest::parse_v2(&buf, &limits))));
    let request = WriteRequest::parse_v2(&buf, &limits).expect("own message");
    let mut raw = Vec::new();
    measure("iterate", || {
        for one in request.series() {
            black_box(one.raw_labels(&mut raw));
            black_box(one.samples().map(|sample| sample.v).sum::<f64>());
            black_box(one.starts().count());
        }
    });
}

fn measure(what: &str, mut once: impl FnMut()) {
    once();
    let start = Instant::now();
    for _ in 0..N_ROUNDS {
        once();
    }
    let ns = start.elapsed().as_nanos() as f64 / (N_ROUNDS * N_SERIES) as f64;
    println!("{what:>12} {ns:7.1} ns/sample");
}
