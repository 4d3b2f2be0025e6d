//! What comes over the network or from an imported text: remote write, OpenMetrics.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, Metadata, MetricKind, STALE_NAN, SampleValue, Span};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wire::fuzzing;
use wire::remote_write::{SeriesContent, WriteRequestEncoder, WriteRequestV2Encoder, compress, encode_labels};

use crate::bounded::Decoder;
use crate::damage::varint;

/// Room for error texts and for what a request keeps between its series.
const SLACK: usize = 16 << 10;

/// A value of some kind.
fn value(rng: &mut StdRng) -> SampleValue {
    let n = rng.random_range(0..5_u8);
    let mut histogram = Histogram {
        schema: rng.random_range(-4..=8),
        count: f64::from(n),
        sum: rng.random(),
        positive_spans: vec![Span { offset: rng.random_range(0..9), length: u32::from(n) }],
        positive_buckets: vec![1.0; usize::from(n)],
        ..Histogram::default()
    };
    if rng.random() {
        (histogram.schema, histogram.custom_bounds) = (CUSTOM_BUCKETS_SCHEMA, (0..15).map(f64::from).collect());
    }
    let histogram = Arc::new(histogram);
    match rng.random_range(0..4) {
        0 => SampleValue::Histogram(histogram),
        1 => SampleValue::FloatHistogram(histogram),
        2 => SampleValue::Float(STALE_NAN),
        _ => SampleValue::Float(rng.random()),
    }
}

/// Requests of a few series with everything in them, in both versions.
fn messages() -> [Vec<Vec<u8>>; 2] {
    let mut rng = StdRng::seed_from_u64(7);
    let metadata = Metadata { kind: MetricKind::Gauge, help: "Whether it is up.".into(), unit: "s".into() };
    let mut all = [Vec::new(), Vec::new()];
    for _ in 0..40 {
        let (mut v1, mut v2) = (WriteRequestEncoder::new(), WriteRequestV2Encoder::new());
        for i in 0..rng.random_range(1..8) {
            let pod = format!("pod-{i}-{}", "x".repeat(rng.random_range(0..200)));
            let labels = [("__name__", "up"), ("pod", &*pod)];
            let values: Vec<_> = (0..rng.random_range(0..5)).map(|t| (t - 2, value(&mut rng))).collect();
            let exemplar = Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), t: i, v: 0.5 };
            let content = SeriesContent {
                values: &values,
                exemplars: if rng.random() { std::slice::from_ref(&exemplar) } else { &[] },
                start: rng.random_range(0..3),
                metadata: rng.random::<bool>().then_some(&metadata),
            };
            v1.push_content(&encode_labels(labels), &content);
            v2.push(labels, &content);
        }
        v1.push_metadata("up", &metadata);
        all[0].push(v1.finish());
        all[1].push(v2.finish());
    }
    all
}

/// A field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &varint(content.len() as u64), content].concat()
}

/// One field a hundred thousand times, each of them as short as it can be and some memory of its own.
fn many(fields: &[u8]) -> Vec<u8> {
    fields.repeat(100_000)
}

#[test]
fn snappy() {
    let [v1, v2] = messages();
    let good: Vec<_> = v1.iter().chain(&v2).map(|message| compress(message).unwrap()).collect();
    let bombs = [26, 40, 60].map(|bits| [varint(1 << bits), good[0].clone()].concat());
    let zeros = compress(&vec![0; 30 << 20]).unwrap();
    let dense = [&bombs[..], &[zeros]].concat();
    Decoder { name: "snappy", decode: fuzzing::snappy, slack: SLACK }.fuzz(&good, &dense);
}

#[test]
fn remote_write_v1() {
    let [good, _] = messages();
    let name = field(1, &[field(1, b"__name__"), field(2, b"up")].concat());
    let series = |fields: &[u8]| field(1, &[&name, fields].concat());
    let span = field(11, &[]);
    let dense = [
        many(&field(1, &[])),
        many(&field(3, &[])),
        series(&many(&field(1, &[]))),
        series(&many(&field(2, &[]))),
        series(&many(&field(3, &[]))),
        series(&many(&field(4, &[]))),
        series(&field(3, &many(&field(1, &[])))),
        series(&field(3, &many(&field(1, &field(1, b"a"))))),
        // Histograms: spans, then differences between buckets, absolute counts and bounds.
        series(&field(4, &span.repeat(65_000))),
        series(&field(4, &[&field(11, &[0x10, 0xd0, 0xfb, 0x03])[..], &field(12, &[0; 65_000])].concat())),
        series(&field(4, &[&[0x11][..], &[0; 8], &field(13, &[0; 80_000])].concat())),
        series(&field(4, &[&[0x20, 0x69][..], &field(16, &[0; 80_000])].concat())),
    ];
    Decoder { name: "remote_write_v1", decode: fuzzing::remote_write_v1, slack: SLACK }.fuzz(&good, &dense);
}

#[test]
fn remote_write_v2() {
    let [_, good] = messages();
    let symbols = [field(4, b""), field(4, b"__name__"), field(4, b"up"), field(4, &[b'x'; 60_000])].concat();
    let request = |fields: &[u8]| [&symbols, fields].concat();
    let named = |fields: &[u8]| request(&field(5, &[&field(1, &[1, 2]), fields].concat()));
    let dense = [
        many(&field(4, &[])),
        request(&many(&field(5, &[]))),
        // Descriptions, each of another type.
        request(
            &(0..50_000).map(|n| field(5, &field(5, &[&[0x08][..], &varint(n)].concat()))).collect::<Vec<_>>().concat(),
        ),
        // References in a list and one at a time; ones that name a long symbol over and over.
        request(&field(5, &field(1, &many(&[1])))),
        request(&field(5, &many(&[0x08, 1]))),
        request(&field(5, &field(1, &many(&[1, 3])))),
        request(&field(5, &[1, 2, 1, 3].repeat(16)).repeat(2000)),
        named(&many(&field(2, &[]))),
        // A start of the last sample needs a place for that of every other.
        named(&[many(&field(2, &[])), field(2, &[0x18, 1])].concat()),
        named(&many(&field(3, &[]))),
        named(&many(&field(4, &[]))),
        named(&field(4, &field(1, &many(&[1])))),
    ];
    Decoder { name: "remote_write_v2", decode: fuzzing::remote_write_v2, slack: SLACK }.fuzz(&good, &dense);
}

const TEXT: &str = "# TYPE h histogram
# UNIT h seconds
# HELP h What \\\\ it \\n \\\"is\\\".
h_bucket{le=\"1\",a=\"x\\\"y\\n\"} 3 1.5 # {trace_id=\"abc\"} 0.5 1.25
{\"h.x\",\"b c\"=\"\u{e9}\"} NaN -1.001
up +Inf
# EOF
";

/// Texts whose one line has many labels, or many texts in it.
fn dense_texts() -> Vec<Vec<u8>> {
    let labels = "a=\"\",".repeat(150_000);
    let escaped = "\\n".repeat(400_000);
    vec![
        format!("m{{{labels}}} 1 1\n# EOF\n").into_bytes(),
        format!("m 1 1 # {{{labels}}} 1\n# EOF\n").into_bytes(),
        format!("m{{a=\"{escaped}\"}} 1 1\n# EOF\n").into_bytes(),
        format!("# HELP m {escaped}\n# EOF\n").into_bytes(),
        format!("{}# EOF\n", "m 1 1\n".repeat(100_000)).into_bytes(),
        vec![b'm'; 2 << 20],
    ]
}

#[test]
fn open_metrics() {
    let good =
        [TEXT.as_bytes().to_vec(), b"# EOF\n".to_vec(), b"up{job=\"a\",instance=\"b\"} 1 1795310698\n# EOF\n".to_vec()];
    let decoder = Decoder { name: "open_metrics", decode: fuzzing::open_metrics, slack: SLACK };
    decoder.fuzz(&good, &dense_texts());
}

#[test]
fn prometheus_text() {
    let text =
        TEXT.replace("# EOF\n", "").replace(" 3 1.5 # {trace_id=\"abc\"} 0.5 1.25", " 3 1500").replace(" -1.001", "");
    let good = [text.into_bytes(), b"# a comment\nup{job=\"a\"} 1 1795310698929\n\n".to_vec()];
    let decoder = Decoder { name: "prometheus_text", decode: fuzzing::prometheus_text, slack: SLACK };
    decoder.fuzz(&good, &dense_texts());
}
