//! Head chunk files: sealed chunks out of the memory of the process, mapped from where the kernel may drop them.
//!
//! They are never the truth. The log is: at a start those stay that a sound head image refers to, and what the others had
//! is written anew as the log is replayed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use disk::{Dir, DiskError, File, Map};
use model::TimeRange;
use parking_lot::Mutex;

use super::series::Series;
use super::snapshot::{Body, HeadChunk};
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
/// Bytes collected before a write.
const BUFFER_BYTES: usize = 256 << 10;
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
    /// Files that the head image refers to.
    imaged: Mutex<Vec<Arc<ChunkFile>>>,
}

/// Head chunk files that are kept over a start, and where their damage is told.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    files: Vec<Arc<ChunkFile>>,
    findings: Findings,
    is_damaged: Arc<AtomicBool>,
}

impl Kept {
    /// No files; damage is told to `findings`.
    pub(crate) fn none(findings: Findings) -> Kept {
        Kept { findings, ..Kept::default() }
    }

    /// The same with `files`, the oldest first.
    pub(crate) fn with(&self, files: Vec<Arc<ChunkFile>>) -> Kept {
        Kept { files, findings: self.findings.clone(), is_damaged: self.is_damaged.clone() }
    }
}

#[derive(Debug)]
struct Files {
    /// The number of the file that is written next.
    next: u64,
    /// Oldest first.
    mapped: VecDeque<Arc<ChunkFile>>,
}

/// A file with chunks: one of these, or a head image.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    path: String,
    /// Its number in the directory; 0 for the image.
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

/// Sealed chunks that wait until they fill a file.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Those of one series one behind the other, as far as they came together.
    chunks: Vec<(Arc<Series>, Sealed)>,
    bytes: usize,
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
    /// Removes the files that are in `dir` apart from those of `kept`, the oldest first; new ones will have `file_bytes` of
    /// chunks or a bit more.
    pub(crate) fn open(dir: Dir, file_bytes: usize, kept: Kept) -> Result<ChunkFiles, DiskError> {
        let Kept { files: imaged, findings, is_damaged } = kept;
        for entry in dir.list()?.into_iter().filter(|entry| !entry.is_dir) {
            let number = entry.name.strip_suffix(TMP_SUFFIX).unwrap_or(&entry.name);
            let is_kept = imaged.iter().any(|file| name(file.number) == entry.name);
            if number.bytes().all(|byte| byte.is_ascii_digit()) && !is_kept {
                dir.remove(&entry.name)?;
            }
        }
        dir.sync()?;
        let next = imaged.last().map_or(1, |file| file.number + 1);
        let files = Mutex::new(Files { next, mapped: imaged.iter().cloned().collect() });
        Ok(ChunkFiles { dir, findings, file_bytes, files, is_damaged, imaged: Mutex::new(imaged) })
    }

    /// Notes that the image on disk refers to `files`, and may be followed by one that does not.
    pub(super) fn keep_also(&self, files: &[Arc<ChunkFile>]) {
        self.imaged.lock().extend_from_slice(files);
    }

    /// Notes that the image on disk refers to `files` and to no others.
    pub(super) fn keep(&self, files: Vec<Arc<ChunkFile>>) {
        *self.imaged.lock() = files;
    }

    /// Writes one file and maps it. Returns where each chunk is, in the order of `chunks`.
    ///
    /// The file is durable before it is mapped: the kernel must not find out later that it cannot write a page, when
    /// the only other copy is the log.
    pub(super) fn write<'a>(
        &self,
        chunks: impl IntoIterator<Item = &'a Sealed>,
    ) -> Result<Vec<MappedChunk>, DiskError> {
        let mut files = self.files.lock();
        let number = files.next;
        let name = name(number);
        let mut places = Vec::new();
        if let Err(e) = self.dir.replace_by(&name, |file| write_all(file, chunks.into_iter(), &mut places)) {
            // What was written of it takes room that others, such as the log, need more.
            self.dir.remove(&format!("{name}{TMP_SUFFIX}"))?;
            self.dir.remove(&name)?;
            return Err(e);
        }
        // Whatever comes of the map, the name is taken.
        files.next += 1;
        let map = self.dir.map(&name)?;
        let (findings, is_damaged) = (self.findings.clone(), self.is_damaged.clone());
        let file = Arc::new(ChunkFile { path: path(number), number, map, findings, is_damaged });
        files.mapped.push_back(file.clone());
        Ok(places.into_iter().map(|(offset, len)| MappedChunk { file: file.clone(), offset, len }).collect())
    }

    /// What a file has at least.
    pub(super) fn file_bytes(&self) -> usize {
        self.file_bytes
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
    let mut gathered = Gathered::default();
    for series in series {
        for chunk in series.sealed_in_memory() {
            gathered.add(series, &chunk);
        }
        if let Some(enough) = gathered.take_enough(files.file_bytes) {
            enough.write(files)?;
        }
    }
    Ok(())
}

impl Gathered {
    /// Adds a chunk of `series`, unless it is in a file.
    pub(super) fn add(&mut self, series: &Arc<Series>, chunk: &HeadChunk) {
        if let Body::Memory(bytes) = &chunk.body {
            self.bytes += bytes.len();
            let (range, encoding, bytes) = (chunk.range, chunk.encoding, bytes.clone());
            self.chunks.push((series.clone(), Sealed { series: series.id, range, encoding, bytes }));
        }
    }

    /// Adds all of `others`, which has none afterwards.
    pub(super) fn append(&mut self, others: &mut Gathered) {
        self.bytes += std::mem::take(&mut others.bytes);
        self.chunks.append(&mut others.chunks);
    }

    /// Gives away everything, if it fills a file of `file_bytes`.
    pub(super) fn take_enough(&mut self, file_bytes: usize) -> Option<Gathered> {
        (file_bytes <= self.bytes).then(|| std::mem::take(self))
    }

    /// Writes one file, and lets each series drop what it has in memory.
    pub(super) fn write(self, files: &ChunkFiles) -> Result<(), DiskError> {
        let mut mapped = files.write(self.chunks.iter().map(|(_, sealed)| sealed))?.into_iter();
        for of_one in self.chunks.chunk_by(|(a, _), (b, _)| Arc::ptr_eq(a, b)) {
            let written = of_one.iter().map(|(_, sealed)| sealed.bytes.clone()).zip(mapped.by_ref());
            of_one[0].0.map_chunks(written);
        }
        Ok(())
    }
}

impl ChunkFile {
    /// File `number` in the directory `dir`.
    pub(super) fn open(dir: &Dir, number: u64, kept: &Kept) -> Result<ChunkFile, DiskError> {
        Ok(ChunkFile::of(path(number), number, dir.map(&name(number))?, kept))
    }

    /// The file at `path`, with the bytes of `map`.
    pub(super) fn of(path: String, number: u64, map: Map, kept: &Kept) -> ChunkFile {
        ChunkFile { path, number, map, findings: kept.findings.clone(), is_damaged: kept.is_damaged.clone() }
    }

    /// The bytes in it.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }
}

impl MappedChunk {
    /// The chunk at `offset` of `file`, with `len` bytes of samples.
    pub(super) fn of(file: Arc<ChunkFile>, offset: u32, len: u32) -> MappedChunk {
        MappedChunk { file, offset, len }
    }

    /// The number of its file, unless that is an image; where it begins, and its bytes of samples.
    pub(super) fn place(&self) -> (Option<u64>, u32, u32) {
        (Some(self.file.number).filter(|number| *number != 0), self.offset, self.len)
    }

    /// Its file.
    pub(super) fn file(&self) -> &Arc<ChunkFile> {
        &self.file
    }

    /// Whether it is there, undamaged, and of this series, range and encoding. Cost: its checksum.
    pub(super) fn is(&self, series: SeriesRef, range: TimeRange, encoding: Encoding) -> bool {
        let mut header = Vec::with_capacity(CHUNK_HEADER_BYTES);
        push_header(series, range, encoding, &mut header);
        let bytes = self.file.map.get(self.offset as usize..);
        bytes.is_some_and(|bytes| bytes.starts_with(&header)) && self.checked().is_some()
    }

    /// The encoded samples.
    ///
    /// Errors: a checksum that does not match; it is noted as a finding. Cost: the checksum of the chunk.
    pub(crate) fn bytes(&self, range: TimeRange) -> Result<&[u8], ChunkError> {
        self.checked().ok_or_else(|| {
            self.file.is_damaged.store(true, Relaxed);
            self.file.findings.add(Finding {
                file: self.file.path.clone(),
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

/// Writes the contents of a file; notes where each chunk starts and how long it is.
fn write_all<'a>(
    file: &File,
    chunks: impl Iterator<Item = &'a Sealed>,
    places: &mut Vec<(u32, u32)>,
) -> Result<(), DiskError> {
    let small = |n: usize| u32::try_from(n).expect("a file ends with the series that fills it");
    let mut buf = HEADER.to_vec();
    for chunk in chunks {
        let start = usize::try_from(file.len()).unwrap_or(usize::MAX) + buf.len();
        places.push((small(start), small(chunk.bytes.len())));
        push(chunk.series, chunk.range, chunk.encoding, &chunk.bytes, &mut buf);
        if BUFFER_BYTES <= buf.len() {
            file.append(&buf)?;
            buf.clear();
        }
    }
    if buf.is_empty() { Ok(()) } else { file.append(&buf) }
}

/// Adds a chunk to the bytes of a file.
pub(super) fn push(series: SeriesRef, range: TimeRange, encoding: Encoding, bytes: &[u8], into: &mut Vec<u8>) {
    let start = into.len();
    push_header(series, range, encoding, into);
    varint::push_uvarint(into, bytes.len() as u64);
    into.extend_from_slice(bytes);
    let crc = crc32c::crc32c(&into[start..]);
    into.extend_from_slice(&crc.to_be_bytes());
}

fn push_header(series: SeriesRef, range: TimeRange, encoding: Encoding, into: &mut Vec<u8>) {
    into.extend_from_slice(&series.0.to_be_bytes());
    into.extend_from_slice(&range.mint.to_be_bytes());
    into.extend_from_slice(&range.maxt.to_be_bytes());
    into.push(encoding.byte());
}

fn path(number: u64) -> String {
    format!("{CHUNKS_HEAD_DIR}/{}", name(number))
}

fn name(number: u64) -> String {
    format!("{number:06}")
}

#[cfg(test)]
mod tests;
