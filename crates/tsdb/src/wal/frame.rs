//! Records cut into 32 KiB pages with a checksum for each fragment, and read back from a damaged segment as well.

use std::io::Read;

use ruzstd::decoding::StreamingDecoder;

use super::Records;

/// The size of a page. Source: Prometheus `tsdb/docs/format/wal.md`.
pub(super) const PAGE_BYTES: usize = 32 << 10;
/// Type, length and checksum before each fragment.
const HEADER_BYTES: usize = 7;
/// The longest record read back: far above any commit, so that a damaged length cannot ask for all memory.
const RECORD_BYTES_MAX: usize = 256 << 20;

/// The most that one byte of snappy stands for: a copy of 64 bytes takes three.
const SNAPPY_RATIO_MAX: usize = 22;
/// What a frame of zstd may make its decoder remember; encoders of records need no more.
const ZSTD_WINDOW_MAX: u64 = 8 << 20;
/// The most that one byte of zstd stands for, beyond [`ZSTD_SLACK`]: four bytes can stand for 128 KiB.
const ZSTD_RATIO_MAX: usize = 64;
/// Bytes that any frame of zstd may stand for: those of 70,000 equal histograms in one commit.
const ZSTD_SLACK: usize = 16 << 20;

const PAGE_END: u8 = 0;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// The bits of a header's first byte that hold the type.
const TYPE_MASK: u8 = 0b111;
/// The record is compressed by snappy.
const SNAPPY: u8 = 1 << 3;
/// The record is compressed by zstd.
const ZSTD: u8 = 1 << 4;

/// The middle or the end of a record follows nothing that it could belong to.
const WITHOUT_START: &str = "record without a start";
/// A record stops where another one starts, which is intact.
const CUT_OFF: &str = "record without an end";

/// Appends `record` to `out`; its first byte will land at offset `offset` of the segment.
pub(super) fn push_record(out: &mut Vec<u8>, mut offset: u64, mut record: &[u8]) {
    let mut first = true;
    loop {
        let used = usize::try_from(offset % PAGE_BYTES as u64).unwrap_or_default();
        let room = PAGE_BYTES - used;
        // A fragment of no bytes would say nothing: leave such an end of page empty.
        if room <= HEADER_BYTES {
            out.resize(out.len() + room, PAGE_END);
            offset += room as u64;
            continue;
        }
        let (fragment, rest) = record.split_at(record.len().min(room - HEADER_BYTES));
        let kind = match (first, rest.is_empty()) {
            (true, true) => FULL,
            (true, false) => FIRST,
            (false, false) => MIDDLE,
            (false, true) => LAST,
        };
        out.push(kind);
        let len = u16::try_from(fragment.len()).expect("a fragment is shorter than a page");
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(&crc32c::crc32c(fragment).to_be_bytes());
        out.extend_from_slice(fragment);
        offset += (HEADER_BYTES + fragment.len()) as u64;
        if rest.is_empty() {
            return;
        }
        (record, first) = (rest, false);
    }
}

/// Appends the records of a commit to `out`, whose first byte will land at offset `start` of the segment.
pub(super) fn push_commit(out: &mut Vec<u8>, start: u64, records: &Records) {
    let header = records.belong_together().then(|| records.commit_header());
    for record in header.iter().map(Vec::as_slice).chain(records.iter()) {
        let offset = start + out.len() as u64;
        push_record(out, offset, record);
    }
}

/// What a segment's reader finds next.
#[derive(Debug, PartialEq)]
pub(super) enum Found<'a> {
    /// An intact record that starts at this offset, decompressed.
    Record {
        /// Where it begins.
        offset: u64,
        /// What it says.
        bytes: &'a [u8],
    },
    /// A record that starts at this offset, intact by its checksum, whose compression cannot be undone.
    Unreadable {
        /// Where it begins.
        offset: u64,
        /// Why it cannot be read.
        what: &'static str,
    },
    /// Bytes that are no record: from this offset to the next intact record, or to the end of the segment.
    Damage {
        /// Where the damage begins: the end of the last intact record before it.
        offset: u64,
        /// No byte from here on is part of what was found damaged, if that is as long as it says.
        behind: usize,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The bytes of the intact fragment at `pos`. One without bytes would prove nothing: its checksum is zero.
fn fragment(bytes: &[u8], pos: usize) -> Option<&[u8]> {
    let in_page = PAGE_BYTES - pos % PAGE_BYTES;
    let rest = bytes.get(pos..)?;
    let (header, rest) = rest[..rest.len().min(in_page)].split_first_chunk::<HEADER_BYTES>()?;
    if !(FULL..=LAST).contains(&(header[0] & !(SNAPPY | ZSTD))) {
        return None;
    }
    let fragment = rest.get(..usize::from(u16::from_be_bytes([header[1], header[2]])))?;
    let crc = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
    (!fragment.is_empty() && crc32c::crc32c(fragment) == crc).then_some(fragment)
}

/// The intact fragments from `from` on: in its page wherever they begin, since the length of a damaged
/// one may be wrong, in later pages one behind the other. They prove that something was written here; nobody must take
/// them for what they say, since samples can be made to look like fragments.
pub(super) fn fragments_from(bytes: &[u8], from: usize) -> impl Iterator<Item = &[u8]> {
    let (mut pos, next_page) = (from, |pos: usize| (pos / PAGE_BYTES + 1) * PAGE_BYTES);
    std::iter::from_fn(move || {
        while pos < bytes.len() {
            let at = pos;
            if let Some(fragment) = fragment(bytes, at) {
                pos += HEADER_BYTES + fragment.len();
                return Some(fragment);
            }
            pos = if at < next_page(from) { at + 1 } else { next_page(at) };
        }
        None
    })
}

/// Reads the records of one segment held in memory or mapped.
pub(super) struct SegmentReader<'a> {
    bytes: &'a [u8],
    pos: usize,
    /// Start of the record being read.
    begun: usize,
    /// End of the last intact record.
    intact: usize,
    /// Damage was told since then: what follows may be the end of a record of which the start is lost.
    told: bool,
    record: Vec<u8>,
}

impl<'a> SegmentReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> SegmentReader<'a> {
        SegmentReader::at(bytes, 0, Vec::new())
    }

    /// Reads on from the record that begins at `offset`, with `record` as memory for records.
    pub(super) fn at(bytes: &'a [u8], offset: u64, record: Vec<u8>) -> SegmentReader<'a> {
        let pos = usize::try_from(offset).unwrap_or(usize::MAX);
        SegmentReader { bytes, pos, begun: pos, intact: pos, told: false, record }
    }

    /// Gives that memory back.
    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.record
    }

    /// The next record or damage; `None` at the end. After damage, reading goes on with the first record that starts
    /// behind it, at the next page at the latest: behind the damaged fragment if an intact one is there.
    pub(super) fn next(&mut self) -> Option<Found<'_>> {
        match self.assemble() {
            Ok(None) => None,
            Ok(Some(flags)) => {
                (self.intact, self.told) = (self.pos, false);
                let offset = self.begun as u64;
                match decompress(flags, &mut self.record) {
                    Ok(()) => Some(Found::Record { offset, bytes: &self.record }),
                    Err(what) => Some(Found::Unreadable { offset, what }),
                }
            }
            Err(what) => {
                self.told = true;
                let next = self.end_of_fragment();
                let behind = if what == CUT_OFF { self.pos } else { self.pos + 1 };
                self.pos = match next {
                    _ if what == CUT_OFF => self.pos,
                    Some(next) if what == WITHOUT_START || fragment(self.bytes, next).is_some() => next,
                    _ => (self.pos / PAGE_BYTES + 1) * PAGE_BYTES,
                };
                Some(Found::Damage { offset: self.intact as u64, behind, what })
            }
        }
    }

    /// The end of the last intact record.
    pub(super) fn position(&self) -> u64 {
        self.intact as u64
    }

    /// Where the fragment that begins here ends, as it says itself.
    fn end_of_fragment(&self) -> Option<usize> {
        let header = self.bytes.get(self.pos..)?.first_chunk::<HEADER_BYTES>()?;
        Some(self.pos + HEADER_BYTES + usize::from(u16::from_be_bytes([header[1], header[2]])))
    }

    /// Collects the fragments of one record. Returns its flags, or `None` at the end of the segment.
    fn assemble(&mut self) -> Result<Option<u8>, &'static str> {
        self.record.clear();
        let mut inside = false;
        loop {
            let Some(rest) = self.bytes.get(self.pos..).filter(|rest| !rest.is_empty()) else {
                return if inside { Err("record ends with the segment") } else { Ok(None) };
            };
            let in_page = PAGE_BYTES - self.pos % PAGE_BYTES;
            let page = &rest[..rest.len().min(in_page)];
            let kind = page[0] & TYPE_MASK;
            if kind == PAGE_END {
                if page.iter().any(|b| *b != 0) {
                    return Err("bytes after the end of a page");
                }
                // The last page of a segment may end early, another one only when no fragment fits.
                if page.len() > HEADER_BYTES && page.len() < rest.len() {
                    return Err("zeros instead of records");
                }
                self.pos += page.len();
                continue;
            }
            let header = page.get(..HEADER_BYTES).ok_or("header cut short")?;
            let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
            let crc = u32::from_be_bytes([header[3], header[4], header[5], header[6]]);
            let fragment = page.get(HEADER_BYTES..HEADER_BYTES + len).ok_or("fragment cut short")?;
            if crc32c::crc32c(fragment) != crc {
                return Err("checksum mismatch");
            }
            match (kind, inside) {
                // No record is empty: this is a header of which a crash left the first bytes, the checksum of nothing being 0.
                (FULL, false) if len == 0 => return Err("record without bytes"),
                (FULL | FIRST, false) => self.begun = self.pos,
                (MIDDLE | LAST, true) => {}
                (FULL | FIRST, true) => return Err(CUT_OFF),
                (MIDDLE | LAST, false) if !self.told => return Err(WITHOUT_START),
                (MIDDLE | LAST, false) => {
                    self.pos += HEADER_BYTES + len;
                    continue;
                }
                _ => return Err("unknown type of fragment"),
            }
            if self.record.len() + len > RECORD_BYTES_MAX {
                return Err("record too long");
            }
            let flags = header[0] & (SNAPPY | ZSTD);
            self.record.extend_from_slice(fragment);
            self.pos += HEADER_BYTES + len;
            inside = true;
            if kind == FULL || kind == LAST {
                return Ok(Some(flags));
            }
        }
    }
}

/// Replaces a compressed `record` by its contents. We write none; Prometheus does, by default with snappy.
fn decompress(flags: u8, record: &mut Vec<u8>) -> Result<(), &'static str> {
    if flags & ZSTD != 0 {
        let frame = record.as_slice();
        let decoder = StreamingDecoder::new_with_max_window_size(frame, ZSTD_WINDOW_MAX);
        let decoder = decoder.map_err(|_| "zstd header is damaged")?;
        let (mut contents, len_max) = (Vec::new(), RECORD_BYTES_MAX.min(record.len() * ZSTD_RATIO_MAX + ZSTD_SLACK));
        decoder.take(len_max as u64 + 1).read_to_end(&mut contents).map_err(|_| "zstd body is damaged")?;
        if len_max < contents.len() {
            return Err("record too long");
        }
        *record = contents;
    } else if flags & SNAPPY != 0 {
        let len = snap::raw::decompress_len(record).map_err(|_| "snappy header is damaged")?;
        if RECORD_BYTES_MAX.min(record.len().saturating_mul(SNAPPY_RATIO_MAX)) < len {
            return Err("record too long");
        }
        *record = snap::raw::Decoder::new().decompress_vec(record).map_err(|_| "snappy body is damaged")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(records: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        for record in records {
            let offset = out.len() as u64;
            push_record(&mut out, offset, record);
        }
        out
    }

    fn records(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let (mut reader, mut found, mut damages) = (SegmentReader::new(bytes), Vec::new(), 0);
        while let Some(next) = reader.next() {
            match next {
                Found::Record { bytes, .. } => found.push(bytes.to_vec()),
                Found::Unreadable { .. } | Found::Damage { .. } => damages += 1,
            }
        }
        (found, damages)
    }

    fn sizes() -> Vec<Vec<u8>> {
        let sizes = [1, 2, 5, PAGE_BYTES - 7, PAGE_BYTES - 8, PAGE_BYTES, 3 * PAGE_BYTES + 11, 20, PAGE_BYTES - 40, 9];
        sizes.iter().enumerate().map(|(i, len)| vec![u8::try_from(i).unwrap() + 1; *len]).collect()
    }

    #[test]
    fn records_of_any_size_come_back() {
        assert_eq!(records(&segment(&sizes())), (sizes(), 0));
    }

    #[test]
    fn every_cut_keeps_the_records_before_it() {
        let all = sizes();
        let bytes = segment(&all);
        for cut in (0..bytes.len()).step_by(997) {
            let (found, damages) = records(&bytes[..cut]);
            assert_eq!(found, all[..found.len()], "cut at {cut}");
            assert!(damages <= 1);
        }
    }

    #[test]
    fn a_flipped_byte_costs_only_the_pages_it_touches() {
        let all: Vec<Vec<u8>> = (0..400u32).map(|i| i.to_be_bytes().repeat(200)).collect();
        let mut bytes = segment(&all);
        let pages = bytes.len() / PAGE_BYTES;
        assert!(pages > 8);
        bytes[4 * PAGE_BYTES + 777] ^= 0x40;
        let (found, damages) = records(&bytes);
        assert_eq!(damages, 1);
        assert!(found.len() > all.len() - 2 * PAGE_BYTES / 800 - 3, "only {} of {} left", found.len(), all.len());
        assert!(found.iter().all(|record| all.contains(record)));
    }

    /// A segment with one record of which the compressed form is `bytes`.
    fn compressed(flag: u8, bytes: &[u8]) -> Vec<u8> {
        let mut out = segment(&[bytes.to_vec()]);
        let mut at = 0;
        while at < out.len() {
            let len = u16::from_be_bytes([out[at + 1], out[at + 2]]);
            out[at] |= flag;
            at += HEADER_BYTES + usize::from(len);
        }
        out
    }

    #[test]
    fn compressed_records_are_read_and_those_that_lie_are_refused() {
        let text: Vec<u8> = (0..200_000u32).flat_map(|i| (i / 7).to_be_bytes()).collect();
        let snappy = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        assert!(zstd.len() < text.len() && snappy.len() < text.len());
        for (flag, mut bytes) in [(SNAPPY, snappy), (ZSTD, zstd)] {
            assert_eq!(records(&compressed(flag, &bytes)), (vec![text.clone()], 0), "flag {flag}");
            bytes.truncate(bytes.len() / 2);
            assert_eq!(records(&compressed(flag, &bytes)), (vec![], 1), "flag {flag}");
        }
        // Ten bytes that promise 200 MiB.
        let bomb = [0x80, 0x80, 0x80, 0x64, 0, 0, 0, 0, 0, 0];
        assert_eq!(records(&compressed(SNAPPY, &bomb)), (vec![], 1));
    }

    #[test]
    fn no_compressed_bytes_break_the_reader() {
        use rand::{RngExt, SeedableRng};
        let mut rng = rand::rngs::SmallRng::seed_from_u64(11);
        let text: Vec<u8> = (0..2000u32).flat_map(|i| (i / 3).to_be_bytes()).collect();
        let snappy = snap::raw::Encoder::new().compress_vec(&text).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&text[..], ruzstd::encoding::CompressionLevel::Fastest);
        let mut refused = 0;
        for round in 0..2000 {
            let (flag, mut bytes) = if round % 2 == 0 { (SNAPPY, snappy.clone()) } else { (ZSTD, zstd.clone()) };
            for _ in 0..rng.random_range(1..5) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            refused += records(&compressed(flag, &bytes)).1;
        }
        assert!(100 < refused, "{refused}");
    }
}
