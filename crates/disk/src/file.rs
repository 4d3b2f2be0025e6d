//! A file that only grows: append, sync, length.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::DiskError;
use crate::system::Handle;

/// A file open for appending. One thread appends while others may sync.
#[derive(Debug)]
pub struct File {
    file: Box<dyn Handle>,
    path: PathBuf,
    len: AtomicU64,
}

impl File {
    pub(crate) fn new(file: Box<dyn Handle>, path: PathBuf) -> File {
        File { file, path, len: AtomicU64::new(0) }
    }

    /// Adds `bytes` at the end. After an error the file may hold a part of them: see [`File::rewind`].
    pub fn append(&self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.append(bytes).map_err(DiskError::at("write", &self.path))?;
        self.len.fetch_add(bytes.len() as u64, Relaxed);
        Ok(())
    }

    /// Cuts off what an append that failed left behind.
    pub fn rewind(&self) -> Result<(), DiskError> {
        self.file.set_len(self.len()).map_err(DiskError::at("truncate", &self.path))
    }

    /// Cuts the file to its first `len` bytes, of which it has at least so many.
    pub fn truncate(&self, len: u64) -> Result<(), DiskError> {
        debug_assert!(len <= self.len(), "a file of {} bytes cannot be cut to {len}", self.len());
        self.file.set_len(len).map_err(DiskError::at("truncate", &self.path))?;
        self.len.store(len, Relaxed);
        Ok(())
    }

    /// Makes everything appended so far durable.
    ///
    /// Errors: after one, nothing is known of bytes that were not durable yet, and a later success proves nothing.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.file.sync().map_err(DiskError::at("sync", &self.path))
    }

    /// Bytes appended without an error.
    pub fn len(&self) -> u64 {
        self.len.load(Relaxed)
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use crate::Dir;

    #[test]
    fn what_a_failed_append_left_is_cut_off_and_the_file_goes_on() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let file = dir.create("log").unwrap();
        file.append(b"first ").unwrap();
        // Half an append: the bytes are there, and it was never counted.
        file.file.append(b"sec").unwrap();
        file.rewind().unwrap();
        assert_eq!((dir.read("log").unwrap().as_slice(), file.len()), (&b"first "[..], 6));
        file.append(b"third").unwrap();
        file.sync().unwrap();
        assert_eq!(dir.read("log").unwrap(), b"first third");
        file.truncate(8).unwrap();
        file.append(b"e end").unwrap();
        assert_eq!((dir.read("log").unwrap().as_slice(), file.len()), (&b"first the end"[..], 13));
    }
}
