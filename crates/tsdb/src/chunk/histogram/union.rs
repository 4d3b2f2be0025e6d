//! The buckets of one side in two histograms: which either lacks, and both made as wide as the two together.

use model::Span;

/// A bucket that at least one of two histograms has.
#[derive(Clone, Copy, Debug)]
struct Place {
    index: i64,
    in_old: bool,
    in_new: bool,
}

/// The buckets of one side in an older and a newer histogram.
#[derive(Clone, Debug)]
pub(super) struct Union {
    /// Ascending by index when the spans of both are.
    places: Vec<Place>,
}

/// The newer histogram lacks a populated bucket of the older one, or has less in one: a counter does not do that.
pub(super) struct Fell;

/// One side of a histogram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side<'a> {
    pub(super) spans: &'a [Span],
    pub(super) counts: &'a [f64],
}

impl Side<'_> {
    fn indexed(self) -> impl Iterator<Item = (i64, f64)> {
        let first_of_spans = self.spans.iter().scan(0_i64, |next, span| {
            let first = *next + i64::from(span.offset);
            *next = first + i64::from(span.length);
            Some(first..*next)
        });
        first_of_spans.flatten().zip(self.counts.iter().copied())
    }
}

impl Union {
    /// All buckets of both.
    pub(super) fn of_gauges(old: Side<'_>, new: Side<'_>) -> Union {
        let mut places = Vec::new();
        walk(old, new, |index, old, new| {
            places.push(Place { index, in_old: old.is_some(), in_new: new.is_some() });
            false
        });
        Union { places }
    }

    /// All buckets of both, if the newer one can have grown out of the older one.
    pub(super) fn of_counters(old: Side<'_>, new: Side<'_>) -> Result<Union, Fell> {
        let mut places = Vec::new();
        let fell = walk(old, new, |index, old, new| {
            places.push(Place { index, in_old: old.is_some(), in_new: new.is_some() });
            match (old, new) {
                (Some(old), Some(new)) => old > new,
                (Some(old), None) => old != 0.0,
                (None, _) => false,
            }
        });
        if fell { Err(Fell) } else { Ok(Union { places }) }
    }

    /// The number of buckets.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether the older histogram lacks some.
    pub(super) fn old_lacks(&self) -> bool {
        self.places.iter().any(|place| !place.in_old)
    }

    /// Whether the newer histogram lacks some.
    pub(super) fn new_lacks(&self) -> bool {
        self.places.iter().any(|place| !place.in_new)
    }

    /// The counts of the older histogram, or of another one with its buckets, in all buckets.
    pub(super) fn widen_old(&self, counts: &[f64]) -> Vec<f64> {
        self.widen(counts, |place| place.in_old)
    }

    /// The counts of the newer histogram in all buckets.
    pub(super) fn widen_new(&self, counts: &[f64]) -> Vec<f64> {
        self.widen(counts, |place| place.in_new)
    }

    fn widen(&self, counts: &[f64], has: impl Fn(&Place) -> bool) -> Vec<f64> {
        let mut counts = counts.iter();
        self.places.iter().map(|place| if has(place) { counts.next().copied().unwrap_or(0.0) } else { 0.0 }).collect()
    }

    /// Where the buckets lie; nothing when two are farther apart than a span can tell.
    pub(super) fn spans(&self) -> Option<Vec<Span>> {
        let mut spans: Vec<Span> = Vec::new();
        let mut next = 0;
        for place in &self.places {
            match spans.last_mut() {
                Some(span) if place.index == next => span.length += 1,
                _ => spans.push(Span { offset: i32::try_from(place.index - next).ok()?, length: 1 }),
            }
            next = place.index + 1;
        }
        Some(spans)
    }
}

/// Gives each bucket of the two, in order, to `visit` until that returns true. Returns whether it did.
fn walk(old: Side<'_>, new: Side<'_>, mut visit: impl FnMut(i64, Option<f64>, Option<f64>) -> bool) -> bool {
    let (mut old, mut new) = (old.indexed().peekable(), new.indexed().peekable());
    loop {
        let index = match (old.peek(), new.peek()) {
            (Some((a, _)), Some((b, _))) => *a.min(b),
            (Some((index, _)), None) | (None, Some((index, _))) => *index,
            (None, None) => return false,
        };
        let a = old.next_if(|(at, _)| *at == index).map(|(_, count)| count);
        let b = new.next_if(|(at, _)| *at == index).map(|(_, count)| count);
        if visit(index, a, b) {
            return true;
        }
    }
}
