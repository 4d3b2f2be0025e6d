//! How the store fails, and how it refuses a sample.

use std::sync::Arc;

use disk::DiskError;
use thiserror::Error;

use crate::block::BlockError;

/// The store could not be opened or maintained.
#[derive(Debug, Error)]
pub enum TsdbError {
    /// The file system failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] Arc<DiskError>),
    /// A record of the log could be read at first and then not any more.
    #[error("the log does not read the same twice: restart once the disk is sound")]
    LogChanged,
    /// A head image would be larger than its numbers can say.
    #[error("the head is too large for an image of it")]
    ImageTooLarge,
    /// A block could not be written or read.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The disk did not hand out a block at the start: a deletion would miss it, and the next start bring it back.
    #[error("a block could not be read at the start, and a deletion would miss it: restart once the disk is sound")]
    BlocksUnread,
    /// The operating system gives no random bytes for the name of a block.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
}

/// A commit was not made durable; nothing of it is acknowledged, and sending it again is safe.
#[derive(Debug, Error)]
#[error("samples are not durable: {0}")]
pub struct AppendError(#[from] Arc<DiskError>);

/// Why one sample or exemplar was refused while the others of its request were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, PartialOrd, Ord)]
pub enum Rejection {
    /// Older than the out-of-order window.
    #[error("too_old: the sample is older than the out-of-order window")]
    TooOld,
    /// Newer than the clock allows.
    #[error("too_far_in_future: the sample is too far ahead of the server's clock")]
    TooFarInFuture,
    /// The series has another value at this time; the first one stays.
    #[error("duplicate_conflict: the series has another value at this timestamp")]
    DuplicateConflict,
    /// The series is new, and its project has as many as it may have.
    #[error("series_limit: the project has as many active series as it may have")]
    SeriesLimit,
}

impl Rejection {
    /// Every reason.
    pub const ALL: [Rejection; 4] =
        [Rejection::TooOld, Rejection::TooFarInFuture, Rejection::DuplicateConflict, Rejection::SeriesLimit];

    /// The reason as a metric's label value.
    pub fn name(self) -> &'static str {
        match self {
            Rejection::TooOld => "too_old",
            Rejection::TooFarInFuture => "too_far_in_future",
            Rejection::DuplicateConflict => "duplicate_conflict",
            Rejection::SeriesLimit => "series_limit",
        }
    }
}
