//! Samples as they were read, before anything is computed of them.

use std::sync::Arc;

use model::{Columns, Histogram, Known, ResetHint, is_stale};

use super::{is_stale_histogram, wide};

/// Takes staleness markers out: a range holds samples alone.
pub(super) fn drop_stale(columns: &mut Columns) {
    let unknown = columns.values.get(columns.known.live..).unwrap_or(&[]);
    // All of them, without stopping at the first, so that many are looked at side by side.
    if wide(|| unknown.iter().fold(false, |found, v| found | is_stale(*v))) {
        columns.known = Known::default();
        let mut keep = columns.values.iter().map(|v| !is_stale(*v));
        columns.timestamps.retain(|_| keep.next().unwrap_or(false));
        columns.values.retain(|v| !is_stale(*v));
    }
    if columns.histograms.iter().any(|h| is_stale_histogram(h)) {
        let mut keep = columns.histograms.iter().map(|h| !is_stale_histogram(h));
        columns.histogram_timestamps.retain(|_| keep.next().unwrap_or(false));
        columns.histograms.retain(|h| !is_stale_histogram(h));
    }
}

/// Leaves of histograms what counts and sums need: no buckets, but whether each resets the one before.
pub(super) fn keep_statistics(histograms: &mut [Arc<Histogram>]) {
    let mut previous: Option<usize> = None;
    for idx in 0..histograms.len() {
        if is_stale_histogram(&histograms[idx]) {
            continue;
        }
        let unknown = histograms[idx].reset_hint == ResetHint::Unknown;
        if let Some(previous) = previous.filter(|_| unknown) {
            let is_reset = histograms[idx].detect_reset(&histograms[previous]);
            let hint = if is_reset { ResetHint::Reset } else { ResetHint::NoReset };
            Arc::make_mut(&mut histograms[idx]).reset_hint = hint;
        }
        previous = Some(idx);
    }
    for h in histograms.iter_mut().filter(|h| !is_stale_histogram(h)) {
        let Histogram { schema, count, sum, reset_hint, .. } = **h;
        *h = Arc::new(Histogram { schema, count, sum, reset_hint, ..Histogram::default() });
    }
}
