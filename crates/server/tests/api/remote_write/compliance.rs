//! The cases of the official receiver suite as data, each held to what that suite only wishes for, and read back.

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, MetricKind, STALE_NAN, Span};

use super::case::Case;
use super::sent::{Sent, named, series};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

/// The values that samples take in most cases; the suite means the last three and sends other bits.
const VALUES: [f64; 5] = [1.0, STALE_NAN, f64::NAN, f64::INFINITY, f64::NEG_INFINITY];

/// What a refusal of a series without a name says.
const NAMELESS: &str = "no metric name";

/// Every case at `now`.
pub(crate) fn cases(now: i64) -> Vec<Case> {
    let groups: [fn(i64) -> Vec<Case>; 6] = [metrics, several_metrics, exemplars, histograms, metadata, combined];
    groups.into_iter().flat_map(|group| group(now)).collect()
}

fn metrics(now: i64) -> Vec<Case> {
    let full = [("__name__", "test_metric"), ("job", "test"), ("instance", "localhost")];
    let good: [(&str, &[(&str, &str)]); 5] = [
        ("name only", &[("__name__", "test_metric")]),
        ("three labels", &full),
        ("newline in a value", &[("__name__", "test_metric"), ("job", "a\nb")]),
        ("dots in names", &[("__name__", "test.metric"), ("a.b", "c")]),
        ("spaces in names", &[("__name__", "test metric"), ("a b", "c")]),
    ];
    let bad: [(&str, &[(&str, &str)]); 2] = [("no name", &[("job", "test")]), ("no labels", &[])];
    let mut cases = Vec::new();
    for v in VALUES {
        for (name, labels) in good {
            cases.push(Case::good(format!("{name}, {v}"), vec![series(labels).sample(now, v)]));
        }
        for (name, labels) in bad {
            cases.push(Case::bad(format!("{name}, {v}"), vec![series(labels).sample(now, v)], vec![], NAMELESS));
        }
    }
    let mut shuffled = full.to_vec();
    shuffled.rotate_left(1);
    cases.push(Case::good("labels in any order", vec![series(&shuffled).sample(now, 1.0)]));
    cases.push(Case::good("counter with a start", vec![named("test_total").sample(now, 5.0).start(now - HOUR)]));
    cases
}

fn several_metrics(now: i64) -> Vec<Case> {
    let mut cases = Vec::new();
    for v in VALUES {
        let all: Vec<Sent> = (0..4).map(|i| named(&format!("metric_{i}")).label("i", "x").sample(now, v)).collect();
        let nameless: Vec<Sent> = (0..4).map(|i| series(&[("i", &i.to_string())]).sample(now, v)).collect();
        cases.push(Case::good(format!("four of four, {v}"), all.clone()));
        cases.push(Case::bad(format!("none of four, {v}"), nameless.clone(), vec![], NAMELESS));
        let (mut mixed, mut stored) = (all.clone(), all);
        mixed[2] = nameless[2].clone();
        stored.remove(2);
        cases.push(Case::bad(format!("three of four, {v}"), mixed, stored, NAMELESS));
    }
    cases
}

fn exemplars(now: i64) -> Vec<Case> {
    let counter = |name: &str| named(name).label("job", "test").sample(now, 100.0);
    let shapes: [(&str, &[(&str, &str)]); 7] = [
        ("trace id", &[("trace_id", "0123456789abcdef")]),
        ("trace and span id", &[("trace_id", "0123"), ("span_id", "4567")]),
        ("no trace id", &[("user", "x")]),
        ("three exemplar labels", &[("trace_id", "1"), ("span_id", "2"), ("user_id", "3")]),
        ("no exemplar labels", &[]),
        ("dashes and dots", &[("trace-id", "1"), ("span.id", "2")]),
        ("unicode", &[("trace_id", "\u{8ffd}\u{8de1}"), ("\u{e9}", "\u{1F600}")]),
    ];
    let mut cases = Vec::new();
    for (name, labels) in shapes {
        cases.push(Case::good(name, vec![counter("test_total").exemplar(labels, now, 1.5)]));
    }
    let trace = [("trace_id", "1")];
    for v in [0.0, -123.456, 1e10, 1e-10, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        cases.push(Case::good(format!("exemplar of {v}"), vec![counter("test_total").exemplar(&trace, now, v)]));
    }
    let started = counter("test_total").exemplar(&trace, now, 1.0).start(now - 2 * HOUR);
    cases.push(Case::good("exemplar and start", vec![started]));
    let three = (0..3).map(|i| counter(&format!("test_{i}_total")).exemplar(&trace, now, 1.0)).collect();
    cases.push(Case::good("three exemplars", three));
    let times = [now - HOUR, now - MINUTE, now];
    let one_series = times.map(|t| named("test_total").sample(t, 1.0).exemplar(&trace, t, t as f64));
    cases.push(Case::good("one series in three parts", one_series.to_vec()));
    let late = times.map(|t| named("test_total").sample(t, 1.0).exemplar(&trace, t, t as f64));
    cases.push(Case::good("one series in three parts, newest first", late.into_iter().rev().collect()));
    for (name, labels) in [("nameless", &[("job", "x")][..]), ("empty name", &[("__name__", ""), ("job", "x")])] {
        let sent = vec![series(labels).sample(now, 1.0).exemplar(&trace, now, 1.0)];
        cases.push(Case::bad(format!("{name} with exemplar"), sent, vec![], NAMELESS));
    }
    cases
}

pub(crate) fn spans(spans: &[(i32, u32)]) -> Vec<Span> {
    spans.iter().map(|&(offset, length)| Span { offset, length }).collect()
}

/// Buckets on both sides and zero.
pub(crate) fn both_sides() -> Histogram {
    Histogram {
        schema: 1,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 23.0,
        sum: 18.5,
        positive_spans: spans(&[(0, 2), (1, 2)]),
        positive_buckets: vec![1.0, 3.0, 2.0, 6.0],
        negative_spans: spans(&[(-1, 2)]),
        negative_buckets: vec![4.0, 5.0],
        ..Histogram::default()
    }
}

/// Buckets at bounds of their own.
pub(crate) fn custom() -> Histogram {
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 15.0,
        sum: 30.0,
        positive_spans: spans(&[(0, 3), (1, 2)]),
        positive_buckets: vec![1.0, 2.0, 3.0, 4.0, 5.0],
        custom_bounds: vec![0.005, 0.01, 0.1, 1.0, 10.0, 100.0],
        ..Histogram::default()
    }
}

fn shapes() -> Vec<(&'static str, Histogram)> {
    let both = both_sides();
    let no_negative = Histogram { negative_spans: vec![], negative_buckets: vec![], count: 14.0, ..both.clone() };
    let no_positive =
        Histogram { positive_spans: vec![], positive_buckets: vec![], zero_count: 0.0, count: 9.0, ..both.clone() };
    let zero_only =
        Histogram { zero_threshold: 0.001, zero_count: 7.0, count: 7.0, sum: 0.001, ..Histogram::default() };
    vec![
        ("both sides and zero", both),
        ("custom buckets", custom()),
        ("positive and zero", no_negative),
        ("negative only", no_positive),
        ("zero only", zero_only),
        ("empty", Histogram::default()),
    ]
}

fn histograms(now: i64) -> Vec<Case> {
    let (trace, family) = ([("trace_id", "1")], "test_histogram");
    let mut cases = Vec::new();
    for (name, h) in shapes() {
        cases.push(Case::good(name, vec![named(family).histogram(now, h.clone())]));
        cases.push(Case::good(format!("{name}, float"), vec![named(family).float_histogram(now, h)]));
    }
    let wrong = vec![named(family).histogram(now, Histogram { count: 99.0, ..both_sides() })];
    cases.push(Case::bad("count and buckets differ", wrong, vec![], "count is 99, its buckets hold 23"));
    let one = || named(family).histogram(now, both_sides());
    cases.push(Case::good("histogram with a start", vec![one().start(now - 30 * MINUTE)]));
    cases.push(Case::good("two histograms", vec![one(), named("other_histogram").histogram(now, custom())]));
    let described = |sent: Sent| sent.metadata(MetricKind::Histogram, "Time it takes.", "seconds");
    cases.push(Case::good("histogram and metadata", vec![described(one())]));
    cases.push(Case::good("histogram and exemplar", vec![one().exemplar(&trace, now, 0.3)]));
    cases.push(Case::good("histogram, metadata and exemplar", vec![described(one().exemplar(&trace, now, 0.3))]));
    let other = described(named("other_histogram").histogram(now, custom()));
    cases.push(Case::good("two histograms and metadata", vec![described(one()), other]));
    let flips = vec![one(), named(family).histogram(now + 1, custom()), named(family).histogram(now + 2, both_sides())];
    cases.push(Case::good("exponential and custom by turns", flips));
    cases
}

fn metadata(now: i64) -> Vec<Case> {
    let one = |name: &str| named(name).sample(now, 1.0);
    let mut cases = Vec::new();
    for kind in MetricKind::ALL {
        let sent = vec![one("test_metric").metadata(kind, "What it is.", "bytes")];
        cases.push(Case::good(format!("metadata of a {}", kind.as_str()), sent));
    }
    for (name, help, unit) in [
        ("no help and unit", "", ""),
        ("newline and quotes", "first\nsecond \"quoted\"", "bytes/sec"),
        ("umlauts", "\u{e4}\u{f6}\u{fc}\n\"", "special/units"),
    ] {
        cases.push(Case::good(name, vec![one("test_metric").metadata(MetricKind::Gauge, help, unit)]));
    }
    let started = one("test_total").metadata(MetricKind::Counter, "Since an hour.", "").start(now - HOUR);
    cases.push(Case::good("metadata and start", vec![started]));
    let three = (0..3).map(|i| one(&format!("m{i}")).metadata(MetricKind::Gauge, "Help.", "")).collect();
    cases.push(Case::good("three metadata", three));
    let labels = ["method", "status", "handler", "instance", "job", "zone"];
    let complex = labels.iter().fold(one("test_histogram"), |sent, label| sent.label(label, "x"));
    cases.push(Case::good("metadata and six labels", vec![complex.metadata(MetricKind::Histogram, "Help.", "s")]));
    for (name, labels) in [("nameless", &[("job", "x")][..]), ("empty name", &[("__name__", ""), ("job", "x")])] {
        let sent = vec![series(labels).sample(now, 1.0).metadata(MetricKind::Gauge, "Help.", "")];
        cases.push(Case::bad(format!("{name} with metadata"), sent, vec![], NAMELESS));
    }
    cases
}

fn combined(now: i64) -> Vec<Case> {
    let trace = [("trace_id", "1")];
    let full =
        named("test_total").metadata(MetricKind::Counter, "Help.", "").sample(now, 1.0).exemplar(&trace, now, 1.0);
    let hist = named("test_histogram").metadata(MetricKind::Histogram, "Help.", "s").histogram(now, both_sides());
    let two_samples = named("a_total").sample(now - SECOND, 1.0).sample(now, 2.0).exemplar(&trace, now, 1.0);
    let two_histograms = || hist.clone().histogram(now + SECOND, both_sides()).exemplar(&trace, now, 0.5);
    let mixed_times =
        named("mixed_total").sample(now - HOUR, 1.0).sample(now, 2.0).exemplar(&trace, now - 30 * MINUTE, 1.0);
    let emoji = named("test_total").label("emoji", "\u{1F680}").sample(now, 1.0);
    let custom_exemplar = named("test_histogram").histogram(now, custom()).exemplar(&trace, now, 0.5);
    vec![
        Case::good("samples, metadata and exemplars", vec![full]),
        Case::good("histograms, metadata and exemplars", vec![hist.clone().exemplar(&trace, now, 0.5)]),
        Case::good("two samples and an exemplar", vec![two_samples.clone()]),
        Case::good("two histograms and an exemplar", vec![two_histograms()]),
        Case::good("several families", vec![two_samples, named("b").sample(now, 3.0), hist.clone()]),
        Case::good("metadata only", vec![named("test").metadata(MetricKind::Gauge, "Help.", "")]),
        Case::good("exemplar only", vec![named("test_total").exemplar(&trace, now, 1.0)]),
        Case::good("mixed times", vec![mixed_times]),
        Case::good("fifty samples", (0..50).map(|i| named(&format!("m{i}")).sample(now, 1.0)).collect()),
        Case::good("fifty histograms", (0..50).map(|i| named(&format!("h{i}")).histogram(now, both_sides())).collect()),
        Case::good(
            "special characters",
            vec![emoji.metadata(MetricKind::Counter, "\u{e4}\u{f6}\u{fc}\n\"", "special/units")],
        ),
        Case::good("custom buckets and exemplar", vec![custom_exemplar]),
    ]
}
