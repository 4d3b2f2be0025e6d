//! How a block fails to be written, opened or read.

use std::borrow::Cow;

use disk::DiskError;
use model::Interrupt;
use thiserror::Error;

/// A block could not be written, opened or read.
#[derive(Debug, Error)]
pub enum BlockError {
    /// The query that asked was ended.
    #[error(transparent)]
    Interrupted(#[from] Interrupt),
    /// The file system failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Bytes of the block are not what they should be; move it aside and serve the others.
    #[error("{file} at byte {offset}: {what}")]
    Corrupt {
        /// The file, with its block in front.
        file: String,
        /// Where in the file, as nearly as is known.
        offset: u64,
        /// What is wrong there.
        what: Cow<'static, str>,
    },
    /// The block is sound but of a kind that is not read.
    #[error("{file} at byte {offset}: {what} {number} is not supported")]
    Unsupported {
        /// The file, with its block in front.
        file: String,
        /// Where in the file.
        offset: u64,
        /// What the number means.
        what: &'static str,
        /// The number found.
        number: u64,
    },
    /// What was to be written makes no block; nothing of it was published.
    #[error("block cannot be written: {what}")]
    Invalid {
        /// The rule that it breaks.
        what: String,
    },
}

impl BlockError {
    pub(crate) fn invalid(what: impl Into<String>) -> BlockError {
        BlockError::Invalid { what: what.into() }
    }

    /// Whether the files are to blame for it, and not the disk at this moment.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            BlockError::Corrupt { .. } => true,
            BlockError::Disk(e) => e.is_not_found(),
            BlockError::Unsupported { .. } | BlockError::Invalid { .. } | BlockError::Interrupted(_) => false,
        }
    }
}
