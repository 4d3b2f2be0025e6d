//! What the records say: series, samples, and the metadata of families; bytes as Prometheus writes them.

use model::{Labels, LabelsBuilder, Metadata, MetricKind, ProjectId, Sample};

use crate::chunk::varint;

/// Series: reference and labels.
const SERIES: u8 = 1;
/// Float samples.
const SAMPLES: u8 = 2;
/// Our own: metadata of a family in a project. Prometheus skips types it does not know.
const FAMILY_METADATA: u8 = 0x80;

/// A series' number in the log, never used twice in one data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesRef(pub(crate) u64);

/// One sample as the log has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SampleRecord {
    pub(crate) series: SeriesRef,
    pub(crate) sample: Sample,
}

/// The metadata of one family.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FamilyMetadata {
    pub(crate) project: ProjectId,
    pub(crate) family: String,
    pub(crate) metadata: Metadata,
}

/// A decoded record.
#[derive(Debug, PartialEq)]
pub(crate) enum Record {
    Series(Vec<(SeriesRef, Labels)>),
    Samples(Vec<SampleRecord>),
    Metadata(Vec<FamilyMetadata>),
    /// A kind that this version does not read; its first byte.
    Unknown(u8),
}

/// Encodes records into one buffer that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct RecordWriter {
    buf: Vec<u8>,
}

impl RecordWriter {
    /// A record of series.
    pub(crate) fn series<'a>(&mut self, series: impl Iterator<Item = (SeriesRef, &'a Labels)>) -> &[u8] {
        self.start(SERIES);
        for (id, labels) in series {
            self.buf.extend_from_slice(&id.0.to_be_bytes());
            varint::push_uvarint(&mut self.buf, labels.len() as u64);
            for (name, value) in labels.iter() {
                self.text(name);
                self.text(value);
            }
        }
        &self.buf
    }

    /// A record of samples, which must not be empty.
    pub(crate) fn samples(&mut self, samples: impl Iterator<Item = SampleRecord>) -> &[u8] {
        self.start(SAMPLES);
        let mut first = None;
        for SampleRecord { series, sample } in samples {
            let (id0, t0) = *first.get_or_insert_with(|| {
                self.buf.extend_from_slice(&series.0.to_be_bytes());
                self.buf.extend_from_slice(&sample.t.to_be_bytes());
                (series.0, sample.t)
            });
            varint::push_varint(&mut self.buf, series.0.wrapping_sub(id0).cast_signed());
            varint::push_varint(&mut self.buf, sample.t.wrapping_sub(t0));
            self.buf.extend_from_slice(&sample.v.to_bits().to_be_bytes());
        }
        &self.buf
    }

    /// A record of family metadata.
    pub(crate) fn metadata<'a>(&mut self, families: impl Iterator<Item = &'a FamilyMetadata>) -> &[u8] {
        self.start(FAMILY_METADATA);
        for FamilyMetadata { project, family, metadata } in families {
            for text in [project.as_str(), family, metadata.kind.as_str(), &metadata.help, &metadata.unit] {
                self.text(text);
            }
        }
        &self.buf
    }

    fn start(&mut self, kind: u8) {
        self.buf.clear();
        self.buf.push(kind);
    }

    fn text(&mut self, text: &str) {
        varint::push_uvarint(&mut self.buf, text.len() as u64);
        self.buf.extend_from_slice(text.as_bytes());
    }
}

/// Decodes one record. Errors say what is wrong with it; the checksum was right, so such a record was written wrong.
pub(super) fn decode(bytes: &[u8]) -> Result<Record, &'static str> {
    let (kind, rest) = bytes.split_first().ok_or("empty record")?;
    let mut r = Reader(rest);
    match *kind {
        SERIES => series(&mut r).map(Record::Series),
        SAMPLES => samples(&mut r).map(Record::Samples),
        FAMILY_METADATA => metadata(&mut r).map(Record::Metadata),
        other => Ok(Record::Unknown(other)),
    }
}

fn series(r: &mut Reader<'_>) -> Result<Vec<(SeriesRef, Labels)>, &'static str> {
    let (mut all, mut builder) = (Vec::new(), LabelsBuilder::default());
    while !r.0.is_empty() {
        let id = SeriesRef(r.u64()?);
        builder.clear();
        for _ in 0..r.uvarint()? {
            let name = r.text()?;
            builder.set(name, r.text()?);
        }
        all.push((id, builder.build()));
    }
    Ok(all)
}

fn samples(r: &mut Reader<'_>) -> Result<Vec<SampleRecord>, &'static str> {
    if r.0.is_empty() {
        return Ok(Vec::new());
    }
    let (id0, t0) = (r.u64()?, r.u64()?.cast_signed());
    // The shortest sample is ten bytes.
    let mut all = Vec::with_capacity(r.0.len() / 10);
    while !r.0.is_empty() {
        let series = SeriesRef(id0.wrapping_add(r.varint()?.cast_unsigned()));
        let t = t0.wrapping_add(r.varint()?);
        all.push(SampleRecord { series, sample: Sample { t, v: f64::from_bits(r.u64()?) } });
    }
    Ok(all)
}

fn metadata(r: &mut Reader<'_>) -> Result<Vec<FamilyMetadata>, &'static str> {
    let mut all = Vec::new();
    while !r.0.is_empty() {
        let project = ProjectId::parse(r.text()?).map_err(|_| "bad project id")?;
        let family = r.text()?.to_owned();
        let kind = MetricKind::parse(r.text()?);
        let metadata = Metadata { kind, help: r.text()?.to_owned(), unit: r.text()?.to_owned() };
        all.push(FamilyMetadata { project, family, metadata });
    }
    Ok(all)
}

/// Takes fields off the front of a record.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], &'static str> {
        let (head, rest) = self.0.split_at_checked(len).ok_or("record cut short")?;
        self.0 = rest;
        Ok(head)
    }

    fn u64(&mut self) -> Result<u64, &'static str> {
        let bytes = self.take(8)?;
        Ok(u64::from_be_bytes(bytes.try_into().map_err(|_| "record cut short")?))
    }

    fn uvarint(&mut self) -> Result<u64, &'static str> {
        let (value, rest) = varint::split_uvarint(self.0).ok_or("number cut short or too long")?;
        self.0 = rest;
        Ok(value)
    }

    fn varint(&mut self) -> Result<i64, &'static str> {
        let (value, rest) = varint::split_varint(self.0).ok_or("number cut short or too long")?;
        self.0 = rest;
        Ok(value)
    }

    fn text(&mut self) -> Result<&'a str, &'static str> {
        let len = usize::try_from(self.uvarint()?).map_err(|_| "text too long")?;
        std::str::from_utf8(self.take(len)?).map_err(|_| "text is not UTF-8")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back() {
        let mut w = RecordWriter::default();
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "node")]);
        let bytes = w.series([(SeriesRef(7), &labels), (SeriesRef(u64::MAX), &Labels::empty())].into_iter()).to_vec();
        let expect = Record::Series(vec![(SeriesRef(7), labels), (SeriesRef(u64::MAX), Labels::empty())]);
        assert_eq!(decode(&bytes), Ok(expect));

        let all: Vec<_> = [(9, i64::MAX, 1.5), (1, i64::MIN, -0.0), (u64::MAX, 0, f64::INFINITY)]
            .map(|(id, t, v)| SampleRecord { series: SeriesRef(id), sample: Sample { t, v } })
            .to_vec();
        assert_eq!(decode(w.samples(all.iter().copied())), Ok(Record::Samples(all)));

        let family = FamilyMetadata {
            project: ProjectId::default_project(),
            family: "up".into(),
            metadata: Metadata { kind: MetricKind::Gauge, help: "is it\nup?".into(), unit: String::new() },
        };
        assert_eq!(decode(w.metadata([&family].into_iter())), Ok(Record::Metadata(vec![family])));
    }

    #[test]
    fn a_record_cut_anywhere_is_refused_or_shorter() {
        let mut w = RecordWriter::default();
        let labels = Labels::from_pairs([("__name__", "up"), ("job", "node")]);
        let bytes = w.series([(SeriesRef(7), &labels), (SeriesRef(8), &labels)].into_iter()).to_vec();
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut]) {
                Ok(Record::Series(series)) => assert!(series.len() < 2),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {}
            }
        }
    }
}
