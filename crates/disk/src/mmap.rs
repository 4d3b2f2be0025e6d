//! Read-only maps of published files; the only unsafe code of the project.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the argument stands at the one block")]

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::DiskError;

/// The bytes of a published file, shared by its clones.
#[derive(Clone, Debug)]
pub struct Map(Option<Arc<memmap2::Mmap>>);

impl Map {
    pub(crate) fn open(path: &Path) -> Result<Map, DiskError> {
        let file = fs::File::open(path).map_err(DiskError::at("open", path))?;
        let len = file.metadata().map_err(DiskError::at("stat", path))?.len();
        if len == 0 {
            // The kernel refuses to map nothing.
            return Ok(Map(None));
        }
        // SAFETY: the bytes must not change while the map lives. Only published files are mapped; they are written
        // and synced under a temporary name, renamed once, and never opened for writing again, only unlinked, which
        // leaves an existing map intact. The data directory is 0700, so no other user can break that.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(DiskError::at("map", path))?;
        Ok(Map(Some(Arc::new(map))))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().map_or(&[], |map| map)
    }
}
