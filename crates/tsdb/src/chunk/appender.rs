//! An open chunk of any encoding, and whole runs of samples cut into chunks.

use model::{SampleValue, Timestamp};

use super::{EncodedChunk, Encoding, SAMPLES_PER_CHUNK, XorAppender};

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
            SampleValue::Histogram(_) | SampleValue::FloatHistogram(_) => {
                unreachable!("histograms are not in the head yet")
            }
        };
        ChunkAppender { kind }
    }

    /// A chunk of one sample that follows this one: a chunk of histograms notes whether a counter was reset between.
    pub fn following(&self, t: Timestamp, value: &SampleValue) -> ChunkAppender {
        ChunkAppender::start(t, value)
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
            _ => false,
        }
    }

    /// How its bytes are encoded.
    pub fn encoding(&self) -> Encoding {
        match &self.kind {
            Kind::Xor(_) => Encoding::Xor,
        }
    }

    /// The number of samples.
    #[inline]
    pub fn num_samples(&self) -> u16 {
        match &self.kind {
            Kind::Xor(xor) => xor.num_samples(),
        }
    }

    /// When the newest sample was taken.
    #[inline]
    pub fn last_t(&self) -> Timestamp {
        match &self.kind {
            Kind::Xor(xor) => xor.last_t(),
        }
    }

    /// The chunk as it is now.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match &self.kind {
            Kind::Xor(xor) => xor.bytes(),
        }
    }

    /// Ends the chunk and gives its bytes away, without spare memory.
    pub fn into_bytes(self) -> Vec<u8> {
        match self.kind {
            Kind::Xor(xor) => xor.into_bytes(),
        }
    }
}

/// Encodes ascending samples: a chunk ends when it is full, and before a sample that it cannot take.
pub fn encode(samples: impl IntoIterator<Item = (Timestamp, SampleValue)>) -> Vec<EncodedChunk> {
    let mut chunks = Vec::new();
    let mut open: Option<(Timestamp, ChunkAppender)> = None;
    for (t, value) in samples {
        if let Some((mint, chunk)) = &mut open {
            if chunk.num_samples() < SAMPLES_PER_CHUNK && chunk.append(t, &value) {
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
