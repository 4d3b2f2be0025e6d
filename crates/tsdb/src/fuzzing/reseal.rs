//! Checksums made to match, wherever damaged bytes still have a place for one.

use crate::chunk::varint::split_uvarint;

/// The magic number and the version in front of files.
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;
const PAGE_BYTES: usize = 32 << 10;
/// Type, length and checksum of a fragment of the log.
const FRAGMENT_HEADER_BYTES: usize = 7;
/// Six offsets and a checksum, at the end of an index.
const TOC_BYTES: usize = 6 * 8 + CRC_BYTES;
const SERIES_ALIGN: usize = 16;

/// A segment of the log: every fragment.
pub(super) fn segment(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for page in bytes.chunks_mut(PAGE_BYTES) {
        let mut rest = page;
        while let Some((header, behind)) = rest.split_first_chunk_mut::<FRAGMENT_HEADER_BYTES>() {
            let len = usize::from(u16::from_be_bytes([header[1], header[2]]));
            let Some((fragment, behind)) = behind.split_at_mut_checked(len) else { break };
            header[3..].copy_from_slice(&crc32c::crc32c(fragment).to_be_bytes());
            rest = behind;
        }
    }
    bytes
}

/// An index: every section and every series that the table of contents leads to, then the table itself.
pub(super) fn index(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(toc) = bytes.len().checked_sub(TOC_BYTES) else { return bytes };
    let offset = |bytes: &[u8], i: usize| {
        let at = bytes.get(toc + i * 8..).and_then(|rest| rest.first_chunk()).map(|at| u64::from_be_bytes(*at));
        at.and_then(|at| usize::try_from(at).ok()).unwrap_or(usize::MAX).min(toc)
    };
    let [symbols, series, label_indices, label_index_table, postings, table] =
        std::array::from_fn(|i| offset(&bytes, i));
    let mut at = series.next_multiple_of(SERIES_ALIGN);
    while at < label_indices {
        let Some((len, rest)) = split_uvarint(&bytes[at..]) else { break };
        let content = bytes.len() - rest.len();
        let Some(end) = usize::try_from(len).ok().and_then(|len| seal(&mut bytes, content, len)) else { break };
        at = end.next_multiple_of(SERIES_ALIGN);
    }
    let mut at = postings.next_multiple_of(4);
    while at < label_index_table
        && let Some(end) = section(&mut bytes, at)
    {
        at = end;
    }
    section(&mut bytes, symbols);
    section(&mut bytes, table);
    seal(&mut bytes, toc, TOC_BYTES - CRC_BYTES);
    bytes
}

/// Tombstones: their checksum leaves out the header.
pub(super) fn tombstones(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(len) = bytes.len().checked_sub(HEADER_BYTES + CRC_BYTES) {
        seal(&mut bytes, HEADER_BYTES, len);
    }
    bytes
}

/// A file with one checksum over all of it.
pub(super) fn whole(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(len) = bytes.len().checked_sub(CRC_BYTES) {
        seal(&mut bytes, 0, len);
    }
    bytes
}

/// The section at `at`, which has its length in front. Returns where it ends.
fn section(bytes: &mut [u8], at: usize) -> Option<usize> {
    let len = bytes.get(at..)?.first_chunk().map(|len| u32::from_be_bytes(*len))?;
    seal(bytes, at + 4, usize::try_from(len).ok()?)
}

/// Puts the checksum of `len` bytes behind them. Returns where it ends, if there is a place for it.
fn seal(bytes: &mut [u8], at: usize, len: usize) -> Option<usize> {
    let end = at.checked_add(len)?;
    let crc = crc32c::crc32c(bytes.get(at..end)?);
    bytes.get_mut(end..end.checked_add(CRC_BYTES)?)?.copy_from_slice(&crc.to_be_bytes());
    Some(end + CRC_BYTES)
}
