//! The frame of an index file: header, sections with length and checksum, table of contents.

use crate::block::BlockError;
use crate::block::file::BlockFile;

/// The file inside a block.
pub(crate) const INDEX_FILE: &str = "index";
pub(super) const MAGIC: u32 = 0xBAAA_D700;
pub(super) const VERSION: u8 = 2;
/// Magic and version.
pub(super) const HEADER_BYTES: usize = 5;
/// Six offsets and a checksum.
pub(super) const TOC_BYTES: usize = 6 * 8 + 4;
/// A series starts at a multiple of this; its reference is the offset divided by it, so that 4 bytes reach 64 GiB.
pub(super) const SERIES_ALIGN: u64 = 16;
/// The length in front of a section.
pub(super) const LEN_BYTES: usize = 4;
/// The checksum behind it.
pub(super) const CRC_BYTES: usize = 4;

/// Where each section starts. Label indices are a thing of the past: their two offsets are written, never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Toc {
    pub(super) symbols: u64,
    pub(super) series: u64,
    pub(super) label_indices: u64,
    pub(super) label_index_table: u64,
    pub(super) postings: u64,
    pub(super) postings_table: u64,
}

impl Toc {
    /// The offsets as they stand in the file, without the checksum.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let offsets =
            [self.symbols, self.series, self.label_indices, self.label_index_table, self.postings, self.postings_table];
        offsets.iter().flat_map(|offset| offset.to_be_bytes()).collect()
    }

    /// Checks the file's header and reads its last bytes.
    pub(super) fn read(file: &BlockFile) -> Result<Toc, BlockError> {
        if file.bytes().get(..4) != Some(&MAGIC.to_be_bytes()) {
            return Err(file.corrupt(0, "the file is no index"));
        }
        match file.bytes().get(HEADER_BYTES - 1) {
            Some(&VERSION) => {}
            version => return Err(file.unsupported(4, "index version", version.copied().unwrap_or(0).into())),
        }
        let Some((body, toc)) = file.bytes().split_last_chunk::<TOC_BYTES>() else {
            return Err(file.corrupt(HEADER_BYTES as u64, "the index has no table of contents"));
        };
        let (offsets, crc) = toc.split_at(TOC_BYTES - CRC_BYTES);
        if crc32c::crc32c(offsets).to_be_bytes() != crc {
            return Err(file.corrupt(body.len() as u64, "the table of contents' checksum does not match"));
        }
        let offset = |i: usize| {
            offsets.get(i * 8..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_be_bytes(*bytes))
        };
        Ok(Toc {
            symbols: offset(0),
            series: offset(1),
            label_indices: offset(2),
            label_index_table: offset(3),
            postings: offset(4),
            postings_table: offset(5),
        })
    }

    /// What a table of contents would say as far as the sections tell: symbols come first, series behind them.
    pub(super) fn of_sections(file: &BlockFile) -> Result<Toc, BlockError> {
        let symbols = HEADER_BYTES as u64;
        let (start, content) = section(file, symbols)?;
        let series = (start + (content.len() + CRC_BYTES) as u64).next_multiple_of(SERIES_ALIGN);
        let end = file.bytes().len() as u64;
        Ok(Toc { symbols, series, label_indices: end, label_index_table: end, postings: end, postings_table: end })
    }
}

/// The bytes between the length that stands at `offset` and the checksum behind them, which is verified.
///
/// Returns them with their own offset.
pub(super) fn section(file: &BlockFile, offset: u64) -> Result<(u64, &[u8]), BlockError> {
    let Some((content, crc)) = split_section(file.tail(offset)) else {
        return Err(file.corrupt(offset, "the section does not fit the file"));
    };
    if crc32c::crc32c(content) != crc {
        return Err(file.corrupt(offset, "the section's checksum does not match"));
    }
    Ok((offset + LEN_BYTES as u64, content))
}

/// How many references the postings at `offset` claim to have. Not verified: whoever reads them verifies them.
pub(super) fn postings_count(file: &BlockFile, offset: u64) -> u64 {
    let count = file.tail(offset).get(LEN_BYTES..).and_then(split_u32);
    count.map_or(0, |(count, _)| count.into())
}

fn split_section(bytes: &[u8]) -> Option<(&[u8], u32)> {
    let (len, rest) = split_u32(bytes)?;
    let (content, rest) = rest.split_at_checked(len as usize)?;
    Some((content, split_u32(rest)?.0))
}

/// Splits a number of 4 bytes off the front.
pub(super) fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_be_bytes(*number), rest))
}

/// Splits bytes with their length in front off the front.
pub(super) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = crate::chunk::varint::split_uvarint(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}
