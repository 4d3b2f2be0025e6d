//! A decompressed message of either version, walked once: samples become a column, the rest stays bytes until asked.

use std::ops::Range;

use model::{Exemplar, LabelsBuilder, Sample, SampleValue, StartRun, Timestamp};

use super::labels::{read_labels, set_labels, show};
use super::metadata::{FamilyMetadata, SeriesFamily};
use super::symbols::Symbols;
use super::{BodyLimits, LabelLimits, WriteMessage, exemplar, histogram, v1, v2};
use crate::field::Cursor;
use crate::{ExemplarFault, HistogramFault, LabelError, LabelFault, WireError};

/// Bytes that a series with one sample takes in the field; sizes the first allocation.
const SERIES_BYTES_TYPICAL: usize = 256;

/// A well-formed request: a malformed one is refused as a whole, so that nothing of it is stored.
///
/// Shape: a column of samples and an extent for each series, two allocations for a whole request of version 1.0; 2.0
/// adds columns of symbols and of references to them.
/// Cost: one pass over the message. Labels, histograms and exemplars are only checked to be well-formed: whether they
/// are acceptable is decided for one series at a time, by [`TimeSeries`].
#[derive(Debug)]
pub struct WriteRequest<'a> {
    pub(super) message: WriteMessage,
    pub(super) body: &'a [u8],
    pub(super) limits: LabelLimits,
    pub(super) series: Vec<Extent>,
    pub(super) samples: Vec<Sample>,
    /// Since when the sample at the same index counts, 0 where that is not known; may be shorter than `samples`.
    pub(super) starts: Vec<Timestamp>,
    /// Label fields of the series whose labels lie scattered, put together.
    pub(super) gathered: Vec<u8>,
    pub(super) symbols: Symbols<'a>,
    /// References to symbols, of one series after the other.
    pub(super) refs: Vec<u32>,
    /// Descriptions in messages of their own.
    pub(super) metadata: Vec<&'a [u8]>,
    /// Descriptions that came with series.
    pub(super) families: Vec<SeriesFamily>,
    n_exemplars: usize,
    n_histograms: usize,
}

/// Where one series lies.
#[derive(Debug)]
pub(super) struct Extent {
    /// In what `labels_at` names.
    pub(super) labels: Range<u32>,
    pub(super) labels_at: LabelsAt,
    pub(super) samples: Range<u32>,
    /// The whole message in `body`: exemplars and histograms are read from it when asked for.
    pub(super) message: Range<u32>,
    pub(super) n_exemplars: u32,
    pub(super) n_histograms: u32,
}

/// What holds a series' labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LabelsAt {
    /// Label fields in the body.
    Body,
    /// Label fields in `gathered`.
    Gathered,
    /// References, all of them to symbols.
    Refs,
    /// References that no series may have: one leads nowhere or is without its pair, or they are too many or resolve
    /// to too much. What exactly is found out when the labels are asked for.
    RefusedRefs,
}

/// A field of the request.
pub(super) enum Field {
    Symbol,
    Series,
    Metadata,
    Other,
}

impl<'a> WriteRequest<'a> {
    /// Walks over the message in `body`; `take_field` takes one field, or names what is malformed.
    #[inline]
    pub(super) fn walk(
        message: WriteMessage,
        body: &'a [u8],
        limits: &BodyLimits,
        take_field: impl Fn(&mut Self, &mut Cursor<'a>) -> Result<Field, &'static str>,
    ) -> Result<WriteRequest<'a>, WireError> {
        let bytes_max = limits.decompressed_bytes_max.min(u32::MAX as usize);
        if body.len() > bytes_max {
            return Err(WireError::TooLarge { declared: body.len() as u64, limit: bytes_max as u64 });
        }
        let n_guess = body.len() / SERIES_BYTES_TYPICAL;
        let mut request = WriteRequest {
            message,
            body,
            limits: limits.labels,
            series: Vec::with_capacity(n_guess.min(limits.series_max)),
            samples: Vec::with_capacity(n_guess.min(limits.samples_max)),
            starts: Vec::new(),
            gathered: Vec::new(),
            symbols: Symbols::new(body),
            refs: Vec::new(),
            metadata: Vec::new(),
            families: Vec::new(),
            n_exemplars: 0,
            n_histograms: 0,
        };
        let mut cursor = Cursor::new(body);
        while !cursor.is_at_end() {
            let offset = cursor.pos();
            let field = take_field(&mut request, &mut cursor).map_err(|what| WireError::Malformed { what, offset })?;
            request.check_counts(field, limits)?;
        }
        Ok(request)
    }

    /// The series, in the order sent; one may appear several times.
    pub fn series(&self) -> impl ExactSizeIterator<Item = TimeSeries<'_>> {
        self.series.iter().map(|extent| TimeSeries { request: self, extent })
    }

    /// The descriptions of metric families, those of 2.0 each once; those without a usable name are left out.
    pub fn metadata(&self) -> impl Iterator<Item = FamilyMetadata<'a>> {
        let limit = self.limits.name_bytes_max;
        let own = self.metadata.iter().filter_map(move |message| FamilyMetadata::read(message, limit));
        own.chain(self.families.iter().filter_map(move |family| family.resolve(&self.symbols, limit)))
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

    #[inline]
    pub(super) fn push_series(&mut self, extent: Extent) {
        self.n_exemplars += extent.n_exemplars as usize;
        self.n_histograms += extent.n_histograms as usize;
        self.series.push(extent);
    }

    /// Checks what grew by the last field; a field can add no more than its own bytes, so memory stays bounded.
    fn check_counts(&self, grown: Field, limits: &BodyLimits) -> Result<(), WireError> {
        let (what, n, limit) = match grown {
            Field::Other => return Ok(()),
            Field::Symbol => ("symbols", self.symbols.len(), limits.symbols_max),
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
    pub fn heap_bytes(&self) -> usize {
        self.series.capacity() * size_of::<Extent>()
            + self.samples.capacity() * size_of::<Sample>()
            + self.starts.capacity() * size_of::<Timestamp>()
            + self.metadata.capacity() * size_of::<&[u8]>()
            + self.families.capacity() * size_of::<SeriesFamily>()
            + self.refs.capacity() * size_of::<u32>()
            + self.symbols.heap_bytes()
            + self.gathered.capacity()
    }
}

/// One series of a request.
#[derive(Clone, Copy, Debug)]
pub struct TimeSeries<'a> {
    request: &'a WriteRequest<'a>,
    extent: &'a Extent,
}

impl<'a> TimeSeries<'a> {
    /// The label fields as 1.0 sends them: equal bytes are equal labels, so a sender's series is known again by
    /// hashing them, in whichever version it comes.
    ///
    /// Different bytes may still be equal labels: in another order, or with empty values. Labels of 2.0 are written
    /// out to `buf`, which keeps its memory for the next series; those that no series may have are no bytes at all.
    #[inline]
    pub fn raw_labels<'b>(&self, buf: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        match self.extent.labels_at {
            LabelsAt::Body => self.request.body.get(as_usize(&self.extent.labels)).unwrap_or_default(),
            LabelsAt::Gathered => self.request.gathered.get(as_usize(&self.extent.labels)).unwrap_or_default(),
            LabelsAt::Refs => {
                buf.clear();
                self.request.symbols.write_labels(self.refs(), buf);
                buf
            }
            LabelsAt::RefusedRefs => &[],
        }
    }

    /// Replaces `into` by the labels, sorted and without those of empty value.
    ///
    /// Errors: labels that no series may have; `into` is then empty.
    pub fn labels(&self, into: &mut LabelsBuilder) -> Result<(), LabelError> {
        let limits = &self.request.limits;
        match self.extent.labels_at {
            LabelsAt::Body | LabelsAt::Gathered => read_labels(self.raw_labels(&mut Vec::new()), limits, into),
            LabelsAt::Refs => set_labels(self.request.symbols.pairs(self.refs()), limits, into),
            LabelsAt::RefusedRefs => {
                into.clear();
                let pairs = self.request.symbols.pairs(self.refs());
                match self.bad_ref() {
                    Some(fault) => Err(LabelError { series: show(pairs), fault }),
                    None => set_labels(pairs, limits, into),
                }
            }
        }
    }

    fn refs(&self) -> &'a [u32] {
        self.request.refs.get(as_usize(&self.extent.labels)).unwrap_or_default()
    }

    /// The reference that leads nowhere or is without its pair, if there is one.
    #[cold]
    fn bad_ref(&self) -> Option<LabelFault> {
        let labels = self.request.symbols.check(self.refs()).err();
        let described = || {
            let mut family = SeriesFamily::default();
            self.messages(v2::METADATA, u32::MAX).try_for_each(|message| v2::read_family(message, &mut family));
            self.request.check_family(&family).err()
        };
        labels.or_else(described)
    }

    /// The float samples, in the order sent.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + DoubleEndedIterator + use<'a> {
        self.request.samples.get(as_usize(&self.extent.samples)).unwrap_or_default().iter().copied()
    }

    /// The native histograms, in the order sent, each checked on its own.
    ///
    /// Finer resolutions than are stored are reduced; integer counts beyond 2^53 become floats.
    pub fn histograms(&self) -> impl Iterator<Item = Result<(Timestamp, SampleValue), HistogramFault>> + use<'a> {
        self.histogram_messages().map(histogram::decode)
    }

    /// The exemplars, in the order sent, each checked on its own; one sent without a time has that of the series'
    /// last sample.
    pub fn exemplars(&self) -> impl Iterator<Item = Result<Exemplar, ExemplarFault>> + use<'a> {
        let t = if self.extent.n_exemplars == 0 { 0 } else { self.last_t() };
        let (tag, symbols) = match self.request.message {
            WriteMessage::V1 => (v1::EXEMPLAR, None),
            WriteMessage::V2 => (v2::EXEMPLAR, Some(&self.request.symbols)),
        };
        self.messages(tag, self.extent.n_exemplars).map(move |message| {
            let mut exemplar = exemplar::decode(message, symbols)?;
            if exemplar.t == 0 {
                exemplar.t = t;
            }
            Ok(exemplar)
        })
    }

    /// Since when the samples and histograms count, as far as 2.0 told: a step wherever that changes in the order
    /// sent. Nothing if it was told of none; a 0 where it is not known although the request tells it of other samples.
    pub fn starts(&self) -> impl Iterator<Item = StartRun> + use<'a> {
        let request = self.request;
        let floats = self.extent.samples.clone().map(|at| at as usize).filter(|_| !request.starts.is_empty());
        let floats = floats.map(|at| {
            let t = request.samples.get(at).map_or(0, |sample| sample.t);
            StartRun { from: t, start: request.starts.get(at).copied().unwrap_or(0) }
        });
        let has_starts = request.message == WriteMessage::V2;
        let created = if has_starts && self.has_histograms() { self.created() } else { 0 };
        let histograms = self.histogram_messages().filter(move |_| has_starts).map(move |message| {
            let (from, start) = histogram::times(message);
            StartRun { from, start: if start == 0 { created } else { start } }
        });
        // What was told of the series before ends where a request that tells starts has none.
        let mut last = request.starts.is_empty().then_some(0);
        floats.chain(histograms).filter(move |run| last.replace(run.start) != Some(run.start))
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

    fn histogram_messages(&self) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        let tag = match self.request.message {
            WriteMessage::V1 => v1::HISTOGRAM,
            WriteMessage::V2 => v2::HISTOGRAM,
        };
        self.messages(tag, self.extent.n_histograms)
    }

    /// The first `n` messages in fields `tag`; with 0 of them the series' bytes are not looked at again.
    fn messages(&self, tag: u32, n: u32) -> impl Iterator<Item = Cursor<'a>> + use<'a> {
        let mut cursor = self.cursor();
        let mut next = move || loop {
            let found = cursor.tag()?;
            if found == tag {
                return cursor.message();
            }
            cursor.skip(found)?;
        };
        (0..n).map_while(move |_| next())
    }

    fn cursor(&self) -> Cursor<'a> {
        Cursor::new(self.request.body.get(as_usize(&self.extent.message)).unwrap_or_default())
    }

    /// Since when the whole series counts, as senders before 2.0-rc.4 told it.
    fn created(&self) -> Timestamp {
        let (mut cursor, mut created) = (self.cursor(), 0);
        while let Some(tag) = cursor.tag() {
            let read = if tag == v2::CREATED { cursor.int64().map(|t| created = t) } else { cursor.skip(tag) };
            if read.is_none() {
                break;
            }
        }
        created
    }

    /// The time of the last sample or histogram, 0 without any.
    fn last_t(&self) -> Timestamp {
        let sample = self.samples().map(|sample| sample.t).next_back();
        let histogram = self.histogram_messages().map(|message| histogram::times(message).0);
        sample.into_iter().chain(histogram).max().unwrap_or(0)
    }
}

/// Whether the fields are well-formed; those inside them are looked at when someone asks.
pub(super) fn check_fields(mut message: Cursor<'_>) -> Option<()> {
    while !message.is_at_end() {
        let tag = message.tag()?;
        message.skip(tag)?;
    }
    Some(())
}

#[expect(clippy::cast_possible_truncation, reason = "a body is at most u32::MAX bytes, checked by `parse`")]
#[inline]
pub(super) fn as_u32(range: Range<usize>) -> Range<u32> {
    range.start as u32..range.end as u32
}

#[inline]
fn as_usize(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
