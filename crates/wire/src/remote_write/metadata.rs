//! The descriptions of metric families that come beside the series.

use std::borrow::Cow;

use model::{Metadata, MetricKind};

use super::symbols::Symbols;
use crate::field::{Cursor, bytes_tag, field_number, varint_tag};

pub(super) const KIND: u32 = varint_tag(1);
pub(super) const FAMILY: u32 = bytes_tag(2);
pub(super) const HELP: u32 = bytes_tag(4);
pub(super) const UNIT: u32 = bytes_tag(5);

/// Bytes of a help text or unit that are kept: the rest of a longer one is cut off.
const TEXT_BYTES_MAX: usize = 4096;

/// The description of one metric family.
///
/// Descriptions are advice: bytes that are not UTF-8 are replaced, rather than a request refused for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyMetadata<'a> {
    /// The family's name.
    pub family: Cow<'a, str>,
    /// Its type; a number this version does not know is `Unknown`.
    pub kind: MetricKind,
    /// What it means; may be empty.
    pub help: Cow<'a, str>,
    /// Its unit; may be empty.
    pub unit: Cow<'a, str>,
}

impl<'a> FamilyMetadata<'a> {
    /// Reads a message that [`check_metadata`] has seen; `None` if its name is empty or too long.
    pub(super) fn read(message: &'a [u8], name_bytes_max: usize) -> Option<FamilyMetadata<'a>> {
        let raw = read_metadata(Cursor::new(message))?;
        if raw.family.is_empty() || raw.family.len() > name_bytes_max {
            return None;
        }
        let [family, help, unit] = [raw.family, raw.help, raw.unit].map(text);
        Some(FamilyMetadata { family, kind: MetricKind::from_number(raw.kind), help, unit })
    }

    /// The description without the name, owned.
    pub fn to_metadata(&self) -> Metadata {
        Metadata { kind: self.kind, help: self.help.clone().into_owned(), unit: self.unit.clone().into_owned() }
    }
}

/// What a series of a 2.0 request says of its family, as numbers of symbols.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeriesFamily {
    /// The metric's name.
    pub(super) name: u32,
    pub(super) kind: u32,
    pub(super) help: u32,
    pub(super) unit: u32,
    /// The series that says so; 0 once the name is known.
    pub(super) series: usize,
}

impl SeriesFamily {
    /// Whether it says anything: senders attach an empty description to every series.
    pub(super) fn is_told(&self) -> bool {
        (self.kind, self.help, self.unit) != (0, 0, 0)
    }

    /// The description; `None` if the family's name is empty or too long.
    pub(super) fn resolve<'a>(&self, symbols: &Symbols<'a>, name_bytes_max: usize) -> Option<FamilyMetadata<'a>> {
        let kind = MetricKind::from_number(u64::from(self.kind));
        let family = family_name(symbols.get(self.name)?, kind);
        if family.is_empty() || family.len() > name_bytes_max {
            return None;
        }
        let [family, help, unit] = [family, symbols.get(self.help)?, symbols.get(self.unit)?].map(text);
        Some(FamilyMetadata { family, kind, help, unit })
    }
}

/// The family of a metric: classic histograms and summaries are several metrics, others are a family of their own.
fn family_name(metric: &[u8], kind: MetricKind) -> &[u8] {
    let suffixes: &[&[u8]] = match kind {
        MetricKind::Histogram => &[b"_bucket", b"_count", b"_sum"],
        MetricKind::GaugeHistogram => &[b"_bucket", b"_gcount", b"_gsum"],
        MetricKind::Summary => &[b"_count", b"_sum"],
        MetricKind::Unknown | MetricKind::Counter | MetricKind::Gauge | MetricKind::Info | MetricKind::StateSet => &[],
    };
    suffixes.iter().find_map(|suffix| metric.strip_suffix(*suffix)).unwrap_or(metric)
}

/// Whether `message` is a well-formed description.
pub(super) fn check_metadata(message: Cursor<'_>) -> Option<()> {
    read_metadata(message).map(drop)
}

#[derive(Default)]
struct RawMetadata<'a> {
    kind: u64,
    family: &'a [u8],
    help: &'a [u8],
    unit: &'a [u8],
}

fn read_metadata(mut message: Cursor<'_>) -> Option<RawMetadata<'_>> {
    let mut raw = RawMetadata::default();
    while !message.is_at_end() {
        match message.tag()? {
            KIND => raw.kind = message.varint()?,
            FAMILY => raw.family = message.bytes()?,
            HELP => raw.help = message.bytes()?,
            UNIT => raw.unit = message.bytes()?,
            tag if matches!(field_number(tag), 1 | 2 | 4 | 5) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some(raw)
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    let Some(mut kept) = bytes.get(..TEXT_BYTES_MAX) else { return String::from_utf8_lossy(bytes) };
    // A character that the cut would split goes as a whole: all its bytes but the first are 0b10xx_xxxx.
    let next_is_inside = bytes.get(TEXT_BYTES_MAX).is_some_and(|b| b & 0xc0 == 0x80);
    if next_is_inside && let Some(start) = kept.iter().rposition(|b| b & 0xc0 != 0x80) {
        kept = kept.get(..start).unwrap_or(kept);
    }
    String::from_utf8_lossy(kept)
}
