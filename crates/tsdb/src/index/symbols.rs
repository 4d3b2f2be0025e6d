//! The symbol table: every label name and value once, sorted, found by number.

use super::layout::{self, split_text, split_u32};
use crate::block::BlockError;
use crate::block::file::BlockFile;

/// One offset of this many is kept in memory; between two of them symbols are skipped over.
const SAMPLING: usize = 16;

/// Where the symbols of an index are.
#[derive(Debug)]
pub(super) struct Symbols {
    count: u32,
    /// File offsets of symbols 0, 16, 32, ...
    offsets: Box<[u32]>,
}

impl Symbols {
    /// Reads through the table once.
    pub(super) fn read(file: &BlockFile, offset: u64) -> Result<Symbols, BlockError> {
        let (start, content) = layout::section(file, offset)?;
        let Some((count, mut rest)) = split_u32(content) else { return Err(file.corrupt(start, "no symbol count")) };
        let mut offsets = Vec::new();
        for number in 0..count as usize {
            let at = start + (content.len() - rest.len()) as u64;
            if number.is_multiple_of(SAMPLING) {
                let sampled = u32::try_from(at).map_err(|_| file.corrupt(at, "the symbols start beyond 4 GiB"))?;
                offsets.push(sampled);
            }
            let Some((_, behind)) = split_text(rest) else { return Err(file.corrupt(at, "a symbol is cut")) };
            rest = behind;
        }
        Ok(Symbols { count, offsets: offsets.into() })
    }

    /// The symbol with this number.
    pub(super) fn get<'a>(&self, file: &'a BlockFile, number: u32) -> Option<&'a str> {
        if self.count <= number {
            return None;
        }
        let offset = *self.offsets.get(number as usize / SAMPLING)?;
        let mut rest = file.tail(offset.into());
        for _ in 0..number as usize % SAMPLING {
            rest = split_text(rest)?.1;
        }
        std::str::from_utf8(split_text(rest)?.0).ok()
    }
}
