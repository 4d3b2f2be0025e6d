//! The sender's end: series into a message, without building one in memory first.

use model::{Exemplar, Metadata, Sample, SampleValue, Timestamp};

use super::body::compress;
use super::exemplar::{TIMESTAMP, VALUE};
use super::histogram_encoder::push_histogram;
use super::labels::push_label;
use super::metadata::{FAMILY, HELP, KIND, UNIT};
use crate::WireError;
use crate::field::{
    bytes_tag, fixed64_tag, push_bytes, push_double, push_int64, push_tag, push_varint, varint_len, varint_tag,
};

/// Bytes of a sample's value with its tag.
const VALUE_LEN: usize = 9;

/// The label fields of a series, sorted by name as receivers expect: encode them once, then push them with every
/// batch of samples by [`WriteRequestEncoder::push_encoded`].
pub fn encode_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut pairs: Vec<_> = labels.into_iter().collect();
    pairs.sort_unstable();
    let mut into = Vec::with_capacity(pairs.iter().map(|(name, value)| name.len() + value.len() + 8).sum());
    for (name, value) in pairs {
        push_label(name.as_bytes(), value.as_bytes(), &mut into);
    }
    into
}

/// What a series of a request holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct SeriesContent<'a> {
    /// Floats and histograms, in order of time.
    pub values: &'a [(Timestamp, SampleValue)],
    /// Exemplars, in order of time.
    pub exemplars: &'a [Exemplar],
    /// Since when the values count, 0 if that is not known: remote write 2.0 alone tells it.
    pub start: Timestamp,
    /// What its family is: remote write 2.0 alone tells it with the series.
    pub metadata: Option<&'a Metadata>,
}

/// Collects series and metadata into one request.
#[derive(Debug, Default)]
pub struct WriteRequestEncoder {
    message: Vec<u8>,
    n_samples: usize,
}

impl WriteRequestEncoder {
    /// An empty request.
    pub fn new() -> WriteRequestEncoder {
        WriteRequestEncoder::default()
    }

    /// Adds a series.
    pub fn push<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>, samples: &[Sample]) {
        self.push_encoded(&encode_labels(labels), samples);
    }

    /// Adds a series whose labels [`encode_labels`] made.
    pub fn push_encoded(&mut self, labels: &[u8], samples: &[Sample]) {
        let len = samples.iter().fold(labels.len(), |len, sample| len + 2 + sample_len(sample));
        push_tag(bytes_tag(1), &mut self.message);
        push_varint(len as u64, &mut self.message);
        self.message.extend_from_slice(labels);
        for sample in samples {
            push_tag(bytes_tag(2), &mut self.message);
            push_varint(sample_len(sample) as u64, &mut self.message);
            if has_value(sample) {
                push_tag(fixed64_tag(1), &mut self.message);
                self.message.extend_from_slice(&sample.v.to_bits().to_le_bytes());
            }
            if sample.t != 0 {
                push_tag(varint_tag(2), &mut self.message);
                push_varint(sample.t.cast_unsigned(), &mut self.message);
            }
        }
        self.n_samples += samples.len();
    }

    /// Adds a series with values of any kind and exemplars; its labels are [`encode_labels`]'.
    pub fn push_content(&mut self, labels: &[u8], content: &SeriesContent<'_>) {
        let mut series = labels.to_vec();
        let mut message = Vec::new();
        for (t, value) in content.values {
            message.clear();
            let tag = if let SampleValue::Float(v) = value {
                push_double(fixed64_tag(1), *v, &mut message);
                push_int64(varint_tag(2), *t, &mut message);
                bytes_tag(2)
            } else {
                push_histogram(*t, 0, value, &mut message);
                bytes_tag(4)
            };
            push_bytes(tag, &message, &mut series);
        }
        for exemplar in content.exemplars {
            message = encode_labels(exemplar.labels.iter());
            push_double(VALUE, exemplar.v, &mut message);
            push_int64(TIMESTAMP, exemplar.t, &mut message);
            push_bytes(bytes_tag(3), &message, &mut series);
        }
        push_bytes(bytes_tag(1), &series, &mut self.message);
        self.n_samples += content.values.len();
    }

    /// Adds the description of a metric family.
    pub fn push_metadata(&mut self, family: &str, metadata: &Metadata) {
        let mut message = Vec::with_capacity(family.len() + metadata.help.len() + metadata.unit.len() + 16);
        push_tag(KIND, &mut message);
        push_varint(metadata.kind.number(), &mut message);
        push_text(FAMILY, family, &mut message);
        push_text(HELP, &metadata.help, &mut message);
        push_text(UNIT, &metadata.unit, &mut message);
        push_tag(bytes_tag(3), &mut self.message);
        push_varint(message.len() as u64, &mut self.message);
        self.message.extend_from_slice(&message);
    }

    /// Samples of any kind pushed since the start or the last [`WriteRequestEncoder::finish`].
    pub fn n_samples(&self) -> usize {
        self.n_samples
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.message.is_empty()
    }

    /// The message as protobuf; the encoder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        self.n_samples = 0;
        let capacity = self.message.len();
        std::mem::replace(&mut self.message, Vec::with_capacity(capacity))
    }

    /// The message as a snappy block, the body of a request; the encoder is empty afterwards and keeps its memory.
    pub fn finish_compressed(&mut self) -> Result<Vec<u8>, WireError> {
        let body = compress(&self.message);
        self.message.clear();
        self.n_samples = 0;
        body
    }
}

/// Zero is what an absent value means; minus zero is not absent.
#[inline]
fn has_value(sample: &Sample) -> bool {
    sample.v.to_bits() != 0
}

/// Bytes of a sample's fields.
#[inline]
fn sample_len(sample: &Sample) -> usize {
    let timestamp_len = if sample.t == 0 { 0 } else { 1 + varint_len(sample.t.cast_unsigned()) };
    timestamp_len + if has_value(sample) { VALUE_LEN } else { 0 }
}

fn push_text(tag: u32, text: &str, into: &mut Vec<u8>) {
    push_bytes(tag, text.as_bytes(), into);
}
