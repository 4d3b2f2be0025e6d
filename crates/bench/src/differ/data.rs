//! What both servers are given: an hour of series of every kind, with gaps, resets, staleness markers and odd numbers.

use std::sync::Arc;

use model::{CUSTOM_BUCKETS_SCHEMA, Histogram, ResetHint, STALE_NAN, SampleValue, Span, Timestamp};
use wire::remote_write::{SeriesContent, WriteRequestEncoder, encode_labels};

use crate::Rng;

/// Time from sample to sample, ms.
const INTERVAL_MS: i64 = 15_000;
/// Samples of a series without gaps. A Prometheus takes nothing older than an hour before its newest sample.
const SAMPLES: i64 = 225;
/// How long the series are, in seconds.
pub(crate) const LENGTH_S: u32 = 225 * 15;
/// The owner of all series: promenade shows one, so the reference has to be told of it.
const PROJECT: (&str, &str) = ("project_id", "diff");

/// Families of floats, each with a series for every `job` and `instance`.
pub(crate) const FLOATS: &[&str] =
    &["gauge", "flat", "counter", "resets", "gaps", "stale", "odd", "jitter", "sparse", "late_start"];
/// The one of them whose values are all different from each other: who is the largest is no matter of the last digit.
pub(crate) const DISTINCT: &str = "gauge";
/// The one of them with few values.
pub(crate) const FEW_VALUES: &str = "flat";
/// A family with one label more than the others.
pub(crate) const DETAILED: &str = "detailed";
/// Families of classic buckets, with the label `le`.
pub(crate) const CLASSIC: &[&str] = &["lat_bucket", "odd_bucket"];
/// A name and the minor version of Prometheus 3 that knows what it stands for.
pub(crate) type Known = (&'static str, u32);

/// Families of native histograms. The bounds of one change, which older releases cannot reconcile.
pub(crate) const HISTOGRAMS: &[Known] = &[
    ("h_int", 0),
    ("h_float", 0),
    ("h_gauge", 0),
    ("h_reset", 0),
    ("h_schema", 0),
    ("h_custom", 0),
    ("h_bounds", 8),
    ("h_stale", 0),
];
/// A family whose series have floats and histograms.
pub(crate) const MIXED: &str = "mixed";

/// One series: its labels and its samples.
type Series = (Vec<(&'static str, String)>, Vec<(Timestamp, SampleValue)>);

/// The series of `seed` from `base` on, as bodies of remote write with their numbers of samples.
pub(crate) fn requests(seed: u64, base: Timestamp) -> anyhow::Result<Vec<(Vec<u8>, usize)>> {
    let mut bodies = Vec::new();
    for (labels, samples) in all(seed, base) {
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain([PROJECT]);
        let labels = encode_labels(labels);
        // Prometheus commits a request's floats before its histograms: what alternates is sent by turns.
        for values in samples.chunk_by(|a, b| is_float(&a.1) == is_float(&b.1)) {
            let mut encoder = WriteRequestEncoder::new();
            encoder.push_content(&labels, &SeriesContent { values, ..SeriesContent::default() });
            bodies.push((encoder.finish_compressed()?, values.len()));
        }
    }
    Ok(bodies)
}

fn is_float(value: &SampleValue) -> bool {
    matches!(value, SampleValue::Float(_))
}

fn all(seed: u64, base: Timestamp) -> Vec<Series> {
    let mut all = Vec::new();
    let mut add =
        |name: &'static str, extra: &[(&'static str, &str)], samples: &dyn Fn(&mut Rng) -> Vec<(i64, SampleValue)>| {
            let mut rng = Rng::part(seed, all.len() as u64);
            let mut labels = vec![("__name__", name.to_owned())];
            labels.extend(extra.iter().map(|(name, value)| (*name, (*value).to_owned())));
            let samples = samples(&mut rng).into_iter().map(|(t, value)| (base + t, value)).collect();
            all.push((labels, samples));
        };
    for job in ["a", "b"] {
        for instance in ["0", "1", "2"] {
            let of = [("job", job), ("instance", instance)];
            for name in FLOATS {
                add(name, &of, &|rng| floats(name, rng));
            }
            for cpu in ["0", "1"] {
                add(DETAILED, &[of[0], of[1], ("cpu", cpu)], &|rng| floats(DISTINCT, rng));
            }
            add("target_info", &[of[0], of[1], ("version", if job == "a" { "1" } else { "2" })], &|_| {
                (0..SAMPLES).map(|k| (k * INTERVAL_MS, SampleValue::Float(1.0))).collect()
            });
            if instance == "2" {
                continue;
            }
            for name in HISTOGRAMS.iter().map(|(name, _)| name).chain([&MIXED]) {
                add(name, &of, &|rng| histograms(name, rng));
            }
            for (le, share) in [("0.1", 0.2), ("0.5", 0.3), ("1", 0.7), ("5", 0.9), ("+Inf", 1.0)] {
                let of = [of[0], of[1], ("le", le)];
                add("lat_bucket", &of, &|_| classic(share));
                // Not cumulative, and of one instance without the last bucket.
                let share = if le == "1" { 0.25 } else { share };
                if !(le == "+Inf" && instance == "1") {
                    add("odd_bucket", &of, &|_| classic(share));
                }
            }
        }
    }
    all
}

/// The samples of a series of floats.
fn floats(name: &str, rng: &mut Rng) -> Vec<(i64, SampleValue)> {
    let (mut samples, mut total, mut gone) = (Vec::new(), rng.between(1e4, 2e4).floor(), 0);
    for k in 0..SAMPLES {
        let t = k * INTERVAL_MS;
        total += rng.whole(3.0 * rng.clone().exponential());
        let noise = 100.0 * rng.normal();
        if gone > 0 {
            gone -= 1;
            continue;
        }
        let (t, v) = match name {
            "flat" => (t, rng.between(0.0, 4.0).floor()),
            "counter" => (t, total),
            "resets" => {
                if rng.unit() < 0.03 {
                    total = rng.between(0.0, 20.0).floor();
                }
                (t, total)
            }
            "gaps" => {
                gone = if rng.unit() < 0.04 { 1 + rng.below(39) } else { 0 };
                (t, noise)
            }
            "stale" => {
                gone = if rng.unit() < 0.04 { 1 + rng.below(19) } else { 0 };
                (t, if gone > 0 { STALE_NAN } else { total })
            }
            "odd" => (t, odd(rng).unwrap_or(noise)),
            "jitter" => (t + i64::from(rng.below(7000)), noise),
            "sparse" if k % 17 != 3 => continue,
            "late_start" if k < 100 => continue,
            _ => (t, noise),
        };
        samples.push((t, SampleValue::Float(v)));
    }
    samples
}

/// Now and then a number that arithmetic has a special rule for.
fn odd(rng: &mut Rng) -> Option<f64> {
    const ODD: [f64; 8] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1e100, 1e-100, 0.5];
    ODD.get(rng.below(40) as usize).copied()
}

/// A bucket that holds `share` of a growing number of observations.
fn classic(share: f64) -> Vec<(i64, SampleValue)> {
    (0..SAMPLES).map(|k| (k * INTERVAL_MS, SampleValue::Float((share * (1000 + 7 * k) as f64).floor()))).collect()
}

/// The samples of a series of native histograms, or of both kinds.
fn histograms(name: &str, rng: &mut Rng) -> Vec<(i64, SampleValue)> {
    let (mut samples, mut observed) = (Vec::new(), Observed::new(rng));
    for k in 0..SAMPLES {
        let t = k * INTERVAL_MS;
        observed.add(rng);
        if matches!(name, "h_reset" | "h_stale" | "mixed") && rng.unit() < 0.03 {
            observed = Observed::new(rng);
        }
        let h = match name {
            "h_custom" | "h_bounds" => observed.custom(if name == "h_bounds" && k > SAMPLES / 2 { 4.0 } else { 3.0 }),
            "h_schema" => observed.exponential(if k > SAMPLES / 2 { 0 } else { 1 }),
            _ => observed.exponential(1),
        };
        let value = match name {
            "h_float" => SampleValue::FloatHistogram(Arc::new(halved(h))),
            "h_gauge" => SampleValue::Histogram(Arc::new(Histogram { reset_hint: ResetHint::Gauge, ..h })),
            "h_stale" if k % 30 == 29 => {
                SampleValue::Histogram(Arc::new(Histogram { sum: STALE_NAN, ..Histogram::default() }))
            }
            "h_stale" if k % 30 < 5 => continue,
            "mixed" if k / 20 % 2 == 0 => SampleValue::Float(h.sum),
            _ => SampleValue::Histogram(Arc::new(h)),
        };
        samples.push((t, value));
    }
    samples
}

/// Counts of observations by where they fell.
struct Observed([f64; 6]);

impl Observed {
    fn new(rng: &mut Rng) -> Observed {
        Observed(std::array::from_fn(|_| rng.between(100.0, 200.0).floor()))
    }

    fn add(&mut self, rng: &mut Rng) {
        self.0.iter_mut().for_each(|count| *count += rng.between(0.0, 4.0).floor());
    }

    fn sum(&self) -> f64 {
        self.0.iter().zip([-1.5, 0.0, 1.25, 1.75, 3.0, 12.0]).map(|(count, v)| count * v).sum()
    }

    fn exponential(&self, schema: i32) -> Histogram {
        let [below, zero, rest @ ..] = self.0;
        Histogram {
            schema,
            zero_threshold: 0.01,
            zero_count: zero,
            count: self.0.iter().sum(),
            sum: self.sum(),
            positive_spans: vec![Span { offset: 0, length: 2 }, Span { offset: 2, length: 2 }],
            positive_buckets: rest.to_vec(),
            negative_spans: vec![Span { offset: 1, length: 1 }],
            negative_buckets: vec![below],
            ..Histogram::default()
        }
    }

    fn custom(&self, last: f64) -> Histogram {
        let [below, rest @ .., above] = self.0;
        let mut positive_buckets = vec![below];
        positive_buckets.extend(rest.iter().take(2));
        positive_buckets.push(above);
        Histogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            count: positive_buckets.iter().sum(),
            sum: self.sum(),
            positive_spans: vec![Span { offset: 0, length: 4 }],
            positive_buckets,
            custom_bounds: vec![-1.0, 1.0, last],
            ..Histogram::default()
        }
    }
}

/// Counts that are not whole.
fn halved(mut h: Histogram) -> Histogram {
    h.scale(0.5);
    h
}
