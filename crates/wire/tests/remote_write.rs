//! What the receiver accepts, refuses and keeps, with the generated messages of `proto/` as the oracle.

#![expect(clippy::unwrap_used, reason = "a message that cannot be made fails the test")]

use model::{LabelsBuilder, Metadata, MetricKind, STALE_NAN_BITS, Sample};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wire::proto;
use wire::remote_write::{BodyLimits, LabelLimits, TimeSeries, WriteRequest, WriteRequestEncoder, encode_labels};
use wire::{LabelFault, WireError};

/// A field: its tag and either a length with bytes, or raw bytes.
fn message(number: u8, bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128);
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
    message(1, &[message(1, name), message(2, value)].concat())
}

/// A sample of value 0 at `t`.
fn sample(t: u8) -> Vec<u8> {
    message(2, &[0x10, t])
}

/// A request of one series made of `fields`.
fn one_series(fields: &[Vec<u8>]) -> Vec<u8> {
    message(1, &fields.concat())
}

/// What a series turned out to be: its labels, or why they are refused, and the times of its samples.
fn read(series: &TimeSeries<'_>) -> (String, Vec<i64>) {
    let mut builder = LabelsBuilder::default();
    let labels = match series.labels(&mut builder) {
        Ok(()) => builder.build().to_string(),
        Err(refused) => refused.to_string(),
    };
    (labels, series.samples().map(|sample| sample.t).collect())
}

#[track_caller]
fn check(body: &[u8], labels: &str, times: &[i64]) {
    let request = WriteRequest::parse(body, &BodyLimits::default()).unwrap();
    let all: Vec<_> = request.series().map(|series| read(&series)).collect();
    assert_eq!(all, [(labels.to_owned(), times.to_vec())]);
}

#[test]
fn fields_come_in_any_order_and_unknown_ones_are_skipped() {
    let (up, job, a) = (label(b"__name__", b"up"), label(b"job", b"a"), sample(5));
    let expected = r#"up{job="a"}"#;
    // Fields 9, 10, 11 and 12: a varint, eight bytes, a message and four bytes.
    let unknown = [vec![0x48, 1], vec![0x51, 1, 2, 3, 4, 5, 6, 7, 8], message(11, b"xyz"), vec![0x65, 1, 2, 3, 4]];
    check(&one_series(&[up.clone(), job.clone(), a.clone()]), expected, &[5]);
    check(&one_series(&[a.clone(), job.clone(), up.clone()]), expected, &[5]);
    check(&one_series(&[up.clone(), a.clone(), job.clone(), sample(6)]), expected, &[5, 6]);
    check(&one_series(&[job.clone(), unknown.concat(), up.clone()]), expected, &[]);
    check(&one_series(&[a, up, unknown[0].clone(), job, unknown[3].clone(), sample(7)]), expected, &[5, 7]);

    let value_first = message(1, &[message(2, b"up"), message(1, b"__name__")].concat());
    let twice = message(1, &[message(1, b"old"), message(1, b"job"), message(2, b"x"), message(2, b"a")].concat());
    let more = message(1, &[message(1, b"k"), vec![0x18, 3], message(2, b"v")].concat());
    check(&one_series(&[value_first, twice, more]), r#"up{job="a", k="v"}"#, &[]);
    let padded = [&[0x8a, 0x00, 0x8e, 0x80, 0x00][..], &label(b"__name__", b"up")[2..]].concat();
    check(&one_series(&[padded, message(2, &[0x10, 1, 0x10, 0x82, 0x00])]), "up", &[2]);
}

#[test]
fn unknown_fields_of_the_request_are_skipped() {
    let series = one_series(&[label(b"__name__", b"up"), sample(1)]);
    let body = [message(2, b"reserved"), series, vec![0x20, 7], message(15, b"later")].concat();
    check(&body, "up", &[1]);
    assert_eq!(WriteRequest::parse(b"", &BodyLimits::default()).unwrap().series().len(), 0);
}

#[test]
fn a_malformed_message_anywhere_refuses_the_request() {
    let good = one_series(&[label(b"__name__", b"up"), sample(1)]);
    for (bad, what) in [
        (vec![0x0a], "series"),
        (vec![0x0a, 5, 0], "series"),
        (vec![0x08, 1], "tag"),
        (vec![0x19, 1, 2, 3, 4, 5, 6, 7, 8], "tag"),
        (vec![0x00, 1], "tag"),
        (vec![0x80], "tag"),
        (vec![0x7b, 0x7c], "unknown field"),
        (vec![0x7f], "unknown field"),
        (vec![0x78, 0xff], "unknown field"),
        (one_series(&[vec![0x0a, 4, 0x0a, 3, b'a', b'b']]), "series"),
        (one_series(&[message(1, &[0x08, 1])]), "series"),
        (one_series(&[message(1, &[0x0a, 1, b'a', 0x12, 2, b'b'])]), "series"),
        (one_series(&[vec![0x10, 1]]), "series"),
        (one_series(&[message(2, &[0x09, 1, 2, 3])]), "series"),
        (one_series(&[message(2, &[0x0d, 1, 2, 3, 4])]), "series"),
        (one_series(&[message(2, &[0x11, 1, 2, 3, 4, 5, 6, 7, 8])]), "series"),
        (one_series(&[message(2, &[0x10])]), "series"),
        (one_series(&[message(3, &[0x0a, 9])]), "series"),
        (one_series(&[message(4, &[0x0a, 9])]), "series"),
        (one_series(&[sample(1), vec![0x0b]]), "series"),
        (message(3, &[0x0a, 1, b'x']), "metadata"),
        (message(3, &[0x12, 9]), "metadata"),
    ] {
        let body = [good.clone(), bad.clone()].concat();
        let refused = WriteRequest::parse(&body, &BodyLimits::default()).unwrap_err();
        assert_eq!(refused, WireError::Malformed { what, offset: good.len() }, "{bad:?}");
    }
}

#[test]
fn labels_that_no_series_may_have_are_refused_by_name() {
    let name = label(b"__name__", b"up");
    let long = "v".repeat(90);
    for (labels, expected) in [
        (vec![], "no metric name in series {}"),
        (vec![label(b"job", b"a")], r#"no metric name in series {job="a"}"#),
        (vec![label(b"__name__", b"")], r#"no metric name in series {__name__=""}"#),
        (vec![name.clone(), label(b"", b"a")], r#"empty label name in series {__name__="up", ="a"}"#),
        (vec![name.clone(), message(1, &[])], r#"empty label name in series {__name__="up", =""}"#),
        (
            vec![name.clone(), label(b"a", b"1"), label(b"a", b"2")],
            r#"duplicate label name "a" in series {__name__="up", a="1", a="2"}"#,
        ),
        (
            vec![name.clone(), label(b"a", b"1"), label(b"a", b"")],
            r#"duplicate label name "a" in series {__name__="up", a="1", a=""}"#,
        ),
        (
            vec![name.clone(), label(b"a", b"\xff")],
            "label name or value is not valid UTF-8 in series {__name__=\"up\", a=\"\u{fffd}\"}",
        ),
        (
            vec![name.clone(), label(b"a\xc3", b"x")],
            "label name or value is not valid UTF-8 in series {__name__=\"up\", a\u{fffd}=\"x\"}",
        ),
        (
            vec![name.clone(), label(b"nine_byte", b"x")],
            r#"label name of 9 bytes, limit 8 in series {__name__="up", nine_byte="x"}"#,
        ),
        (
            vec![name.clone(), label(b"a", long.as_bytes())],
            &format!(r#"value of 90 bytes of label "a", limit 80 in series {{__name__="up", a="{}"}}"#, &long[..75]),
        ),
        (
            vec![name, label(b"a", b"1"), label(b"b", b"2"), label(b"c", b"3")],
            r#"4 labels, limit 3 in series {__name__="up", a="1", b="2", c="3"}"#,
        ),
    ] {
        let labels_limits = LabelLimits { labels_max: 3, name_bytes_max: 8, value_bytes_max: 80 };
        let limits = BodyLimits { labels: labels_limits, ..BodyLimits::default() };
        let body = [one_series(&labels), one_series(&[label(b"__name__", b"ok"), sample(3)])].concat();
        let request = WriteRequest::parse(&body, &limits).unwrap();
        let read: Vec<_> = request.series().map(|series| read(&series)).collect();
        assert_eq!(read, [(expected.to_owned(), vec![]), ("ok".to_owned(), vec![3])]);
    }
}

#[test]
fn an_error_is_short_however_long_the_labels_are() {
    let (name, value) = ("n".repeat(1024), "v".repeat(4096));
    for labels in [
        vec![("__name__", "up"), (&*name, "1"), (&*name, "2")],
        vec![("__name__", "up"), (&*name, &*(value.clone() + "v"))],
        (0..65).map(|_| (&*name, &*value)).collect(),
    ] {
        let mut encoder = WriteRequestEncoder::new();
        encoder.push(labels, &[]);
        let body = encoder.finish();
        let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
        let refused = request.series().next().unwrap().labels(&mut LabelsBuilder::default()).unwrap_err().to_string();
        assert!(refused.len() < 700, "{} bytes: {refused}", refused.len());
    }
}

#[test]
fn labels_are_sorted_and_empty_values_dropped() {
    let any = [
        label(b"z", b"1"),
        label(b"__meta", b"kept"),
        label("h\u{e9}.llo w".as_bytes(), b"a\nb"),
        label(b"gone", b""),
        label(b"__name__", b"my.metric"),
    ];
    check(&one_series(&any), "{__meta=\"kept\", __name__=\"my.metric\", \"h\u{e9}.llo w\"=\"a\\nb\", z=\"1\"}", &[]);
}

/// An index of a block refuses labels that are longer: a series that came in must come out.
#[test]
fn labels_beyond_the_hard_limit_are_refused_whatever_is_set() {
    let labels = LabelLimits { labels_max: 1024, value_bytes_max: usize::MAX, ..LabelLimits::default() };
    let limits = BodyLimits { labels, ..BodyLimits::default() };
    for (last, is_refused) in [(64_700, false), (65_000, true)] {
        // 256 values of 64 KiB are 16 MiB: names and all, 255 of them leave room for one of 64,757 bytes.
        let names: Vec<String> = (0..255).map(|n| format!("{n:03}")).collect();
        let (value, last) = ("x".repeat(65_536), "x".repeat(last));
        let pairs = names.iter().map(|name| (&**name, &*value)).chain([("__name__", "up"), ("last", &*last)]);
        let mut encoder = WriteRequestEncoder::new();
        encoder.push(pairs, &[]);
        let body = encoder.finish();
        let request = WriteRequest::parse(&body, &limits).unwrap();
        let refused = request.series().next().unwrap().labels(&mut LabelsBuilder::default());
        assert_eq!(refused.is_err(), is_refused, "{refused:?}");
        if let Err(refused) = refused {
            assert!(matches!(refused.fault, LabelFault::TooLong { limit: 16_777_216, .. }), "{refused}");
        }
    }
}

#[test]
fn a_value_beyond_the_hard_limit_is_refused_whatever_is_set() {
    let limits = BodyLimits {
        labels: LabelLimits { value_bytes_max: usize::MAX, ..LabelLimits::default() },
        ..BodyLimits::default()
    };
    for (len, is_refused) in [(64 << 10, false), ((64 << 10) + 1, true)] {
        let mut encoder = WriteRequestEncoder::new();
        encoder.push([("__name__", "up"), ("text", &*"x".repeat(len))], &[]);
        let body = encoder.finish();
        let request = WriteRequest::parse(&body, &limits).unwrap();
        let refused = request.series().next().unwrap().labels(&mut LabelsBuilder::default());
        assert_eq!(refused.is_err(), is_refused, "{refused:?}");
        if let Err(refused) = refused {
            assert_eq!(refused.fault, LabelFault::ValueTooLong { name: "text".to_owned(), len, limit: 64 << 10 });
            assert!(refused.to_string().len() < 512);
        }
    }
}

#[test]
fn requests_hold_no_more_than_their_limits() {
    let series = one_series(&[label(b"__name__", b"up"), sample(1), message(3, &[]), message(4, &[])]);
    let metadata = message(3, &message(2, b"up"));
    for (series_max, samples_max, bytes_max, refused) in [
        (2, 6, 1000, None),
        (1, 6, 1000, Some("request has more than 1 series; send smaller ones")),
        (2, 5, 1000, Some("request has more than 5 samples, histograms and exemplars; send smaller ones")),
        (2, 6, 30, Some("request declares 64 bytes after decompression, limit 30")),
    ] {
        let limits = BodyLimits { series_max, samples_max, decompressed_bytes_max: bytes_max, ..BodyLimits::default() };
        let body = [series.clone(), series.clone(), metadata.clone(), metadata.clone()].concat();
        let result = WriteRequest::parse(&body, &limits).map(drop).map_err(|e| e.to_string());
        assert_eq!(result.err().as_deref(), refused);
    }
    let limits = BodyLimits { series_max: 1, ..BodyLimits::default() };
    let refused = WriteRequest::parse(&[metadata.clone(), metadata].concat(), &limits).unwrap_err();
    assert_eq!(refused, WireError::TooMany { what: "metadata entries", limit: 1 });
}

#[test]
fn the_same_labels_are_known_again_by_their_bytes() {
    let (up, job) = (label(b"__name__", b"up"), label(b"job", b"a"));
    let together = [up.clone(), job.clone()].concat();
    for fields in [
        vec![up.clone(), job.clone(), sample(1)],
        vec![sample(9), up.clone(), job.clone()],
        vec![up.clone(), sample(2), job.clone()],
        vec![vec![0x48, 1], up, vec![0x48, 2], job, vec![0x48, 3]],
    ] {
        let body = [one_series(&[label(b"other", b"x")]), one_series(&fields)].concat();
        let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
        let series: Vec<_> = request.series().collect();
        assert_eq!(series[0].raw_labels(&mut Vec::new()), label(b"other", b"x"));
        assert_eq!(series[1].raw_labels(&mut Vec::new()), together, "{fields:?}");
    }
    assert_eq!(encode_labels([("job", "a"), ("__name__", "up")]), together, "a sender's own encoding");
}

#[test]
fn histograms_and_exemplars_are_counted_beside_the_floats_that_are_kept() {
    let histogram = proto::Histogram {
        count: Some(proto::histogram::Count::CountInt(3)),
        positive_spans: vec![proto::BucketSpan { offset: -1, length: 2 }],
        positive_deltas: vec![1, -1, 1 << 40],
        custom_values: vec![1.0, 2.0],
        ..proto::Histogram::default()
    };
    let exemplar = proto::Exemplar { labels: vec![proto_label("trace_id", "x")], value: 1.0, timestamp: 1 };
    let both = proto::TimeSeries {
        labels: vec![proto_label("__name__", "up")],
        samples: vec![proto::Sample { value: 1.0, timestamp: 7 }],
        exemplars: vec![exemplar],
        histograms: vec![histogram.clone(), histogram],
    };
    let floats = proto::TimeSeries { exemplars: vec![], histograms: vec![], ..both.clone() };
    let body = proto::WriteRequest { timeseries: vec![both, floats], metadata: vec![] }.encode_to_vec();
    let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
    assert_eq!((request.n_samples(), request.n_histograms(), request.n_exemplars()), (2, 2, 1));
    let counts: Vec<_> =
        request.series().map(|s| (s.samples().len(), s.has_histograms(), s.n_histograms(), s.n_exemplars())).collect();
    assert_eq!(counts, [(1, true, 2, 1), (1, false, 0, 0)]);
}

#[test]
fn metadata_is_read_whatever_its_text() {
    let long = "\u{e9}".repeat(3000);
    let odd = format!("x{long}");
    let entries =
        [(2, "a", "help", "bytes/sec"), (7, "b", "", ""), (8, "c", &long, ""), (-1, "", "x", ""), (1, "d", &odd, "")];
    let metadata = entries.map(|(r#type, family, help, unit)| proto::MetricMetadata {
        r#type,
        metric_family_name: family.to_owned(),
        help: help.to_owned(),
        unit: unit.to_owned(),
    });
    let mut body = proto::WriteRequest { timeseries: vec![], metadata: metadata.to_vec() }.encode_to_vec();
    body.extend(message(3, &[message(2, b"e"), message(4, b"caf\xe9!"), message(9, b"later")].concat()));
    let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
    let read: Vec<_> = request.metadata().map(|m| (m.family.to_string(), m.kind, m.help.to_string())).collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        read,
        [
            (text("a"), MetricKind::Gauge, text("help")),
            (text("b"), MetricKind::StateSet, text("")),
            (text("c"), MetricKind::Unknown, "\u{e9}".repeat(2048)),
            (text("d"), MetricKind::Counter, format!("x{}", "\u{e9}".repeat(2047))),
            (text("e"), MetricKind::Unknown, text("caf\u{fffd}!")),
        ]
    );
    assert_eq!(request.metadata().next().unwrap().unit, "bytes/sec");
}

fn proto_label(name: &str, value: &str) -> proto::Label {
    proto::Label { name: name.to_owned(), value: value.to_owned() }
}

/// A request of random shape, labels sorted and without duplicates.
fn random_request(rng: &mut StdRng) -> proto::WriteRequest {
    let timeseries = (0..rng.random_range(0..8)).map(|i| {
        let mut labels = vec![proto_label("__name__", &format!("m{i}"))];
        labels.extend(
            (0..rng.random_range(0..6))
                .map(|l| proto_label(&format!("label{l}"), &"\u{fc}x".repeat(rng.random_range(1..120)))),
        );
        let mut special =
            [0.0, -0.0, f64::INFINITY, f64::from_bits(STALE_NAN_BITS), f64::from_bits(0xfff8_0000_dead_beef)]
                .into_iter()
                .cycle();
        let samples = (0..rng.random_range(0..5)).map(|s| proto::Sample {
            value: if rng.random() { rng.random() } else { special.next().unwrap() },
            timestamp: [0, -1, i64::MIN, i64::MAX, 1_795_310_698_929][s],
        });
        proto::TimeSeries { labels, samples: samples.collect(), ..proto::TimeSeries::default() }
    });
    proto::WriteRequest { timeseries: timeseries.collect(), metadata: vec![] }
}

fn bits(samples: impl Iterator<Item = Sample>) -> Vec<(i64, u64)> {
    samples.map(|sample| (sample.t, sample.v.to_bits())).collect()
}

fn proto_samples(series: &proto::TimeSeries) -> Vec<Sample> {
    series.samples.iter().map(|s| Sample { t: s.timestamp, v: s.value }).collect()
}

/// What our receiver reads of `body` is what the generated code reads.
#[track_caller]
fn check_against_generated(body: &[u8]) {
    let expected = proto::WriteRequest::decode(body).unwrap();
    let request = WriteRequest::parse(body, &BodyLimits::default()).unwrap();
    assert_eq!(request.series().len(), expected.timeseries.len());
    for (series, expected) in request.series().zip(&expected.timeseries) {
        let mut builder = LabelsBuilder::default();
        series.labels(&mut builder).unwrap();
        let labels = builder.build();
        let labels: Vec<_> = labels.iter().map(|(name, value)| proto_label(name, value)).collect();
        assert_eq!(labels, expected.labels);
        assert_eq!(bits(series.samples()), bits(proto_samples(expected).into_iter()));
    }
}

#[test]
fn both_ends_agree_with_the_generated_messages() {
    let mut rng = StdRng::seed_from_u64(1);
    for _ in 0..500 {
        let sent = random_request(&mut rng);
        check_against_generated(&sent.encode_to_vec());
        let mut encoder = WriteRequestEncoder::new();
        for series in &sent.timeseries {
            let labels = series.labels.iter().map(|label| (label.name.as_str(), label.value.as_str()));
            encoder.push(labels, &proto_samples(series));
        }
        let body = encoder.finish();
        assert!(encoder.is_empty() && encoder.n_samples() == 0);
        check_against_generated(&body);
        // Compared by bits: the generated encoder drops a minus zero, ours must not.
        let back = proto::WriteRequest::decode(&*body).unwrap();
        for (back, sent) in back.timeseries.iter().zip(&sent.timeseries) {
            assert_eq!(bits(proto_samples(back).into_iter()), bits(proto_samples(sent).into_iter()));
        }
    }
}

#[test]
fn metadata_comes_back_from_a_sender() {
    let kinds = MetricKind::ALL;
    let mut encoder = WriteRequestEncoder::new();
    let metadata =
        kinds.map(|kind| Metadata { kind, help: format!("{kind:?}\n\"x\""), unit: "s".repeat(kind as usize) });
    metadata.iter().for_each(|metadata| encoder.push_metadata("family", metadata));
    let body = encoder.finish();
    assert_eq!(proto::WriteRequest::decode(&*body).unwrap().metadata.len(), kinds.len());
    let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
    let read: Vec<_> = request.metadata().map(|family| (family.family.clone(), family.to_metadata())).collect();
    assert_eq!(read, metadata.map(|metadata| ("family".into(), metadata)));
}
