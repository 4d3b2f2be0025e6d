//! The file system of the machine.

use std::any::Any;
use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::system::{Handle, System, already_open};
use crate::{Entry, Map};

/// Only the owner may enter: the data of all tenants is inside.
const DIR_MODE: u32 = 0o700;
/// Only the owner may read.
const FILE_MODE: u32 = 0o600;

#[derive(Debug)]
pub(crate) struct Real;

impl System for Real {
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::symlink_metadata(path)?.is_dir())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata() {
                Ok(meta) => entries.push(Entry { name, is_dir: meta.is_dir(), len: meta.len() }),
                // A file that goes away between the two calls is not there any more: not an error.
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(entries)
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OpenOptions::new().append(true).create_new(true).mode(FILE_MODE).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OpenOptions::new().append(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        Map::of_file(&fs::File::open(path)?)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that publishes")]
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    #[expect(clippy::disallowed_methods, reason = "this is one of the two places that sync")]
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        fs::File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::Error(e)) => Err(e),
            Err(TryLockError::WouldBlock) => Err(already_open()),
        }
    }
}

impl Handle for fs::File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fs::File::set_len(self, len)
    }

    #[expect(clippy::disallowed_methods, reason = "this is one of the two places that sync")]
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
