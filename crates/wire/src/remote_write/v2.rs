//! The walk over an `io.prometheus.write.v2.Request`, remote write 2.0.
//!
//! Source: the specification, 2.0-rc.4, whose samples and histograms say since when they count; before it a series
//! did, in field 6, and senders of that time are understood.

use model::{METRIC_NAME, Sample, Timestamp};

use super::labels::VALUE_BYTES_HARD_MAX;
use super::metadata::{KIND, SeriesFamily};
use super::request::{Extent, Field, LabelsAt, WriteRequest, as_u32, check_fields};
use super::{BodyLimits, LabelLimits, WriteMessage};
use crate::field::{Cursor, bytes_tag, field_number, fixed64_tag, varint_tag};
use crate::{LabelFault, WireError};

pub(super) const SYMBOL: u32 = bytes_tag(4);
pub(super) const SERIES: u32 = bytes_tag(5);

/// References to labels, several at once or one at a time.
pub(super) const REFS: u32 = bytes_tag(1);
pub(super) const REF: u32 = varint_tag(1);
pub(super) const SAMPLE: u32 = bytes_tag(2);
pub(super) const HISTOGRAM: u32 = bytes_tag(3);
pub(super) const EXEMPLAR: u32 = bytes_tag(4);
pub(super) const METADATA: u32 = bytes_tag(5);
pub(super) const CREATED: u32 = varint_tag(6);

pub(super) const SAMPLE_VALUE: u32 = fixed64_tag(1);
pub(super) const SAMPLE_TIMESTAMP: u32 = varint_tag(2);
pub(super) const SAMPLE_START: u32 = varint_tag(3);

pub(super) const HELP_REF: u32 = varint_tag(3);
pub(super) const UNIT_REF: u32 = varint_tag(4);

impl<'a> WriteRequest<'a> {
    /// Reads the 2.0 message in `body`.
    ///
    /// Accepts fields in any order and fields it does not know, numbers packed and one by one, and a description in
    /// parts. A reference that is not in the symbol table refuses its series alone, when its labels are asked for.
    /// Errors: bytes that are no such message, a symbol table without the empty string in front, and counts beyond
    /// `limits`; among them the labels' bytes, which are bounded as if every series had brought its own.
    pub fn parse_v2(body: &'a [u8], limits: &BodyLimits) -> Result<WriteRequest<'a>, WireError> {
        let mut request = WriteRequest::walk(WriteMessage::V2, body, limits, WriteRequest::take_field_v2)?;
        if !request.symbols.is_valid() {
            return Err(WireError::Symbols { n: request.symbols.len() });
        }
        request.check_refs(limits)?;
        request.resolve_families();
        Ok(request)
    }

    /// Takes the field at `cursor`, or names what is malformed.
    fn take_field_v2(&mut self, cursor: &mut Cursor<'a>) -> Result<Field, &'static str> {
        let tag = cursor.tag().ok_or("tag")?;
        match tag {
            SYMBOL => {
                let len = cursor.bytes().ok_or("symbol")?.len();
                self.symbols.push(as_u32(cursor.pos() - len..cursor.pos()));
                Ok(Field::Symbol)
            }
            SERIES => {
                let message = cursor.message().ok_or("series")?;
                self.take_series_v2(message).ok_or("series")?;
                Ok(Field::Series)
            }
            _ if matches!(field_number(tag), 4 | 5) => Err("tag"),
            _ => {
                cursor.skip(tag).ok_or("unknown field")?;
                Ok(Field::Other)
            }
        }
    }

    fn take_series_v2(&mut self, message: Cursor<'a>) -> Option<()> {
        let (first_ref, first_sample) = (self.refs.len(), self.samples.len());
        let (mut n_exemplars, mut n_histograms) = (0, 0);
        let mut created = 0;
        let mut family = SeriesFamily::default();
        let mut cursor = message;
        while !cursor.is_at_end() {
            match cursor.tag()? {
                REFS => cursor.message()?.references(&mut self.refs)?,
                REF => self.refs.push(cursor.reference()?),
                SAMPLE => {
                    let (sample, start) = read_sample(cursor.message()?)?;
                    self.samples.push(sample);
                    if start != 0 {
                        self.set_start(self.samples.len() - 1, start);
                    }
                }
                HISTOGRAM => {
                    check_fields(cursor.message()?)?;
                    n_histograms += 1;
                }
                EXEMPLAR => {
                    check_fields(cursor.message()?)?;
                    n_exemplars += 1;
                }
                METADATA => read_family(cursor.message()?, &mut family)?,
                CREATED => created = cursor.int64()?,
                tag if (1..=5).contains(&field_number(tag)) => return None,
                tag => cursor.skip(tag)?,
            }
        }
        if created != 0 {
            for sample in first_sample..self.samples.len() {
                self.set_start(sample, created);
            }
        }
        if family.is_told() {
            self.families.push(SeriesFamily { series: self.series.len(), ..family });
        }
        self.push_series(Extent {
            labels: as_u32(first_ref..self.refs.len()),
            labels_at: LabelsAt::Refs,
            samples: as_u32(first_sample..self.samples.len()),
            message: as_u32(message.pos()..cursor.pos()),
            n_exemplars,
            n_histograms,
        });
        Some(())
    }

    /// Notes since when the sample at `sample` counts, unless it said so itself.
    fn set_start(&mut self, sample: usize, start: Timestamp) {
        if self.starts.len() <= sample {
            self.starts.resize(sample + 1, 0);
        }
        if let Some(known) = self.starts.get_mut(sample).filter(|known| **known == 0) {
            *known = start;
        }
    }

    /// Marks the series whose references no series may have, and bounds what the others resolve to: a few bytes of
    /// references can name a long symbol over and over.
    fn check_refs(&mut self, limits: &BodyLimits) -> Result<(), WireError> {
        let LabelLimits { labels_max, name_bytes_max, value_bytes_max } = limits.labels;
        // More than that, and a name or a value among them is too long.
        let pair_bytes_max = name_bytes_max.saturating_add(value_bytes_max.min(VALUE_BYTES_HARD_MAX));
        let series_bytes_max = labels_max.saturating_mul(pair_bytes_max) as u64;
        let mut len = 0;
        for extent in &mut self.series {
            let refs = self.refs.get(extent.labels.start as usize..extent.labels.end as usize).unwrap_or_default();
            match self.symbols.labels_len(refs) {
                Some(labels_len) if refs.len() / 2 <= labels_max && labels_len <= series_bytes_max => len += labels_len,
                _ => extent.labels_at = LabelsAt::RefusedRefs,
            }
        }
        for family in &self.families {
            if self.check_family(family).is_err()
                && let Some(extent) = self.series.get_mut(family.series)
            {
                extent.labels_at = LabelsAt::RefusedRefs;
            }
        }
        let limit = limits.decompressed_bytes_max;
        if len <= limit as u64 { Ok(()) } else { Err(WireError::TooMany { what: "bytes of labels", limit }) }
    }

    pub(super) fn check_family(&self, family: &SeriesFamily) -> Result<(), LabelFault> {
        self.symbols.check_one(family.help)?;
        self.symbols.check_one(family.unit)
    }

    /// Names the families by their series, and keeps each description once.
    fn resolve_families(&mut self) {
        let mut families = std::mem::take(&mut self.families);
        families.retain_mut(|family| {
            let Some(extent) = self.series.get(family.series).filter(|extent| extent.labels_at == LabelsAt::Refs)
            else {
                return false;
            };
            let refs = self.refs.get(extent.labels.start as usize..extent.labels.end as usize).unwrap_or_default();
            let mut pairs = refs.as_chunks().0.iter();
            let name = pairs.find(|[name, _]| self.symbols.get(*name) == Some(METRIC_NAME.as_bytes()));
            (family.name, family.series) = (name.map_or(0, |[_, value]| *value), 0);
            family.name != 0
        });
        families.sort_unstable();
        families.dedup();
        self.families = families;
    }
}

#[inline]
fn read_sample(mut message: Cursor<'_>) -> Option<(Sample, Timestamp)> {
    let mut sample = Sample { t: 0, v: 0.0 };
    let mut start = 0;
    while !message.is_at_end() {
        match message.tag()? {
            SAMPLE_VALUE => sample.v = message.double()?,
            SAMPLE_TIMESTAMP => sample.t = message.int64()?,
            SAMPLE_START => start = message.int64()?,
            tag if (1..=3).contains(&field_number(tag)) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some((sample, start))
}

/// Reads a description into `family`: of several messages the fields come together.
pub(super) fn read_family(mut message: Cursor<'_>, family: &mut SeriesFamily) -> Option<()> {
    while !message.is_at_end() {
        match message.tag()? {
            KIND => family.kind = message.reference()?,
            HELP_REF => family.help = message.reference()?,
            UNIT_REF => family.unit = message.reference()?,
            tag if matches!(field_number(tag), 1 | 3 | 4) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some(())
}
