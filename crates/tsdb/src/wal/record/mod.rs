//! What the records say: series, samples of every kind, exemplars, deletions, metadata; bytes as Prometheus writes them.

mod decode;
mod encode;
mod histogram;
mod raw;

use hashbrown::HashSet;
use model::{Exemplar, Matcher, Metadata, ProjectId, Sample, SampleValue, TimeRange, Timestamp};

pub(crate) use decode::decode;
pub(super) use decode::decode_end;
pub(crate) use encode::Records;
pub(super) use encode::end;
pub(crate) use raw::{Descriptions, FloatReader, Floats, Mark, RawLabels, each_described};

/// The first byte of a record. Source: Prometheus `tsdb/record/record.go`, `Type`; those from 128 on are our own, which
/// Prometheus skips as it skips every type it does not know.
mod kind {
    pub(super) const SERIES: u8 = 1;
    pub(super) const SAMPLES: u8 = 2;
    pub(super) const TOMBSTONES: u8 = 3;
    pub(super) const EXEMPLARS: u8 = 4;
    pub(super) const SERIES_METADATA: u8 = 6;
    pub(super) const HISTOGRAMS: u8 = 7;
    pub(super) const FLOAT_HISTOGRAMS: u8 = 8;
    pub(super) const CUSTOM_HISTOGRAMS: u8 = 9;
    pub(super) const CUSTOM_FLOAT_HISTOGRAMS: u8 = 10;
    pub(super) const FAMILY_METADATA: u8 = 128;
    pub(super) const STARTS: u8 = 129;
    pub(super) const COMMIT: u8 = 130;
    pub(super) const END: u8 = 131;
    pub(super) const DELETION: u8 = 132;
}

/// A series' number in the log, never used twice in one data directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SeriesRef(pub(crate) u64);

/// One float sample as the log has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SampleRecord {
    pub(crate) series: SeriesRef,
    pub(crate) sample: Sample,
}

/// One native histogram as the log has it; `value` is no float.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistogramRecord {
    pub(crate) series: SeriesRef,
    pub(crate) t: Timestamp,
    pub(crate) value: SampleValue,
}

/// One exemplar of a series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExemplarRecord {
    pub(crate) series: SeriesRef,
    pub(crate) exemplar: Exemplar,
}

/// A deletion: what the series had inside `range` when the record was written is gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TombstoneRecord {
    pub(crate) series: SeriesRef,
    pub(crate) range: TimeRange,
}

/// A deletion by matchers: what the series that satisfy one of `sets` had inside `range` when the record was written is
/// gone, whether the head had it then or a block.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DeletionRecord {
    pub(crate) sets: Vec<Vec<Matcher>>,
    pub(crate) range: TimeRange,
}

/// One step of a series' start timestamps: samples at or after `from` count since `start`.
///
/// Written when it changes, and with the description of the series in each segment, since segments are read alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StartRecord {
    pub(crate) series: SeriesRef,
    pub(crate) from: Timestamp,
    pub(crate) start: Timestamp,
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
    Series(Descriptions),
    /// Read where they stand.
    Samples(Floats),
    Histograms(Vec<HistogramRecord>),
    Exemplars(Vec<ExemplarRecord>),
    Tombstones(Vec<TombstoneRecord>),
    Deletion(DeletionRecord),
    Starts(Vec<StartRecord>),
    /// Metadata of families, as we write it.
    Metadata(Vec<FamilyMetadata>),
    /// Metadata of single series, as Prometheus writes it.
    SeriesMetadata(Vec<(SeriesRef, Metadata)>),
    /// So many records that follow are one commit.
    Commit(u64),
    /// The first `len` bytes of `segment`, this one or the one before, are durable. What that one has behind them was
    /// not, and is repeated here if it was in the log.
    End {
        segment: u64,
        len: u64,
    },
    /// A kind that this version has no use for; its first byte.
    Skipped(u8),
}

/// Adds the series that a record says something of, apart from describing them.
pub(super) fn mentioned(record: &[u8], into: &mut HashSet<SeriesRef>) {
    match decode(record) {
        Ok(Record::Samples(floats)) => {
            let each = |(first, len): (SeriesRef, u32)| (0..u64::from(len)).map(move |i| first.0.wrapping_add(i));
            into.extend(floats.series.into_iter().flat_map(each).map(SeriesRef));
        }
        Ok(Record::Histograms(all)) => into.extend(all.iter().map(|record| record.series)),
        Ok(Record::Exemplars(all)) => into.extend(all.iter().map(|record| record.series)),
        Ok(Record::Tombstones(all)) => into.extend(all.iter().map(|record| record.series)),
        Ok(Record::Starts(all)) => into.extend(all.iter().map(|record| record.series)),
        Ok(_) | Err(_) => {}
    }
}

#[cfg(test)]
mod tests;
