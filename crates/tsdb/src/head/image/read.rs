//! Reads an image, body by body and several at once, into a head in the making.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use disk::{Dir, DiskError, Map};
use model::{Labels, Timestamp};
use snap::raw::{Decoder, decompress_len};

use super::super::WalCovers;
use super::super::chunk_files::{CHUNKS_HEAD_DIR, ChunkFile, Kept, MappedChunk};
use super::super::samples::HeadSamples;
use super::super::snapshot::HeadChunk;
use super::layout::{self, Body, Entry, HEADER, IMAGE_FILE, Place, TRAILER_BYTES, Tail};
use super::write::{BODY_SERIES, TMP_FILE};
use crate::wal::{self, LogPlace, Record, SeriesRef};

/// Bodies are a few hundred KiB: what says that it takes more than this is damaged.
const BODY_BYTES_MAX: usize = 1 << 30;

/// An image of a head, of which it shows when it is loaded whether it is sound.
pub(crate) struct Image {
    map: Map,
    tail: Tail,
    /// The head chunk files that it refers to, by number.
    files: BTreeMap<u64, Arc<ChunkFile>>,
    /// The image as a file of chunks.
    own: Arc<ChunkFile>,
}

/// What a body of an image has.
pub(in crate::head) struct Loaded {
    pub(in crate::head) series: Vec<LoadedSeries>,
    /// As in the log.
    pub(in crate::head) records: Vec<Record>,
    /// The oldest sample.
    pub(in crate::head) mint: Timestamp,
}

/// A series with its samples, apart from what records say of it.
pub(in crate::head) struct LoadedSeries {
    pub(in crate::head) id: SeriesRef,
    pub(in crate::head) labels: Labels,
    pub(in crate::head) samples: HeadSamples,
}

/// Removes the image in the data directory `root`, durably.
pub(crate) fn remove(root: &Dir) -> Result<(), DiskError> {
    for name in [TMP_FILE, IMAGE_FILE] {
        root.remove(name)?;
    }
    root.sync()
}

impl Image {
    /// Opens the image in the data directory `root`, if there is one, and it belongs to the log that is there and to what
    /// `covers` says of it; what is wrong with it is logged. Chunks that are found damaged later are told by way of `kept`.
    pub(crate) fn open(root: &Dir, covers: &WalCovers, kept: &Kept) -> Option<Image> {
        let map = match root.map(IMAGE_FILE) {
            Ok(map) => map,
            Err(e) if e.is_not_found() => return None,
            Err(error) => {
                tracing::warn!(%error, "the head image cannot be read: the log is read from its beginning");
                return None;
            }
        };
        match Image::of(root, map, covers, kept) {
            Ok(image) => Some(image),
            Err(why) => {
                tracing::warn!(why, "the head image is not used: the log is read from its beginning");
                None
            }
        }
    }

    fn of(root: &Dir, map: Map, covers: &WalCovers, kept: &Kept) -> Result<Image, &'static str> {
        let tail = tail(&map).ok_or("it is damaged")?;
        let (store, checkpoint) = wal::identity_of(root).map_err(|_| "the log cannot be read")?;
        if store != Some(tail.store) {
            return Err("it belongs to another log");
        }
        let LogPlace { segment, offset, .. } = tail.place;
        if checkpoint.is_some_and(|number| segment <= number) {
            return Err("the log has moved on");
        }
        let len = wal::segment_len(root, segment).map_err(|_| "the log cannot be read")?;
        if len.unwrap_or(0) < offset {
            return Err("the log is shorter than it was");
        }
        if covers.before(Some(tail.place.oldest())) < tail.before {
            return Err("a block is missing");
        }
        if wal::has_late(root).map_err(|_| "the data directory cannot be read")? {
            return Err("another program wrote late samples");
        }
        let dir = root.sub(CHUNKS_HEAD_DIR).map_err(|_| "there are no head chunk files")?;
        let mut files = BTreeMap::new();
        for (number, len) in &tail.files {
            let file = ChunkFile::open(&dir, *number, kept).map_err(|_| "a head chunk file cannot be read")?;
            if file.len() != *len {
                return Err("a head chunk file has another length");
            }
            files.insert(*number, Arc::new(file));
        }
        let own = Arc::new(ChunkFile::of(IMAGE_FILE.to_owned(), 0, map.clone(), kept));
        Ok(Image { map, tail, files, own })
    }

    /// The place up to which the log need not be read.
    pub(crate) fn place(&self) -> &LogPlace {
        &self.tail.place
    }

    /// How many series it has at most.
    pub(in crate::head) fn series_max(&self) -> usize {
        self.tail.bodies.len() * BODY_SERIES
    }

    /// The highest number that the log gave a series.
    pub(crate) fn newest_id(&self) -> u64 {
        self.tail.newest_id
    }

    /// The newest sample of the store.
    pub(crate) fn maxt(&self) -> Timestamp {
        self.tail.maxt
    }

    /// The head chunk files that it refers to, the oldest first.
    pub(crate) fn files(&self) -> Vec<Arc<ChunkFile>> {
        self.files.values().cloned().collect()
    }

    /// The bytes of the file.
    pub(crate) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Where records that are in no segment come from.
    pub(in crate::head) fn map(&self) -> &Map {
        &self.map
    }

    /// Hands everything to `take`, body by body, and nothing more once something is damaged: then all of it is worthless.
    pub(in crate::head) fn load(&self, mut take: impl FnMut(Loaded) -> Option<()>) -> Option<()> {
        let bodies = &self.tail.bodies;
        let workers = thread::available_parallelism().map_or(1, usize::from).min(bodies.len());
        thread::scope(|scope| {
            let worker = |nth| {
                let (send, loaded) = sync_channel(1);
                scope.spawn(move || {
                    let mut bytes = Vec::new();
                    // Nobody listens any more once one is damaged.
                    bodies.iter().skip(nth).step_by(workers).all(|body| send.send(self.body(body, &mut bytes)).is_ok())
                });
                loaded
            };
            let loaded: Vec<Receiver<Option<Loaded>>> = (0..workers).map(worker).collect();
            (0..bodies.len()).try_for_each(|nth| take(loaded[nth % workers].recv().ok()??))
        })
    }

    /// What a body has; `into` is memory that is used again.
    fn body(&self, body: &Body, into: &mut Vec<u8>) -> Option<Loaded> {
        let start = usize::try_from(body.offset).ok()?;
        let bytes = self.map.get(start..)?.get(..body.len as usize)?;
        let len = decompress_len(bytes).ok()?;
        if crc32c::crc32c(bytes) != body.crc || BODY_BYTES_MAX < len {
            return None;
        }
        into.resize(len, 0);
        Decoder::new().decompress(bytes, into).ok()?;
        let mut rest = into.as_slice();
        let first = records(&mut rest)?;
        let n_series = usize::try_from(layout::uvarint(&mut rest)?).ok()?;
        let mut loaded = Loaded { series: Vec::new(), records: Vec::new(), mint: Timestamp::MAX };
        if n_series == 0 {
            loaded.add(&first)?;
        } else {
            let [described] = first.as_slice() else { return None };
            wal::each_described(described, |id, labels| {
                let series = self.series(Entry::take(&mut rest)?, labels).filter(|series| series.id == id)?;
                loaded.mint = loaded.mint.min(series.samples.range().map_or(Timestamp::MAX, |range| range.mint));
                loaded.series.push(series);
                Some(())
            })?;
        }
        loaded.add(&records(&mut rest)?)?;
        (rest.is_empty() && loaded.series.len() == n_series).then_some(loaded)
    }

    fn series(&self, entry: Entry, labels: Labels) -> Option<LoadedSeries> {
        let Entry { id, newest, open, chunks, late } = entry;
        let mut kept = Vec::with_capacity(chunks.len());
        for place in &chunks {
            kept.push(self.chunk(id, place)?);
        }
        Some(LoadedSeries { id, labels, samples: HeadSamples::of(kept, &late, newest, open)? })
    }

    /// The chunk of a series at `place`, if it is there and sound.
    fn chunk(&self, id: SeriesRef, place: &Place) -> Option<HeadChunk> {
        let Place { file, offset, len, range, encoding } = *place;
        let file = file.map_or(Some(&self.own), |number| self.files.get(&number))?;
        let mapped = MappedChunk::of(file.clone(), offset, len);
        mapped.is(id, range, encoding).then(|| HeadChunk::mapped(range, encoding, mapped))
    }
}

impl Loaded {
    fn add(&mut self, records: &[&[u8]]) -> Option<()> {
        for record in records {
            self.records.push(wal::decode(record).ok()?);
        }
        Some(())
    }
}

fn records<'a>(rest: &mut &'a [u8]) -> Option<Vec<&'a [u8]>> {
    (0..layout::uvarint(rest)?).map(|_| layout::take_one(rest)).collect()
}

fn tail(map: &Map) -> Option<Tail> {
    let content = map.strip_prefix(&HEADER)?;
    let (_, trailer) = content.split_last_chunk::<TRAILER_BYTES>()?;
    let (offset, crc) = trailer.split_first_chunk::<8>()?;
    let offset = usize::try_from(u64::from_be_bytes(*offset)).ok()?;
    let tail = map.get(offset..map.len() - TRAILER_BYTES)?;
    (crc32c::crc32c(tail).to_be_bytes() == *crc).then(|| Tail::decode(tail))?
}
