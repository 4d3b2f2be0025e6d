//! From values to the bytes of an answer: measured if they may be too many, then sent piece by piece.

use model::{Budget, Columns, Histogram, Labels, Point, Value};
use wire::json::Sink;

use crate::error::ApiError;
use crate::outflow::{Inlet, ROOM_BYTES};

/// Bytes that are worth handing on: some thousand samples, encoded in less than a millisecond.
const PIECE_BYTES: usize = 128 << 10;
/// Room that an answer begins with, unless it surely needs less: growing from nothing copies it a dozen times.
const FIRST_BYTES: usize = 16 << 10;

/// Where a handler writes its answer.
pub(crate) struct Pieces<'a> {
    inlet: &'a Inlet,
    budget: &'a Budget,
    bytes: Vec<u8>,
    /// Bytes that were handed on, or counted.
    gone: usize,
    mode: Mode,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Count, and fail beyond so many bytes.
    Measuring(usize),
    Sending,
}

impl Sink for Pieces<'_> {
    type Error = ApiError;

    #[inline]
    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    #[inline]
    fn pause(&mut self) -> Result<(), ApiError> {
        if self.bytes.len() < PIECE_BYTES { Ok(()) } else { self.hand_on() }
    }
}

impl Pieces<'_> {
    fn hand_on(&mut self) -> Result<(), ApiError> {
        self.budget.check()?;
        match self.mode {
            Mode::Measuring(most) if most < self.gone + self.bytes.len() => return Err(too_large(most)),
            Mode::Measuring(_) => {
                self.gone += self.bytes.len();
                self.bytes.clear();
            }
            Mode::Sending => {
                if self.gone == 0 {
                    // For what waits to be sent; before the first piece there can still be a refusal.
                    self.budget.charge(ROOM_BYTES)?;
                }
                self.gone += self.bytes.len();
                // An item may have been larger than a piece, and the next one need not be.
                let piece = std::mem::replace(&mut self.bytes, Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
                self.inlet.send(piece)?;
            }
        }
        Ok(())
    }
}

/// Sends what `write` writes, in one piece if it is short. `likely_most` is what it takes at most, if nothing is rare
/// about it; when that is beyond `bytes_max` it is measured first, so that a refusal is still possible.
pub(crate) fn send(
    inlet: &Inlet,
    budget: &Budget,
    bytes_max: usize,
    likely_most: usize,
    write: impl Fn(&mut Pieces<'_>) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    budget.charge(2 * PIECE_BYTES)?;
    let mut pieces = Pieces { inlet, budget, bytes: Vec::new(), gone: 0, mode: Mode::Measuring(bytes_max) };
    if bytes_max < likely_most {
        write(&mut pieces)?;
        if bytes_max < pieces.gone + pieces.bytes.len() {
            return Err(too_large(bytes_max));
        }
    }
    let bytes = Vec::with_capacity(likely_most.min(FIRST_BYTES));
    pieces = Pieces { inlet, budget, bytes, gone: 0, mode: Mode::Sending };
    write(&mut pieces)?;
    let Pieces { bytes, gone, .. } = pieces;
    if gone > 0 {
        return inlet.send(bytes);
    }
    budget.check()?;
    inlet.whole(bytes)
}

fn too_large(most: usize) -> ApiError {
    ApiError::Execution(format!("answer is larger than its limit of {most} bytes; narrow the query"))
}

/// What a value takes at most: every byte of labels escaped, every number at its longest.
pub(crate) fn value_bytes(value: &Value) -> usize {
    /// A time and a number with all their digits, and what stands around them.
    const SAMPLE_BYTES: usize = 64;
    let histogram = |h: &Histogram| 4 * SAMPLE_BYTES * (2 + h.positive_buckets.len() + h.negative_buckets.len());
    let columns =
        |c: &Columns| SAMPLE_BYTES * c.values.len() + c.histograms.iter().map(|h| histogram(h)).sum::<usize>();
    match value {
        Value::Scalar { .. } => SAMPLE_BYTES,
        Value::String { text, .. } => SAMPLE_BYTES + text_bytes(text),
        Value::Vector(series) => {
            let point = |point: &Point| match point {
                Point::Float(_) => SAMPLE_BYTES,
                Point::Histogram(h) => histogram(h),
            };
            series.iter().map(|series| labels_bytes(&series.labels) + point(&series.point)).sum()
        }
        Value::Matrix(series) => {
            series.iter().map(|series| labels_bytes(&series.labels) + columns(&series.columns)).sum()
        }
    }
}

/// What a label object takes at most: as much as if the lengths before names and values were escaped too, which is more
/// than the quotes around them, the colon and the comma.
pub(crate) fn labels_bytes(labels: &Labels) -> usize {
    64 + 6 * labels.as_bytes().len()
}

/// What a string takes at most.
pub(crate) fn text_bytes(text: &str) -> usize {
    3 + 6 * text.len()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use http_body_util::BodyExt;
    use model::{Pool, RangeSeries, Stop};

    use super::*;
    use crate::outflow;

    /// Unoptimised code is ten times as slow, and the machine may be busy.
    const NOTICED_WITHIN: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1000 } else { 100 });

    /// Encodes a large matrix, ends the query after 50 ms, and says how long it took to notice.
    async fn ended_after(bytes_max: usize) -> Duration {
        let mut columns = Columns::default();
        (0..100_000).for_each(|i| columns.push(i * 1000, (i as f64).sqrt()));
        let series = RangeSeries { labels: Labels::empty(), columns };
        let value = Arc::new(Value::Matrix(vec![series; 100]));
        let stop = Stop::default();
        let budget = Arc::new(Budget::new(stop.clone(), Pool::new(u64::MAX), u64::MAX, u64::MAX));
        let (inlet, outlet) = outflow::queue(Instant::now() + Duration::from_secs(60), budget.clone(), stop.clone());
        let encoding = tokio::task::spawn_blocking(move || {
            let write = |into: &mut Pieces<'_>| wire::json::write_value(&value, into);
            let outcome = send(&inlet, &budget, bytes_max, value_bytes(&value), write);
            inlet.end(outcome);
            Instant::now()
        });
        let reading = tokio::spawn(async move {
            let Ok(mut body) = outlet.into_body().await else { return };
            while let Some(Ok(_)) = body.frame().await {}
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asked = Instant::now();
        stop.cancel();
        let ended = encoding.await.unwrap();
        reading.await.unwrap();
        ended.saturating_duration_since(asked)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn encoding_and_measuring_end_when_they_are_told_to() {
        for bytes_max in [usize::MAX, 400 << 20] {
            let after = ended_after(bytes_max).await;
            assert!(after < NOTICED_WITHIN, "{bytes_max}: {after:?}");
        }
    }
}
