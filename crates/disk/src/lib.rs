//! The one door to the file system: directories, append-only files, atomic publishing and read-only maps.
//!
//! Nothing outside this crate renames, syncs or maps a file (SQLite aside), so what "durable" means is decided here:
//! a file's bytes are durable after [`File::sync`], its name after [`Dir::sync`] of the directory that holds it.

mod dir;
mod error;
mod file;
mod lock;
mod mmap;
mod real;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod system;

pub use dir::{Dir, Entry};
pub use error::DiskError;
pub use file::File;
pub use lock::Lock;
pub use mmap::Map;
#[cfg(any(test, feature = "sim"))]
pub use sim::Sim;
