//! Records to bytes: the records of one commit, one behind the other.

use model::{CUSTOM_BUCKETS_SCHEMA, Labels, MatchOp, Matcher, SampleValue, TimeRange, Timestamp};

use super::{
    ExemplarRecord, FamilyMetadata, HistogramRecord, SampleRecord, SeriesRef, StartRecord, TombstoneRecord, histogram,
    kind,
};
use crate::chunk::varint;

/// The encoded records of one commit, in a buffer that is used again and again.
///
/// A method given nothing to say adds no record.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Where each record ends in `bytes`.
    ends: Vec<usize>,
    /// How many of them change what a query answers.
    changes: usize,
}

impl Records {
    /// Forgets the records and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.changes = 0;
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Each record.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// Whether a part of the records must not be replayed without the others.
    pub(crate) fn belong_together(&self) -> bool {
        1 < self.changes
    }

    /// Says that these records, which must be the last ones that are added, are one commit.
    pub(crate) fn commit_header(&self) -> Vec<u8> {
        let mut header = vec![kind::COMMIT];
        varint::push_uvarint(&mut header, self.ends.len() as u64);
        header
    }

    /// Descriptions of series.
    pub(crate) fn series<'a>(&mut self, series: impl IntoIterator<Item = (SeriesRef, &'a Labels)>) {
        self.each(kind::SERIES, series, |bytes, (id, labels)| {
            bytes.extend_from_slice(&id.0.to_be_bytes());
            push_labels(bytes, labels);
        });
    }

    /// Float samples.
    pub(crate) fn samples(&mut self, samples: impl IntoIterator<Item = SampleRecord>) {
        let samples = samples.into_iter().map(|s| (s.series, s.sample.t, s.sample.v));
        self.changes += usize::from(self.each_at(kind::SAMPLES, samples, push_float));
    }

    /// Native histograms, each kind of them in a record of its own.
    pub(crate) fn histograms(&mut self, histograms: &[HistogramRecord]) {
        let kinds = [
            (kind::HISTOGRAMS, true, false),
            (kind::FLOAT_HISTOGRAMS, false, false),
            (kind::CUSTOM_HISTOGRAMS, true, true),
            (kind::CUSTOM_FLOAT_HISTOGRAMS, false, true),
        ];
        for (kind, integers, custom) in kinds {
            let of_kind = histograms.iter().filter_map(|record| match &record.value {
                SampleValue::Histogram(h) if integers => Some((record.series, record.t, h)),
                SampleValue::FloatHistogram(h) if !integers => Some((record.series, record.t, h)),
                _ => None,
            });
            let of_kind = of_kind.filter(|(.., h)| (h.schema == CUSTOM_BUCKETS_SCHEMA) == custom);
            let added = self.each_at(kind, of_kind, |bytes, h| histogram::push(bytes, h, integers));
            self.changes += usize::from(added);
        }
    }

    /// Exemplars.
    pub(crate) fn exemplars<'a>(&mut self, exemplars: impl IntoIterator<Item = &'a ExemplarRecord>) {
        let exemplars = exemplars.into_iter().map(|e| (e.series, e.exemplar.t, &e.exemplar));
        let added = self.each_at(kind::EXEMPLARS, exemplars, |bytes, exemplar| {
            push_float(bytes, exemplar.v);
            push_labels(bytes, &exemplar.labels);
        });
        self.changes += usize::from(added);
    }

    /// Deletions.
    pub(crate) fn tombstones(&mut self, tombstones: impl IntoIterator<Item = TombstoneRecord>) {
        let added = self.each(kind::TOMBSTONES, tombstones, |bytes, tombstone| {
            bytes.extend_from_slice(&tombstone.series.0.to_be_bytes());
            varint::push_varint(bytes, tombstone.range.mint);
            varint::push_varint(bytes, tombstone.range.maxt);
        });
        self.changes += usize::from(added);
    }

    /// A deletion by matchers.
    pub(crate) fn deletion(&mut self, sets: &[Vec<Matcher>], range: TimeRange) {
        let added = self.each(kind::DELETION, [range], |bytes, range| {
            varint::push_varint(bytes, range.mint);
            varint::push_varint(bytes, range.maxt);
            for set in sets {
                varint::push_uvarint(bytes, set.len() as u64);
                for matcher in set {
                    bytes.push(match_op(matcher.op()));
                    push_text(bytes, matcher.name());
                    push_text(bytes, matcher.value());
                }
            }
        });
        self.changes += usize::from(added);
    }

    /// Start timestamps.
    pub(crate) fn starts(&mut self, starts: impl IntoIterator<Item = StartRecord>) {
        let added = self.each(kind::STARTS, starts, |bytes, record| {
            bytes.extend_from_slice(&record.series.0.to_be_bytes());
            varint::push_varint(bytes, record.from);
            varint::push_varint(bytes, record.start);
        });
        self.changes += usize::from(added);
    }

    /// Metadata of families.
    pub(crate) fn metadata<'a>(&mut self, families: impl IntoIterator<Item = &'a FamilyMetadata>) {
        self.each(kind::FAMILY_METADATA, families, |bytes, FamilyMetadata { project, family, metadata }| {
            for text in [project.as_str(), family, metadata.kind.as_str(), &metadata.help, &metadata.unit] {
                push_text(bytes, text);
            }
        });
    }

    /// Adds a record that says `push` for each item. Returns whether there was one.
    fn each<T>(&mut self, kind: u8, items: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut Vec<u8>, T)) -> bool {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return false;
        }
        self.bytes.push(kind);
        items.for_each(|item| push(&mut self.bytes, item));
        self.ends.push(self.bytes.len());
        true
    }

    /// The same for what belongs to a series and a time: both are written as distances from those of the first.
    fn each_at<T>(
        &mut self,
        kind: u8,
        items: impl IntoIterator<Item = (SeriesRef, Timestamp, T)>,
        mut push: impl FnMut(&mut Vec<u8>, T),
    ) -> bool {
        let mut first = None;
        self.each(kind, items, |bytes, (series, t, item)| {
            let (id0, t0) = *first.get_or_insert_with(|| {
                bytes.extend_from_slice(&series.0.to_be_bytes());
                bytes.extend_from_slice(&t.to_be_bytes());
                (series.0, t)
            });
            varint::push_varint(bytes, series.0.wrapping_sub(id0).cast_signed());
            varint::push_varint(bytes, t.wrapping_sub(t0));
            push(bytes, item);
        })
    }
}

/// The record that says up to where a segment is durable.
pub(in crate::wal) fn end(segment: u64, len: u64) -> Vec<u8> {
    [&[kind::END][..], &segment.to_be_bytes(), &len.to_be_bytes()].concat()
}

fn match_op(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

pub(super) fn push_float(bytes: &mut Vec<u8>, v: f64) {
    bytes.extend_from_slice(&v.to_bits().to_be_bytes());
}

fn push_labels(bytes: &mut Vec<u8>, labels: &Labels) {
    varint::push_uvarint(bytes, labels.len() as u64);
    for (name, value) in labels.iter() {
        push_text(bytes, name);
        push_text(bytes, value);
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    varint::push_uvarint(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}
