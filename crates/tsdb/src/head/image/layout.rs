//! The bytes of a head image, which FORMAT.md draws.

use model::{Sample, SampleValue, TimeRange, Timestamp};
use ulid::Ulid;

use super::super::chunk_files::MappedChunk;
use crate::chunk::{Encoding, XorState, varint};
use crate::wal::{LogPlace, SeriesRef};

/// The file in the data directory.
pub(crate) const IMAGE_FILE: &str = "head_image";
/// What the file starts with: magic, version 2, padding.
pub(super) const HEADER: [u8; 8] = *b"PHIM\x02\0\0\0";
/// Where the tail begins, its length and its checksum.
pub(super) const TRAILER_BYTES: usize = 8 + 4;
/// How a body says that the last chunk is not an open one of floats, in the place of the free bits.
const NOT_OPEN: u8 = u8::MAX;
/// How it says that an open chunk has no window yet, in the place of its leading zeros.
const NO_WINDOW: u8 = u8::MAX;
/// How a body says that a chunk is in the image itself; files are numbered from 1 on.
const OWN: u64 = 0;

/// What an image says of the log and of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tail {
    pub(super) store: Ulid,
    /// The image has all changes that the log has before this place.
    pub(super) place: LogPlace,
    /// What blocks cover of the oldest segment.
    pub(super) before: Timestamp,
    /// The highest number that the log gave a series.
    pub(super) newest_id: u64,
    pub(super) maxt: Timestamp,
    /// The head chunk files that it refers to: number and length.
    pub(super) files: Vec<(u64, u64)>,
    pub(super) bodies: Vec<Body>,
}

/// Where a body is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Body {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

impl Tail {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.store.to_bytes().to_vec();
        let mut push = |numbers: &[u64]| numbers.iter().for_each(|n| bytes.extend_from_slice(&n.to_be_bytes()));
        let LogPlace { closed, segment, offset, maxt } = &self.place;
        push(&[*segment, *offset, maxt.cast_unsigned(), self.before.cast_unsigned()]);
        push(&[self.newest_id, self.maxt.cast_unsigned()]);
        push(&[closed.len() as u64]);
        closed.iter().for_each(|(number, maxt)| push(&[*number, maxt.cast_unsigned()]));
        push(&[self.files.len() as u64]);
        self.files.iter().for_each(|(number, len)| push(&[*number, *len]));
        self.bodies.iter().for_each(|body| push(&[body.offset, u64::from(body.len) << 32 | u64::from(body.crc)]));
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Tail> {
        let (store, rest) = bytes.split_first_chunk::<16>()?;
        let (numbers, []) = rest.as_chunks::<8>() else { return None };
        let mut numbers = numbers.iter().map(|n| u64::from_be_bytes(*n));
        let mut next = || numbers.next();
        let (segment, offset, newest) = (next()?, next()?, next()?.cast_signed());
        let (before, newest_id, maxt) = (next()?.cast_signed(), next()?, next()?.cast_signed());
        let closed = (0..next()?).map(|_| Some((next()?, next()?.cast_signed()))).collect::<Option<_>>()?;
        let place = LogPlace { closed, segment, offset, maxt: newest };
        let files = (0..next()?).map(|_| Some((next()?, next()?))).collect::<Option<_>>()?;
        let mut bodies = Vec::new();
        while let Some(offset) = next() {
            let both = next()?;
            let (len, crc) = (u32::try_from(both >> 32).ok()?, u32::try_from(both & u64::from(u32::MAX)).ok()?);
            bodies.push(Body { offset, len, crc });
        }
        Some(Tail { store: Ulid::from_bytes(*store), place, before, newest_id, maxt, files, bodies })
    }
}

/// Where a chunk of a series is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    /// A head chunk file; the image itself if there is no number.
    pub(super) file: Option<u64>,
    pub(super) offset: u32,
    pub(super) len: u32,
    pub(super) range: TimeRange,
    pub(super) encoding: Encoding,
}

/// A series in a body.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) id: SeriesRef,
    /// The newest sample, if it is a float.
    pub(super) newest: Option<Sample>,
    /// If the last chunk is an open one of floats, what its appender knows; the newest sample is its last.
    pub(super) open: Option<XorState>,
    pub(super) chunks: Vec<Place>,
    /// Floats that came late.
    pub(super) late: Vec<Sample>,
}

impl Place {
    pub(super) fn of(mapped: &MappedChunk, range: TimeRange, encoding: Encoding) -> Place {
        let (file, offset, len) = mapped.place();
        Place { file, offset, len, range, encoding }
    }

    fn push(&self, into: &mut Vec<u8>) {
        let Place { file, offset, len, range, encoding } = self;
        for n in [file.unwrap_or(OWN), u64::from(*offset), u64::from(*len)] {
            varint::push_uvarint(into, n);
        }
        varint::push_varint(into, range.mint);
        varint::push_uvarint(into, range.maxt.wrapping_sub(range.mint).cast_unsigned());
        into.push(encoding.byte());
    }

    fn take(from: &mut &[u8]) -> Option<Place> {
        let file = Some(uvarint(from)?).filter(|file| *file != OWN);
        let (offset, len) = (u32::try_from(uvarint(from)?).ok()?, u32::try_from(uvarint(from)?).ok()?);
        let mint = varint_of(from)?;
        let maxt = mint.wrapping_add(uvarint(from)?.cast_signed());
        let encoding = Encoding::from_byte(take::<1>(from)?[0])?;
        Some(Place { file, offset, len, range: TimeRange { mint, maxt }, encoding })
    }
}

impl Entry {
    pub(super) fn push(&self, into: &mut Vec<u8>) {
        varint::push_uvarint(into, self.id.0);
        push_samples(into, self.newest.as_slice());
        push_state(into, self.open);
        varint::push_uvarint(into, self.chunks.len() as u64);
        self.chunks.iter().for_each(|place| place.push(into));
        push_samples(into, &self.late);
    }

    pub(super) fn take(from: &mut &[u8]) -> Option<Entry> {
        let id = SeriesRef(uvarint(from)?);
        let (newest, open) = (samples(from)?.pop(), state(from)?);
        let chunks = (0..uvarint(from)?).map(|_| Place::take(from)).collect::<Option<_>>()?;
        Some(Entry { id, newest, open, chunks, late: samples(from)? })
    }
}

/// The float in `value`, at `t`.
pub(super) fn float(t: Timestamp, value: &SampleValue) -> Option<Sample> {
    match value {
        SampleValue::Float(v) => Some(Sample { t, v: *v }),
        _ => None,
    }
}

/// Adds a list of texts, each with its length in front.
pub(super) fn push_all<'a>(into: &mut Vec<u8>, all: impl ExactSizeIterator<Item = &'a [u8]>) {
    varint::push_uvarint(into, all.len() as u64);
    for bytes in all {
        varint::push_uvarint(into, bytes.len() as u64);
        into.extend_from_slice(bytes);
    }
}

/// Takes the next of such a list; its number was taken before.
pub(super) fn take_one<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(uvarint(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(bytes)
}

fn push_samples(into: &mut Vec<u8>, samples: &[Sample]) {
    varint::push_uvarint(into, samples.len() as u64);
    for Sample { t, v } in samples {
        varint::push_varint(into, *t);
        into.extend_from_slice(&v.to_bits().to_be_bytes());
    }
}

fn samples(from: &mut &[u8]) -> Option<Vec<Sample>> {
    let one =
        |from: &mut &[u8]| Some(Sample { t: varint_of(from)?, v: f64::from_bits(u64::from_be_bytes(take(from)?)) });
    (0..uvarint(from)?).map(|_| one(from)).collect()
}

fn push_state(into: &mut Vec<u8>, state: Option<XorState>) {
    let Some(XorState { delta, window, free }) = state else { return into.push(NOT_OPEN) };
    let (leading, trailing) =
        window.map_or((NO_WINDOW, 0), |(leading, trailing)| (low_byte(leading), low_byte(trailing)));
    into.extend_from_slice(&[low_byte(free), leading, trailing]);
    varint::push_varint(into, delta);
}

fn state(from: &mut &[u8]) -> Option<Option<XorState>> {
    let [free] = take(from)?;
    if free == NOT_OPEN {
        return Some(None);
    }
    let [leading, trailing] = take(from)?;
    let window = (leading != NO_WINDOW).then_some((leading.into(), trailing.into()));
    Some(Some(XorState { delta: varint_of(from)?, window, free: free.into() }))
}

/// All of a number of bits.
fn low_byte(bits: u32) -> u8 {
    bits.to_be_bytes()[3]
}

pub(super) fn uvarint(from: &mut &[u8]) -> Option<u64> {
    let (value, rest) = varint::split_uvarint(from)?;
    *from = rest;
    Some(value)
}

fn varint_of(from: &mut &[u8]) -> Option<i64> {
    let (value, rest) = varint::split_varint(from)?;
    *from = rest;
    Some(value)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_cut_off_is_not() {
        let place = |file, mint, maxt| Place {
            file,
            offset: u32::MAX,
            len: 7,
            range: TimeRange { mint, maxt },
            encoding: Encoding::FloatHistogram,
        };
        let sample = |t| Sample { t, v: 0.1 };
        let entry = Entry {
            id: SeriesRef(u64::MAX),
            newest: Some(sample(-3)),
            open: Some(XorState { delta: i64::MIN, window: Some((31, 32)), free: 7 }),
            chunks: vec![place(None, i64::MIN, i64::MAX), place(Some(u64::MAX), 5, 5)],
            late: vec![sample(i64::MIN), sample(4)],
        };
        let without_window = Some(XorState { delta: 7, window: None, free: 0 });
        for open in [entry.open, without_window, None] {
            let (entry, mut bytes) = (Entry { open, ..entry.clone() }, Vec::new());
            entry.push(&mut bytes);
            for len in 0..bytes.len() {
                assert_eq!(Entry::take(&mut &bytes[..len]), None, "{len} bytes");
            }
            assert_eq!(Entry::take(&mut bytes.as_slice()), Some(entry));
        }
        let tail = Tail {
            store: Ulid::from_parts(1, 2),
            place: LogPlace { closed: vec![(0, 6), (3, i64::MAX)], segment: 4, offset: 9, maxt: i64::MIN },
            before: i64::MIN,
            newest_id: 4,
            maxt: -5,
            files: vec![(7, 8)],
            bodies: vec![Body { offset: 9, len: u32::MAX, crc: 0 }, Body { offset: u64::MAX, len: 0, crc: u32::MAX }],
        };
        let bytes = tail.encode();
        assert_eq!(Tail::decode(&bytes), Some(tail));
        assert_eq!(Tail::decode(&bytes[..bytes.len() - 8]), None, "half a body");
    }
}
