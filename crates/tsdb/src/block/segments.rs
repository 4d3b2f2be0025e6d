//! Chunk segments: the files of a block that hold its chunks, one behind the other.

use std::borrow::Cow;
use std::collections::BTreeMap;

use disk::Dir;

use super::error::BlockError;
use super::file::BlockFile;
use super::output::Output;
use crate::chunk::{EncodedChunk, Encoding, varint};

/// The directory inside the block.
const CHUNKS_DIR: &str = "chunks";
const MAGIC: u32 = 0x85BD_40DD;
const VERSION: u8 = 1;
/// Magic, version, and three zeros.
const HEADER_BYTES: usize = 8;
/// Source: Prometheus `tsdb/chunks/chunks.go`, `DefaultChunkSegmentSize`.
const SEGMENT_BYTES_MAX: u64 = 512 << 20;
/// The longest length, the encoding and the checksum around a chunk's bytes.
const FRAME_BYTES_MAX: u64 = 5 + 1 + 4;

/// A segment's file name; segments are counted from 0, their names from 1.
fn segment_name(segment: u64) -> String {
    format!("{:06}", segment + 1)
}

/// Writes the chunks of one block.
pub(crate) struct SegmentWriter {
    dir: Dir,
    segment: u64,
    output: Output,
    frame: Vec<u8>,
    bytes_max: u64,
}

impl SegmentWriter {
    /// Starts the first segment inside `block`.
    pub(crate) fn create(block: &Dir) -> Result<SegmentWriter, BlockError> {
        SegmentWriter::with_limit(block, SEGMENT_BYTES_MAX)
    }

    fn with_limit(block: &Dir, bytes_max: u64) -> Result<SegmentWriter, BlockError> {
        let dir = block.sub(CHUNKS_DIR)?;
        let output = new_segment(&dir, 0)?;
        Ok(SegmentWriter { dir, segment: 0, output, frame: Vec::new(), bytes_max })
    }

    /// Adds a chunk and returns its reference.
    pub(crate) fn append(&mut self, chunk: &EncodedChunk) -> Result<u64, BlockError> {
        if self.bytes_max < self.output.pos() + chunk.bytes.len() as u64 + FRAME_BYTES_MAX {
            self.segment += 1;
            let full = std::mem::replace(&mut self.output, new_segment(&self.dir, self.segment)?);
            full.finish()?;
        }
        let reference = (self.segment << 32) | self.output.pos();
        self.frame.clear();
        varint::push_uvarint(&mut self.frame, chunk.bytes.len() as u64);
        self.output.put(&self.frame)?;
        self.output.start_checksum();
        self.output.put(&[chunk.encoding.byte()])?;
        self.output.put(&chunk.bytes)?;
        self.output.put_checksum()?;
        Ok(reference)
    }

    /// Makes all segments and their names durable.
    pub(crate) fn finish(self) -> Result<(), BlockError> {
        self.output.finish()?;
        Ok(self.dir.sync()?)
    }
}

fn new_segment(dir: &Dir, segment: u64) -> Result<Output, BlockError> {
    let mut output = Output::create(dir, &segment_name(segment))?;
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC.to_be_bytes());
    header[4] = VERSION;
    output.put(&header)?;
    Ok(output)
}

/// The chunk segments of one block, mapped.
#[derive(Debug)]
pub(crate) struct Segments {
    /// The block, as errors call it.
    name: String,
    /// By the upper half of a chunk's reference.
    files: BTreeMap<u64, BlockFile>,
    /// What is wrong with headers; chunks have checksums of their own.
    damages: Vec<BlockError>,
}

impl Segments {
    /// Maps the segments of the block that errors call `name`, and checks their headers.
    pub(crate) fn open(block: &Dir, name: &str) -> Result<Segments, BlockError> {
        let mut segments = Segments { name: name.to_owned(), files: BTreeMap::new(), damages: Vec::new() };
        if block.list()?.iter().any(|entry| entry.is_dir && entry.name == CHUNKS_DIR) {
            let dir = block.sub(CHUNKS_DIR)?;
            for entry in dir.list()? {
                let Some(segment) = segment_number(&entry.name) else { continue };
                let file = BlockFile::map(&dir, &entry.name, segments.path(segment))?;
                match check_header(&file) {
                    Err(error @ BlockError::Corrupt { .. }) => segments.damages.push(error),
                    checked => checked?,
                }
                segments.files.insert(segment, file);
            }
        }
        Ok(segments)
    }

    /// What is wrong with the headers of segments, whose chunks may all be well.
    pub(crate) fn damages(&self) -> &[BlockError] {
        &self.damages
    }

    fn path(&self, segment: u64) -> String {
        format!("{}/{CHUNKS_DIR}/{}", self.name, segment_name(segment))
    }

    /// The error that the chunk at `reference` is not what it should be.
    pub(crate) fn corrupt(&self, reference: u64, what: impl Into<Cow<'static, str>>) -> BlockError {
        let (file, offset) = (self.path(reference >> 32), reference & u64::from(u32::MAX));
        BlockError::Corrupt { file, offset, what: what.into() }
    }

    /// The chunk at `reference`, its checksum verified.
    pub(crate) fn chunk(&self, reference: u64) -> Result<(Encoding, &[u8]), BlockError> {
        let offset = reference & u64::from(u32::MAX);
        let Some(file) = self.files.get(&(reference >> 32)) else {
            return Err(self.corrupt(reference, "the segment of the chunk is missing"));
        };
        let Some((checked, crc)) = split_frame(file.tail(offset)) else {
            return Err(file.corrupt(offset, "the chunk does not fit the file"));
        };
        if crc32c::crc32c(checked) != crc {
            return Err(file.corrupt(offset, "the chunk's checksum does not match"));
        }
        let Some((encoding, bytes)) = checked.split_first() else {
            return Err(file.corrupt(offset, "the chunk has no encoding"));
        };
        match Encoding::from_byte(*encoding) {
            Some(encoding) => Ok((encoding, bytes)),
            None => Err(file.unsupported(offset, "chunk encoding", u64::from(*encoding))),
        }
    }
}

/// The segment that a file's name says.
fn segment_number(name: &str) -> Option<u64> {
    let segment = name.parse::<u64>().ok()?.checked_sub(1)?;
    (segment_name(segment) == name).then_some(segment)
}

/// Splits a chunk into what its checksum covers, encoding and data, and the checksum.
fn split_frame(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (len, rest) = varint::split_uvarint(bytes)?;
    let (checked, rest) = rest.split_at_checked(usize::try_from(len).ok()?.checked_add(1)?)?;
    Some((checked, u32::from_be_bytes(*rest.first_chunk()?)))
}

fn check_header(file: &BlockFile) -> Result<(), BlockError> {
    let Some(header) = file.bytes().first_chunk::<HEADER_BYTES>() else {
        return Err(file.corrupt(0, "the segment has no header"));
    };
    if header[..4] != MAGIC.to_be_bytes() {
        return Err(file.corrupt(0, "the file is no chunk segment"));
    }
    match header[4] {
        VERSION => Ok(()),
        version => Err(file.unsupported(4, "segment version", u64::from(version))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_segment_is_followed_by_another() {
        let tmp = tempfile::tempdir().unwrap();
        let block = Dir::open(tmp.path()).unwrap();
        let mut writer = SegmentWriter::with_limit(&block, 200).unwrap();
        let chunks: Vec<EncodedChunk> = (0..20)
            .map(|i: u8| EncodedChunk { mint: 0, maxt: 0, encoding: Encoding::Xor, bytes: vec![i; usize::from(i) * 5] })
            .collect();
        let references: Vec<u64> = chunks.iter().map(|chunk| writer.append(chunk).unwrap()).collect();
        writer.finish().unwrap();
        assert!(references.is_sorted() && references.last().unwrap() >> 32 > 3);
        let segments = Segments::open(&block, "b").unwrap();
        for (chunk, reference) in chunks.iter().zip(references.iter().copied()) {
            assert_eq!(segments.chunk(reference).unwrap(), (Encoding::Xor, &chunk.bytes[..]));
        }
        block.remove("chunks/000002").unwrap();
        let segments = Segments::open(&block, "b").unwrap();
        for (chunk, reference) in chunks.iter().zip(references) {
            match reference >> 32 {
                1 => assert_eq!(
                    segments.chunk(reference).unwrap_err().to_string(),
                    format!("b/chunks/000002 at byte {}: the segment of the chunk is missing", reference & 0xffff_ffff)
                ),
                _ => assert_eq!(segments.chunk(reference).unwrap(), (Encoding::Xor, &chunk.bytes[..])),
            }
        }
    }

    #[test]
    fn an_encoding_of_the_future_is_named() {
        let tmp = tempfile::tempdir().unwrap();
        let block = Dir::open(tmp.path()).unwrap();
        let chunks = block.sub(CHUNKS_DIR).unwrap();
        let mut output = new_segment(&chunks, 0).unwrap();
        output.put(&[1]).unwrap();
        output.start_checksum();
        output.put(&[4, 0]).unwrap();
        output.put_checksum().unwrap();
        output.finish().unwrap();
        let error = Segments::open(&block, "b").unwrap().chunk(8).unwrap_err().to_string();
        assert_eq!(error, "b/chunks/000001 at byte 8: chunk encoding 4 is not supported");
    }
}
