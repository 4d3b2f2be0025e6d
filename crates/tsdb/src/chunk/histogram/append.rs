//! The encoder: appends one histogram at a time; the bytes are a whole chunk after each.

use std::sync::Arc;

use model::{Histogram, ResetHint, Timestamp, is_stale};

use super::count::Count;
use super::decode::decode_own;
use super::fit::{Chunk, Fit, Wider};
use super::varbit::push_int;
use super::{HEADER_BYTES, layout, reset_bits, reset_of};
use crate::chunk::bit_writer::BitWriter;
use crate::chunk::xor::XorValue;
use crate::chunk::{Encoding, num_samples};

/// A chunk of histograms that grows.
///
/// Invariants: it has at least one sample; its bytes are a complete chunk at every moment.
#[derive(Clone, Debug)]
pub(in crate::chunk) struct HistogramAppender<C> {
    bits: BitWriter,
    t: Timestamp,
    delta: i64,
    /// The last histogram, in the chunk's buckets.
    last: Arc<Histogram>,
    count: C,
    zero: C,
    sum: XorValue,
    positive: Vec<C>,
    negative: Vec<C>,
}

impl<C: Count> HistogramAppender<C> {
    /// A chunk of one histogram. Nothing is known of a reset before it but what the histogram says.
    pub(in crate::chunk) fn start(t: Timestamp, histogram: &Arc<Histogram>) -> HistogramAppender<C> {
        let reset = match histogram.reset_hint {
            hint @ (ResetHint::Gauge | ResetHint::Reset) => hint,
            ResetHint::Unknown | ResetHint::NoReset => ResetHint::Unknown,
        };
        HistogramAppender::with_reset(reset, t, histogram)
    }

    /// A chunk of one histogram that follows this one, which may be full or may not take it.
    pub(in crate::chunk) fn following(&self, t: Timestamp, histogram: &Arc<Histogram>) -> HistogramAppender<C> {
        let reset = match (histogram.reset_hint, self.chunk().fit(histogram)) {
            (ResetHint::Gauge, _) => ResetHint::Gauge,
            (_, Fit::Taken(_) | Fit::TakenWider(..)) => ResetHint::NoReset,
            (_, Fit::Refused(reset)) => reset,
        };
        HistogramAppender::with_reset(reset, t, histogram)
    }

    fn with_reset(reset: ResetHint, t: Timestamp, histogram: &Arc<Histogram>) -> HistogramAppender<C> {
        let histogram = told(histogram);
        let mut bits = BitWriter::resume(vec![0, 1, reset_bits(reset)], 0);
        layout::write(&histogram, &mut bits);
        push_int(&mut bits, t);
        let count = C::push_first(histogram.count, &mut bits);
        let zero = C::push_first(histogram.zero_count, &mut bits);
        bits.push(histogram.sum.to_bits().into(), 64);
        let sum = XorValue::first(histogram.sum.to_bits());
        let positive = C::push_first_buckets(&histogram.positive_buckets, &mut bits);
        let negative = C::push_first_buckets(&histogram.negative_buckets, &mut bits);
        HistogramAppender { bits, t, delta: 0, last: histogram, count, zero, sum, positive, negative }
    }

    /// Adds a histogram after all others. Returns whether the chunk takes it; if not it is as before.
    pub(in crate::chunk) fn append(&mut self, t: Timestamp, histogram: &Arc<Histogram>) -> bool {
        debug_assert!(self.t < t, "timestamps must ascend: {} then {t}", self.t);
        match self.chunk().fit(histogram) {
            Fit::Taken(histogram) => self.push(t, &histogram),
            Fit::TakenWider(histogram, wider) => {
                *self = self.encode_again(&wider);
                self.push(t, &histogram);
            }
            Fit::Refused(_) => return false,
        }
        true
    }

    fn push(&mut self, t: Timestamp, histogram: &Arc<Histogram>) {
        let samples = num_samples(self.bits.bytes());
        assert!(samples < u16::MAX, "a chunk holds at most {} samples", u16::MAX);
        let histogram = told(histogram);
        let delta = t.wrapping_sub(self.t);
        push_int(&mut self.bits, delta.wrapping_sub(self.delta));
        if is_stale(histogram.sum) {
            self.count.push_stale(&mut self.bits);
            self.zero.push_stale(&mut self.bits);
        } else {
            self.count.push_next(histogram.count, &mut self.bits);
            self.zero.push_next(histogram.zero_count, &mut self.bits);
        }
        let (sum, n) = self.sum.encode(histogram.sum.to_bits());
        self.bits.push(sum, n);
        C::push_next_buckets(&mut self.positive, &histogram.positive_buckets, &mut self.bits);
        C::push_next_buckets(&mut self.negative, &histogram.negative_buckets, &mut self.bits);
        self.bits.set_header((samples + 1).to_be_bytes());
        (self.t, self.delta, self.last) = (t, delta, histogram);
    }

    /// The chunk with more buckets. Cost: decodes and encodes all its samples.
    fn encode_again(&self, wider: &Wider) -> HistogramAppender<C> {
        let mut samples = decode_own::<C>(self.bits.bytes()).into_iter();
        let mut widened = || samples.next().map(|(t, histogram)| (t, Arc::new(wider.widen(&histogram))));
        let (t, first) = widened().expect("an open chunk has a sample");
        let mut again = HistogramAppender::with_reset(self.reset(), t, &first);
        while let Some((t, histogram)) = widened() {
            again.push(t, &histogram);
        }
        again
    }

    fn chunk(&self) -> Chunk<'_> {
        // Prometheus has it so; readers make nothing of it.
        let reset_after_gauges = match C::ENCODING {
            Encoding::Histogram => ResetHint::NoReset,
            Encoding::Xor | Encoding::FloatHistogram => ResetHint::Unknown,
        };
        Chunk { reset: self.reset(), last: &self.last, reset_after_gauges }
    }

    fn reset(&self) -> ResetHint {
        self.bytes().get(HEADER_BYTES - 1).map_or(ResetHint::Unknown, |header| reset_of(*header))
    }

    /// When the newest histogram was taken.
    pub(in crate::chunk) fn last_t(&self) -> Timestamp {
        self.t
    }

    /// The chunk as it is now.
    pub(in crate::chunk) fn bytes(&self) -> &[u8] {
        self.bits.bytes()
    }

    /// Ends the chunk and gives its bytes away, without spare memory.
    pub(in crate::chunk) fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.bits.into_bytes();
        bytes.shrink_to_fit();
        bytes
    }
}

/// What of a histogram is told: all of it, or of a staleness marker nothing but that it is one.
fn told(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    if is_stale(histogram.sum) {
        return Arc::new(Histogram { sum: histogram.sum, ..Histogram::default() });
    }
    debug_assert!(
        layout::buckets(&histogram.positive_spans) == histogram.positive_buckets.len() as u64
            && layout::buckets(&histogram.negative_spans) == histogram.negative_buckets.len() as u64,
        "spans lay out as many buckets as there are"
    );
    Arc::clone(histogram)
}
