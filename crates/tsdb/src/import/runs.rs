//! One series being imported: its samples as chunks, each inside one block range, in the order they came.

use model::{BlockRange, Labels, SampleValue, TimeRange, Timestamp};

use crate::block::BlockError;
use crate::chunk::{self, ChunkAppender, EncodedChunk, Encoding};
use crate::options::BLOCK_MS;

/// The samples of one series in memory.
pub(super) struct SeriesRuns {
    labels: Labels,
    sealed: Vec<EncodedChunk>,
    open: Option<OpenChunk>,
}

struct OpenChunk {
    mint: Timestamp,
    /// Where its block range ends.
    end: Timestamp,
    chunk: ChunkAppender,
}

impl SeriesRuns {
    pub(super) fn new(labels: Labels) -> SeriesRuns {
        SeriesRuns { labels, sealed: Vec::new(), open: None }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Adds a sample. Returns the bytes by which its memory grew, nearly.
    #[inline]
    pub(super) fn push(&mut self, t: Timestamp, value: &SampleValue) -> usize {
        let next = match &mut self.open {
            Some(open) if open.chunk.last_t() < t && t < open.end => {
                if !open.chunk.is_full() && open.chunk.append(t, value) {
                    return 0;
                }
                open.chunk.following(t, value)
            }
            _ => ChunkAppender::start(t, value),
        };
        let grown = self.seal();
        self.open = Some(OpenChunk { mint: t, end: BlockRange::around(t, BLOCK_MS).end, chunk: next });
        grown
    }

    fn seal(&mut self) -> usize {
        let Some(OpenChunk { mint, chunk, .. }) = self.open.take() else { return 0 };
        let (maxt, encoding) = (chunk.last_t(), chunk.encoding());
        let bytes = chunk.into_bytes();
        let grown = bytes.len() + size_of::<EncodedChunk>();
        self.sealed.push(EncodedChunk { mint, maxt, encoding, bytes });
        grown
    }

    pub(super) fn into_parts(mut self) -> SeriesParts {
        self.seal();
        SeriesParts::new(self.labels, self.sealed)
    }
}

/// The chunks of one series, to be taken range by range.
pub(super) struct SeriesParts {
    labels: Labels,
    /// The latest range first; inside one in the order they came.
    parts: Vec<(Timestamp, Vec<EncodedChunk>)>,
}

impl SeriesParts {
    fn new(labels: Labels, chunks: Vec<EncodedChunk>) -> SeriesParts {
        let mut parts = SeriesParts { labels, parts: Vec::new() };
        parts.insert(chunks);
        parts
    }

    fn insert(&mut self, chunks: Vec<EncodedChunk>) {
        for chunk in chunks {
            let start = BlockRange::around(chunk.mint, BLOCK_MS).start;
            match self.parts.binary_search_by(|(other, _)| start.cmp(other)) {
                Ok(at) => self.parts[at].1.push(chunk),
                Err(at) => self.parts.insert(at, (start, vec![chunk])),
            }
        }
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Adds the chunks of the same series, known under another key.
    pub(super) fn absorb(&mut self, mut runs: SeriesRuns) {
        runs.seal();
        self.insert(runs.sealed);
    }

    /// The starts of the block ranges in which it has samples.
    pub(super) fn starts(&self) -> impl Iterator<Item = Timestamp> {
        self.parts.iter().map(|(start, _)| *start)
    }

    /// Takes the chunks of the range that starts at `start`; ranges are taken in ascending order.
    pub(super) fn take(&mut self, start: Timestamp) -> Vec<EncodedChunk> {
        match self.parts.last() {
            Some((first, _)) if *first == start => self.parts.pop().map_or_else(Vec::new, |(_, chunks)| chunks),
            _ => Vec::new(),
        }
    }
}

/// The chunks of one series ascending and without overlap. Of samples at one time the one in the first chunk stays.
pub(super) fn join(mut chunks: Vec<EncodedChunk>) -> Result<Vec<EncodedChunk>, BlockError> {
    let ascend = |chunks: &[EncodedChunk]| chunks.windows(2).all(|pair| pair[0].maxt < pair[1].mint);
    if ascend(&chunks) {
        return Ok(chunks);
    }
    // A chunk of histograms tells whether there was a reset since the one before it, so those cannot change places.
    if chunks.iter().all(|chunk| chunk.encoding == Encoding::Xor) {
        let mut sorted: Vec<usize> = (0..chunks.len()).collect();
        sorted.sort_by_key(|idx| chunks[*idx].mint);
        if sorted.windows(2).all(|pair| chunks[pair[0]].maxt < chunks[pair[1]].mint) {
            chunks.sort_by_key(|chunk| chunk.mint);
            return Ok(chunks);
        }
    }
    let mut samples = Vec::new();
    for chunk in &chunks {
        let decoded = chunk::samples(chunk.encoding, &chunk.bytes, TimeRange::ALL);
        samples.extend(decoded.map_err(|e| BlockError::invalid(e.to_string()))?);
    }
    // Stable: of equal times the first one stays.
    samples.sort_by_key(|(t, _)| *t);
    samples.dedup_by_key(|(t, _)| *t);
    Ok(chunk::encode(samples))
}
