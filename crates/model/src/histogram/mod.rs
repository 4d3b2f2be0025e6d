//! Native histograms in float form: the shape that storage hands over and PromQL computes with.

mod arithmetic;
mod bounds;
mod buckets;
mod reset;
mod side;
mod total;
mod trim;

pub use arithmetic::{HistogramError, Merged};
pub use bounds::exponential_bound;
pub use buckets::Bucket;
pub use total::HistogramTotal;
pub use trim::Keep;

/// What is known of a reset between this histogram and the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetHint {
    /// Nothing: compare the buckets.
    #[default]
    Unknown,
    /// There was a reset.
    Reset,
    /// There was none.
    NoReset,
    /// A gauge histogram: resets mean nothing.
    Gauge,
}

/// A run of consecutive buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Buckets left out before the run; the first span's offset is the absolute index of its first bucket.
    pub offset: i32,
    /// Buckets in the run.
    pub length: u32,
}

/// The schema number of histograms with custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// One native histogram sample; counts are absolute floats.
///
/// Invariant: the lengths of the spans of a side add up to the number of its buckets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// What is known of a counter reset before this sample.
    pub reset_hint: ResetHint,
    /// Resolution: -4..=8 exponential, [`CUSTOM_BUCKETS_SCHEMA`] for custom bounds.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Observations in the zero bucket.
    pub zero_count: f64,
    /// All observations.
    pub count: f64,
    /// Their sum; the staleness marker here ends the series.
    pub sum: f64,
    /// Where the positive buckets lie.
    pub positive_spans: Vec<Span>,
    /// Where the negative buckets lie.
    pub negative_spans: Vec<Span>,
    /// Observations in each positive bucket.
    pub positive_buckets: Vec<f64>,
    /// Observations in each negative bucket.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds of custom buckets, ascending, without +Inf.
    pub custom_bounds: Vec<f64>,
}

impl Histogram {
    /// The memory it takes, with what it points to.
    pub fn size_bytes(&self) -> usize {
        let spans = size_of_val(self.positive_spans.as_slice()) + size_of_val(self.negative_spans.as_slice());
        let counts = self.positive_buckets.len() + self.negative_buckets.len() + self.custom_bounds.len();
        size_of::<Histogram>() + spans + counts * size_of::<f64>()
    }

    /// Whether both have the same bits in every field; unlike `==` this holds for a NaN and itself.
    ///
    /// Of the reset hint only the gauge counts: the others tell of the neighbours, not of the histogram.
    pub fn same_bits(&self, other: &Histogram) -> bool {
        let bits = |a: f64, b: f64| a.to_bits() == b.to_bits();
        let all = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| bits(*a, *b));
        let is_gauge = |h: &Histogram| h.reset_hint == ResetHint::Gauge;
        is_gauge(self) == is_gauge(other)
            && self.schema == other.schema
            && bits(self.zero_threshold, other.zero_threshold)
            && bits(self.zero_count, other.zero_count)
            && bits(self.count, other.count)
            && bits(self.sum, other.sum)
            && self.positive_spans == other.positive_spans
            && self.negative_spans == other.negative_spans
            && all(&self.positive_buckets, &other.positive_buckets)
            && all(&self.negative_buckets, &other.negative_buckets)
            && all(&self.custom_bounds, &other.custom_bounds)
    }
}
