//! Series that follow another one: each sample of it is theirs too, floats times a factor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::{Sample, SampleValue};

use super::append::SeriesHandle;

/// A series that gets the samples of another one, as long as its gate is open.
#[derive(Clone, Debug)]
pub struct Follower {
    /// The series.
    pub series: SeriesHandle,
    /// What each float is multiplied by.
    pub factor: f64,
    /// Shared by many followers; nothing is copied while it is set.
    pub closed: Arc<AtomicBool>,
}

impl Follower {
    /// The follower's own sample; none while its gate is closed.
    #[inline]
    pub(super) fn copy_of(&self, sample: Sample) -> Option<Sample> {
        if self.closed.load(Relaxed) {
            return None;
        }
        // A marker of staleness is a NaN whose bits count.
        let v = if sample.v.is_nan() { sample.v } else { sample.v * self.factor };
        Some(Sample { t: sample.t, v })
    }
    /// The follower's own histogram; none while its gate is closed, and none for a follower in another unit: bounds of
    /// exponential buckets cannot be multiplied.
    pub(super) fn copy_of_histogram(&self, value: &SampleValue) -> Option<SampleValue> {
        #[expect(clippy::float_cmp, reason = "1 is what is not scaled at all")]
        let is_same_unit = self.factor == 1.0;
        (is_same_unit && !self.closed.load(Relaxed)).then(|| value.clone())
    }
}
