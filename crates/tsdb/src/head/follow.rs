//! Series that follow another one: each float of it is theirs too, times a factor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::Sample;

use super::append::SeriesHandle;

/// A series that gets the floats of another one, as long as its gate is open.
#[derive(Clone, Debug)]
pub struct Follower {
    /// The series.
    pub series: SeriesHandle,
    /// What each value is multiplied by.
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
}
