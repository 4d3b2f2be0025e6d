//! Samples of every kind, as they are sent, and as a dump of a store that has them all reads.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Exemplar, Histogram, Labels, ResetHint, STALE_NAN, SampleValue, Span};
use wire::remote_write::{SeriesContent, WriteMessage, WriteRequestEncoder, encode_labels};

use crate::http::Http;
use crate::tsdb::Dumped;

/// Between two samples of a series.
pub(crate) const STEP_MS: i64 = 60_000;
/// Samples of a series: fifteen hours, so that blocks are merged.
pub(crate) const SAMPLES: i64 = 900;
/// Samples of a series in one request.
const PER_REQUEST: i64 = 60;

/// A family of series by its name, and its sample at each step.
///
/// Counters do not come back to zero: how `rate` guesses what was before the first of a few small counts has changed
/// between versions of Prometheus.
type Kind = (&'static str, fn(i64) -> SampleValue);

const KINDS: &[Kind] = &[
    ("k_counter", |k| SampleValue::Float((k % 300) as f64 * 7.0)),
    ("k_gauge", |k| {
        SampleValue::Float(match k % 50 {
            47 => f64::NAN,
            48 => f64::INFINITY,
            49 => f64::NEG_INFINITY,
            _ => (k as f64 * 0.1).sin() * 1e3,
        })
    }),
    ("k_stale", |k| SampleValue::Float(if k % 40 == 39 { STALE_NAN } else { k as f64 })),
    ("k_histogram", |k| whole(exponential(30 + k % 200))),
    ("k_widening_histogram", |k| whole(widening(30 + k))),
    ("k_stale_histogram", |k| whole(if k % 40 == 39 { stale() } else { exponential(k) })),
    ("k_float_histogram", |k| fractional(scaled(exponential(30 + k % 200)))),
    ("k_stale_float_histogram", |k| fractional(if k % 40 == 39 { stale() } else { scaled(exponential(k)) })),
    ("k_gauge_histogram", |k| whole(gauge(exponential(100 - (k % 100))))),
    ("k_gauge_float_histogram", |k| fractional(gauge(scaled(exponential(100 - (k % 100)))))),
    ("k_custom_histogram", |k| whole(custom(30 + k % 250, k / 400))),
    ("k_custom_float_histogram", |k| fractional(scaled(custom(30 + k % 250, 0)))),
    ("k_mixed", |k| match k / 30 % 3 {
        0 => SampleValue::Float(k as f64),
        1 => whole(exponential(k)),
        _ => fractional(scaled(exponential(k))),
    }),
];

fn whole(histogram: Histogram) -> SampleValue {
    SampleValue::Histogram(Arc::new(histogram))
}

fn fractional(histogram: Histogram) -> SampleValue {
    SampleValue::FloatHistogram(Arc::new(histogram))
}

/// Buckets on both sides and in the middle, all of which grow with `k`.
fn exponential(k: i64) -> Histogram {
    let k = k as f64;
    Histogram {
        schema: 1,
        zero_threshold: 0.25,
        zero_count: k,
        count: 7.0 * k + 3.0,
        sum: 4.5 * k,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 3, length: 1 }],
        negative_spans: vec![Span { offset: 1, length: 1 }],
        positive_buckets: vec![2.0 * k + 1.0, k + 1.0, k],
        negative_buckets: vec![2.0 * k + 1.0],
        ..Histogram::default()
    }
}

/// One bucket more every hundred steps.
fn widening(k: i64) -> Histogram {
    let n = k / 100 + 1;
    let buckets: Vec<f64> = (0..n).map(|i| (k - i * 100) as f64).collect();
    let length = u32::try_from(n).unwrap();
    Histogram {
        schema: 0,
        count: buckets.iter().sum(),
        sum: k as f64,
        positive_spans: vec![Span { offset: 0, length }],
        positive_buckets: buckets,
        ..Histogram::default()
    }
}

/// Own bounds, which change with `layout`.
fn custom(k: i64, layout: i64) -> Histogram {
    let k = k as f64;
    Histogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: 4.0 * k,
        sum: 2.5 * k,
        positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 1, length: 1 }],
        positive_buckets: vec![k, 2.0 * k, k],
        custom_bounds: vec![0.5, 1.0, 2.5 + layout as f64],
        ..Histogram::default()
    }
}

fn gauge(histogram: Histogram) -> Histogram {
    Histogram { reset_hint: ResetHint::Gauge, ..histogram }
}

/// Counts that are not whole.
fn scaled(mut histogram: Histogram) -> Histogram {
    histogram.count *= 0.5;
    histogram.zero_count *= 0.5;
    histogram.positive_buckets.iter_mut().chain(&mut histogram.negative_buckets).for_each(|count| *count *= 0.5);
    histogram
}

fn stale() -> Histogram {
    Histogram { sum: STALE_NAN, ..Histogram::default() }
}

/// Everything sent: for each series, as promtool writes its labels, its samples as text.
#[derive(Default)]
pub(crate) struct Sent(pub(crate) Dumped);

impl Sent {
    /// Forgets the samples of family `name` between two times, as a deletion does.
    pub(crate) fn delete(&mut self, name: &str, from: i64, to: i64) {
        let name = format!("{{__name__=\"{name}\",");
        for (_, samples) in self.0.iter_mut().filter(|(labels, _)| labels.starts_with(&name)) {
            samples.retain(|t, _| !(from..=to).contains(t));
        }
        self.0.retain(|_, samples| !samples.is_empty());
    }
}

/// Sends steps `from..to` of every series by remote write 1.0, and notes them under the label `own` beside theirs.
///
/// With `some_late` every tenth sample of the instances `late` comes one request after its neighbours.
pub(crate) fn send(http: &Http, first: i64, steps: std::ops::Range<i64>, some_late: bool, own: &str, sent: &mut Sent) {
    for start in steps.clone().step_by(PER_REQUEST as usize) {
        let now = start..(start + PER_REQUEST).min(steps.end);
        let before = (start - PER_REQUEST).max(steps.start)..start;
        for late in [false, true] {
            let mut encoder = WriteRequestEncoder::new();
            for (name, value) in KINDS {
                for instance in ["late", "steady"] {
                    let is_late = |k: &i64| some_late && instance == "late" && k % 10 == 3;
                    let last = now.end == steps.end;
                    let ks: Vec<i64> = match late {
                        false => now.clone().filter(|k| !is_late(k)).collect(),
                        true => before
                            .clone()
                            .chain(last.then_some(now.clone()).into_iter().flatten())
                            .filter(is_late)
                            .collect(),
                    };
                    let values: Vec<_> = ks.iter().map(|k| (first + k * STEP_MS, value(*k))).collect();
                    let labels = format!("{{__name__=\"{name}\", instance=\"{instance}\", job=\"kinds\"{own}}}");
                    let noted = sent.0.entry(labels).or_default();
                    noted.extend(values.iter().map(|(t, value)| (*t, text(value))));
                    let exemplars: Vec<Exemplar> =
                        ks.iter().filter(|k| !late && *k % 30 == 0).map(|k| exemplar(first, *k)).collect();
                    let exemplars = if *name == "k_counter" { &exemplars[..] } else { &[] };
                    let labels = encode_labels([("__name__", *name), ("instance", instance), ("job", "kinds")]);
                    let content = SeriesContent { values: &values, exemplars, ..SeriesContent::default() };
                    if !values.is_empty() {
                        encoder.push_content(&labels, &content);
                    }
                }
            }
            if !encoder.is_empty() {
                let answer = http.write(WriteMessage::V1, encoder.finish_compressed().unwrap()).unwrap();
                assert!([200, 204].contains(&answer.status), "{answer:?}");
            }
        }
    }
}

fn exemplar(first: i64, k: i64) -> Exemplar {
    let id = k.to_string();
    Exemplar { labels: Labels::from_pairs([("trace_id", id.as_str())]), t: first + k * STEP_MS, v: k as f64 }
}

/// A value as a dump that was read has it.
fn text(value: &SampleValue) -> String {
    match value {
        SampleValue::Float(v) => v.to_string(),
        SampleValue::Histogram(h) | SampleValue::FloatHistogram(h) => h.to_string(),
    }
}
