//! The sender's end of remote write 2.0: series into a message, each string into its table once.

use std::collections::HashMap;

use model::{Metadata, SampleValue};

use super::body::compress;
use super::encoder::SeriesContent;
use super::exemplar::{TIMESTAMP, VALUE};
use super::histogram_encoder::push_histogram;
use super::metadata::KIND;
use super::v2;
use crate::WireError;
use crate::field::{push_bytes, push_double, push_int64, push_tag, push_varint};

/// Collects series into one 2.0 request.
#[derive(Debug, Default)]
pub struct WriteRequestV2Encoder {
    /// The number of each string; the empty one is 0 and not in here.
    symbols: HashMap<String, u32>,
    /// The table's fields.
    table: Vec<u8>,
    series: Vec<u8>,
    /// Fields of the series, and of the message in it, that is being made.
    fields: Vec<u8>,
    message: Vec<u8>,
}

impl WriteRequestV2Encoder {
    /// An empty request.
    pub fn new() -> WriteRequestV2Encoder {
        WriteRequestV2Encoder::default()
    }

    /// Adds a series; its labels are sent in the order given.
    pub fn push<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>, content: &SeriesContent<'_>) {
        self.fields.clear();
        self.push_labels(labels);
        self.flush_message(v2::REFS);
        for (t, value) in content.values {
            let tag = if let SampleValue::Float(v) = value {
                push_double(v2::SAMPLE_VALUE, *v, &mut self.message);
                push_int64(v2::SAMPLE_TIMESTAMP, *t, &mut self.message);
                push_int64(v2::SAMPLE_START, content.start, &mut self.message);
                v2::SAMPLE
            } else {
                push_histogram(*t, content.start, value, &mut self.message);
                v2::HISTOGRAM
            };
            self.flush_message(tag);
        }
        for exemplar in content.exemplars {
            self.push_labels(exemplar.labels.iter());
            let refs = std::mem::take(&mut self.message);
            push_bytes(v2::REFS, &refs, &mut self.message);
            push_double(VALUE, exemplar.v, &mut self.message);
            push_int64(TIMESTAMP, exemplar.t, &mut self.message);
            self.flush_message(v2::EXEMPLAR);
        }
        if let Some(metadata) = content.metadata {
            self.push_metadata(metadata);
            self.flush_message(v2::METADATA);
        }
        push_bytes(v2::SERIES, &self.fields, &mut self.series);
    }

    /// Whether nothing was pushed.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The message as protobuf; the encoder is empty afterwards.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut message = Vec::with_capacity(2 + self.table.len() + self.series.len());
        push_bytes(v2::SYMBOL, b"", &mut message);
        message.extend_from_slice(&self.table);
        message.extend_from_slice(&self.series);
        self.symbols.clear();
        self.table.clear();
        self.series.clear();
        message
    }

    /// The message as a snappy block, the body of a request; the encoder is empty afterwards.
    pub fn finish_compressed(&mut self) -> Result<Vec<u8>, WireError> {
        compress(&self.finish())
    }

    fn push_labels<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for text in labels.into_iter().flat_map(|(name, value)| [name, value]) {
            let symbol = self.symbol(text);
            push_varint(u64::from(symbol), &mut self.message);
        }
    }

    fn push_metadata(&mut self, metadata: &Metadata) {
        let (help, unit) = (self.symbol(&metadata.help), self.symbol(&metadata.unit));
        push_tag(KIND, &mut self.message);
        push_varint(metadata.kind.number(), &mut self.message);
        push_int64(v2::HELP_REF, i64::from(help), &mut self.message);
        push_int64(v2::UNIT_REF, i64::from(unit), &mut self.message);
    }

    /// Makes what was collected a field of the series.
    fn flush_message(&mut self, tag: u32) {
        push_bytes(tag, &self.message, &mut self.fields);
        self.message.clear();
    }

    /// The number of `text` in the table, into which it is put if it is new.
    fn symbol(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        if let Some(symbol) = self.symbols.get(text) {
            return *symbol;
        }
        push_bytes(v2::SYMBOL, text.as_bytes(), &mut self.table);
        // A table of more strings than numbers does not fit a body.
        let symbol = u32::try_from(self.symbols.len() + 1).unwrap_or(u32::MAX);
        self.symbols.insert(text.to_owned(), symbol);
        symbol
    }
}
