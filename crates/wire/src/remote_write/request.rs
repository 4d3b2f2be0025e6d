//! A decompressed message, walked once: samples become a column, labels stay bytes until someone asks.

use std::ops::Range;

use model::{Exemplar, LabelsBuilder, Sample, SampleValue, Timestamp};

use super::labels::{LABEL, check_label, plain_label_len, read_labels};
use super::metadata::{FamilyMetadata, check_metadata};
use super::{BodyLimits, LabelLimits, exemplar, histogram};
use crate::field::{Cursor, bytes_tag, field_number, fixed64_tag, varint_tag};
use crate::{ExemplarFault, HistogramFault, LabelError, WireError};

const SERIES: u32 = bytes_tag(1);
const METADATA: u32 = bytes_tag(3);

const SAMPLE: u32 = bytes_tag(2);
const EXEMPLAR: u32 = bytes_tag(3);
const HISTOGRAM: u32 = bytes_tag(4);

const SAMPLE_VALUE: u32 = fixed64_tag(1);
const SAMPLE_TIMESTAMP: u32 = varint_tag(2);

/// Bytes that a series with one sample takes in the field; sizes the first allocation.
const SERIES_BYTES_TYPICAL: usize = 256;

/// A well-formed request: a malformed one is refused as a whole, so that nothing of it is stored.
///
/// Shape: a column of samples and an extent for each series, two allocations for the whole request.
/// Cost: one pass over the message. Labels are only checked to be well-formed: whether they are acceptable is decided
/// for one series at a time, by [`TimeSeries::labels`].
#[derive(Debug)]
pub struct WriteRequest<'a> {
    body: &'a [u8],
    limits: LabelLimits,
    series: Vec<Extent>,
    samples: Vec<Sample>,
    /// Label fields of the series whose labels lie scattered, put together.
    gathered: Vec<u8>,
    metadata: Vec<&'a [u8]>,
    n_exemplars: usize,
    n_histograms: usize,
}

/// Where one series lies.
#[derive(Debug)]
struct Extent {
    /// In `body`, or in `gathered` if `is_gathered`.
    labels: Range<u32>,
    is_gathered: bool,
    samples: Range<u32>,
    /// The whole message in `body`: exemplars and histograms are read from it when asked for.
    message: Range<u32>,
    n_exemplars: u32,
    n_histograms: u32,
}

impl<'a> WriteRequest<'a> {
    /// Reads the message in `body`.
    ///
    /// Accepts fields in any order and fields it does not know; of a field sent twice the last counts.
    /// Errors: bytes that are no such message, and counts beyond `limits`.
    pub fn parse(body: &'a [u8], limits: &BodyLimits) -> Result<WriteRequest<'a>, WireError> {
        let bytes_max = limits.decompressed_bytes_max.min(u32::MAX as usize);
        if body.len() > bytes_max {
            return Err(WireError::TooLarge { declared: body.len() as u64, limit: bytes_max as u64 });
        }
        let n_guess = body.len() / SERIES_BYTES_TYPICAL;
        let mut request = WriteRequest {
            body,
            limits: limits.labels,
            series: Vec::with_capacity(n_guess.min(limits.series_max)),
            samples: Vec::with_capacity(n_guess.min(limits.samples_max)),
            gathered: Vec::new(),
            metadata: Vec::new(),
            n_exemplars: 0,
            n_histograms: 0,
        };
        let mut cursor = Cursor::new(body);
        while !cursor.is_at_end() {
            let offset = cursor.pos();
            let what = request.take_field(&mut cursor).map_err(|what| WireError::Malformed { what, offset })?;
            request.check_counts(what, limits)?;
        }
        Ok(request)
    }

    /// The series, in the order sent; one may appear several times.
    pub fn series(&self) -> impl ExactSizeIterator<Item = TimeSeries<'_>> {
        self.series.iter().map(|extent| TimeSeries { request: self, extent })
    }

    /// The descriptions of metric families, in the order sent; those without a usable name are left out.
    pub fn metadata(&self) -> impl Iterator<Item = FamilyMetadata<'a>> {
        self.metadata.iter().filter_map(|message| FamilyMetadata::read(message, self.limits.name_bytes_max))
    }

    /// Samples of all series.
    pub fn n_samples(&self) -> usize {
        self.samples.len()
    }

    /// Histograms of all series.
    pub fn n_histograms(&self) -> usize {
        self.n_histograms
    }

    /// Exemplars of all series.
    pub fn n_exemplars(&self) -> usize {
        self.n_exemplars
    }

    /// Takes the field at `cursor`, or names what is malformed.
    fn take_field(&mut self, cursor: &mut Cursor<'a>) -> Result<Field, &'static str> {
        let tag = cursor.tag().ok_or("tag")?;
        match tag {
            SERIES => {
                let message = cursor.message().ok_or("series")?;
                self.take_series(message).ok_or("series")?;
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

    fn take_series(&mut self, message: Cursor<'a>) -> Option<()> {
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
        if is_scattered {
            labels = self.gather_labels(message)?;
        }
        self.n_exemplars += n_exemplars as usize;
        self.n_histograms += n_histograms as usize;
        self.series.push(Extent {
            labels: as_u32(labels),
            is_gathered: is_scattered,
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

    /// Checks what grew by the last field; a field can add no more than its own bytes, so memory stays bounded.
    fn check_counts(&self, grown: Field, limits: &BodyLimits) -> Result<(), WireError> {
        let (what, n, limit) = match grown {
            Field::Other => return Ok(()),
            Field::Metadata => ("metadata entries", self.metadata.len(), limits.series_max),
            Field::Series if self.series.len() > limits.series_max => ("series", self.series.len(), limits.series_max),
            Field::Series => {
                let n = self.samples.len() + self.n_exemplars + self.n_histograms;
                ("samples, histograms and exemplars", n, limits.samples_max)
            }
        };
        if n <= limit { Ok(()) } else { Err(WireError::TooMany { what, limit }) }
    }

    /// Bytes allocated besides the body.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.series.capacity() * size_of::<Extent>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.metadata.capacity() * size_of::<&[u8]>()
            + self.gathered.capacity()
    }
}

/// A field of the request.
enum Field {
    Series,
    Metadata,
    Other,
}

/// One series of a request.
#[derive(Clone, Copy, Debug)]
pub struct TimeSeries<'a> {
    request: &'a WriteRequest<'a>,
    extent: &'a Extent,
}

impl<'a> TimeSeries<'a> {
    /// The label fields as sent: equal bytes are equal labels, so a sender's series is known again by hashing them.
    ///
    /// Different bytes may still be equal labels: in another order, or with empty values.
    pub fn raw_labels(&self) -> &'a [u8] {
        let from = if self.extent.is_gathered { &self.request.gathered } else { self.request.body };
        from.get(as_usize(&self.extent.labels)).unwrap_or_default()
    }

    /// Replaces `into` by the labels, sorted and without those of empty value.
    ///
    /// Errors: labels that no series may have; `into` is then empty.
    pub fn labels(&self, into: &mut LabelsBuilder) -> Result<(), LabelError> {
        read_labels(self.raw_labels(), &self.request.limits, into)
    }

    /// The float samples, in the order sent.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + DoubleEndedIterator + use<'a> {
        self.request.samples.get(as_usize(&self.extent.samples)).unwrap_or_default().iter().copied()
    }

    /// The native histograms, in the order sent, each checked on its own.
    ///
    /// Finer resolutions than are stored are reduced; integer counts beyond 2^53 become floats.
    pub fn histograms(&self) -> impl Iterator<Item = Result<(Timestamp, SampleValue), HistogramFault>> + use<'a> {
        self.messages(HISTOGRAM, self.extent.n_histograms).map(|message| histogram::decode(message))
    }

    /// The exemplars, in the order sent, each checked on its own; one sent without a time has that of the series'
    /// last sample.
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar, ExemplarFault>> + use<'a> {
        let t = if self.extent.n_exemplars == 0 { 0 } else { self.last_t() };
        self.messages(EXEMPLAR, self.extent.n_exemplars).map(move |message| {
            let mut exemplar = exemplar::decode(message)?;
            if exemplar.t == 0 {
                exemplar.t = t;
            }
            Ok(exemplar)
        })
    }

    /// Whether native histograms were sent.
    pub fn has_histograms(&self) -> bool {
        self.extent.n_histograms > 0
    }

    /// Native histograms sent.
    pub fn n_histograms(&self) -> usize {
        self.extent.n_histograms as usize
    }

    /// Exemplars sent.
    pub fn n_exemplars(&self) -> usize {
        self.extent.n_exemplars as usize
    }

    /// The `n` messages in fields `tag`; without any the series' bytes are not looked at again.
    fn messages(&self, tag: u32, n: u32) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        let mut cursor = Cursor::new(self.request.body.get(as_usize(&self.extent.message)).unwrap_or_default());
        let mut next = move || loop {
            let found = cursor.tag()?;
            if found == tag {
                return cursor.message();
            }
            cursor.skip(found)?;
        };
        (0..n).map_while(move |_| next())
    }

    /// The time of the last sample or histogram, 0 without any.
    fn last_t(&self) -> Timestamp {
        let sample = self.samples().map(|sample| sample.t).next_back();
        let histogram = self.messages(HISTOGRAM, self.extent.n_histograms).map(|message| histogram::times(message).0);
        sample.into_iter().chain(histogram).max().unwrap_or(0)
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

/// Whether the fields are well-formed; those inside them are looked at when someone asks.
fn check_fields(mut message: Cursor<'_>) -> Option<()> {
    while !message.is_at_end() {
        let tag = message.tag()?;
        message.skip(tag)?;
    }
    Some(())
}

#[expect(clippy::cast_possible_truncation, reason = "a body is at most u32::MAX bytes, checked by `parse`")]
#[inline]
fn as_u32(range: Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32
}

#[inline]
fn as_usize(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
