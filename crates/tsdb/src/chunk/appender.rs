//! An open chunk of any encoding, and whole runs of samples cut into chunks.

use model::{Sample, SampleValue, TimeRange, Timestamp};

use super::histogram::{HistogramAppender, Whole};
use super::xor::XorValue;
use super::{EncodedChunk, Encoding, SAMPLES_PER_CHUNK, XorAppender, XorState, num_samples};

/// A chunk of histograms this long is full, if it has some samples: each may be long, and all of a chunk are decoded
/// together. Source: Prometheus `tsdb/chunkenc/chunk.go`, `TargetBytesPerHistogramChunk`.
const HISTOGRAM_CHUNK_BYTES: usize = 1024;
/// Samples that a chunk of histograms has at least when it is full. Source: the same, `MinSamplesPerHistogramChunk`.
const HISTOGRAMS_PER_CHUNK_MIN: u16 = 10;

/// A chunk that grows, whatever its samples are.
///
/// Invariants: it has at least one sample; [`ChunkAppender::bytes`] is a whole chunk at every moment.
#[derive(Clone, Debug)]
pub struct ChunkAppender {
    kind: Kind,
}

/// Q: Why are the histograms' appenders boxed? A: nearly all series are floats; they must not pay for the others' size.
#[derive(Clone, Debug)]
enum Kind {
    Xor(XorAppender),
    Histogram(Box<HistogramAppender<Whole>>),
    FloatHistogram(Box<HistogramAppender<XorValue>>),
}

impl ChunkAppender {
    /// A chunk of one sample, in the encoding of its kind; nothing is known of the samples before it.
    pub fn start(t: Timestamp, value: &SampleValue) -> ChunkAppender {
        let kind = match value {
            SampleValue::Float(v) => {
                let mut xor = XorAppender::new();
                xor.append(t, *v);
                Kind::Xor(xor)
            }
            SampleValue::Histogram(h) => Kind::Histogram(Box::new(HistogramAppender::start(t, h))),
            SampleValue::FloatHistogram(h) => Kind::FloatHistogram(Box::new(HistogramAppender::start(t, h))),
        };
        ChunkAppender { kind }
    }

    /// Goes on behind the last sample of a chunk that has one or more; nothing if an appender would not make such a chunk.
    /// Cost: decodes it, and encodes histograms anew.
    pub(crate) fn resume(encoding: Encoding, bytes: &[u8]) -> Option<ChunkAppender> {
        if encoding == Encoding::Xor {
            return Some(ChunkAppender { kind: Kind::Xor(XorAppender::resume(bytes.to_vec()).ok()?) });
        }
        let samples = super::samples(encoding, bytes, TimeRange::ALL).ok()?;
        let ((t, first), others) = samples.split_first()?;
        let mut chunk = ChunkAppender::start(*t, first);
        others.iter().all(|(t, value)| chunk.append(*t, value)).then_some(chunk)
    }

    /// What an appender of floats knows beside its bytes and its last sample, which is `last`; `None` if it is another one.
    pub(crate) fn state(&self, last: Sample) -> Option<XorState> {
        let Kind::Xor(xor) = &self.kind else { return None };
        let same = |own: Sample| own.t == last.t && own.v.to_bits() == last.v.to_bits();
        xor.last().filter(|own| same(*own)).and_then(|_| xor.state())
    }

    /// Goes on as such an appender did; `None` if that cannot be. Cost: copies `bytes` and decodes nothing.
    pub(crate) fn go_on(bytes: &[u8], last: Sample, state: XorState) -> Option<ChunkAppender> {
        XorAppender::go_on(bytes, last, state).map(|xor| ChunkAppender { kind: Kind::Xor(xor) })
    }

    /// A chunk of one sample that follows this one: a chunk of histograms notes whether a counter was reset between.
    pub fn following(&self, t: Timestamp, value: &SampleValue) -> ChunkAppender {
        let kind = match (&self.kind, value) {
            (Kind::Histogram(open), SampleValue::Histogram(h)) => Kind::Histogram(Box::new(open.following(t, h))),
            (Kind::FloatHistogram(open), SampleValue::FloatHistogram(h)) => {
                Kind::FloatHistogram(Box::new(open.following(t, h)))
            }
            _ => return ChunkAppender::start(t, value),
        };
        ChunkAppender { kind }
    }

    /// Whether the next sample should begin a new chunk; nothing breaks if it does not.
    #[inline]
    pub fn is_full(&self) -> bool {
        let samples = self.num_samples();
        match &self.kind {
            Kind::Xor(_) => SAMPLES_PER_CHUNK <= samples,
            Kind::Histogram(_) | Kind::FloatHistogram(_) => {
                let is_long = HISTOGRAM_CHUNK_BYTES <= self.bytes().len();
                SAMPLES_PER_CHUNK <= samples || is_long && HISTOGRAMS_PER_CHUNK_MIN <= samples
            }
        }
    }

    /// Adds a sample after all others. Returns whether the chunk could take it; if not the chunk is as before, and the
    /// sample needs [`ChunkAppender::following`].
    ///
    /// Panics: when 65,535 samples are in it; whoever appends cuts chunks long before.
    #[inline]
    pub fn append(&mut self, t: Timestamp, value: &SampleValue) -> bool {
        match (&mut self.kind, value) {
            (Kind::Xor(xor), SampleValue::Float(v)) => {
                xor.append(t, *v);
                true
            }
            (Kind::Histogram(open), SampleValue::Histogram(h)) => open.append(t, h),
            (Kind::FloatHistogram(open), SampleValue::FloatHistogram(h)) => open.append(t, h),
            _ => false,
        }
    }

    /// Adds float samples after all others, as [`ChunkAppender::append`] would: as many as follow each other in time, are
    /// older than `end`, and fit a chunk that is not full. Returns how many; the next one may still be a good one.
    #[inline]
    pub(crate) fn extend(&mut self, floats: &[Sample], end: Timestamp) -> usize {
        match &mut self.kind {
            Kind::Xor(xor) => xor.extend(floats, end, SAMPLES_PER_CHUNK).into(),
            Kind::Histogram(_) | Kind::FloatHistogram(_) => 0,
        }
    }

    /// How its bytes are encoded.
    pub fn encoding(&self) -> Encoding {
        match &self.kind {
            Kind::Xor(_) => Encoding::Xor,
            Kind::Histogram(_) => Encoding::Histogram,
            Kind::FloatHistogram(_) => Encoding::FloatHistogram,
        }
    }

    /// The number of samples.
    #[inline]
    pub fn num_samples(&self) -> u16 {
        num_samples(self.bytes())
    }

    /// When the newest sample was taken.
    #[inline]
    pub fn last_t(&self) -> Timestamp {
        match &self.kind {
            Kind::Xor(xor) => xor.last_t(),
            Kind::Histogram(open) => open.last_t(),
            Kind::FloatHistogram(open) => open.last_t(),
        }
    }

    /// The chunk as it is now.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Xor(xor) => xor.bytes(),
            Kind::Histogram(open) => open.bytes(),
            Kind::FloatHistogram(open) => open.bytes(),
        }
    }

    /// Ends the chunk and gives its bytes away, without spare memory.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.kind {
            Kind::Xor(xor) => xor.into_bytes(),
            Kind::Histogram(open) => open.into_bytes(),
            Kind::FloatHistogram(open) => open.into_bytes(),
        }
    }
}

/// Encodes ascending samples: a chunk ends when it is full, and before a sample that it cannot take.
pub fn encode(samples: impl IntoIterator<Item = (Timestamp, SampleValue)>) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    let mut open: Option<(Timestamp, ChunkAppender)> = None;
    for (t, value) in samples {
        if let Some((mint, chunk)) = &mut open {
            if !chunk.is_full() && chunk.append(t, &value) {
                continue;
            }
            let next = chunk.following(t, &value);
            chunks.push(finish(*mint, std::mem::replace(chunk, next)));
            *mint = t;
        } else {
            open = Some((t, ChunkAppender::start(t, &value)));
        }
    }
    chunks.extend(open.map(|(mint, chunk)| finish(mint, chunk)));
    chunks
}

fn finish(mint: Timestamp, chunk: ChunkAppender) -> EncodedChunk {
    let (maxt, encoding) = (chunk.last_t(), chunk.encoding());
    EncodedChunk { mint, maxt, encoding, bytes: chunk.into_bytes() }
}
