//! Reads an image: first whether all of it is sound, then series by series into a head in the making.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use disk::{Dir, DiskError, Map};
use model::Timestamp;
use snap::raw::{Decoder, decompress_len};

use super::super::WalCovers;
use super::super::chunk_files::{CHUNKS_HEAD_DIR, ChunkFile, Kept, MappedChunk};
use super::super::snapshot::HeadChunk;
use super::layout::{self, Body, Entry, HEADER, IMAGE_FILE, Place, TRAILER_BYTES, Tail};
use super::write::TMP_FILE;
use crate::wal::{self, Record, SeriesRef};

/// Bodies are a few hundred KiB: what says that it takes more than this is damaged.
const BODY_BYTES_MAX: usize = 1 << 30;

/// A sound image of a head.
pub(crate) struct Image {
    map: Map,
    tail: Tail,
    /// The head chunk files that it refers to, by number.
    files: BTreeMap<u64, Arc<ChunkFile>>,
    /// The image as a file of chunks.
    own: Arc<ChunkFile>,
}

/// Removes the image in the data directory `root`, durably.
pub(crate) fn remove(root: &Dir) -> Result<(), DiskError> {
    for name in [TMP_FILE, IMAGE_FILE] {
        root.remove(name)?;
    }
    root.sync()
}

impl Image {
    /// Opens the image in the data directory `root`, if there is one, it belongs to the log that is there and to what
    /// `covers` says of it, and all of it is sound; what is wrong with it is logged. Chunks that are found damaged later are
    /// told by way of `kept`.
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
        if checkpoint.is_some_and(|number| tail.segment < number) {
            return Err("the log has moved on");
        }
        if covers.before(Some(tail.segment)) < tail.before {
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
        let image = Image { map, tail, files, own };
        if image.is_sound() { Ok(image) } else { Err("it is damaged, or a head chunk file") }
    }

    /// The last segment of the log that need not be read.
    pub(crate) fn segment(&self) -> u64 {
        self.tail.segment
    }

    /// The segments up to that one, each with its newest sample.
    pub(crate) fn closed(&self) -> &[(u64, Timestamp)] {
        &self.tail.closed
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

    /// Hands everything to `take`, body by body, and nothing more once a body cannot be read: what was sound
    /// has changed.
    pub(in crate::head) fn each(&self, mut take: impl FnMut(Item)) -> Option<()> {
        self.tail.bodies.iter().try_for_each(|body| self.walk(body, &mut take))
    }

    /// The chunk at `place`.
    pub(in crate::head) fn chunk(&self, place: &Place) -> Option<HeadChunk> {
        Some(HeadChunk::mapped(place.range, place.encoding, self.mapped(place)?))
    }

    /// Where the bytes of that chunk are, sound or not.
    fn mapped(&self, place: &Place) -> Option<MappedChunk> {
        let file = place.file.map_or(Some(&self.own), |number| self.files.get(&number))?;
        Some(MappedChunk::of(file.clone(), place.offset, place.len))
    }

    fn walk(&self, body: &Body, take: &mut dyn FnMut(Item)) -> Option<()> {
        let start = usize::try_from(body.offset).ok()?;
        let bytes = self.map.get(start..)?.get(..body.len as usize)?;
        if crc32c::crc32c(bytes) != body.crc || BODY_BYTES_MAX < decompress_len(bytes).ok()? {
            return None;
        }
        let bytes = Decoder::new().decompress_vec(bytes).ok()?;
        let mut rest = bytes.as_slice();
        records(&mut rest, take)?;
        for _ in 0..layout::uvarint(&mut rest)? {
            take(Item::Series(Entry::take(&mut rest)?));
        }
        records(&mut rest, take)?;
        rest.is_empty().then_some(())
    }

    /// Whether every body and every chunk can be read.
    fn is_sound(&self) -> bool {
        let workers = thread::available_parallelism().map_or(1, usize::from).min(self.tail.bodies.len());
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            let check =
                || std::iter::from_fn(|| self.tail.bodies.get(next.fetch_add(1, Relaxed))).all(|b| self.check(b));
            let checks: Vec<_> = (0..workers).map(|_| scope.spawn(check)).collect();
            // Every one is waited for.
            let sound: Vec<bool> = checks.into_iter().map(|check| check.join().unwrap_or(false)).collect();
            sound.into_iter().all(|sound| sound)
        })
    }

    fn check(&self, body: &Body) -> bool {
        let mut sound = true;
        let walked = self.walk(body, &mut |item| {
            if let Item::Series(Entry { id, chunks, .. }) = item {
                sound &= chunks.iter().all(|place| self.is_there(id, place));
            }
        });
        walked.is_some() && sound
    }

    fn is_there(&self, id: SeriesRef, place: &Place) -> bool {
        self.mapped(place).is_some_and(|mapped| mapped.is(id, place.range, place.encoding))
    }
}

/// What an image consists of.
pub(in crate::head) enum Item {
    /// As in the log.
    Record(Record),
    /// What a series has, apart from what records say of it.
    Series(Entry),
}

fn records(rest: &mut &[u8], take: &mut dyn FnMut(Item)) -> Option<()> {
    for _ in 0..layout::uvarint(rest)? {
        take(Item::Record(wal::decode(layout::take_one(rest)?).ok()?));
    }
    Some(())
}

fn tail(map: &Map) -> Option<Tail> {
    let content = map.strip_prefix(&HEADER)?;
    let (_, trailer) = content.split_last_chunk::<TRAILER_BYTES>()?;
    let (offset, crc) = trailer.split_first_chunk::<8>()?;
    let offset = usize::try_from(u64::from_be_bytes(*offset)).ok()?;
    let tail = map.get(offset..map.len() - TRAILER_BYTES)?;
    (crc32c::crc32c(tail).to_be_bytes() == *crc).then(|| Tail::decode(tail))?
}
