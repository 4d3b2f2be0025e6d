//! Values between two samples, and sums of histograms with the remarks they call for.

use std::sync::Arc;

use model::{Histogram, HistogramError, Timestamp};

use crate::annotation::{Notes, Remark};
use crate::expr::Offset;

/// What a remark is about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) at: Offset,
    pub(crate) metric: &'a str,
}

/// The value at `t` on the line between two samples; a counter that fell starts from zero.
pub(crate) fn float(older: (Timestamp, f64), newer: (Timestamp, f64), t: Timestamp, counter: bool) -> f64 {
    let from = if counter && newer.1 < older.1 { 0.0 } else { older.1 };
    from + (newer.1 - from) * (t - older.0) as f64 / (newer.0 - older.0) as f64
}

/// The same of histograms; `None` when their buckets do not go together.
pub(crate) fn histogram(
    older: (Timestamp, &Arc<Histogram>),
    newer: (Timestamp, &Arc<Histogram>),
    t: Timestamp,
    counter: bool,
    subject: Subject<'_>,
    notes: &mut Notes,
) -> Option<Histogram> {
    if t == older.0 {
        return Some(Histogram::clone(older.1));
    }
    let mut result = Histogram::clone(newer.1);
    if t == newer.0 {
        return Some(result);
    }
    let share = (t - older.0) as f64 / (newer.0 - older.0) as f64;
    if counter && newer.1.detect_reset(older.1) {
        result.scale(share);
        return Some(result);
    }
    combine(&mut result, older.1, false, subject, notes)?;
    result.scale(share);
    combine(&mut result, older.1, true, subject, notes)?;
    Some(result)
}

/// Adds or subtracts, with remarks; `None` when the schemas do not go together.
pub(crate) fn combine(
    result: &mut Histogram,
    other: &Histogram,
    add: bool,
    subject: Subject<'_>,
    notes: &mut Notes,
) -> Option<()> {
    match if add { result.add(other) } else { result.subtract(other) } {
        Ok(merged) => {
            if merged.bounds_reconciled {
                notes.add(subject.at, Remark::CustomBucketsReconciled(if add { "addition" } else { "subtraction" }));
            }
            Some(())
        }
        Err(HistogramError::IncompatibleSchemas) => {
            notes.add(subject.at, Remark::MixedExponentialCustom(subject.metric));
            None
        }
    }
}
