//! Bytes to records: total over any bytes, and never asking for much more memory than they take.

use model::{Exemplar, MatchOp, Matcher, Metadata, MetricKind, Pattern, ProjectId, SampleValue, TimeRange, Timestamp};

use super::raw::{Descriptions, Floats, LabelsMaker};
use super::{
    DeletionRecord, ExemplarRecord, FamilyMetadata, HistogramRecord, Record, SeriesRef, StartRecord, TombstoneRecord,
    histogram, kind,
};
use crate::chunk::varint;

/// Bytes that the patterns of one deletion take: each is an automaton of up to a MiB or two, in a dozen bytes of a
/// record. Twice what a request may have: another version's automata may be larger.
const PATTERNS_BYTES_MAX: usize = 128 << 20;

/// Decodes one record. Errors say what is wrong with it; the checksum was right, so such a record was written wrong.
pub(crate) fn decode(bytes: &[u8]) -> Result<Record, &'static str> {
    let (kind, rest) = bytes.split_first().ok_or("empty record")?;
    let mut r = Reader(rest);
    match *kind {
        kind::SERIES => Descriptions::read(rest).map(Record::Series),
        kind::SAMPLES => Floats::read(rest).map(Record::Samples),
        kind::TOMBSTONES => all(&mut r, tombstone).map(Record::Tombstones),
        kind::DELETION => deletion(&mut r).map(Record::Deletion),
        kind::EXEMPLARS => exemplars(&mut r).map(Record::Exemplars),
        kind::SERIES_METADATA => all(&mut r, series_metadata).map(Record::SeriesMetadata),
        kind::HISTOGRAMS | kind::CUSTOM_HISTOGRAMS => histograms(&mut r, true).map(Record::Histograms),
        kind::FLOAT_HISTOGRAMS | kind::CUSTOM_FLOAT_HISTOGRAMS => histograms(&mut r, false).map(Record::Histograms),
        kind::FAMILY_METADATA => all(&mut r, family_metadata).map(Record::Metadata),
        kind::STARTS => all(&mut r, start).map(Record::Starts),
        kind::COMMIT => r.uvarint().map(Record::Commit),
        kind::END => end(&mut r).map(|(segment, len)| Record::End { segment, len }),
        other => Ok(Record::Skipped(other)),
    }
}

/// The segment and the length that a record says to be durable, if that is what it is about.
pub(in crate::wal) fn decode_end(bytes: &[u8]) -> Option<(u64, u64)> {
    end(&mut Reader(bytes.strip_prefix(&[kind::END])?)).ok()
}

fn end(r: &mut Reader<'_>) -> Result<(u64, u64), &'static str> {
    Ok((r.u64()?, r.u64()?))
}

fn all<T>(r: &mut Reader<'_>, one: fn(&mut Reader<'_>) -> Result<T, &'static str>) -> Result<Vec<T>, &'static str> {
    let mut all = Vec::new();
    while !r.0.is_empty() {
        all.push(one(r)?);
    }
    Ok(all)
}

fn histograms(r: &mut Reader<'_>, integers: bool) -> Result<Vec<HistogramRecord>, &'static str> {
    let Some(first) = r.first()? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    while !r.0.is_empty() {
        let (series, t) = r.series_and_time(first)?;
        match histogram::take(r, integers)? {
            Some(value) => all.push(HistogramRecord { series, t, value }),
            None => tracing::warn!(series = series.0, t, "a histogram in a schema that this version does not know"),
        }
    }
    debug_assert!(all.iter().all(|record| !matches!(record.value, SampleValue::Float(_))));
    Ok(all)
}

fn exemplars(r: &mut Reader<'_>) -> Result<Vec<ExemplarRecord>, &'static str> {
    let Some(first) = r.first()? else { return Ok(Vec::new()) };
    let (mut all, mut maker) = (Vec::new(), LabelsMaker::default());
    while !r.0.is_empty() {
        let (series, t) = r.series_and_time(first)?;
        let v = r.float()?;
        let exemplar = Exemplar { labels: maker.take(r)?, t, v };
        all.push(ExemplarRecord { series, exemplar });
    }
    Ok(all)
}

fn tombstone(r: &mut Reader<'_>) -> Result<TombstoneRecord, &'static str> {
    let series = SeriesRef(r.u64()?);
    let mint = r.varint()?;
    Ok(TombstoneRecord { series, range: TimeRange { mint, maxt: r.varint()? } })
}

fn deletion(r: &mut Reader<'_>) -> Result<DeletionRecord, &'static str> {
    let mint = r.varint()?;
    let range = TimeRange { mint, maxt: r.varint()? };
    let (mut sets, mut pattern_bytes) = (Vec::new(), 0);
    while !r.0.is_empty() {
        let count = r.uvarint()?;
        // The shortest matcher is three bytes.
        if r.0.len() as u64 / 3 < count {
            return Err("more matchers than there are bytes");
        }
        let mut set = Vec::new();
        for _ in 0..count {
            let matcher = matcher(r)?;
            pattern_bytes += matcher.pattern().map_or(0, Pattern::heap_bytes);
            if PATTERNS_BYTES_MAX < pattern_bytes {
                return Err("its patterns take too much memory");
            }
            set.push(matcher);
        }
        sets.push(set);
    }
    Ok(DeletionRecord { range, sets })
}

fn matcher(r: &mut Reader<'_>) -> Result<Matcher, &'static str> {
    let (op, rest) = r.0.split_first().ok_or("a matcher is cut")?;
    r.0 = rest;
    let op = match op {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        _ => return Err("unknown operator of a matcher"),
    };
    let name = r.text()?;
    Matcher::new(name, op, r.text()?).map_err(|_| "a matcher's pattern does not compile")
}

fn start(r: &mut Reader<'_>) -> Result<StartRecord, &'static str> {
    let series = SeriesRef(r.u64()?);
    let from = r.varint()?;
    Ok(StartRecord { series, from, start: r.varint()? })
}

fn family_metadata(r: &mut Reader<'_>) -> Result<FamilyMetadata, &'static str> {
    let project = ProjectId::parse(r.text()?).map_err(|_| "bad project id")?;
    let family = r.text()?.to_owned();
    let kind = MetricKind::parse(r.text()?);
    let metadata = Metadata { kind, help: r.text()?.to_owned(), unit: r.text()?.to_owned() };
    Ok(FamilyMetadata { project, family, metadata })
}

fn series_metadata(r: &mut Reader<'_>) -> Result<(SeriesRef, Metadata), &'static str> {
    let series = SeriesRef(r.uvarint()?);
    let kind = MetricKind::from_number(u64::from(r.byte()?));
    let mut metadata = Metadata { kind, ..Metadata::default() };
    for _ in 0..r.uvarint()? {
        let name = r.text()?;
        let value = r.text()?;
        match name {
            "UNIT" => metadata.unit = value.to_owned(),
            "HELP" => metadata.help = value.to_owned(),
            _ => {}
        }
    }
    Ok((series, metadata))
}

/// Takes fields off the front of a record.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The series and the time that the others are counted from; nothing in a record without others.
    fn first(&mut self) -> Result<Option<(u64, Timestamp)>, &'static str> {
        if self.0.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.u64()?, self.u64()?.cast_signed())))
    }

    /// A float sample: whose, when, and the bits of its value.
    #[inline(always)]
    pub(super) fn sample(&mut self, first: (u64, Timestamp)) -> Result<(SeriesRef, Timestamp, u64), &'static str> {
        // Nearly all have a series close to the first one, and its time.
        let (id, t, rest) = match self.0 {
            [id @ ..0x80, t @ ..0x80, rest @ ..] => (u64::from(*id), u64::from(*t), rest),
            [id, more @ ..0x80, t @ ..0x80, rest @ ..] => {
                (u64::from(id & 0x7f) | u64::from(*more) << 7, u64::from(*t), rest)
            }
            _ => {
                let (series, t) = self.series_and_time(first)?;
                return Ok((series, t, self.u64()?));
            }
        };
        let (bits, rest) = rest.split_first_chunk().ok_or("record cut short")?;
        self.0 = rest;
        let (id, t) = (varint::signed(id), varint::signed(t));
        Ok((SeriesRef(first.0.wrapping_add(id.cast_unsigned())), first.1.wrapping_add(t), u64::from_be_bytes(*bits)))
    }

    #[inline]
    pub(super) fn series_and_time(
        &mut self,
        (id0, t0): (u64, Timestamp),
    ) -> Result<(SeriesRef, Timestamp), &'static str> {
        let series = SeriesRef(id0.wrapping_add(self.varint()?.cast_unsigned()));
        Ok((series, t0.wrapping_add(self.varint()?)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(len).ok_or("record cut short")?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn byte(&mut self) -> Result<u8, &'static str> {
        let (byte, rest) = self.0.split_first().ok_or("record cut short")?;
        self.0 = rest;
        Ok(*byte)
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Result<u64, &'static str> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or("record cut short")?;
        self.0 = rest;
        Ok(u64::from_be_bytes(*bytes))
    }

    #[inline]
    pub(super) fn float(&mut self) -> Result<f64, &'static str> {
        self.u64().map(f64::from_bits)
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, &'static str> {
        let (value, rest) = varint::split_uvarint(self.0).ok_or("number cut short or too long")?;
        self.0 = rest;
        Ok(value)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<i64, &'static str> {
        let (value, rest) = varint::split_varint(self.0).ok_or("number cut short or too long")?;
        self.0 = rest;
        Ok(value)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, &'static str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| "text is not UTF-8")
    }

    /// Bytes with their length in front.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], &'static str> {
        let len = usize::try_from(self.uvarint()?).map_err(|_| "text too long")?;
        self.take(len)
    }
}
