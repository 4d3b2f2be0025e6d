//! What a series had at one moment: shared chunks, copied late samples, and since when its samples count.

use std::sync::Arc;

use model::{Columns, SampleValue, StartRun, TimeRange, Timestamp};

use super::chunk_files::MappedChunk;
use crate::chunk::{self, ChunkError, EncodedChunk, Encoding};

/// An encoded chunk that no longer changes.
#[derive(Clone, Debug)]
pub(crate) struct HeadChunk {
    pub(crate) range: TimeRange,
    pub(crate) encoding: Encoding,
    pub(super) body: Body,
}

/// Where the bytes of a chunk are.
#[derive(Clone, Debug)]
pub(super) enum Body {
    Memory(Arc<[u8]>),
    Mapped(MappedChunk),
}

impl HeadChunk {
    /// A chunk in memory.
    pub(super) fn new(range: TimeRange, encoding: Encoding, bytes: &[u8]) -> HeadChunk {
        HeadChunk { range, encoding, body: Body::Memory(bytes.into()) }
    }

    /// A chunk in a file.
    pub(super) fn mapped(range: TimeRange, encoding: Encoding, mapped: MappedChunk) -> HeadChunk {
        HeadChunk { range, encoding, body: Body::Mapped(mapped) }
    }

    /// Whether the bytes are in a head image.
    pub(super) fn is_in_image(&self) -> bool {
        matches!(&self.body, Body::Mapped(mapped) if mapped.place().0.is_none())
    }

    /// The encoded samples.
    ///
    /// Errors: damage in a head chunk file, which is noted as a finding.
    pub(crate) fn bytes(&self) -> Result<&[u8], ChunkError> {
        match &self.body {
            Body::Memory(bytes) => Ok(bytes),
            Body::Mapped(mapped) => mapped.bytes(self.range),
        }
    }

    /// The number of encoded bytes.
    pub(crate) fn len(&self) -> usize {
        match &self.body {
            Body::Memory(bytes) => bytes.len(),
            Body::Mapped(mapped) => mapped.len(),
        }
    }

    /// Appends the samples inside `range` to `into`, which is as before if the bytes are damaged.
    pub(crate) fn decode(&self, range: TimeRange, into: &mut Columns) -> Result<(), ChunkError> {
        chunk::decode(self.encoding, self.bytes()?, range, into)
    }

    /// The samples inside `range`, each of its kind.
    pub(crate) fn samples(&self, range: TimeRange) -> Result<Vec<(Timestamp, SampleValue)>, ChunkError> {
        chunk::samples(self.encoding, self.bytes()?, range)
    }
}

impl From<EncodedChunk> for HeadChunk {
    fn from(chunk: EncodedChunk) -> HeadChunk {
        let range = TimeRange { mint: chunk.mint, maxt: chunk.maxt };
        HeadChunk { range, encoding: chunk.encoding, body: Body::Memory(chunk.bytes.into()) }
    }
}

/// A copy of what a series had at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// Ascending, not overlapping.
    pub(crate) chunks: Vec<HeadChunk>,
    /// Ascending; at other times than those in `chunks`.
    pub(crate) late: Vec<(Timestamp, SampleValue)>,
    /// Since when the samples count, as far as it was told.
    pub(crate) starts: Vec<StartRun>,
}

impl Snapshot {
    /// Whether there is no sample.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.late.is_empty()
    }

    /// The newest timestamp in it.
    pub(crate) fn maxt(&self) -> Option<Timestamp> {
        let in_order = self.chunks.last().map(|chunk| chunk.range.maxt);
        in_order.max(self.late.last().map(|(t, _)| *t))
    }

    /// From the first sample of its chunks to the last one.
    pub(super) fn range_of_chunks(&self) -> Option<TimeRange> {
        Some(TimeRange { mint: self.chunks.first()?.range.mint, maxt: self.chunks.last()?.range.maxt })
    }
}
