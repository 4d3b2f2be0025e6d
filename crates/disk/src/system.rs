//! The calls to the operating system that this crate is made of; a simulated system answers the same calls.

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

use crate::{Entry, Map};

/// A file system. Paths are absolute or relative to the process; nothing here is durable before it is synced.
pub(crate) trait System: Debug + Send + Sync {
    /// Whether `path` is a directory.
    fn is_dir(&self, path: &Path) -> io::Result<bool>;
    /// The names in directory `path`, in any order; those that are not UTF-8 are left out.
    fn list(&self, path: &Path) -> io::Result<Vec<Entry>>;
    /// Makes directory `path`, and those above it, where they are missing.
    fn make_dirs(&self, path: &Path) -> io::Result<()>;
    /// Creates a file that must not be there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Opens a file that is there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Reads a whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Maps a file that does not change while it is mapped.
    fn map(&self, path: &Path) -> io::Result<Map>;
    /// Gives what `from` names the name `to`, which may be taken by a file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file a second name, which must be free.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes the name of a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory with all it holds.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes a lock file, made if need be; dropping what this returns gives it back.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;
}

/// An open file.
pub(crate) trait Handle: Debug + Send + Sync {
    /// Adds bytes at the end. After an error a part of them may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Makes the bytes and the length durable.
    fn sync(&self) -> io::Result<()>;
}

/// What a lock answers that another one holds.
pub(crate) fn already_open() -> io::Error {
    io::Error::other("another process has this data directory open")
}
