//! The lock that lets one process at a time have a directory open.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use crate::{Dir, DiskError};

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: fs::File,
}

impl Dir {
    /// Takes the lock file `name`. Errors: another process has it.
    pub fn lock(&self, name: &str) -> Result<Lock, DiskError> {
        let path = self.path().join(name);
        let file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(DiskError::at("open", &path))?;
        file.try_lock().map_err(|e| match e {
            fs::TryLockError::Error(e) => DiskError::at("lock", &path)(e),
            fs::TryLockError::WouldBlock => {
                DiskError::at("lock", &path)(std::io::Error::other("another process has this data directory open"))
            }
        })?;
        Ok(Lock { _file: file })
    }
}
