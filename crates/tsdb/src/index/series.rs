//! A series as the index has it: its labels and where its chunks are.

use std::ops::Range;

use model::{Labels, TimeRange, Timestamp};

use super::Index;
use super::layout::SERIES_ALIGN;
use crate::block::file::BlockFile;
use crate::block::{BlockError, Decoded};
use crate::chunk::varint::{push_uvarint, push_varint, split_uvarint, split_varint};
use crate::gather;

/// Labels of one series, and bytes of all of them: a little above what any ingest allows. Few bytes of references can
/// name a long symbol over and over.
const LABELS_MAX: u64 = 4096;
const LABEL_BYTES_MAX: usize = 17 << 20;

/// Where a chunk is and when its samples were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkMeta {
    /// When its first sample was taken.
    pub mint: Timestamp,
    /// When its last sample was taken.
    pub maxt: Timestamp,
    /// Segment in the upper 32 bits, offset in the lower.
    pub reference: u64,
}

impl ChunkMeta {
    /// The closed range of its samples.
    pub fn range(&self) -> TimeRange {
        TimeRange { mint: self.mint, maxt: self.maxt }
    }
}

/// A series of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockSeries {
    /// Its place in the index: what tombstones and start timestamps call it.
    pub reference: u32,
    /// Its labels.
    pub labels: Labels,
    /// Its chunks: ascending and not overlapping.
    pub chunks: Box<[ChunkMeta]>,
    /// Of its labels.
    pub(crate) hash: u64,
    /// What is kept of its samples.
    pub(crate) decoded: Decoded,
}

impl BlockSeries {
    /// A series of a block.
    pub(crate) fn new(reference: u32, labels: Labels, chunks: Box<[ChunkMeta]>) -> BlockSeries {
        BlockSeries { reference, hash: gather::hash(&labels), labels, chunks, decoded: Decoded::default() }
    }

    /// The positions of the chunks that may have a sample inside `range`.
    pub(crate) fn chunks_in(&self, range: TimeRange) -> Range<usize> {
        let start = self.chunks.partition_point(|chunk| chunk.maxt < range.mint);
        let len = self.chunks[start..].partition_point(|chunk| chunk.mint <= range.maxt);
        start..start + len
    }

    /// Whether one of its chunks may have a sample inside `range`.
    pub fn overlaps(&self, range: TimeRange) -> bool {
        !self.chunks_in(range).is_empty()
    }

    /// Bytes that it takes in memory, nearly.
    pub(crate) fn size_bytes(&self) -> usize {
        size_of::<BlockSeries>() + self.labels.as_bytes().len() + size_of_val(&*self.chunks)
    }
}

/// Adds the chunk list of a series as an index holds it.
pub(super) fn push_chunks(into: &mut Vec<u8>, chunks: &[ChunkMeta]) {
    push_uvarint(into, chunks.len() as u64);
    let mut last: Option<ChunkMeta> = None;
    for chunk in chunks {
        match last {
            None => push_varint(into, chunk.mint),
            Some(last) => push_uvarint(into, chunk.mint.wrapping_sub(last.maxt).cast_unsigned()),
        }
        push_uvarint(into, chunk.maxt.wrapping_sub(chunk.mint).cast_unsigned());
        match last {
            None => push_uvarint(into, chunk.reference),
            Some(last) => push_varint(into, chunk.reference.wrapping_sub(last.reference).cast_signed()),
        }
        last = Some(*chunk);
    }
}

fn split_chunks(bytes: &[u8]) -> Option<Vec<ChunkMeta>> {
    let (count, mut rest) = split_uvarint(bytes)?;
    // A chunk takes 3 bytes or more: a count that cannot be true reserves nothing.
    let mut chunks: Vec<ChunkMeta> = Vec::with_capacity(usize::try_from(count).ok()?.min(rest.len() / 3));
    for _ in 0..count {
        let (mint, maxt, reference);
        match chunks.last() {
            None => {
                (mint, rest) = split_varint(rest)?;
                (maxt, rest) = split_uvarint(rest)?;
                (reference, rest) = split_uvarint(rest)?;
            }
            Some(last) => {
                let (gap, distance);
                (gap, rest) = split_uvarint(rest)?;
                mint = last.maxt.wrapping_add(gap.cast_signed());
                (maxt, rest) = split_uvarint(rest)?;
                (distance, rest) = split_varint(rest)?;
                reference = last.reference.wrapping_add(distance.cast_unsigned());
                if mint <= last.maxt {
                    return None;
                }
            }
        }
        let maxt = mint.wrapping_add(maxt.cast_signed());
        if maxt < mint {
            return None;
        }
        chunks.push(ChunkMeta { mint, maxt, reference });
    }
    Some(chunks)
}

/// Reads series one after the other, faster than each alone: neighbours in a sorted index share most symbols.
pub(crate) struct SeriesReader<'a> {
    index: &'a Index,
    /// Name and value of each label of the last series, by position, with their numbers.
    symbols: Vec<[(u32, &'a str); 2]>,
    buf: String,
}

impl<'a> SeriesReader<'a> {
    pub(super) fn new(index: &'a Index) -> SeriesReader<'a> {
        SeriesReader { index, symbols: Vec::new(), buf: String::new() }
    }

    /// Reads a series; its checksum is verified.
    pub(crate) fn read(&mut self, reference: u32) -> Result<BlockSeries, BlockError> {
        let file = &self.index.file;
        let offset = u64::from(reference) * SERIES_ALIGN;
        let Some((content, crc)) = split_entry(file.tail(offset)) else {
            return Err(file.corrupt(offset, "the series does not fit the file"));
        };
        if crc32c::crc32c(content) != crc {
            return Err(file.corrupt(offset, "the series' checksum does not match"));
        }
        let labels = self.split_labels(content);
        let Some((labels, chunks)) = labels.and_then(|(labels, rest)| Some((labels, split_chunks(rest)?))) else {
            return Err(file.corrupt(offset, "the series' labels or chunks are not in order"));
        };
        Ok(BlockSeries::new(reference, labels, chunks.into()))
    }

    fn split_labels<'b>(&mut self, content: &'b [u8]) -> Option<(Labels, &'b [u8])> {
        let (count, mut rest) = split_uvarint(content)?;
        if LABELS_MAX < count {
            return None;
        }
        let (mut last, mut len, mut bytes) = ("", 0, 0);
        for _ in 0..count {
            let (name, value);
            (name, rest) = split_uvarint(rest)?;
            (value, rest) = split_uvarint(rest)?;
            let name = self.symbol(len, 0, u32::try_from(name).ok()?)?;
            let value = self.symbol(len, 1, u32::try_from(value).ok()?)?;
            bytes += name.len() + value.len();
            if name <= last || value.is_empty() || LABEL_BYTES_MAX < bytes {
                return None;
            }
            last = name;
            len += 1;
        }
        let pairs = self.symbols[..len].iter().map(|[name, value]| (name.1, value.1));
        Some((Labels::from_sorted(pairs, &mut self.buf), rest))
    }

    /// Symbol `number`, which is the name (0) or value (1) of label `position`.
    fn symbol(&mut self, position: usize, part: usize, number: u32) -> Option<&'a str> {
        if let Some(known) = self.symbols.get(position).map(|label| label[part]).filter(|known| known.0 == number) {
            return Some(known.1);
        }
        let text = self.index.symbols.get(&self.index.file, number)?;
        if self.symbols.len() <= position {
            self.symbols.push([(number, text); 2]);
        }
        self.symbols[position][part] = (number, text);
        Some(text)
    }
}

/// Splits a series into its content and the checksum.
fn split_entry(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (len, rest) = split_uvarint(bytes)?;
    let (content, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((content, u32::from_be_bytes(*rest.first_chunk()?)))
}

/// Where the series at `reference` ends: nowhere but at its own start if it does not fit the file.
pub(super) fn entry_end(file: &BlockFile, reference: u32) -> u64 {
    let offset = u64::from(reference) * SERIES_ALIGN;
    let tail = file.tail(offset);
    let len = split_uvarint(tail).map_or(0, |(len, rest)| len.saturating_add((tail.len() - rest.len()) as u64 + 4));
    offset.saturating_add(len)
}
