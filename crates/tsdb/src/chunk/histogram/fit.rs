//! Whether a chunk takes a histogram after its last one, and what has to be made wider for it.

use std::sync::Arc;

use model::{Histogram, ResetHint, Span, is_stale};

use super::BUCKETS_MAX;
use super::union::{Fell, Side, Union};

/// Whether a chunk takes a histogram.
#[derive(Debug)]
pub(super) enum Fit {
    /// It does: the histogram has the chunk's buckets, or has been given them.
    Taken(Arc<Histogram>),
    /// It does once it is wider; the histogram has all of its buckets then.
    TakenWider(Arc<Histogram>, Wider),
    /// It does not. The chunk that begins with the histogram says this of a reset.
    Refused(ResetHint),
}

/// How a chunk becomes wider.
#[derive(Debug)]
pub(super) struct Wider {
    positive: Option<Union>,
    negative: Option<Union>,
    positive_spans: Vec<Span>,
    negative_spans: Vec<Span>,
}

/// What is known of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk<'a> {
    /// What its header says.
    pub(super) reset: ResetHint,
    /// Its last histogram.
    pub(super) last: &'a Histogram,
    /// What a chunk of counters that follows gauges says of a reset.
    pub(super) reset_after_gauges: ResetHint,
}

impl Chunk<'_> {
    /// Whether the chunk takes `new`.
    pub(super) fn fit(self, new: &Arc<Histogram>) -> Fit {
        if new.reset_hint == ResetHint::Gauge { self.fit_gauge(new) } else { self.fit_counter(new) }
    }

    fn fit_counter(self, new: &Arc<Histogram>) -> Fit {
        let last = self.last;
        if self.reset == ResetHint::Gauge {
            return Fit::Refused(self.reset_after_gauges);
        }
        if new.reset_hint == ResetHint::Reset {
            return Fit::Refused(ResetHint::Reset);
        }
        if is_stale(new.sum) {
            return Fit::Taken(Arc::clone(new));
        }
        if is_stale(last.sum) {
            return Fit::Refused(ResetHint::Unknown);
        }
        if new.count < last.count {
            return Fit::Refused(ResetHint::Reset);
        }
        if !same_resolution(new, last) {
            return Fit::Refused(ResetHint::Unknown);
        }
        if !same_bounds(new, last) || new.zero_count < last.zero_count {
            return Fit::Refused(ResetHint::Reset);
        }
        let unions = union_of_counters(positive(last), positive(new))
            .and_then(|positive| Ok((positive, union_of_counters(negative(last), negative(new))?)));
        match unions {
            Ok((positive, negative)) => wide(last, new, positive, negative, Widened::AsNeeded),
            Err(Fell) => Fit::Refused(ResetHint::Reset),
        }
    }

    fn fit_gauge(self, new: &Arc<Histogram>) -> Fit {
        let last = self.last;
        if self.reset != ResetHint::Gauge {
            return Fit::Refused(ResetHint::Gauge);
        }
        if is_stale(new.sum) {
            return Fit::Taken(Arc::clone(new));
        }
        if is_stale(last.sum) || !same_resolution(new, last) || !same_bounds(new, last) {
            return Fit::Refused(ResetHint::Gauge);
        }
        let positive = union_of_gauges(positive(last), positive(new));
        let negative = union_of_gauges(negative(last), negative(new));
        wide(last, new, positive, negative, Widened::BothSides)
    }
}

impl Wider {
    /// Gives `old`, a histogram of the chunk, the buckets it lacks.
    pub(super) fn widen(&self, old: &Histogram) -> Histogram {
        let counts = |union: &Option<Union>, counts: &[f64]| match union {
            Some(union) => union.widen_old(counts),
            None => counts.to_vec(),
        };
        Histogram {
            positive_buckets: counts(&self.positive, &old.positive_buckets),
            negative_buckets: counts(&self.negative, &old.negative_buckets),
            positive_spans: self.positive_spans.clone(),
            negative_spans: self.negative_spans.clone(),
            custom_bounds: old.custom_bounds.clone(),
            ..*old
        }
    }
}

/// Which sides of a histogram get new spans when one of them lacks buckets; the others keep what the sender wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Widened {
    AsNeeded,
    BothSides,
}

/// A histogram that fits, or does once it, the chunk, or both are wider. A side without a union is the same in both.
fn wide(
    last: &Histogram,
    new: &Arc<Histogram>,
    positive: Option<Union>,
    negative: Option<Union>,
    widened: Widened,
) -> Fit {
    let any = |lacks: fn(&Union) -> bool| [&positive, &negative].into_iter().flatten().any(lacks);
    let (old_lacks, new_lacks) = (any(Union::old_lacks), any(Union::new_lacks));
    let refused = Fit::Refused(if new.reset_hint == ResetHint::Gauge { ResetHint::Gauge } else { ResetHint::Unknown });
    let mut new = Arc::clone(new);
    if new_lacks {
        let mut wide = Histogram::clone(&new);
        for (union, spans, counts) in [
            (&positive, &mut wide.positive_spans, &mut wide.positive_buckets),
            (&negative, &mut wide.negative_spans, &mut wide.negative_buckets),
        ] {
            let Some(union) = union else { continue };
            if union.new_lacks() || widened == Widened::BothSides {
                let Some(all) = union.spans() else { return refused };
                *spans = all;
                *counts = union.widen_new(counts);
            }
        }
        new = Arc::new(wide);
    }
    if !old_lacks {
        return Fit::Taken(new);
    }
    let buckets = |union: &Option<Union>, same: &[f64]| union.as_ref().map_or(same.len(), Union::len);
    let all = buckets(&positive, &last.positive_buckets) + buckets(&negative, &last.negative_buckets);
    if all as u64 > BUCKETS_MAX {
        return refused;
    }
    let (positive_spans, negative_spans) = (new.positive_spans.clone(), new.negative_spans.clone());
    Fit::TakenWider(new, Wider { positive, negative, positive_spans, negative_spans })
}

fn union_of_counters(old: Side<'_>, new: Side<'_>) -> Result<Option<Union>, Fell> {
    if old.spans != new.spans {
        return Union::of_counters(old, new).map(Some);
    }
    let fell = old.counts.iter().zip(new.counts).any(|(old, new)| old > new);
    if fell { Err(Fell) } else { Ok(None) }
}

fn union_of_gauges(old: Side<'_>, new: Side<'_>) -> Option<Union> {
    (old.spans != new.spans).then(|| Union::of_gauges(old, new))
}

fn positive(histogram: &Histogram) -> Side<'_> {
    Side { spans: &histogram.positive_spans, counts: &histogram.positive_buckets }
}

fn negative(histogram: &Histogram) -> Side<'_> {
    Side { spans: &histogram.negative_spans, counts: &histogram.negative_buckets }
}

fn same_resolution(a: &Histogram, b: &Histogram) -> bool {
    a.schema == b.schema && a.zero_threshold == b.zero_threshold
}

fn same_bounds(a: &Histogram, b: &Histogram) -> bool {
    let bits = |h: &Histogram| h.custom_bounds.iter().map(|bound| bound.to_bits()).collect::<Vec<_>>();
    !a.is_custom() || a.custom_bounds.len() == b.custom_bounds.len() && bits(a) == bits(b)
}
