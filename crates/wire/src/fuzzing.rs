//! The decoders as fuzz tests and fuzz targets enter them: any bytes come in, every promise is held.
//!
//! Each returns whether the bytes were what they should be.

use model::{LabelsBuilder, SampleValue};

use crate::exposition::{Entry, ExpositionFormat, ExpositionReader};
use crate::remote_write::{BodyLimits, LabelLimits, WriteRequest, decompress};
use crate::{ExpositionError, WireError};

/// Bytes of the longest text that tells what is wrong.
const TOLD_BYTES_MAX: usize = 2048;

/// A body: the snappy block around a message.
pub fn snappy(body: &[u8]) -> bool {
    let mut into = Vec::new();
    let is_block = decompress(body, &BodyLimits::default(), &mut into).is_ok();
    assert!(into.capacity() <= 64 * body.len() + 1024, "{} bytes for a body of {}", into.capacity(), body.len());
    is_block
}

/// A message of remote write 1.0, decompressed.
pub fn remote_write_v1(message: &[u8]) -> bool {
    read_request(WriteRequest::parse(message, &BodyLimits::default()), message)
}

/// A message of remote write 2.0, decompressed.
pub fn remote_write_v2(message: &[u8]) -> bool {
    read_request(WriteRequest::parse_v2(message, &BodyLimits::default()), message)
}

/// Reads whatever can be read of a request.
fn read_request(request: Result<WriteRequest<'_>, WireError>, message: &[u8]) -> bool {
    let request = match request {
        Ok(request) => request,
        Err(refused) => {
            assert!(refused.to_string().len() < TOLD_BYTES_MAX, "an error is short");
            return false;
        }
    };
    let (mut builder, mut raw) = (LabelsBuilder::default(), Vec::new());
    let mut counts = (0, 0, 0);
    for series in request.series() {
        if let Err(refused) = series.labels(&mut builder) {
            assert!(refused.to_string().len() < TOLD_BYTES_MAX, "an error is short");
            assert!(builder.build().is_empty(), "of refused labels nothing is left");
        }
        series.raw_labels(&mut raw);
        counts.0 += series.samples().len();
        counts.1 += series.histograms().inspect(|read| assert_whole(read.as_ref().ok())).count();
        counts.2 += series.exemplars().count();
        assert!(series.starts().count() <= series.samples().len() + series.n_histograms(), "a start for each at most");
    }
    assert_eq!(counts, (request.n_samples(), request.n_histograms(), request.n_exemplars()), "all are counted");
    assert!(request.metadata().count() <= message.len(), "no description without a byte");
    true
}

/// A histogram that was accepted keeps its invariant.
fn assert_whole(read: Option<&(i64, SampleValue)>) {
    if let Some((_, SampleValue::Histogram(histogram) | SampleValue::FloatHistogram(histogram))) = read {
        for (spans, buckets) in [
            (&histogram.positive_spans, &histogram.positive_buckets),
            (&histogram.negative_spans, &histogram.negative_buckets),
        ] {
            let n: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
            assert_eq!(n, buckets.len() as u64, "spans lay out as many buckets as there are");
        }
        assert!(histogram.schema <= 8, "finer schemas are reduced");
        assert!(histogram.count >= 0.0 || histogram.count.is_nan(), "no count is negative");
    }
}

/// A text as `promenade tsdb import` reads it.
pub fn open_metrics(text: &[u8]) -> bool {
    read_text(text, ExpositionFormat::OpenMetrics)
}

/// A text in the format of Prometheus.
pub fn prometheus_text(text: &[u8]) -> bool {
    read_text(text, ExpositionFormat::Prometheus)
}

fn read_text(text: &[u8], format: ExpositionFormat) -> bool {
    let (mut reader, mut builder) = (ExpositionReader::new(text, format), LabelsBuilder::default());
    loop {
        match reader.next_entry() {
            Ok(None) => return true,
            Ok(Some(Entry::Sample(sample))) => drop(sample.labels(&LabelLimits::default(), &mut builder)),
            Ok(Some(_)) => {}
            Err(ExpositionError::Syntax { line, column, what }) => {
                let place = usize::try_from(line).ok().and_then(|line| line.checked_sub(1));
                let found = place.and_then(|line| text.split(|b| *b == b'\n').nth(line));
                assert!(found.is_some_and(|found| column <= found.len() + 1), "line {line}, column {column}: {what}");
                assert!(0 < column && what.len() < 300, "line {line}, column {column}: {what}");
                return false;
            }
            Err(ExpositionError::Io(e)) => unreachable!("bytes in memory can be read: {e}"),
        }
    }
}
