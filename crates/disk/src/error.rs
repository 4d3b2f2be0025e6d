//! What can go wrong at the door to the disk.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// A call to the file system that did not do what was asked, with the path it was asked for.
#[derive(Debug, Error)]
#[error("{op} {path}: {source}")]
pub struct DiskError {
    /// What was asked: `open`, `sync` and so on.
    pub op: &'static str,
    /// Of which file or directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: std::io::Error,
}

impl DiskError {
    /// Whether the file or directory is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == std::io::ErrorKind::NotFound
    }

    pub(crate) fn at(op: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> DiskError {
        let path = path.to_owned();
        move |source| DiskError { op, path, source }
    }
}
