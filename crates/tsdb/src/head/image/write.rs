//! Writes an image of the head while commits go on.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::{Dir, DiskError, File};
use model::{Sample, TimeRange, Timestamp};
use snap::raw::Encoder;

use super::super::chunk_files::{self, ChunkFile};
use super::super::series::Series;
use super::super::snapshot::{Body as ChunkBody, HeadChunk};
use super::super::{Head, Snapshot};
use super::layout::{self, Body, Entry, HEADER, IMAGE_FILE, Place, Tail};
use crate::chunk::{XorState, varint};
use crate::error::TsdbError;
use crate::wal::{HistogramRecord, LogPlace, Records, StartRecord};

/// Series of one body.
pub(super) const BODY_SERIES: usize = 2048;
/// Bytes collected before a write.
const BUFFER_BYTES: usize = 256 << 10;
/// A file that is being written; a crash leaves it behind.
pub(super) const TMP_FILE: &str = "head_image.tmp";

/// Writes an image of `head` to the data directory `root`, in the place of the one that is there. It spares the log before
/// `place`, which is durable, and of whose oldest segment blocks cover `before`. Returns its bytes, or nothing if a head
/// chunk is damaged, which only the log can replace.
///
/// Errors: those of the disk and of the log. The image that is there afterwards, if there is one, is whole.
pub(in crate::head) fn write(
    head: &Head,
    root: &Dir,
    place: LogPlace,
    before: Timestamp,
) -> Result<Option<u64>, TsdbError> {
    let written = write_whole(head, root, place, before);
    if !matches!(written, Ok(Some(_))) {
        // It takes room that the log may need more.
        root.remove(TMP_FILE)?;
    }
    written
}

fn write_whole(head: &Head, root: &Dir, place: LogPlace, before: Timestamp) -> Result<Option<u64>, TsdbError> {
    root.remove(TMP_FILE)?;
    let mut writer = Writer::new(root.create(TMP_FILE)?);
    for series in head.all_series().chunks(BODY_SERIES) {
        if writer.series(series)?.is_none() {
            return Ok(None);
        }
    }
    let mut outliving = Records::default();
    head.outliving_records(&mut outliving);
    writer.body(&outliving, &[], &Records::default())?;
    let tail = Tail {
        store: head.log().store(),
        place,
        before,
        newest_id: head.newest_id(),
        maxt: head.maxt().unwrap_or(Timestamp::MIN),
        files: writer.files.iter().map(|(number, file)| (*number, file.len())).collect(),
        bodies: Vec::new(),
    };
    let (bytes, files) = writer.finish(tail)?;
    // A request that failed may be here in part: the rest of it must not get lost.
    head.sync_log()?;
    // From the rename on either image may be the one that a start finds.
    head.chunk_files().keep_also(&files);
    root.replace_with(TMP_FILE, IMAGE_FILE)?;
    head.chunk_files().keep(files);
    Ok(Some(bytes))
}

struct Writer {
    file: File,
    buf: Vec<u8>,
    bodies: Vec<Body>,
    /// The files that the image refers to, by number.
    files: BTreeMap<u64, Arc<ChunkFile>>,
    encoder: Encoder,
}

impl Writer {
    fn new(file: File) -> Writer {
        let (buf, encoder) = (HEADER.to_vec(), Encoder::new());
        Writer { file, buf, bodies: Vec::new(), files: BTreeMap::new(), encoder }
    }

    /// The body of some series, behind those of their chunks that are in no file. Returns nothing if a chunk is damaged.
    fn series(&mut self, all: &[Arc<Series>]) -> Result<Option<()>, TsdbError> {
        let (mut described, mut rest, mut entries) = (Records::default(), Records::default(), Vec::new());
        described.series(all.iter().map(|series| (series.id, &series.labels)));
        for series in all {
            let (Snapshot { chunks, late, starts }, (newest, open)) = series.kept();
            let mut places = Vec::with_capacity(chunks.len());
            for chunk in &chunks {
                let Some(place) = self.place(series, chunk)? else { return Ok(None) };
                places.push(place);
            }
            let floats = late.iter().filter_map(|(t, value)| layout::float(*t, value)).collect();
            entries.push(Entry { id: series.id, newest, open, chunks: places, late: floats });
            let others = late.into_iter().filter(|(t, value)| layout::float(*t, value).is_none());
            let others = others.map(|(t, value)| HistogramRecord { series: series.id, t, value });
            rest.histograms(&others.collect::<Vec<_>>());
            rest.starts(starts.iter().map(|run| StartRecord { series: series.id, from: run.from, start: run.start }));
        }
        self.body(&described, &entries, &rest)?;
        Ok(Some(()))
    }

    /// Where a chunk is: in its file, or now in the image.
    fn place(&mut self, series: &Series, chunk: &HeadChunk) -> Result<Option<Place>, TsdbError> {
        let HeadChunk { range, encoding, .. } = *chunk;
        if let ChunkBody::Mapped(mapped) = &chunk.body
            && let (Some(number), ..) = mapped.place()
        {
            self.files.entry(number).or_insert_with(|| mapped.file().clone());
            return Ok(Some(Place::of(mapped, range, encoding)));
        }
        let Ok(bytes) = chunk.bytes() else { return Ok(None) };
        let too_large = |_| TsdbError::ImageTooLarge;
        let offset = u32::try_from(self.file.len() + self.buf.len() as u64).map_err(too_large)?;
        let len = u32::try_from(bytes.len()).map_err(too_large)?;
        chunk_files::push(series.id, range, encoding, bytes, &mut self.buf);
        self.write_out(BUFFER_BYTES)?;
        Ok(Some(Place { file: None, offset, len, range, encoding }))
    }

    /// Records that come before the entries, the entries, and records that come after them.
    fn body(&mut self, first: &Records, entries: &[Entry], last: &Records) -> Result<(), TsdbError> {
        let mut bytes = Vec::new();
        layout::push_all(&mut bytes, first.iter().collect::<Vec<_>>().into_iter());
        varint::push_uvarint(&mut bytes, entries.len() as u64);
        entries.iter().for_each(|entry| entry.push(&mut bytes));
        layout::push_all(&mut bytes, last.iter().collect::<Vec<_>>().into_iter());
        let bytes = self.encoder.compress_vec(&bytes).map_err(|_| TsdbError::ImageTooLarge)?;
        let offset = self.file.len() + self.buf.len() as u64;
        let len = u32::try_from(bytes.len()).map_err(|_| TsdbError::ImageTooLarge)?;
        self.bodies.push(Body { offset, len, crc: crc32c::crc32c(&bytes) });
        self.buf.extend_from_slice(&bytes);
        Ok(self.write_out(BUFFER_BYTES)?)
    }

    fn write_out(&mut self, from: usize) -> Result<(), DiskError> {
        if from <= self.buf.len() {
            self.file.append(&self.buf)?;
            self.buf.clear();
        }
        Ok(())
    }

    /// Ends the file and makes it durable. Returns its length, and the files that it refers to.
    fn finish(mut self, tail: Tail) -> Result<(u64, Vec<Arc<ChunkFile>>), DiskError> {
        let offset = self.file.len() + self.buf.len() as u64;
        let tail = Tail { bodies: std::mem::take(&mut self.bodies), ..tail }.encode();
        self.buf.extend_from_slice(&tail);
        self.buf.extend_from_slice(&offset.to_be_bytes());
        self.buf.extend_from_slice(&crc32c::crc32c(&tail).to_be_bytes());
        self.write_out(0)?;
        self.file.sync()?;
        Ok((self.file.len(), self.files.into_values().collect()))
    }
}

impl Series {
    /// All that the series has, and its newest sample, at one moment.
    fn kept(&self) -> (Snapshot, (Option<Sample>, Option<XorState>)) {
        let held = self.hold();
        (held.snapshot(TimeRange::ALL), held.newest_float())
    }
}
