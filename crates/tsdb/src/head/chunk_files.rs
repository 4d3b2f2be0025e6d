//! Head chunk files: sealed chunks out of the memory of the process, mapped from where the kernel may drop them.
//!
//! They are never the truth. The log is: what is found at a start is removed, and written anew as the log is replayed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use disk::{Dir, DiskError, Map};
use model::TimeRange;
use parking_lot::Mutex;

use super::series::Series;
use super::snapshot::Body;
use crate::chunk::{ChunkError, Encoding, varint};
use crate::integrity::{Finding, Findings};
use crate::wal::SeriesRef;

/// The directory of the files inside the data directory.
pub(crate) const CHUNKS_HEAD_DIR: &str = "chunks_head";
/// What a damaged chunk costs.
pub(crate) const LOST: &str = "samples of a series are missing until the next start reads them from the log";
/// A sample in a chunk has rarely more bytes than this: so many samples for each file are awaited before it is looked
/// whether there is enough for one.
const SAMPLE_BYTES: u64 = 32;

/// A file that is being written; a crash leaves it behind.
const TMP_SUFFIX: &str = ".tmp";
/// What each file starts with: magic, version 1, padding.
const HEADER: [u8; 8] = [0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
/// Series, first and last time, encoding: what is in front of a chunk's length.
const CHUNK_HEADER_BYTES: usize = 8 + 8 + 8 + 1;
/// The checksum behind a chunk.
const CRC_BYTES: usize = 4;

/// The files that there are, numbered without gaps.
#[derive(Debug)]
pub(crate) struct ChunkFiles {
    dir: Dir,
    findings: Findings,
    /// What a file has at least; the last chunks of a series may make it more.
    file_bytes: usize,
    files: Mutex<Files>,
    /// A chunk was found damaged: the log has samples that nothing else has any more.
    is_damaged: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Files {
    /// The number of the file that is written next.
    next: u64,
    /// Oldest first.
    mapped: VecDeque<Arc<ChunkFile>>,
}

#[derive(Debug)]
struct ChunkFile {
    number: u64,
    map: Map,
    findings: Findings,
    is_damaged: Arc<AtomicBool>,
}

/// A sealed chunk on its way into a file.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) series: SeriesRef,
    pub(super) range: TimeRange,
    pub(super) encoding: Encoding,
    pub(super) bytes: Arc<[u8]>,
}

/// A chunk in a file.
#[derive(Clone, Debug)]
pub(crate) struct MappedChunk {
    file: Arc<ChunkFile>,
    offset: u32,
    /// Bytes of the encoded samples.
    len: u32,
}

impl ChunkFiles {
    /// Removes the files that are in `dir`; new ones will have `file_bytes` of chunks or a bit more.
    pub(crate) fn open(dir: Dir, file_bytes: usize, findings: Findings) -> Result<ChunkFiles, DiskError> {
        for entry in dir.list()?.into_iter().filter(|entry| !entry.is_dir) {
            let number = entry.name.strip_suffix(TMP_SUFFIX).unwrap_or(&entry.name);
            if number.bytes().all(|byte| byte.is_ascii_digit()) {
                dir.remove(&entry.name)?;
            }
        }
        dir.sync()?;
        let files = Mutex::new(Files { next: 1, mapped: VecDeque::new() });
        Ok(ChunkFiles { dir, findings, file_bytes, files, is_damaged: Arc::default() })
    }

    /// Writes one file and maps it. Returns where each chunk is, in the order of `chunks`.
    ///
    /// The file is durable before it is mapped: the kernel must not find out later that it cannot write a page, when
    /// the only other copy is the log.
    pub(super) fn write(&self, chunks: &[Sealed]) -> Result<Vec<MappedChunk>, DiskError> {
        let mut bytes = HEADER.to_vec();
        let places: Vec<(u32, u32)> = chunks.iter().map(|chunk| push(chunk, &mut bytes)).collect();
        let mut files = self.files.lock();
        let number = files.next;
        let name = name(number);
        if let Err(e) = self.dir.replace(&name, &bytes) {
            // What was written of it takes room that others, such as the log, need more.
            self.dir.remove(&format!("{name}{TMP_SUFFIX}"))?;
            self.dir.remove(&name)?;
            return Err(e);
        }
        // Whatever comes of the map, the name is taken.
        files.next += 1;
        let map = self.dir.map(&name)?;
        let (findings, is_damaged) = (self.findings.clone(), self.is_damaged.clone());
        let file = Arc::new(ChunkFile { number, map, findings, is_damaged });
        files.mapped.push_back(file.clone());
        Ok(places.into_iter().map(|(offset, len)| MappedChunk { file: file.clone(), offset, len }).collect())
    }

    /// After so many samples sealed chunks may have enough for a file.
    pub(super) fn samples_per_file(&self) -> u64 {
        self.file_bytes as u64 / SAMPLE_BYTES
    }

    /// Removes the oldest files as long as no chunk in them is in use; newer ones wait for them.
    pub(crate) fn remove_unused(&self) -> Result<(), DiskError> {
        let mut files = self.files.lock();
        // Nobody else can make one more of a reference that is the only one.
        while let Some(oldest) = files.mapped.front().filter(|file| Arc::strong_count(file) == 1) {
            self.dir.remove(&name(oldest.number))?;
            files.mapped.pop_front();
        }
        Ok(())
    }

    /// Whether a chunk was found damaged since the start. As long as it is so the log must be kept whole: the next start
    /// reads from it what the chunk had.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged.load(Relaxed)
    }
}

/// Moves sealed chunks of `series` into files. What does not fill one waits for more.
pub(super) fn offload<'a>(
    files: &ChunkFiles,
    series: impl IntoIterator<Item = &'a Arc<Series>>,
) -> Result<(), DiskError> {
    let (mut gathered, mut len) = (Vec::new(), 0);
    for series in series {
        for chunk in series.sealed_in_memory() {
            let Body::Memory(bytes) = chunk.body else { continue };
            len += bytes.len();
            gathered.push((series, Sealed { series: series.id, range: chunk.range, encoding: chunk.encoding, bytes }));
        }
        if files.file_bytes <= len {
            write_and_map(files, &std::mem::take(&mut gathered))?;
            len = 0;
        }
    }
    Ok(())
}

/// Writes one file, and lets each series drop what it has in memory.
fn write_and_map(files: &ChunkFiles, gathered: &[(&Arc<Series>, Sealed)]) -> Result<(), DiskError> {
    let chunks: Vec<Sealed> = gathered.iter().map(|(_, sealed)| sealed.clone()).collect();
    let mut mapped = files.write(&chunks)?.into_iter();
    for of_one in gathered.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(a, b)) {
        let written = of_one.iter().map(|(_, sealed)| sealed.bytes.clone()).zip(mapped.by_ref());
        of_one[0].0.map_chunks(written);
    }
    Ok(())
}

impl MappedChunk {
    /// The encoded samples.
    ///
    /// Errors: a checksum that does not match; it is noted as a finding. Cost: the checksum of the chunk.
    pub(crate) fn bytes(&self, range: TimeRange) -> Result<&[u8], ChunkError> {
        self.checked().ok_or_else(|| {
            self.file.is_damaged.store(true, Relaxed);
            self.file.findings.add(Finding {
                file: format!("{CHUNKS_HEAD_DIR}/{}", name(self.file.number)),
                what: format!("byte {}: the checksum of a chunk does not match", self.offset),
                lost: LOST.to_owned(),
                range: Some(range),
                quarantined: None,
            });
            ChunkError::Corrupt { what: "its checksum in a head chunk file does not match" }
        })
    }

    /// The number of encoded bytes.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    fn checked(&self) -> Option<&[u8]> {
        let chunk = self.file.map.get(self.offset as usize..)?;
        let len_bytes = varint::uvarint_len(self.len.into());
        let (chunk, rest) = chunk.split_at_checked(CHUNK_HEADER_BYTES + len_bytes + self.len())?;
        let crc: &[u8; CRC_BYTES] = rest.first_chunk()?;
        (crc32c::crc32c(chunk) == u32::from_be_bytes(*crc)).then(|| &chunk[CHUNK_HEADER_BYTES + len_bytes..])
    }
}

/// Adds a chunk to the bytes of a file; returns where it starts and how long it is.
fn push(chunk: &Sealed, into: &mut Vec<u8>) -> (u32, u32) {
    let start = into.len();
    into.extend_from_slice(&chunk.series.0.to_be_bytes());
    into.extend_from_slice(&chunk.range.mint.to_be_bytes());
    into.extend_from_slice(&chunk.range.maxt.to_be_bytes());
    into.push(chunk.encoding.byte());
    varint::push_uvarint(into, chunk.bytes.len() as u64);
    into.extend_from_slice(&chunk.bytes);
    let crc = crc32c::crc32c(&into[start..]);
    into.extend_from_slice(&crc.to_be_bytes());
    let small = |n: usize| u32::try_from(n).expect("a file ends with the series that fills it");
    (small(start), small(chunk.bytes.len()))
}

fn name(number: u64) -> String {
    format!("{number:06}")
}

#[cfg(test)]
mod tests;
