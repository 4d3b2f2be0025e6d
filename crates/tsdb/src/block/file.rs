//! A mapped file of a block: bytes from outside, where every offset may lie beyond the end.

use disk::{Dir, Map};

use super::error::BlockError;

/// A mapped file and the name that errors say.
#[derive(Clone, Debug)]
pub(crate) struct BlockFile {
    name: String,
    bytes: Map,
}

impl BlockFile {
    /// Maps `file` in `dir`; errors call it `name`.
    pub(crate) fn map(dir: &Dir, file: &str, name: String) -> Result<BlockFile, BlockError> {
        Ok(BlockFile { name, bytes: dir.map(file)? })
    }

    /// Bytes in the place of a file.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn of_bytes(bytes: Vec<u8>) -> BlockFile {
        BlockFile { name: "bytes".to_owned(), bytes: Map::of_bytes(std::sync::Arc::new(bytes)) }
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes from `offset` to the end: none beyond it.
    #[inline]
    pub(crate) fn tail(&self, offset: u64) -> &[u8] {
        usize::try_from(offset).ok().and_then(|offset| self.bytes.get(offset..)).unwrap_or(&[])
    }

    /// The error that bytes at `offset` are not what they should be.
    pub(crate) fn corrupt(&self, offset: u64, what: &'static str) -> BlockError {
        BlockError::Corrupt { file: self.name.clone(), offset, what: what.into() }
    }

    /// The error that the bytes at `offset` are of an unknown kind.
    pub(crate) fn unsupported(&self, offset: u64, what: &'static str, number: u64) -> BlockError {
        BlockError::Unsupported { file: self.name.clone(), offset, what, number }
    }
}
