//! The walk over a `prometheus.WriteRequest`, remote write 1.0.

use std::ops::Range;

use model::Sample;

use super::labels::{LABEL, check_label, plain_label_len};
use super::metadata::check_metadata;
use super::request::{Extent, Field, LabelsAt, WriteRequest, as_u32, check_fields};
use super::{BodyLimits, WriteMessage};
use crate::WireError;
use crate::field::{Cursor, bytes_tag, field_number, fixed64_tag, varint_tag};

const SERIES: u32 = bytes_tag(1);
const METADATA: u32 = bytes_tag(3);

const SAMPLE: u32 = bytes_tag(2);
pub(super) const EXEMPLAR: u32 = bytes_tag(3);
pub(super) const HISTOGRAM: u32 = bytes_tag(4);

const SAMPLE_VALUE: u32 = fixed64_tag(1);
const SAMPLE_TIMESTAMP: u32 = varint_tag(2);

impl<'a> WriteRequest<'a> {
    /// Reads the 1.0 message in `body`.
    ///
    /// Accepts fields in any order and fields it does not know; of a field sent twice the last counts.
    /// Errors: bytes that are no such message, and counts beyond `limits`.
    pub fn parse(body: &'a [u8], limits: &BodyLimits) -> Result<WriteRequest<'a>, WireError> {
        WriteRequest::walk(WriteMessage::V1, body, limits, WriteRequest::take_field_v1)
    }

    /// Takes the field at `cursor`, or names what is malformed.
    fn take_field_v1(&mut self, cursor: &mut Cursor<'a>) -> Result<Field, &'static str> {
        let tag = cursor.tag().ok_or("tag")?;
        match tag {
            SERIES => {
                let message = cursor.message().ok_or("series")?;
                self.take_series_v1(message).ok_or("series")?;
                Ok(Field::Series)
            }
            METADATA => {
                let message = cursor.message().ok_or("metadata")?;
                check_metadata(message).ok_or("metadata")?;
                self.metadata.push(message.rest());
                Ok(Field::Metadata)
            }
            _ if matches!(field_number(tag), 1 | 3) => Err("tag"),
            _ => {
                cursor.skip(tag).ok_or("unknown field")?;
                Ok(Field::Other)
            }
        }
    }

    fn take_series_v1(&mut self, message: Cursor<'a>) -> Option<()> {
        let first_sample = self.samples.len();
        let (mut n_exemplars, mut n_histograms) = (0, 0);
        let mut is_scattered = false;
        let mut cursor = message;
        let mut labels = take_plain_labels(&mut cursor);
        while !cursor.is_at_end() {
            let start = cursor.pos();
            match cursor.tag()? {
                LABEL => {
                    check_label(cursor.message()?)?;
                    if labels.is_empty() {
                        labels.start = start;
                    } else {
                        is_scattered |= labels.end != start;
                    }
                    labels.end = cursor.pos();
                }
                SAMPLE => self.samples.push(read_sample(cursor.message()?)?),
                EXEMPLAR => {
                    check_fields(cursor.message()?)?;
                    n_exemplars += 1;
                }
                HISTOGRAM => {
                    check_fields(cursor.message()?)?;
                    n_histograms += 1;
                }
                tag if (1..=4).contains(&field_number(tag)) => return None,
                tag => cursor.skip(tag)?,
            }
        }
        let labels_at = if is_scattered { LabelsAt::Gathered } else { LabelsAt::Body };
        if is_scattered {
            labels = self.gather_labels(message)?;
        }
        self.push_series(Extent {
            labels: as_u32(labels),
            labels_at,
            samples: as_u32(first_sample..self.samples.len()),
            message: as_u32(message.pos()..cursor.pos()),
            n_exemplars,
            n_histograms,
        });
        Some(())
    }

    /// Puts the label fields of `message` side by side.
    #[cold]
    fn gather_labels(&mut self, message: Cursor<'a>) -> Option<Range<usize>> {
        let start = self.gathered.len();
        let mut cursor = message;
        while !cursor.is_at_end() {
            let field = cursor.pos();
            let tag = cursor.tag()?;
            cursor.skip(tag)?;
            if tag == LABEL {
                self.gathered.extend_from_slice(self.body.get(field..cursor.pos())?);
            }
        }
        Some(start..self.gathered.len())
    }
}

/// Goes over the plain labels in front, where senders put them.
#[inline]
fn take_plain_labels(cursor: &mut Cursor<'_>) -> Range<usize> {
    let start = cursor.pos();
    while let Some(len) = plain_label_len(cursor.rest()) {
        cursor.advance(len);
    }
    start..cursor.pos()
}

#[inline]
fn read_sample(mut message: Cursor<'_>) -> Option<Sample> {
    let mut sample = Sample { t: 0, v: 0.0 };
    while !message.is_at_end() {
        match message.tag()? {
            SAMPLE_VALUE => sample.v = message.double()?,
            SAMPLE_TIMESTAMP => sample.t = message.int64()?,
            tag if matches!(field_number(tag), 1 | 2) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some(sample)
}
