//! The cases of the Prometheus project's receiver suite, sent in both versions and counted as a receiver counts.
//!
//! The suite lets any refusal pass; here a good case has to be taken whole, and what is read is what was sent.

#![expect(clippy::unwrap_used, reason = "a message that cannot be made fails the test")]

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{
    CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, LabelsBuilder, Metadata, MetricKind, STALE_NAN, SampleValue,
    Span, Timestamp,
};
use wire::remote_write::{BodyLimits, SeriesContent, WriteRequest, WriteRequestEncoder, WriteRequestV2Encoder};
use wire::remote_write::{compress, decompress, encode_labels};

const NOW: Timestamp = 1_795_310_698_929;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// A series to be sent.
#[derive(Clone, Default)]
struct Sent {
    labels: Vec<(&'static str, &'static str)>,
    values: Vec<(Timestamp, SampleValue)>,
    exemplars: Vec<Exemplar>,
    start: Timestamp,
    metadata: Option<Metadata>,
}

/// What was taken of a request, and how many of its series were refused.
#[derive(Debug, Default, PartialEq)]
struct Taken {
    floats: usize,
    histograms: usize,
    exemplars: usize,
    refused: usize,
}

fn named(name: &'static str) -> Sent {
    Sent { labels: vec![("job", "test"), ("__name__", name), ("instance", "a:1")], ..Sent::default() }
}

impl Sent {
    fn label(mut self, name: &'static str, value: &'static str) -> Sent {
        self.labels.insert(0, (name, value));
        self
    }

    fn float(mut self, t: Timestamp, v: f64) -> Sent {
        self.values.push((t, SampleValue::Float(v)));
        self
    }

    fn histogram(mut self, histogram: Histogram) -> Sent {
        let t = NOW + i64::try_from(self.values.len()).unwrap();
        self.values.push((t, SampleValue::Histogram(Arc::new(histogram))));
        self
    }

    fn exemplar(mut self, t: Timestamp, v: f64, labels: &[(&str, &str)]) -> Sent {
        self.exemplars.push(Exemplar { labels: Labels::from_pairs(labels.iter().copied()), t, v });
        self
    }

    fn since(mut self, start: Timestamp) -> Sent {
        self.start = start;
        self
    }

    fn described(mut self, kind: MetricKind, help: &str, unit: &str) -> Sent {
        self.metadata = Some(Metadata { kind, help: help.into(), unit: unit.into() });
        self
    }
}

/// The bodies of both versions.
fn bodies(all: &[Sent]) -> [Vec<u8>; 2] {
    let (mut v1, mut v2) = (WriteRequestEncoder::new(), WriteRequestV2Encoder::new());
    for sent in all {
        let content = SeriesContent {
            values: &sent.values,
            exemplars: &sent.exemplars,
            start: sent.start,
            metadata: sent.metadata.as_ref(),
        };
        v1.push_content(&encode_labels(sent.labels.iter().copied()), &content);
        v2.push(sent.labels.iter().copied(), &content);
    }
    [v1.finish_compressed().unwrap(), v2.finish_compressed().unwrap()]
}

/// Takes what can be taken, series by series; everything taken is found in what was sent.
fn receive(request: &WriteRequest<'_>, all: &[Sent]) -> Taken {
    let mut taken = Taken::default();
    let mut labels = LabelsBuilder::default();
    for (series, sent) in request.series().zip(all) {
        if series.labels(&mut labels).is_err() {
            taken.refused += 1;
            continue;
        }
        assert_eq!(labels.build(), Labels::from_pairs(sent.labels.iter().copied()));
        let floats = series.samples().map(|sample| (sample.t, SampleValue::Float(sample.v)));
        let histograms: Vec<_> = series.histograms().filter_map(Result::ok).collect();
        let exemplars: Vec<_> = series.exemplars().filter_map(Result::ok).collect();
        taken.floats += floats.len();
        taken.histograms += histograms.len();
        taken.exemplars += exemplars.len();
        for (t, value) in floats.chain(histograms) {
            assert!(sent.values.iter().any(|other| other.0 == t && other.1.same_bits(&value)), "{value:?} at {t}");
        }
        let is_sent = |a: &Exemplar| sent.exemplars.iter().any(|b| same_exemplar(a, b));
        assert!(exemplars.iter().all(is_sent), "{exemplars:?}");
    }
    taken
}

fn same_exemplar(a: &Exemplar, b: &Exemplar) -> bool {
    (&a.labels, a.t, a.v.to_bits()) == (&b.labels, b.t, b.v.to_bits())
}

#[track_caller]
fn check(case: &str, all: &[Sent], expected: &Taken) {
    let [v1, v2] = bodies(all);
    let limits = BodyLimits::default();
    let mut message = Vec::new();
    decompress(&v1, &limits, &mut message).unwrap();
    assert_eq!(receive(&WriteRequest::parse(&message, &limits).unwrap(), all), *expected, "{case}, 1.0");
    decompress(&v2, &limits, &mut message).unwrap();
    let request = WriteRequest::parse_v2(&message, &limits).unwrap();
    assert_eq!(receive(&request, all), *expected, "{case}, 2.0");
    for (series, sent) in request.series().zip(all) {
        let first = sent.values.first().filter(|_| sent.start != 0).map(|(t, _)| (*t, sent.start));
        let starts: Vec<_> = series.starts().map(|run| (run.from, run.start)).collect();
        assert_eq!(starts, first.into_iter().collect::<Vec<_>>(), "{case}");
    }
    let described: BTreeSet<_> = all.iter().filter_map(description).collect();
    let read: Vec<_> = request.metadata().map(|told| show(&told.family, &told.to_metadata())).collect();
    assert_eq!(read.len(), described.len(), "{case}");
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), described, "{case}");
}

/// What `sent` tells of its family, if it has a name and tells anything.
fn description(sent: &Sent) -> Option<String> {
    let (_, name) = sent.labels.iter().find(|(name, value)| *name == "__name__" && !value.is_empty())?;
    let metadata = sent.metadata.as_ref().filter(|told| **told != Metadata::default())?;
    Some(show(name, metadata))
}

fn show(family: &str, metadata: &Metadata) -> String {
    format!("{family} {metadata:?}")
}

fn taken(floats: usize, histograms: usize, exemplars: usize) -> Taken {
    Taken { floats, histograms, exemplars, refused: 0 }
}

/// Values that the suite means to send; it sends finite numbers for the last two.
const VALUES: [f64; 7] = [1.0, 0.0, -123.456, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, STALE_NAN];

#[test]
fn metrics_of_every_value_and_name() {
    for v in VALUES {
        for sent in [
            Sent { labels: vec![("__name__", "only")], ..Sent::default() },
            named("up").label("method", "GET"),
            named("up").label("text", "two\nlines"),
            named("dots.in.name").label("dots.in.label", "x"),
            named("spaces in name").label("spaces in label", "x"),
        ] {
            let case = format!("{v} of {:?}", sent.labels);
            check(&case, &[sent.clone().float(NOW, v)], &taken(1, 0, 0));
            check(&case, &[sent.float(NOW, v).since(NOW - HOUR)], &taken(1, 0, 0));
        }
        let nameless = Sent { labels: vec![("job", "test")], ..Sent::default() }.float(NOW, v);
        let unlabelled = Sent::default().float(NOW, v);
        let empty = named("").float(NOW, v);
        for bad in [nameless.clone(), unlabelled, empty] {
            check("no name", &[bad], &Taken { refused: 1, ..Taken::default() });
        }
        let good = || named("up").float(NOW, v);
        check("four", &[good(), good(), good(), good()], &taken(4, 0, 0));
        let bad = || nameless.clone();
        check("four nameless", &[bad(), bad(), bad(), bad()], &Taken { refused: 4, ..Taken::default() });
        check("one nameless of four", &[good(), bad(), good(), good()], &Taken { refused: 1, ..taken(3, 0, 0) });
    }
}

#[test]
fn exemplars_of_every_label_value_and_time() {
    for labels in [
        &[("trace_id", "0af7651916cd43dd8448eb211c80319c")][..],
        &[("trace_id", "0af7"), ("span_id", "b7ad6b7169203331")],
        &[("custom", "x")],
        &[("trace_id", "0af7"), ("span_id", "b7ad"), ("user", "u")],
        &[],
        &[("trace-id", "a"), ("span.id", "b")],
        &[("trace_id", "h\u{e9}\u{1f600}")],
    ] {
        for v in VALUES.into_iter().chain([1e10, 1e-10]) {
            let sent = named("requests_total").float(NOW, 1.0).exemplar(NOW, v, labels);
            check("exemplar", std::slice::from_ref(&sent), &taken(1, 0, 1));
            check("exemplar", &[sent.since(NOW - 2 * HOUR)], &taken(1, 0, 1));
        }
    }
    let id = &[("trace_id", "a")];
    let at = |t| named("requests_total").float(t, 1.0).exemplar(t, 1.0, id);
    check("three times", &[at(NOW - HOUR), at(NOW - MINUTE), at(NOW)], &taken(3, 0, 3));
    let other = named("").float(NOW, 1.0).exemplar(NOW, 1.0, id);
    check("nameless", &[other, at(NOW)], &Taken { refused: 1, ..taken(1, 0, 1) });
}

fn exponential(positive: &[f64], negative: &[f64], zero_count: f64) -> Histogram {
    let spans = |counts: &[f64]| match u32::try_from(counts.len()).unwrap() {
        0 => vec![],
        length => vec![Span { offset: 0, length }],
    };
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count,
        count: positive.iter().chain(negative).sum::<f64>() + zero_count,
        sum: 18.4,
        positive_spans: spans(positive),
        negative_spans: spans(negative),
        positive_buckets: positive.to_vec(),
        negative_buckets: negative.to_vec(),
        ..Histogram::default()
    }
}

fn custom() -> Histogram {
    let plain = exponential(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.0], &[], 0.0);
    let custom_bounds = vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25];
    Histogram { schema: CUSTOM_BUCKETS_SCHEMA, zero_threshold: 0.0, custom_bounds, ..plain }
}

#[test]
fn histograms_of_every_layout() {
    let full = exponential(&[5.0, 7.0], &[3.0, 6.0], 2.0);
    for histogram in [
        full.clone(),
        custom(),
        exponential(&[5.0, 7.0], &[], 2.0),
        exponential(&[], &[3.0, 6.0], 0.0),
        exponential(&[], &[], 2.0),
        Histogram::default(),
        Histogram { sum: STALE_NAN, ..Histogram::default() },
    ] {
        let sent = named("latency").histogram(histogram.clone());
        check("histogram", std::slice::from_ref(&sent), &taken(0, 1, 0));
        check("histogram", &[sent.clone().since(NOW - HOUR / 2)], &taken(0, 1, 0));
        let described = sent.clone().described(MetricKind::Histogram, "How long.", "seconds");
        check("described", &[described.clone(), described.clone()], &taken(0, 2, 0));
        let id = &[("trace_id", "a")];
        check("with exemplar", &[described.exemplar(NOW, 0.3, id)], &taken(0, 1, 1));
    }
    let bad = Histogram { count: 99.0, ..full.clone() };
    check("bad count", &[named("latency").histogram(bad.clone())], &taken(0, 0, 0));
    check("bad count beside a good one", &[named("latency").histogram(bad).histogram(full.clone())], &taken(0, 1, 0));
    let both = named("test_histogram").histogram(full.clone()).histogram(custom()).histogram(full);
    check("exponential, custom, exponential", &[both], &taken(0, 3, 0));
}

#[test]
fn metadata_of_every_type_comes_with_its_series() {
    for kind in MetricKind::ALL {
        for (help, unit) in [("What it is.", "bytes"), ("", ""), ("two\nlines \"quoted\"", "bytes/sec")] {
            let sent = named("requests_total").described(kind, help, unit);
            check("metadata alone", std::slice::from_ref(&sent), &taken(0, 0, 0));
            check("metadata with a sample", &[sent.clone().float(NOW, 1.0).since(NOW - HOUR)], &taken(1, 0, 0));
            check("metadata of no name", &[Sent { labels: vec![], ..sent }], &Taken { refused: 1, ..Taken::default() });
        }
    }
    let many = ["a", "b", "c"].map(|name| named(name).described(MetricKind::Gauge, name, "").float(NOW, 1.0));
    check("three families", &many, &taken(3, 0, 0));
}

#[test]
fn requests_of_everything_together() {
    let id = &[("trace_id", "a")];
    let counter = |name| named(name).described(MetricKind::Counter, "Requests.", "").float(NOW, 5.0);
    let histogram = |name| named(name).described(MetricKind::Histogram, "Latency.", "seconds").histogram(custom());
    check("sample, exemplar", &[counter("c").exemplar(NOW, 1.0, id)], &taken(1, 0, 1));
    check("histogram, exemplar", &[histogram("h").exemplar(NOW, 1.0, id)], &taken(0, 1, 1));
    let two = counter("c").float(NOW + 1, 6.0).exemplar(NOW, 1.0, id);
    check("two samples", std::slice::from_ref(&two), &taken(2, 0, 1));
    check("two histograms", &[histogram("h").histogram(custom()).exemplar(NOW, 1.0, id)], &taken(0, 2, 1));
    check("families", &[two, histogram("h").exemplar(NOW, 1.0, id)], &taken(2, 1, 2));
    check("exemplar alone", &[named("c").exemplar(NOW, 1.0, id)], &taken(0, 0, 1));
    check("nothing at all", &[named("c")], &taken(0, 0, 0));
    let mixed = named("c").float(NOW - HOUR, 1.0).float(NOW, 2.0).exemplar(NOW - HOUR / 2, 1.0, id);
    check("mixed times", &[mixed], &taken(2, 0, 1));
    let many = (0..50).fold(named("c"), |sent, i| sent.float(NOW + i, 1.0));
    check("many samples", &[many], &taken(50, 0, 0));
    let many = (0..50).fold(named("h"), |sent, _| sent.histogram(exponential(&[1.0], &[], 0.0)));
    check("many histograms", &[many], &taken(0, 50, 0));
    let special = named("c").label("emoji", "\u{1f680}").float(NOW, 1.0);
    let help = "\u{e4}\u{f6}\u{fc}\n\"";
    check("special characters", &[special.described(MetricKind::Counter, help, "special/units")], &taken(1, 0, 0));
    let both = named("c").float(NOW, 1.0).histogram(custom());
    check("samples and histograms in one series", &[both], &taken(1, 1, 0));
}

#[test]
fn bodies_that_are_no_message_are_refused() {
    let sent = [named("up").float(NOW, 1.0)];
    let limits = BodyLimits::default();
    let mut message = Vec::new();
    let versions: [fn(&[u8], &BodyLimits) -> bool; 2] = [
        |body, limits| WriteRequest::parse(body, limits).is_ok(),
        |body, limits| WriteRequest::parse_v2(body, limits).is_ok(),
    ];
    for (body, is_whole) in bodies(&sent).into_iter().zip(versions) {
        for first in [b'0', 0xff] {
            let corrupt = [&[first], &body[1..]].concat();
            let read = decompress(&corrupt, &limits, &mut message).is_ok() && is_whole(&message, &limits);
            assert!(!read, "first byte {first}");
        }
        decompress(&body, &limits, &mut message).unwrap();
        let n_whole = (1..message.len()).filter(|len| is_whole(&message[..*len], &limits)).count();
        // Cut between two fields of the request a message is whole, and smaller.
        assert!(n_whole <= 8, "{n_whole} of {} cut messages were taken", message.len());
        let small = BodyLimits { decompressed_bytes_max: message.len() - 1, ..limits };
        assert!(!is_whole(&message, &small) && decompress(&body, &small, &mut message).is_err());
    }
    let bomb = compress(&vec![0; 33 << 20]).unwrap();
    assert!(decompress(&bomb, &limits, &mut message).is_err());
}
