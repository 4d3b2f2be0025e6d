//! Read-only maps of published files; the only unsafe code of the project.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the argument stands at the one block")]

use std::fs;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// The bytes of a published file, shared by its clones.
#[derive(Clone, Debug)]
pub struct Map(Bytes);

#[derive(Clone, Debug)]
enum Bytes {
    /// The kernel refuses to map nothing.
    Nothing,
    Mapped(Arc<memmap2::Mmap>),
    #[cfg(any(test, feature = "sim"))]
    Simulated(Arc<Vec<u8>>),
}

impl Map {
    pub(crate) fn of_file(file: &fs::File) -> io::Result<Map> {
        if file.metadata()?.len() == 0 {
            return Ok(Map(Bytes::Nothing));
        }
        // SAFETY: the bytes must not change while the map lives. Only published files are mapped; they are written
        // and synced under a temporary name, renamed once, and never opened for writing again, only unlinked, which
        // leaves an existing map intact. The data directory is 0700, so no other user can break that.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Map(Bytes::Mapped(Arc::new(map))))
    }

    /// Bytes in memory in the place of a file's.
    #[cfg(any(test, feature = "sim"))]
    pub fn of_bytes(bytes: Arc<Vec<u8>>) -> Map {
        Map(Bytes::Simulated(bytes))
    }
}

impl Deref for Map {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Nothing => &[],
            Bytes::Mapped(map) => map,
            #[cfg(any(test, feature = "sim"))]
            Bytes::Simulated(bytes) => bytes,
        }
    }
}
