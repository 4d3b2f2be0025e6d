//! What most of a log consists of, descriptions of series and float samples, checked whole and read item by item.

use model::{Labels, Sample, Timestamp};

use super::decode::Reader;
use super::{SampleRecord, SeriesRef, kind};

/// Labels of one series: far above what any ingest allows, so that sorting them is soon done.
const LABELS_MAX: u64 = 4096;
const WITHOUT_NAME: &str = "a label without a name";
/// Every so many samples it is noted where the next one begins.
const MARK_EVERY: usize = 64;

/// Descriptions of series.
///
/// Invariant: `bytes` was read to its end once.
#[derive(Debug, PartialEq)]
pub(crate) struct Descriptions {
    bytes: Box<[u8]>,
}

/// The labels of a description, not yet made: mostly they are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawLabels<'a> {
    count: u64,
    /// From the first name on; what follows the last value is not of these labels.
    bytes: &'a [u8],
}

/// Reads labels, in memory that it uses again.
#[derive(Debug, Default)]
pub(super) struct LabelsMaker<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    buf: String,
}

impl Descriptions {
    pub(super) fn read(record: &[u8]) -> Result<Descriptions, &'static str> {
        let mut r = Reader(record);
        while !r.0.is_empty() {
            r.u64()?;
            let (count, mut texts) = (label_count(&mut r)?, Reader(r.0));
            for _ in 0..count {
                if r.bytes()?.is_empty() {
                    return Err(WITHOUT_NAME);
                }
                r.bytes()?;
            }
            // Nearly all are plain, lengths included, which is soon seen of all together.
            let is_plain = texts.0[..texts.0.len() - r.0.len()].is_ascii();
            for _ in 0..if is_plain { 0 } else { 2 * count } {
                texts.text()?;
            }
        }
        Ok(Descriptions { bytes: record.into() })
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SeriesRef, RawLabels<'_>)> {
        let mut r = Reader(&self.bytes);
        std::iter::from_fn(move || {
            let id = SeriesRef(r.u64().ok()?);
            let count = r.uvarint().ok()?;
            let labels = RawLabels { count, bytes: r.0 };
            for _ in 0..2 * count {
                r.bytes().ok()?;
            }
            Some((id, labels))
        })
    }
}

/// Hands each series that `record`, one of descriptions, describes to `take`, as long as that returns something.
pub(crate) fn each_described(record: &[u8], mut take: impl FnMut(SeriesRef, Labels) -> Option<()>) -> Option<()> {
    let mut r = Reader(record.strip_prefix(&[kind::SERIES])?);
    let mut maker = LabelsMaker::default();
    while !r.0.is_empty() {
        take(SeriesRef(r.u64().ok()?), maker.take(&mut r).ok()?)?;
    }
    Some(())
}

impl RawLabels<'_> {
    /// Whether they are `labels`, written in their order; in another order they may be the same nevertheless.
    pub(crate) fn are(&self, labels: &Labels) -> bool {
        let mut r = Reader(self.bytes);
        let mut texts = labels.iter().flat_map(|(name, value)| [name, value]);
        let all = (0..2 * self.count)
            .all(|_| texts.next().is_some_and(|text| r.bytes().is_ok_and(|bytes| bytes == text.as_bytes())));
        all && texts.next().is_none()
    }

    /// The labels.
    pub(crate) fn labels(&self) -> Labels {
        LabelsMaker::default().pairs(&mut Reader(self.bytes), self.count).unwrap_or_else(|_| Labels::empty())
    }
}

fn label_count(r: &mut Reader<'_>) -> Result<u64, &'static str> {
    let count = r.uvarint()?;
    if count <= LABELS_MAX { Ok(count) } else { Err("too many labels") }
}

impl<'a> LabelsMaker<'a> {
    pub(super) fn take(&mut self, r: &mut Reader<'a>) -> Result<Labels, &'static str> {
        let count = label_count(r)?;
        self.pairs(r, count)
    }

    fn pairs(&mut self, r: &mut Reader<'a>, count: u64) -> Result<Labels, &'static str> {
        self.pairs.clear();
        for _ in 0..count {
            let (name, value) = (r.text()?, r.text()?);
            if name.is_empty() {
                return Err(WITHOUT_NAME);
            }
            self.pairs.push((name, value));
        }
        let is_sorted = self.pairs.is_sorted_by(|(a, _), (b, _)| a < b);
        if is_sorted && self.pairs.iter().all(|(_, value)| !value.is_empty()) {
            return Ok(Labels::from_sorted(self.pairs.iter().copied(), &mut self.buf));
        }
        Ok(Labels::from_pairs(self.pairs.iter().copied()))
    }
}

/// What a record of float samples says, apart from the samples, which are read where they stand.
#[derive(Debug, PartialEq)]
pub(crate) struct Floats {
    /// Whose they are: the number of the first series, and how many with the next numbers follow.
    pub(crate) series: Vec<(SeriesRef, u32)>,
    pub(crate) len: usize,
    pub(crate) newest: Timestamp,
    /// Where in the record the first sample begins, and every one after so many.
    marks: Vec<u32>,
}

/// A place between the samples of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The samples before it.
    pub(crate) samples: usize,
    /// Where in the record it is; 0 for the first sample.
    pos: u32,
}

/// Float samples of a record, one by one.
pub(crate) struct FloatReader<'a> {
    rest: Reader<'a>,
    first: (u64, Timestamp),
}

impl Floats {
    /// Takes note of a record, without its first byte.
    pub(super) fn read(record: &[u8]) -> Result<Floats, &'static str> {
        let mut floats = Floats { series: Vec::new(), len: 0, newest: Timestamp::MIN, marks: Vec::new() };
        let mut reader = FloatReader::start(record, Mark::default()).ok_or("record cut short")?;
        let (mut first, mut next) = (0, 0);
        while !reader.is_done() {
            if floats.len.is_multiple_of(MARK_EVERY) {
                let pos = record.len() - reader.rest.0.len();
                floats.marks.push(u32::try_from(pos).map_err(|_| "record too long")?);
            }
            let (SeriesRef(id), t, _) = reader.rest.sample(reader.first)?;
            if id != next || floats.len == 0 {
                floats.end_run(first, next);
                first = id;
            }
            next = id.wrapping_add(1);
            floats.newest = floats.newest.max(t);
            floats.len += 1;
        }
        floats.end_run(first, next);
        Ok(floats)
    }

    fn end_run(&mut self, first: u64, next: u64) {
        if let Ok(len @ 1..) = u32::try_from(next.wrapping_sub(first)) {
            self.series.push((SeriesRef(first), len));
        }
    }

    /// The last mark that is not behind the sample at `idx`.
    pub(crate) fn mark(&self, idx: usize) -> Mark {
        let nth = idx / MARK_EVERY;
        self.marks.get(nth).map_or(Mark::default(), |pos| Mark { samples: nth * MARK_EVERY, pos: *pos })
    }
}

impl<'a> FloatReader<'a> {
    /// Begins to read `record`, without its first byte, at `mark`. One without a byte has no samples.
    pub(in crate::wal) fn start(record: &'a [u8], mark: Mark) -> Option<FloatReader<'a>> {
        let mut rest = Reader(record);
        if record.is_empty() {
            return Some(FloatReader { rest, first: (0, 0) });
        }
        let first = (rest.u64().ok()?, rest.u64().ok()?.cast_signed());
        if 0 < mark.pos {
            rest = Reader(record.get(mark.pos as usize..)?);
        }
        Some(FloatReader { rest, first })
    }

    fn is_done(&self) -> bool {
        self.rest.0.is_empty()
    }

    /// The next sample; nothing at the end.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<SampleRecord> {
        let (series, t, bits) = self.rest.sample(self.first).ok()?;
        Some(SampleRecord { series, sample: Sample { t, v: f64::from_bits(bits) } })
    }
}
