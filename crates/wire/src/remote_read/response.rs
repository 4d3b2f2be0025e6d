//! The answer of samples: one message, series by series, query by query.

use model::{Columns, Labels, SampleValue, Timestamp};

use crate::WireError;
use crate::field::{bytes_tag, fixed64_tag, push_bytes, push_double, push_int64, push_tag, push_varint, varint_tag};
use crate::remote_write::{compress, push_histogram, push_label};

const RESULT: u32 = bytes_tag(1);
const SERIES: u32 = bytes_tag(1);
const SAMPLE: u32 = bytes_tag(2);
const HISTOGRAM: u32 = bytes_tag(4);

const SAMPLE_VALUE: u32 = fixed64_tag(1);
const SAMPLE_TIMESTAMP: u32 = varint_tag(2);

/// Makes a `prometheus.ReadResponse`.
#[derive(Debug, Default)]
pub struct ReadResponseEncoder {
    message: Vec<u8>,
    /// The series of the query that is being answered.
    result: Vec<u8>,
    series: Vec<u8>,
    sample: Vec<u8>,
}

impl ReadResponseEncoder {
    /// An answer to no query yet.
    pub fn new() -> ReadResponseEncoder {
        ReadResponseEncoder::default()
    }

    /// Adds a series to the answer of the query at hand; they have to come sorted by labels.
    pub fn push_series(&mut self, labels: &Labels, values: impl IntoIterator<Item = (Timestamp, SampleValue)>) {
        self.series.clear();
        push_labels(labels, &mut self.series);
        for (t, value) in values {
            self.push_value(t, &value);
        }
        push_bytes(SERIES, &self.series, &mut self.result);
    }

    /// The same of columns, whose histograms have float counts.
    pub fn push_columns(&mut self, labels: &Labels, columns: &Columns) {
        let floats = columns.timestamps.iter().zip(&columns.values).map(|(t, v)| (*t, SampleValue::Float(*v)));
        let histograms = columns.histogram_timestamps.iter().zip(&columns.histograms);
        let histograms = histograms.map(|(t, histogram)| (*t, SampleValue::FloatHistogram(histogram.clone())));
        self.push_series(labels, floats.chain(histograms));
    }

    /// Ends the answer of the query at hand, which may have no series.
    pub fn end_query(&mut self) {
        push_bytes(RESULT, &self.result, &mut self.message);
        self.result.clear();
    }

    /// Bytes of the answer so far, before compression.
    pub fn len(&self) -> usize {
        self.message.len() + self.result.len()
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message as protobuf.
    pub fn finish(self) -> Vec<u8> {
        self.message
    }

    /// The message as a snappy block, the body of an answer.
    pub fn finish_compressed(self) -> Result<Vec<u8>, WireError> {
        compress(&self.message)
    }

    fn push_value(&mut self, t: Timestamp, value: &SampleValue) {
        self.sample.clear();
        let tag = if let SampleValue::Float(v) = value {
            push_double(SAMPLE_VALUE, *v, &mut self.sample);
            push_int64(SAMPLE_TIMESTAMP, t, &mut self.sample);
            SAMPLE
        } else {
            push_histogram(t, 0, value, &mut self.sample);
            HISTOGRAM
        };
        push_tag(tag, &mut self.series);
        push_varint(self.sample.len() as u64, &mut self.series);
        self.series.extend_from_slice(&self.sample);
    }
}

/// Appends label fields, which both kinds of answers begin a series with.
pub(super) fn push_labels(labels: &Labels, into: &mut Vec<u8>) {
    for (name, value) in labels.iter() {
        push_label(name.as_bytes(), value.as_bytes(), into);
    }
}
