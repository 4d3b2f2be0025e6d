//! Which native histograms and exemplars a receiver takes: the rules one by one, over remote write 1.0.

#![expect(clippy::unwrap_used, reason = "a message that cannot be made fails the test")]

use std::sync::Arc;

use model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, ResetHint, STALE_NAN, STALE_NAN_BITS, SampleValue, Span,
};
use prost::Message as _;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use wire::proto::histogram::{Count, ZeroCount};
use wire::proto::{self, BucketSpan};
use wire::remote_write::{BodyLimits, SeriesContent, WriteRequest, WriteRequestEncoder, encode_labels};

const NAME: [(&str, &str); 1] = [("__name__", "h")];

/// Five observations: 2 in the zero bucket, 1 below it and 2 above.
fn whole() -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::CountInt(5)),
        sum: 3.5,
        zero_threshold: 0.001,
        zero_count: Some(ZeroCount::ZeroCountInt(2)),
        negative_spans: vec![span(-1, 1)],
        negative_deltas: vec![1],
        positive_spans: vec![span(0, 1), span(2, 1)],
        positive_deltas: vec![1, 0],
        timestamp: 7,
        ..proto::Histogram::default()
    }
}

/// The same with float counts.
fn float() -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::CountFloat(5.0)),
        zero_count: Some(ZeroCount::ZeroCountFloat(2.0)),
        negative_deltas: vec![],
        negative_counts: vec![1.0],
        positive_deltas: vec![],
        positive_counts: vec![1.0, 1.0],
        ..whole()
    }
}

/// Three observations in custom buckets.
fn custom() -> proto::Histogram {
    proto::Histogram {
        count: Some(Count::CountInt(3)),
        sum: 3.5,
        schema: CUSTOM_BUCKETS_SCHEMA,
        positive_spans: vec![span(0, 1), span(1, 1)],
        positive_deltas: vec![1, 1],
        custom_values: vec![0.5, 1.0],
        timestamp: 7,
        ..proto::Histogram::default()
    }
}

fn span(offset: i32, length: u32) -> BucketSpan {
    BucketSpan { offset, length }
}

fn request(histograms: Vec<proto::Histogram>, exemplars: Vec<proto::Exemplar>) -> Vec<u8> {
    let labels = vec![proto::Label { name: "__name__".into(), value: "h".into() }];
    let series = proto::TimeSeries { labels, samples: vec![], exemplars, histograms };
    proto::WriteRequest { timeseries: vec![series], metadata: vec![] }.encode_to_vec()
}

type Read = Result<(i64, SampleValue), String>;

fn read_body(body: &[u8]) -> Vec<Read> {
    let request = WriteRequest::parse(body, &BodyLimits::default()).unwrap();
    let series = request.series().next().unwrap();
    assert_eq!(series.n_histograms(), series.histograms().count());
    series.histograms().map(|read| read.map_err(|fault| fault.to_string())).collect()
}

/// What the receiver makes of `sent`; a good histogram behind it is always kept.
#[track_caller]
fn read(sent: proto::Histogram) -> Read {
    let mut read = read_body(&request(vec![sent, whole()], vec![]));
    assert_eq!(read.len(), 2);
    assert!(read.pop().unwrap().is_ok());
    read.pop().unwrap()
}

#[test]
fn histograms_of_every_kind_are_read() {
    let expected = Histogram {
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 5.0,
        sum: 3.5,
        positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 2, length: 1 }],
        negative_spans: vec![Span { offset: -1, length: 1 }],
        positive_buckets: vec![1.0, 1.0],
        negative_buckets: vec![1.0],
        ..Histogram::default()
    };
    assert_eq!(read(whole()), Ok((7, SampleValue::Histogram(Arc::new(expected.clone())))));
    assert_eq!(read(float()), Ok((7, SampleValue::FloatHistogram(Arc::new(expected.clone())))));
    let gauge = Histogram { reset_hint: ResetHint::Gauge, ..expected };
    assert_eq!(read(proto::Histogram { reset_hint: 3, ..whole() }), Ok((7, SampleValue::Histogram(Arc::new(gauge)))));
    let bounds = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 3.0,
        sum: 3.5,
        positive_spans: vec![Span { offset: 0, length: 1 }, Span { offset: 1, length: 1 }],
        positive_buckets: vec![1.0, 2.0],
        custom_bounds: vec![0.5, 1.0],
        ..Histogram::default()
    };
    assert_eq!(read(custom()), Ok((7, SampleValue::Histogram(Arc::new(bounds)))));
    assert_eq!(read(proto::Histogram::default()), Ok((0, SampleValue::Histogram(Arc::default()))));
}

#[test]
fn histograms_against_a_rule_are_refused_alone() {
    let with = |change: fn(&mut proto::Histogram)| {
        let mut histogram = whole();
        change(&mut histogram);
        histogram
    };
    let with_float = |change: fn(&mut proto::Histogram)| {
        let mut histogram = float();
        change(&mut histogram);
        histogram
    };
    let with_custom = |change: fn(&mut proto::Histogram)| {
        let mut histogram = custom();
        change(&mut histogram);
        histogram
    };
    let mixed = "histogram has integer and float counts in one histogram";
    let negative = "histogram has a negative count";
    let bounds = "histogram has custom bounds that do not ascend strictly or are not finite";
    let parts = "histogram has a zero bucket or negative buckets beside custom ones";
    for (sent, why) in [
        (with(|h| h.count = Some(Count::CountInt(99))), "histogram count is 99, its buckets hold 5"),
        (with(|h| h.count = None), "histogram count is 0, its buckets hold 5"),
        (with(|h| h.count = Some(Count::CountInt(4))), "histogram count is 4, its buckets hold 5"),
        (with(|h| (h.sum, h.count) = (f64::NAN, Some(Count::CountInt(4)))), "histogram count is 4, its buckets hold 5"),
        (with(|h| h.count = Some(Count::CountFloat(5.0))), mixed),
        (with(|h| h.zero_count = Some(ZeroCount::ZeroCountFloat(2.0))), mixed),
        (with(|h| h.positive_counts = vec![1.0, 1.0]), mixed),
        (with_float(|h| h.count = Some(Count::CountInt(5))), mixed),
        (with_float(|h| h.zero_count = Some(ZeroCount::ZeroCountInt(2))), mixed),
        (with_float(|h| h.negative_deltas = vec![1]), mixed),
        (with(|h| h.positive_deltas = vec![1, -2]), negative),
        (with(|h| h.positive_deltas = vec![i64::MAX, 1]), "histogram has a count beyond 63 bits"),
        (with_float(|h| h.positive_counts = vec![1.0, -1.0]), negative),
        (with_float(|h| h.zero_count = Some(ZeroCount::ZeroCountFloat(-1.0))), negative),
        (with_float(|h| h.count = Some(Count::CountFloat(f64::NEG_INFINITY))), negative),
        (with(|h| h.schema = -5), "histogram schema -5, known are -4 to 52 and -53"),
        (with(|h| h.schema = 53), "histogram schema 53, known are -4 to 52 and -53"),
        (with(|h| h.schema = i32::MIN), "histogram schema -2147483648, known are -4 to 52 and -53"),
        (with(|h| h.positive_spans[1].length = 2), "histogram spans lay out 3 buckets, 2 were sent"),
        (with(|h| h.positive_spans.clear()), "histogram spans lay out 0 buckets, 2 were sent"),
        (with_float(|h| h.positive_counts.clear()), "histogram spans lay out 2 buckets, 0 were sent"),
        (with(|h| h.positive_spans[1].offset = -1), "histogram span offset -1 is negative"),
        (with(|h| h.positive_spans[0].offset = i32::MAX), "histogram has a bucket index beyond 32 bits"),
        (with(|h| h.negative_spans = vec![span(0, u32::MAX); 3]), "histogram has a bucket index beyond 32 bits"),
        (with(|h| h.custom_values = vec![1.0]), "histogram has custom bounds beside an exponential schema"),
        (with_custom(|h| h.custom_values = vec![1.0, 1.0]), bounds),
        (with_custom(|h| h.custom_values = vec![1.0, 0.5]), bounds),
        (with_custom(|h| h.custom_values = vec![0.5, f64::INFINITY]), bounds),
        (with_custom(|h| h.custom_values = vec![f64::NEG_INFINITY, 0.5]), bounds),
        (with_custom(|h| h.custom_values = vec![0.5, f64::NAN]), bounds),
        (with_custom(|h| h.custom_values = vec![f64::NAN]), bounds),
        (with_custom(|h| h.custom_values = vec![0.5]), "histogram spans end at custom bucket 3 of 2"),
        (with_custom(|h| h.positive_spans[0].offset = -1), "histogram span offset -1 is negative"),
        (with_custom(|h| h.zero_threshold = 0.1), parts),
        (with_custom(|h| h.zero_count = Some(ZeroCount::ZeroCountInt(1))), parts),
        (with_custom(|h| h.negative_spans = vec![span(0, 1)]), parts),
        (with_custom(|h| h.negative_deltas = vec![1]), parts),
        (with(|h| h.positive_deltas = vec![0; 65_537]), "histogram has more than 65536 buckets, spans or bounds"),
        (
            with(|h| h.negative_spans = vec![span(0, 0); 65_537]),
            "histogram has more than 65536 buckets, spans or bounds",
        ),
    ] {
        let shown = format!("{:?} {:?} {:?}", sent.count, sent.zero_count, sent.schema);
        assert_eq!(read(sent), Err(why.to_owned()), "{shown}");
    }
}

#[test]
fn observations_of_nan_are_in_the_count_alone() {
    let sent = proto::Histogram { sum: f64::NAN, count: Some(Count::CountInt(9)), ..whole() };
    let (_, SampleValue::Histogram(read)) = read(sent).unwrap() else { panic!("an integer histogram") };
    assert_eq!((read.count, read.sum.is_nan()), (9.0, true));
}

#[test]
fn a_stale_histogram_keeps_its_bits() {
    let stale = proto::Histogram { sum: STALE_NAN, timestamp: 9, ..proto::Histogram::default() };
    let float = proto::Histogram { count: Some(Count::CountFloat(0.0)), ..stale.clone() };
    for sent in [stale, float] {
        let (t, value) = read(sent).unwrap();
        assert!(t == 9 && value.is_stale());
        let (SampleValue::Histogram(histogram) | SampleValue::FloatHistogram(histogram)) = value else {
            panic!("a histogram")
        };
        assert_eq!(histogram.sum.to_bits(), STALE_NAN_BITS);
    }
}

#[test]
fn fine_resolutions_are_reduced_and_huge_counts_become_floats() {
    // Two buckets of schema 9 make one of schema 8.
    let fine = proto::Histogram { schema: 9, positive_spans: vec![span(1, 2)], ..whole() };
    let (_, SampleValue::Histogram(read_back)) = read(fine).unwrap() else { panic!("an integer histogram") };
    assert_eq!((read_back.schema, &*read_back.positive_buckets), (8, &[2.0][..]));
    assert_eq!(read_back.positive_spans, [Span { offset: 1, length: 1 }]);
    for (count, is_float) in [((1 << 53) - 1, false), (1 << 53, true), (i64::MAX, true)] {
        let huge = proto::Histogram {
            count: Some(Count::CountInt(count.cast_unsigned())),
            positive_spans: vec![span(0, 1)],
            positive_deltas: vec![count],
            ..proto::Histogram::default()
        };
        let (_, value) = read(huge).unwrap();
        assert_eq!(matches!(value, SampleValue::FloatHistogram(_)), is_float, "{count}");
    }
}

#[test]
fn malformed_histograms_and_exemplars_are_refused_alone() {
    for (number, field) in [
        (4, &[0x0a, 1, 0][..]),
        (4, &[0x5a, 2, 0x10, 0xff]),
        (4, &[0x6a, 3, 1, 2, 3]),
        (4, &[0x62, 1, 0x80]),
        (4, &[0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        (3, &[0x0a, 2, 0x08, 1]),
        (3, &[0x10, 1]),
    ] {
        let field = [&[number << 3 | 2, u8::try_from(field.len()).unwrap()], field].concat();
        let labels = encode_labels(NAME);
        let len = u8::try_from(labels.len() + field.len()).unwrap();
        let body = [&[0x0a, len], &*labels, &field].concat();
        let request = WriteRequest::parse(&body, &BodyLimits::default());
        let Ok(request) = request else { panic!("{field:x?} refused the request") };
        let series = request.series().next().unwrap();
        assert_eq!(series.histograms().filter(Result::is_err).count(), usize::from(number == 4), "{field:x?}");
        assert_eq!(series.exemplars().filter(Result::is_err).count(), usize::from(number == 3), "{field:x?}");
    }
}

#[test]
fn numbers_come_packed_or_one_by_one() {
    // A float histogram of two buckets in one span: 3, then 4, the second count on its own; custom bounds likewise.
    let eight = |tag: &[u8], v: f64| [tag, &v.to_bits().to_le_bytes()].concat();
    let message = [
        eight(&[0x11], 7.0),
        vec![0x20, 105],
        vec![0x5a, 2, 0x10, 2],
        eight(&[0x6a, 8], 3.0),
        eight(&[0x69], 4.0),
        eight(&[0x82, 0x01, 8], 0.5),
        eight(&[0x81, 0x01], 1.5),
    ]
    .concat();
    let series = [&[0x22, u8::try_from(message.len()).unwrap()], &*message].concat();
    let body = [&[0x0a, u8::try_from(series.len()).unwrap()], &*series].concat();
    let expected = Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 7.0,
        positive_spans: vec![Span { offset: 0, length: 2 }],
        positive_buckets: vec![3.0, 4.0],
        custom_bounds: vec![0.5, 1.5],
        ..Histogram::default()
    };
    assert_eq!(read_body(&body), [Ok((0, SampleValue::FloatHistogram(Arc::new(expected))))]);
    // Deltas: 3, then +1, as two fields.
    let body = [0x0a, 15, 0x22, 13, 0x08, 7, 0x5a, 2, 0x10, 2, 0x62, 1, 6, 0x60, 2, 0x78, 5];
    let (t, value) = read_body(&body).pop().unwrap().unwrap();
    let SampleValue::Histogram(histogram) = value else { panic!("an integer histogram") };
    assert_eq!((t, &*histogram.positive_buckets), (5, &[3.0, 4.0][..]));
}

#[test]
fn what_the_encoder_sends_is_what_is_read() {
    let mut values = vec![(1, SampleValue::Float(-0.0)), (2, SampleValue::Float(STALE_NAN))];
    for sent in [whole(), float(), custom(), proto::Histogram { reset_hint: 3, schema: -4, ..whole() }] {
        let (t, value) = read(sent.clone()).unwrap();
        values.push((t, value));
    }
    let exemplars = [("trace_id", "abc", 5), ("trace_id", "h\u{e9}", 6)].map(|(name, value, t)| Exemplar {
        labels: Labels::from_pairs([(name, value)]),
        t,
        v: 0.5,
    });
    let mut encoder = WriteRequestEncoder::new();
    let content = SeriesContent { values: &values, exemplars: &exemplars, ..SeriesContent::default() };
    encoder.push_content(&encode_labels(NAME), &content);
    assert_eq!(encoder.n_samples(), values.len());
    let body = encoder.finish();
    // The generated code reads the same bytes.
    let generated = proto::WriteRequest::decode(&*body).unwrap();
    assert_eq!(generated.timeseries[0].histograms[0], whole());
    assert_eq!(generated.timeseries[0].histograms[2], custom());
    let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
    let series = request.series().next().unwrap();
    let floats = series.samples().map(|sample| (sample.t, SampleValue::Float(sample.v)));
    let read: Vec<_> = floats.chain(series.histograms().map(Result::unwrap)).collect();
    assert_eq!(read.len(), values.len());
    assert!(read.iter().zip(&values).all(|(a, b)| a.0 == b.0 && a.1.same_bits(&b.1)), "{read:?}");
    assert_eq!(series.exemplars().collect::<Result<Vec<_>, _>>().unwrap(), exemplars);
}

#[test]
fn exemplars_are_held_against_their_rules_one_by_one() {
    let label = |(name, value): &(&str, &str)| proto::Label { name: (*name).into(), value: (*value).into() };
    let long = "x".repeat(120);
    let wide = "\u{1f600}".repeat(120);
    for (pairs, expected) in [
        (vec![("trace_id", "abc")], Ok(r#"{trace_id="abc"}"#)),
        (vec![("trace_id", "abc"), ("span_id", "d")], Ok(r#"{span_id="d", trace_id="abc"}"#)),
        (vec![], Ok("{}")),
        (vec![("trace_id", "")], Ok("{}")),
        (vec![("dash-and.dot", "\u{e9}")], Ok("{\"dash-and.dot\"=\"\u{e9}\"}")),
        (vec![("trace_id", &*long)], Ok("")),
        (vec![("trace_id", &*wide)], Ok("")),
        (vec![("trace_id9", &*long)], Err("exemplar labels have more than 128 characters")),
        (vec![("trace_id9", &*wide)], Err("exemplar labels have more than 128 characters")),
        (vec![("a", &*long), ("b", "1234567")], Err("exemplar labels have more than 128 characters")),
        (vec![("", "a")], Err("empty label name in exemplar")),
        (vec![("a", "1"), ("a", "2")], Err("duplicate label name \"a\" in exemplar")),
        (vec![("a", "1"), ("a", "")], Err("duplicate label name \"a\" in exemplar")),
    ] {
        let sent = proto::Exemplar { labels: pairs.iter().map(label).collect(), value: 2.5, timestamp: 3 };
        let body = request(vec![], vec![sent]);
        let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
        let read = request.series().next().unwrap().exemplars().next().unwrap();
        match (read, expected) {
            (Ok(read), Ok(labels)) => {
                assert!(labels.is_empty() || read.labels.to_string() == labels, "{} for {pairs:?}", read.labels);
                assert_eq!((read.t, read.v), (3, 2.5));
            }
            (read, expected) => assert_eq!(read.map_err(|fault| fault.to_string()), Err(expected.unwrap_err().into())),
        }
    }
}

#[test]
fn an_exemplar_without_a_time_has_that_of_the_last_sample() {
    let mut values = vec![(5, SampleValue::Float(1.0)), (6, SampleValue::Float(2.0))];
    let exemplar = Exemplar { labels: Labels::empty(), t: 0, v: 1.0 };
    for t in [6, 9] {
        let mut encoder = WriteRequestEncoder::new();
        let content =
            SeriesContent { values: &values, exemplars: std::slice::from_ref(&exemplar), ..SeriesContent::default() };
        encoder.push_content(&encode_labels(NAME), &content);
        let body = encoder.finish();
        let request = WriteRequest::parse(&body, &BodyLimits::default()).unwrap();
        let read: Vec<_> = request.series().next().unwrap().exemplars().map(|read| read.unwrap().t).collect();
        assert_eq!(read, [t]);
        values.push((9, SampleValue::Histogram(Arc::default())));
    }
}

/// Runs of buckets with gaps between them, and as many counts as they hold.
fn random_side(rng: &mut StdRng, first: std::ops::Range<i32>, gap_max: i32) -> (Vec<Span>, Vec<f64>) {
    let spans: Vec<_> = (0..rng.random_range(0..4))
        .map(|i| Span {
            offset: if i == 0 { rng.random_range(first.clone()) } else { rng.random_range(0..=gap_max) },
            length: rng.random_range(0..6),
        })
        .collect();
    let n = spans.iter().map(|span| span.length).sum::<u32>();
    (spans, (0..n).map(|_| f64::from(rng.random::<u32>() >> rng.random_range(0..32))).collect())
}

fn random_histogram(rng: &mut StdRng) -> Histogram {
    let is_custom = rng.random();
    let first = if is_custom { 0..3 } else { -40..40 };
    let (positive_spans, positive_buckets) = random_side(rng, first.clone(), 3);
    let (negative_spans, negative_buckets) = if is_custom { (vec![], vec![]) } else { random_side(rng, first, 9) };
    let zero_count = if is_custom { 0.0 } else { f64::from(rng.random::<u16>()) };
    let hints = [ResetHint::Unknown, ResetHint::Reset, ResetHint::NoReset, ResetHint::Gauge];
    Histogram {
        reset_hint: hints[rng.random_range(0..4)],
        schema: if is_custom { CUSTOM_BUCKETS_SCHEMA } else { rng.random_range(-4..=8) },
        zero_threshold: if is_custom { 0.0 } else { rng.random() },
        zero_count,
        count: positive_buckets.iter().chain(&negative_buckets).sum::<f64>() + zero_count,
        sum: if rng.random_range(0..4) == 0 { STALE_NAN } else { rng.random() },
        positive_spans,
        negative_spans,
        positive_buckets,
        negative_buckets,
        custom_bounds: if is_custom { (0..40).map(|i| f64::from(i) / 4.0).collect() } else { vec![] },
    }
}

#[test]
fn random_histograms_survive_our_encoder_and_the_generated_one() {
    let mut rng = StdRng::seed_from_u64(20);
    for _ in 0..500 {
        let values: Vec<_> = (1..4)
            .map(|t| {
                let histogram = random_histogram(&mut rng);
                if rng.random() {
                    return (t, SampleValue::Histogram(Arc::new(histogram)));
                }
                let mut float = histogram;
                float.scale(0.37);
                (t, SampleValue::FloatHistogram(Arc::new(float)))
            })
            .collect();
        let mut encoder = WriteRequestEncoder::new();
        let content = SeriesContent { values: &values, ..SeriesContent::default() };
        encoder.push_content(&encode_labels(NAME), &content);
        let ours = encoder.finish();
        let generated = proto::WriteRequest::decode(&*ours).unwrap().encode_to_vec();
        for body in [ours, generated] {
            let read: Vec<_> = read_body(&body).into_iter().map(Result::unwrap).collect();
            assert_eq!(read.len(), values.len());
            for (read, sent) in read.iter().zip(&values) {
                assert!(read.0 == sent.0 && read.1.same_bits(&sent.1), "{read:?} for {sent:?}");
            }
        }
    }
}
