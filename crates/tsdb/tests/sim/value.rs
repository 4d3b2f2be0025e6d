//! What a key stands for: a sample of any kind or an exemplar, compared by what counts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use model::{Histogram, ResetHint, SampleValue, Span, is_stale};

/// A series' number, a time, and 0 for the sample or the number of an exemplar.
pub(crate) type Key = (u32, i64, u32);

/// A value. Of a histogram the empty buckets do not count, and of a staleness marker nothing else.
#[derive(Clone)]
pub(crate) enum Value {
    Sample(SampleValue),
    Exemplar(f64),
}

/// The order in which a request's samples are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Float,
    Histogram,
    Exemplar,
}

impl Value {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Value::Sample(SampleValue::Float(_)) => Kind::Float,
            Value::Sample(SampleValue::Histogram(_) | SampleValue::FloatHistogram(_)) => Kind::Histogram,
            Value::Exemplar(_) => Kind::Exemplar,
        }
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Value {
        Value::Sample(SampleValue::Float(v))
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        use SampleValue::{Float, FloatHistogram, Histogram};
        match (self, other) {
            (Value::Sample(Float(a)), Value::Sample(Float(b))) => a.to_bits() == b.to_bits(),
            (Value::Exemplar(a), Value::Exemplar(b)) => a.to_bits() == b.to_bits(),
            // A read does not tell whether the counts were integers.
            (Value::Sample(Histogram(a) | FloatHistogram(a)), Value::Sample(Histogram(b) | FloatHistogram(b))) => {
                Shown::of(a) == Shown::of(b)
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Sample(SampleValue::Float(v)) if v.is_nan() => write!(f, "NaN({:x})", v.to_bits()),
            Value::Sample(SampleValue::Float(v)) => write!(f, "{v}"),
            Value::Sample(SampleValue::Histogram(h)) => write!(f, "integers({})", brief(h)),
            Value::Sample(SampleValue::FloatHistogram(h)) => write!(f, "floats({})", brief(h)),
            Value::Exemplar(v) => write!(f, "exemplar {v}"),
        }
    }
}

fn brief(h: &Histogram) -> String {
    let buckets: Vec<String> = h.positive_buckets.iter().map(f64::to_string).collect();
    format!("schema {} count {} sum {} buckets {}", h.schema, h.count, h.sum, buckets.join(","))
}

/// A histogram without what storage may change.
#[derive(PartialEq)]
struct Shown {
    is_gauge: bool,
    schema: i32,
    /// The zero bucket's threshold and count, the count, and the sum.
    numbers: [u64; 4],
    positive: BTreeMap<i32, u64>,
    negative: BTreeMap<i32, u64>,
    bounds: Vec<u64>,
}

impl Shown {
    /// `None` for a staleness marker.
    fn of(h: &Histogram) -> Option<Shown> {
        (!is_stale(h.sum)).then(|| Shown {
            is_gauge: h.reset_hint == ResetHint::Gauge,
            schema: h.schema,
            numbers: [h.zero_threshold, h.zero_count, h.count, h.sum].map(f64::to_bits),
            positive: filled(&h.positive_spans, &h.positive_buckets),
            negative: filled(&h.negative_spans, &h.negative_buckets),
            bounds: h.custom_bounds.iter().map(|bound| bound.to_bits()).collect(),
        })
    }
}

fn filled(spans: &[Span], buckets: &[f64]) -> BTreeMap<i32, u64> {
    let (mut filled, mut buckets, mut idx) = (BTreeMap::new(), buckets.iter(), 0);
    for span in spans {
        idx += span.offset;
        for count in buckets.by_ref().take(span.length as usize) {
            if *count != 0.0 {
                filled.insert(idx, count.to_bits());
            }
            idx += 1;
        }
    }
    filled
}

/// A histogram with `counts` in its positive buckets from bucket `first` on; integers, unless `half` observations more
/// are in the zero bucket.
pub(crate) fn histogram(first: i32, counts: &[u32], shape: Shape, half: bool) -> Value {
    let buckets: Vec<f64> = counts.iter().map(|count| f64::from(*count)).collect();
    let zero_count = if half { 0.5 } else { 0.0 };
    // A read does not tell integers from floats: the sum does.
    let sum = f64::from(first) * 0.1 + zero_count;
    let spans = vec![Span { offset: first, length: u32::try_from(counts.len()).unwrap() }];
    let is_custom = shape == Shape::Custom;
    let histogram = Histogram {
        reset_hint: if shape == Shape::Gauge { ResetHint::Gauge } else { ResetHint::Unknown },
        schema: if is_custom { model::CUSTOM_BUCKETS_SCHEMA } else { 2 },
        zero_threshold: if is_custom { 0.0 } else { 0.125 },
        zero_count: if is_custom { 0.0 } else { zero_count },
        count: buckets.iter().sum::<f64>() + if is_custom { 0.0 } else { zero_count },
        sum: if shape == Shape::Stale { model::STALE_NAN } else { sum },
        positive_spans: if counts.is_empty() { Vec::new() } else { spans },
        positive_buckets: buckets,
        custom_bounds: if is_custom { (0..40).map(f64::from).collect() } else { Vec::new() },
        ..Histogram::default()
    };
    match half {
        true => Value::Sample(SampleValue::FloatHistogram(Arc::new(histogram))),
        false => Value::Sample(SampleValue::Histogram(Arc::new(histogram))),
    }
}

/// What a histogram is besides its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Counter,
    Gauge,
    Custom,
    Stale,
}
