//! The lock that lets one process at a time have a directory open.

use std::any::Any;

use crate::{Dir, DiskError};

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _held: Box<dyn Any + Send + Sync>,
}

impl Dir {
    /// Takes the lock file `name`. Errors: another process has it.
    pub fn lock(&self, name: &str) -> Result<Lock, DiskError> {
        let path = self.path().join(name);
        let held = self.system().lock(&path).map_err(DiskError::at("lock", &path))?;
        Ok(Lock { _held: held })
    }
}
