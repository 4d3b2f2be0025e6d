//! What a series had at one moment: shared chunks, copied late samples, and since when its samples count.

use std::sync::Arc;

use model::{Columns, SampleValue, StartRun, TimeRange, Timestamp};

use crate::chunk::{self, ChunkError, EncodedChunk, Encoding};

/// An encoded chunk that no longer changes.
#[derive(Clone, Debug)]
pub(crate) struct HeadChunk {
    pub(crate) range: TimeRange,
    pub(crate) encoding: Encoding,
    pub(crate) bytes: Arc<[u8]>,
}

impl HeadChunk {
    /// Appends the samples inside `range` to `into`, which is as before if the bytes are damaged.
    pub(crate) fn decode(&self, range: TimeRange, into: &mut Columns) -> Result<(), ChunkError> {
        chunk::decode(self.encoding, &self.bytes, range, into)
    }

    /// The samples inside `range`, each of its kind.
    pub(crate) fn samples(&self, range: TimeRange) -> Result<Vec<(Timestamp, SampleValue)>, ChunkError> {
        chunk::samples(self.encoding, &self.bytes, range)
    }
}

impl From<EncodedChunk> for HeadChunk {
    fn from(chunk: EncodedChunk) -> HeadChunk {
        let range = TimeRange { mint: chunk.mint, maxt: chunk.maxt };
        HeadChunk { range, encoding: chunk.encoding, bytes: chunk.bytes.into() }
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
