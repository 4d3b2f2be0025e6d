//! The series of an index in the making, kept in a temporary file: their symbols have numbers only when all are known.

use disk::Dir;

use super::layout::split_text;
use crate::block::BlockError;
use crate::block::file::BlockFile;
use crate::block::output::Output;
use crate::chunk::varint::{push_uvarint, split_uvarint};

const SPOOL_FILE: &str = "index.spool";

/// A file of series: for each the numbers of its label pairs, and its chunks as the index will hold them.
pub(super) struct SpoolWriter {
    output: Output,
    buf: Vec<u8>,
}

impl SpoolWriter {
    pub(super) fn create(block: &Dir) -> Result<SpoolWriter, BlockError> {
        Ok(SpoolWriter { output: Output::create(block, SPOOL_FILE)?, buf: Vec::new() })
    }

    pub(super) fn push(&mut self, pairs: &[u32], chunks: &[u8]) -> Result<(), BlockError> {
        self.buf.clear();
        push_uvarint(&mut self.buf, pairs.len() as u64);
        for pair in pairs {
            push_uvarint(&mut self.buf, u64::from(*pair));
        }
        push_uvarint(&mut self.buf, chunks.len() as u64);
        self.output.put(&self.buf)?;
        self.output.put(chunks)
    }

    pub(super) fn finish(self, block: &Dir) -> Result<Spool, BlockError> {
        self.output.finish_temporary()?;
        Ok(Spool { file: BlockFile::map(block, SPOOL_FILE, SPOOL_FILE.to_owned())? })
    }
}

/// A finished file of series, to be read several times.
pub(super) struct Spool {
    file: BlockFile,
}

impl Spool {
    /// Calls `visit` with each series' pairs and chunks, in the order they came.
    pub(super) fn each(
        &self,
        mut visit: impl FnMut(&[u32], &[u8]) -> Result<(), BlockError>,
    ) -> Result<(), BlockError> {
        let mut pairs = Vec::new();
        let mut rest = self.file.bytes();
        while !rest.is_empty() {
            let at = (self.file.bytes().len() - rest.len()) as u64;
            let Some((chunks, behind)) = split_series(rest, &mut pairs) else {
                return Err(self.file.corrupt(at, "a series just written is not there"));
            };
            visit(&pairs, chunks)?;
            rest = behind;
        }
        Ok(())
    }

    /// Removes the file.
    pub(super) fn remove(self, block: &Dir) -> Result<(), BlockError> {
        drop(self.file);
        Ok(block.remove(SPOOL_FILE)?)
    }
}

fn split_series<'a>(bytes: &'a [u8], pairs: &mut Vec<u32>) -> Option<(&'a [u8], &'a [u8])> {
    pairs.clear();
    let (count, mut rest) = split_uvarint(bytes)?;
    for _ in 0..count {
        let pair;
        (pair, rest) = split_uvarint(rest)?;
        pairs.push(u32::try_from(pair).ok()?);
    }
    split_text(rest)
}
