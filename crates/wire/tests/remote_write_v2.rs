//! What the 2.0 receiver accepts, refuses and keeps, with the generated messages of `proto/` as the oracle.

#![expect(clippy::unwrap_used, reason = "a message that cannot be made fails the test")]

use std::sync::Arc;

use model::{
    Exemplar, Histogram, Labels, LabelsBuilder, Metadata, MetricKind, STALE_NAN_BITS, SampleValue, Span, StartRun,
};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wire::proto::v2::{self, Request, Sample, TimeSeries};
use wire::remote_write::{
    BodyLimits, LabelLimits, SeriesContent, WriteRequest, WriteRequestEncoder, WriteRequestV2Encoder, encode_labels,
};
use wire::{WireError, proto};

/// The strings that the tests' references count on: 1 and 2 make the name `up`, 3 and 4 `job="a"`.
const SYMBOLS: [&str; 10] = ["", "__name__", "up", "job", "a", "trace_id", "abc", "Whether it is up.", "bytes", "z"];

/// A request over [`SYMBOLS`].
fn request(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    Request { symbols: SYMBOLS.map(String::from).to_vec(), timeseries }.encode_to_vec()
}

fn series(labels_refs: &[u32], times: &[i64]) -> TimeSeries {
    let samples = times.iter().map(|t| Sample { value: 0.5, timestamp: *t, start_timestamp: 0 }).collect();
    TimeSeries { labels_refs: labels_refs.to_vec(), samples, ..TimeSeries::default() }
}

/// What each series of `body` turned out to be: its labels, or why they are refused, and the times of its samples.
fn read(body: &[u8], limits: &BodyLimits) -> Result<Vec<(String, Vec<i64>)>, WireError> {
    let request = WriteRequest::parse_v2(body, limits)?;
    let mut builder = LabelsBuilder::default();
    let read = request.series().map(|series| {
        let labels = match series.labels(&mut builder) {
            Ok(()) => builder.build().to_string(),
            Err(refused) => refused.to_string(),
        };
        (labels, series.samples().map(|sample| sample.t).collect())
    });
    Ok(read.collect())
}

#[track_caller]
fn check(body: &[u8], expected: &[(&str, &[i64])]) {
    let read = read(body, &BodyLimits::default()).unwrap();
    let expected: Vec<_> = expected.iter().map(|(labels, times)| ((*labels).to_owned(), times.to_vec())).collect();
    assert_eq!(read, expected);
}

/// A field: its tag, a length, and the bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn table() -> Vec<u8> {
    SYMBOLS.iter().flat_map(|symbol| field(4, symbol.as_bytes())).collect()
}

#[test]
fn labels_are_looked_up_sorted_and_checked_for_each_series_alone() {
    let good = r#"up{job="a"}"#;
    for (refs, expected) in [
        (&[1, 2, 3, 4][..], good),
        (&[3, 4, 1, 2], good),
        (&[1, 2, 3, 4, 9, 0], good),
        (&[1, 2], "up"),
        (&[], "no metric name in series {}"),
        (&[3, 4], r#"no metric name in series {job="a"}"#),
        (&[1, 0], r#"no metric name in series {__name__=""}"#),
        (&[1, 2, 0, 4], r#"empty label name in series {__name__="up", ="a"}"#),
        (&[1, 2, 3, 4, 3, 2], r#"duplicate label name "job" in series {__name__="up", job="a", job="up"}"#),
        (&[1, 2, 3, 4, 3, 0], r#"duplicate label name "job" in series {__name__="up", job="a", job=""}"#),
        (&[1, 2, 3], r#"3 references to names and values, which is odd in series {__name__="up"}"#),
        (&[1, 2, 3, 10], r#"reference to symbol 10 of 10 in series {__name__="up", job="?"}"#),
        (&[u32::MAX, 2], r#"reference to symbol 4294967295 of 10 in series {?="up"}"#),
        (
            &[1, 2, 1, 2, 3, 4, 3, 4],
            "4 labels, limit 3 in series {__name__=\"up\", __name__=\"up\", job=\"a\", job=\"a\"}",
        ),
        (
            &[1, 2, 3, 7],
            r#"value of 17 bytes of label "job", limit 16 in series {__name__="up", job="Whether it is up."}"#,
        ),
    ] {
        let labels = LabelLimits { labels_max: 3, name_bytes_max: 8, value_bytes_max: 16 };
        let body = request(vec![series(refs, &[1]), series(&[1, 2, 9, 4], &[2])]);
        let read = read(&body, &BodyLimits { labels, ..BodyLimits::default() }).unwrap();
        let other = (r#"up{z="a"}"#.to_owned(), vec![2]);
        assert_eq!(read, [(expected.to_owned(), vec![1]), other], "{refs:?}");
    }
}

#[test]
fn text_that_is_not_utf8_refuses_its_series_alone() {
    let bad = [table(), field(4, b"\xff"), field(5, &field(1, &[1, 2, 3, 10])), field(5, &field(1, &[1, 2]))].concat();
    check(
        &bad,
        &[("label name or value is not valid UTF-8 in series {__name__=\"up\", job=\"\u{fffd}\"}", &[]), ("up", &[])],
    );
}

#[test]
fn the_table_begins_with_the_empty_string() {
    for (symbols, refused) in [
        (vec![], Some("the symbol table of 0 strings must begin with the empty one")),
        (vec!["a"], Some("the symbol table of 1 strings must begin with the empty one")),
        (vec!["a", ""], Some("the symbol table of 2 strings must begin with the empty one")),
        (vec![""], None),
        (vec!["", "a", "a", ""], None),
    ] {
        let symbols: Vec<_> = symbols.into_iter().map(str::to_owned).collect();
        let body = Request { symbols: symbols.clone(), timeseries: vec![] }.encode_to_vec();
        let read = WriteRequest::parse_v2(&body, &BodyLimits::default());
        assert_eq!(read.err().map(|refused| refused.to_string()).as_deref(), refused, "{symbols:?}");
    }
    // A 1.0 message has none of our fields: it is refused rather than taken for nothing.
    let mut encoder = WriteRequestEncoder::new();
    encoder.push([("__name__", "up")], &[]);
    let refused = WriteRequest::parse_v2(&encoder.finish(), &BodyLimits::default()).unwrap_err();
    assert_eq!(refused, WireError::Symbols { n: 0 });
}

#[test]
fn fields_come_in_any_order_packed_or_not_and_unknown_ones_are_skipped() {
    let sample = field(2, &[0x10, 5]);
    // A varint, eight bytes, a message and four bytes in fields 7, 8, 9 and 10; then field 6 as it never was.
    let unknown = [&[0x38, 1, 0x41, 1, 2, 3, 4, 5, 6, 7, 8][..], &field(9, b"xyz"), &[0x55, 1, 2, 3, 4]].concat();
    let expected: &[(&str, &[i64])] = &[(r#"up{job="a"}"#, &[5])];
    for labels_and_samples in [
        [field(1, &[1, 2, 3, 4]), sample.clone()].concat(),
        [sample.clone(), vec![0x08, 1, 0x08, 2, 0x08, 3, 0x08, 4]].concat(),
        [field(1, &[1, 2]), sample.clone(), field(1, &[]), vec![0x08, 3], field(1, &[4])].concat(),
        [unknown.clone(), field(1, &[1, 2, 3, 4]), unknown, sample.clone()].concat(),
        [field(1, &[0x81, 0x00, 2, 3, 4]), sample, field(6, b"x")].concat(),
    ] {
        let one = field(5, &labels_and_samples);
        check(&[table(), one.clone()].concat(), expected);
        check(&[one.clone(), table()].concat(), expected);
        check(&[field(1, b"1.0"), vec![0x38, 1], table(), field(15, b"later"), one].concat(), expected);
    }
}

#[test]
fn a_malformed_message_anywhere_refuses_the_request() {
    let good = [table(), field(5, &field(1, &[1, 2]))].concat();
    for (bad, what) in [
        (vec![0x22, 2, b'x'], "symbol"),
        (vec![0x20, 1], "tag"),
        (vec![0x28, 1], "tag"),
        (vec![0x2a, 1], "series"),
        (field(5, &[0x0a, 1, 0x80]), "series"),
        (field(5, &[0x0d, 1, 2, 3, 4]), "series"),
        (field(5, &field(2, &[0x09, 1])), "series"),
        (field(5, &field(2, &[0x18, 0x80])), "series"),
        (field(5, &field(2, &[0x1a, 0])), "series"),
        (field(5, &field(3, &[0x0a, 9])), "series"),
        (field(5, &field(4, &[0x0a, 9])), "series"),
        (field(5, &field(5, &[0x0a, 0])), "series"),
        (field(5, &field(5, &[0x18, 0x80])), "series"),
        (field(5, &[0x28, 1]), "series"),
        (field(5, &[0x30, 0x80]), "series"),
        (vec![0x7b, 0x7c], "unknown field"),
    ] {
        let body = [good.clone(), bad.clone()].concat();
        let refused = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap_err();
        assert_eq!(refused, WireError::Malformed { what, offset: good.len() }, "{bad:x?}");
    }
}

#[test]
fn requests_hold_no_more_than_their_limits() {
    let one = TimeSeries {
        exemplars: vec![v2::Exemplar::default()],
        histograms: vec![v2::Histogram::default()],
        ..series(&[1, 2, 3, 4], &[1])
    };
    let body = request(vec![one.clone(), one]);
    let all = BodyLimits { series_max: 2, samples_max: 6, symbols_max: 10, ..BodyLimits::default() };
    for (limits, refused) in [
        (all, None),
        (BodyLimits { series_max: 1, ..all }, Some("request has more than 1 series; send smaller ones")),
        (
            BodyLimits { samples_max: 5, ..all },
            Some("request has more than 5 samples, histograms and exemplars; send smaller ones"),
        ),
        (BodyLimits { symbols_max: 9, ..all }, Some("request has more than 9 symbols; send smaller ones")),
        (
            BodyLimits { decompressed_bytes_max: 50, ..all },
            Some(&*format!("request declares {} bytes after decompression, limit 50", body.len())),
        ),
    ] {
        let result = WriteRequest::parse_v2(&body, &limits).map(drop).map_err(|e| e.to_string());
        assert_eq!(result.err().as_deref(), refused);
    }
}

#[test]
fn labels_are_bounded_as_if_every_series_brought_its_own() {
    let symbols = vec![String::new(), "__name__".into(), "x".repeat(4000)];
    let body = Request { symbols: symbols.clone(), timeseries: vec![series(&[1, 2], &[]); 100] }.encode_to_vec();
    let limits = |bytes| BodyLimits { decompressed_bytes_max: bytes, ..BodyLimits::default() };
    assert!(WriteRequest::parse_v2(&body, &limits(400_800)).is_ok());
    let refused = WriteRequest::parse_v2(&body, &limits(400_799)).unwrap_err();
    assert_eq!(refused, WireError::TooMany { what: "bytes of labels", limit: 400_799 });

    // What no series may have is refused for its series, and never written out.
    let long = vec![String::new(), "__name__".into(), "x".repeat(100_000)];
    for (symbols, refs, expected) in [
        (symbols, [1, 2].repeat(100), "100 labels, limit 64 in series "),
        (long, [1, 2].repeat(60), "value of 100000 bytes of label \"__name__\", limit 4096 in series "),
    ] {
        let body = Request { symbols, timeseries: vec![series(&refs, &[]); 1000] }.encode_to_vec();
        let request = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
        for series in request.series() {
            assert!(series.raw_labels(&mut Vec::new()).is_empty());
            let refused = series.labels(&mut LabelsBuilder::default()).unwrap_err().to_string();
            assert!(refused.starts_with(expected), "{refused}");
        }
    }
}

#[test]
fn a_series_is_known_again_across_requests_and_versions() {
    let (mut builder, mut buf) = (LabelsBuilder::default(), Vec::new());
    let one = encode_labels([("__name__", "up"), ("job", "a")]);
    let body = request(vec![series(&[1, 2, 3, 4], &[1]), series(&[1, 2, 3, 10], &[1]), series(&[1, 2, 3], &[1])]);
    let read = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
    let raw: Vec<_> = read.series().map(|series| series.raw_labels(&mut buf).to_vec()).collect();
    assert_eq!(raw, [one.clone(), vec![], vec![]]);
    let mut encoder = WriteRequestV2Encoder::new();
    encoder.push([("other", "x")], &SeriesContent::default());
    encoder.push([("__name__", "up"), ("job", "a")], &SeriesContent::default());
    let body = encoder.finish();
    let read = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
    let series = read.series().nth(1).unwrap();
    assert_eq!(series.raw_labels(&mut buf), one);
    series.labels(&mut builder).unwrap();
    let long = "x".repeat(300);
    encoder.push([("__name__", &*long)], &SeriesContent::default());
    let body = encoder.finish();
    let read = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
    assert_eq!(read.series().next().unwrap().raw_labels(&mut buf), encode_labels([("__name__", &*long)]));
}

#[test]
fn start_timestamps_are_told_where_they_change() {
    let sample = |timestamp, start_timestamp| Sample { value: 1.0, timestamp, start_timestamp };
    let histogram =
        |timestamp, start_timestamp| v2::Histogram { timestamp, start_timestamp, ..v2::Histogram::default() };
    let of = |samples, histograms, created_timestamp| {
        #[expect(deprecated, reason = "senders of the field are understood")]
        let one = TimeSeries { samples, histograms, created_timestamp, ..series(&[1, 2], &[]) };
        one
    };
    for (sent, expected) in [
        (of(vec![sample(10, 0), sample(20, 0)], vec![], 0), &[][..]),
        (
            of(vec![sample(10, 3), sample(20, 3), sample(30, 25), sample(40, 0)], vec![], 0),
            &[(10, 3), (30, 25), (40, 0)],
        ),
        (of(vec![sample(10, 0), sample(20, 4)], vec![], 0), &[(10, 0), (20, 4)]),
        (of(vec![sample(10, 0), sample(20, 0)], vec![], 7), &[(10, 7)]),
        (of(vec![sample(10, 0), sample(20, 8)], vec![], 7), &[(10, 7), (20, 8)]),
        (of(vec![], vec![histogram(10, 3), histogram(20, 5), histogram(30, 5)], 0), &[(10, 3), (20, 5)]),
        (of(vec![], vec![histogram(10, 0), histogram(20, 5)], 2), &[(10, 2), (20, 5)]),
        (of(vec![], vec![histogram(10, 0)], 0), &[]),
    ] {
        let body = request(vec![series(&[1, 2], &[1, 2]), sent.clone(), series(&[1, 2], &[9])]);
        let read = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
        let starts: Vec<Vec<_>> = read.series().map(|series| series.starts().collect()).collect();
        let expected: Vec<_> = expected.iter().map(|(from, start)| StartRun { from: *from, start: *start }).collect();
        // What other series of the request are told of has an end too.
        let told = !sent.samples.is_empty() && expected.iter().any(|run: &StartRun| run.start != 0);
        let unknown = |from| if told { vec![StartRun { from, start: 0 }] } else { vec![] };
        assert_eq!(starts, [unknown(1), expected, unknown(9)], "{sent:?}");
    }
}

#[test]
fn exemplars_are_looked_up_and_checked_one_by_one() {
    let exemplar = |refs: &[u32], timestamp| v2::Exemplar { labels_refs: refs.to_vec(), value: 2.5, timestamp };
    let sent = vec![
        exemplar(&[5, 6], 3),
        exemplar(&[], 4),
        exemplar(&[5, 6], 0),
        exemplar(&[5, 10], 3),
        exemplar(&[5], 3),
        exemplar(&[5, 6, 5, 6], 3),
        exemplar(&[0, 6], 3),
    ];
    let one = TimeSeries { exemplars: sent, ..series(&[1, 2], &[8, 9]) };
    let body = request(vec![one]);
    let request = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
    let read = request.series().next().unwrap().exemplars().map(|read| match read {
        Ok(exemplar) => format!("{} {} {}", exemplar.labels, exemplar.t, exemplar.v),
        Err(fault) => fault.to_string(),
    });
    assert_eq!(
        read.collect::<Vec<_>>(),
        [
            r#"{trace_id="abc"} 3 2.5"#,
            "{} 4 2.5",
            r#"{trace_id="abc"} 9 2.5"#,
            "reference to symbol 10 of 10 in exemplar",
            "1 references to names and values, which is odd in exemplar",
            r#"duplicate label name "trace_id" in exemplar"#,
            "empty label name in exemplar",
        ]
    );
}

#[test]
fn descriptions_come_with_series_in_parts_and_each_once() {
    let described = |name: &str, parts: &[&[u8]]| {
        let refs = if name == "up" { [1, 2] } else { [1, u8::try_from(SYMBOLS.len()).unwrap()] };
        let parts: Vec<_> = parts.iter().flat_map(|part| field(5, part)).collect();
        [&*table(), &field(4, name.as_bytes()), &field(5, &[field(1, &refs), parts].concat())].concat()
    };
    let read = |body: &[u8]| {
        let request = WriteRequest::parse_v2(body, &BodyLimits::default()).unwrap();
        let read = request.metadata().map(|family| {
            let metadata = family.to_metadata();
            format!("{} {} {:?} {:?}", family.family, metadata.kind.as_str(), metadata.help, metadata.unit)
        });
        read.collect::<Vec<_>>()
    };
    let full: &[&[u8]] = &[&[0x08, 1, 0x18, 7, 0x20, 8]];
    for (name, parts, expected) in [
        ("up", full, &[r#"up counter "Whether it is up." "bytes""#][..]),
        ("up", &[&[0x08, 1], &[0x20, 8], &[0x18, 7]], &[r#"up counter "Whether it is up." "bytes""#]),
        ("up", &[&[0x08, 9, 0x10, 3]], &[r#"up unknown "" """#]),
        ("up", &[&[]], &[]),
        ("up", &[], &[]),
        ("up", &[&[0x08, 1, 0x18, 99]], &[]),
        ("h_bucket", &[&[0x08, 3]], &[r#"h histogram "" """#]),
        ("h_gsum", &[&[0x08, 4]], &[r#"h gaugehistogram "" """#]),
        ("h_sum", &[&[0x08, 5]], &[r#"h summary "" """#]),
        ("h_sum", &[&[0x08, 2]], &[r#"h_sum gauge "" """#]),
        ("h_total", &[&[0x08, 1]], &[r#"h_total counter "" """#]),
    ] {
        assert_eq!(read(&described(name, parts)), expected, "{name} {parts:?}");
    }
    let bad = described("up", &[&[0x18, 99]]);
    check(&bad, &[("reference to symbol 99 of 11 in series {__name__=\"up\"}", &[])]);
    let twice = [described("up", full), field(5, &[field(1, &[1, 2, 3, 4]), field(5, full[0])].concat())].concat();
    assert_eq!(read(&twice).len(), 1);
}

/// A request with everything in it, as the generated code encodes it and as ours does.
#[test]
fn both_ends_agree_with_the_generated_messages() {
    let histogram = Histogram {
        count: 3.0,
        sum: f64::from_bits(STALE_NAN_BITS),
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![1.0, 2.0],
        ..Histogram::default()
    };
    let values = [
        (10, SampleValue::Float(-0.0)),
        (20, SampleValue::Float(f64::from_bits(STALE_NAN_BITS))),
        (30, SampleValue::Histogram(Arc::new(histogram.clone()))),
        (40, SampleValue::FloatHistogram(Arc::new(histogram))),
    ];
    let exemplars = [Exemplar { labels: Labels::from_pairs([("trace_id", "abc")]), t: 11, v: 0.25 }];
    let metadata = Metadata { kind: MetricKind::Summary, help: "What it \"is\".".into(), unit: "bytes".into() };
    let content = SeriesContent { values: &values, exemplars: &exemplars, start: 5, metadata: Some(&metadata) };
    let mut encoder = WriteRequestV2Encoder::new();
    encoder.push([("__name__", "h\u{e9} x"), ("job", "a")], &content);
    encoder.push([("__name__", "up"), ("job", "a")], &SeriesContent::default());
    let body = encoder.finish();
    assert!(encoder.is_empty());

    let generated = Request::decode(&*body).unwrap();
    assert_eq!(
        generated.symbols,
        ["", "__name__", "h\u{e9} x", "job", "a", "trace_id", "abc", "What it \"is\".", "bytes", "up"]
    );
    assert_eq!(generated.timeseries[0].samples[0], Sample { value: -0.0, timestamp: 10, start_timestamp: 5 });
    assert_eq!(generated.timeseries[0].histograms[0].positive_deltas, [1, 1]);
    assert_eq!(generated.timeseries[0].histograms[1].count, Some(v2::histogram::Count::CountFloat(3.0)));
    for body in [body, generated.encode_to_vec()] {
        let request = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
        let counts = (request.n_samples(), request.n_histograms(), request.n_exemplars());
        assert_eq!((request.series().len(), counts), (2, (2, 2, 1)));
        let series = request.series().next().unwrap();
        let floats = series.samples().map(|sample| (sample.t, SampleValue::Float(sample.v)));
        let read: Vec<_> = floats.chain(series.histograms().map(Result::unwrap)).collect();
        assert_eq!(read.len(), 4);
        // The generated encoder drops the sign of zero.
        assert!(read.iter().zip(&values).skip(1).all(|(a, b)| a.0 == b.0 && a.1.same_bits(&b.1)), "{read:?}");
        assert_eq!(series.exemplars().collect::<Result<Vec<_>, _>>().unwrap(), exemplars);
        assert_eq!(series.starts().collect::<Vec<_>>(), [StartRun { from: 10, start: 5 }]);
        assert_eq!(
            request.metadata().map(|family| family.to_metadata()).collect::<Vec<_>>(),
            std::slice::from_ref(&metadata)
        );
    }
}

#[test]
fn histograms_keep_the_rules_of_version_one() {
    let bad = v2::Histogram { count: Some(v2::histogram::Count::CountInt(99)), ..v2::Histogram::default() };
    let one = TimeSeries { histograms: vec![bad, v2::Histogram::default()], ..series(&[1, 2], &[1]) };
    let body = request(vec![one]);
    let request = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
    let series = request.series().next().unwrap();
    let read: Vec<_> = series.histograms().map(|read| read.map(drop).map_err(|fault| fault.to_string())).collect();
    assert_eq!(read, [Err("histogram count is 99, its buckets hold 0".to_owned()), Ok(())]);
    assert_eq!(series.samples().len(), 1);
}

#[test]
fn version_one_tells_no_start() {
    let samples = vec![proto::Sample { value: 1.0, timestamp: 2 }];
    let histograms = vec![proto::Histogram { timestamp: 3, ..proto::Histogram::default() }];
    let one = proto::TimeSeries { samples, histograms, ..proto::TimeSeries::default() };
    let body = proto::WriteRequest { timeseries: vec![one], metadata: vec![] }.encode_to_vec();
    let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
    assert_eq!(request.series().next().unwrap().starts().count(), 0);
}

/// Series over a table of `n` strings, of which a few references lead nowhere.
fn random_series(rng: &mut StdRng, n: u32) -> TimeSeries {
    let mut refs = |len| (0..len).map(|_| rng.random_range(0..n + 1)).collect::<Vec<_>>();
    let (labels_refs, exemplar_refs) = (refs(6), refs(2));
    let samples = (0..rng.random_range(0..4)).map(|_| Sample {
        value: f64::from_bits(rng.random()),
        timestamp: rng.random(),
        start_timestamp: rng.random_range(0..2),
    });
    TimeSeries {
        samples: samples.collect(),
        labels_refs,
        exemplars: vec![v2::Exemplar { labels_refs: exemplar_refs, value: 1.0, timestamp: rng.random() }],
        metadata: Some(v2::Metadata { r#type: rng.random_range(0..8), help_ref: rng.random_range(0..n), unit_ref: 0 }),
        ..TimeSeries::default()
    }
}

#[test]
fn random_requests_are_read_as_the_generated_code_reads_them() {
    let mut rng = StdRng::seed_from_u64(22);
    for _ in 0..500 {
        let n = rng.random_range(1..300);
        let symbols: Vec<_> = (0..n).map(|i| if i == 0 { String::new() } else { format!("s{i}") }).collect();
        let timeseries = (0..rng.random_range(0..5)).map(|_| random_series(&mut rng, n)).collect();
        let sent = Request { symbols, timeseries };
        let body = sent.encode_to_vec();
        let request = WriteRequest::parse_v2(&body, &BodyLimits::default()).unwrap();
        assert_eq!(request.series().len(), sent.timeseries.len());
        let text = |reference: &u32| sent.symbols.get(*reference as usize).map(String::as_str);
        for (series, sent) in request.series().zip(&sent.timeseries) {
            let bits = |t: i64, v: f64| (t, v.to_bits());
            let samples = sent.samples.iter().map(|sample| bits(sample.timestamp, sample.value));
            assert!(series.samples().map(|sample| bits(sample.t, sample.v)).eq(samples));
            let texts: Option<Vec<_>> = sent.labels_refs.iter().map(text).collect();
            let pairs = texts.map(|texts| texts.chunks(2).map(|pair| (pair[0], pair[1])).collect::<Vec<_>>());
            let raw = pairs.map_or(vec![], |pairs| {
                let one = |pair: &(&str, &str)| encode_labels([*pair]);
                pairs.iter().flat_map(one).collect()
            });
            assert_eq!(series.raw_labels(&mut Vec::new()), raw);
            let [exemplar] = &*sent.exemplars else { panic!("one exemplar") };
            let texts: Option<Vec<_>> = exemplar.labels_refs.iter().map(text).collect();
            let is_good = texts.is_some_and(|texts| !texts[0].is_empty());
            assert_eq!(series.exemplars().next().unwrap().is_ok(), is_good, "{exemplar:?} of {n}");
        }
    }
}
