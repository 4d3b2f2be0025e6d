//! The streamed answer: frames of chunks as they are stored, each with its length and checksum.
//!
//! ```text
//! +------------------+---------------------------+---------------------------+
//! | uvarint len      | u32 BE, CRC-32C of data   | data: ChunkedReadResponse |
//! +------------------+---------------------------+---------------------------+
//! ```

use model::{Labels, Timestamp};

use super::response::push_labels;
use crate::field::{bytes_tag, push_bytes, push_int64, push_tag, push_varint, varint_len, varint_tag};

const SERIES: u32 = bytes_tag(1);
const QUERY_INDEX: u32 = varint_tag(2);

const CHUNK: u32 = bytes_tag(2);

const CHUNK_MINT: u32 = varint_tag(1);
const CHUNK_MAXT: u32 = varint_tag(2);
const CHUNK_TYPE: u32 = varint_tag(3);
const CHUNK_BYTES: u32 = bytes_tag(4);

/// A frame is full with so many bytes; its last chunk may exceed them. Source: Prometheus,
/// `storage.remote.read-max-bytes-in-frame`.
pub const FRAME_BYTES_TYPICAL: usize = 1 << 20;

/// The encodings that readers of the protocol know; the numbers are those of chunks on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkEncoding {
    /// Floats.
    Xor = 1,
    /// Native histograms with integer counts.
    Histogram = 2,
    /// Native histograms with float counts.
    FloatHistogram = 3,
}

impl ChunkEncoding {
    /// The encoding with this number on disk; others exist, and readers fail on them.
    pub fn from_byte(byte: u8) -> Option<ChunkEncoding> {
        match byte {
            1 => Some(ChunkEncoding::Xor),
            2 => Some(ChunkEncoding::Histogram),
            3 => Some(ChunkEncoding::FloatHistogram),
            _ => None,
        }
    }
}

/// A chunk as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadChunk<'a> {
    /// How `bytes` are to be read.
    pub encoding: ChunkEncoding,
    /// Its first timestamp.
    pub mint: Timestamp,
    /// Its last timestamp, inside.
    pub maxt: Timestamp,
    /// The chunk without length and checksum.
    pub bytes: &'a [u8],
}

/// Appends the frames of one series of the query at `query_idx`, no frame if it has no chunk.
///
/// Chunks have to come in order of time and must not overlap: a reader without deduplication would skip samples. The
/// series of a query have to come sorted by labels.
pub fn push_frames<'a>(
    query_idx: usize,
    labels: &Labels,
    chunks: impl IntoIterator<Item = ReadChunk<'a>>,
    into: &mut Vec<u8>,
) {
    let mut series = Vec::new();
    push_labels(labels, &mut series);
    let labels_len = series.len();
    let mut last_maxt = None;
    for chunk in chunks {
        debug_assert!(last_maxt < Some(chunk.mint) && chunk.mint <= chunk.maxt, "chunks must ascend without overlap");
        last_maxt = Some(chunk.maxt);
        push_chunk(&chunk, &mut series);
        if series.len() >= FRAME_BYTES_TYPICAL {
            push_frame(query_idx, &series, into);
            series.truncate(labels_len);
        }
    }
    if series.len() > labels_len {
        push_frame(query_idx, &series, into);
    }
}

fn push_chunk(chunk: &ReadChunk<'_>, into: &mut Vec<u8>) {
    let number = |v: Timestamp| if v == 0 { 0 } else { 1 + varint_len(v.cast_unsigned()) };
    let bytes_len = chunk.bytes.len();
    let len = number(chunk.mint) + number(chunk.maxt) + 3 + varint_len(bytes_len as u64) + bytes_len;
    push_tag(CHUNK, into);
    push_varint(len as u64, into);
    let start = into.len();
    push_int64(CHUNK_MINT, chunk.mint, into);
    push_int64(CHUNK_MAXT, chunk.maxt, into);
    push_int64(CHUNK_TYPE, chunk.encoding as i64, into);
    push_bytes(CHUNK_BYTES, chunk.bytes, into);
    debug_assert_eq!(into.len() - start, len, "a chunk is as long as it says");
}

fn push_frame(query_idx: usize, series: &[u8], into: &mut Vec<u8>) {
    let mut message = Vec::with_capacity(series.len() + 16);
    push_bytes(SERIES, series, &mut message);
    if query_idx != 0 {
        push_tag(QUERY_INDEX, &mut message);
        push_varint(query_idx as u64, &mut message);
    }
    push_varint(message.len() as u64, into);
    into.extend_from_slice(&crc32c::crc32c(&message).to_be_bytes());
    into.extend_from_slice(&message);
}
