//! A directory: list, create, read, map, remove, and publish by rename.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::real::Real;
use crate::system::System;
use crate::{DiskError, File, Map};

/// A directory that exists.
#[derive(Clone, Debug)]
pub struct Dir {
    system: Arc<dyn System>,
    path: PathBuf,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory's path.
    pub name: String,
    /// Whether it is a directory itself.
    pub is_dir: bool,
    /// Its length in bytes; meaningless for a directory.
    pub len: u64,
}

impl Dir {
    /// Opens `path`, creating it and its parents, durably, when they are not there.
    pub fn open(path: impl Into<PathBuf>) -> Result<Dir, DiskError> {
        let path = path.into();
        let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).count();
        let dir = Dir { system: Arc::new(Real), path };
        dir.make()?;
        for parent in dir.path.ancestors().skip(1).take(missing) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Dir { path: parent.to_owned(), ..dir.clone() }.sync()?;
        }
        Ok(dir)
    }

    /// The root directory of a simulated system.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn root_of(system: Arc<dyn System>) -> Dir {
        Dir { system, path: PathBuf::from("/") }
    }

    fn make(&self) -> Result<(), DiskError> {
        self.system.make_dirs(&self.path).map_err(DiskError::at("create", &self.path))
    }

    pub(crate) fn system(&self) -> &dyn System {
        &*self.system
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the directory `name` inside, creating it when it is not there; its name is durable after [`Dir::sync`].
    pub fn sub(&self, name: &str) -> Result<Dir, DiskError> {
        let sub = Dir { path: self.path.join(name), ..self.clone() };
        sub.make()?;
        Ok(sub)
    }

    /// The names inside, sorted. A name that is not UTF-8 is not ours and is left out.
    pub fn list(&self) -> Result<Vec<Entry>, DiskError> {
        let mut entries = self.system.list(&self.path).map_err(DiskError::at("list", &self.path))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Creates file `name`, which must not be there, for appending.
    pub fn create(&self, name: &str) -> Result<File, DiskError> {
        let path = self.path.join(name);
        let file = self.system.create(&path).map_err(DiskError::at("create", &path))?;
        Ok(File::new(file, path))
    }

    /// Reads the whole of file `name`.
    pub fn read(&self, name: &str) -> Result<Vec<u8>, DiskError> {
        let path = self.path.join(name);
        self.system.read(&path).map_err(DiskError::at("read", &path))
    }

    /// Maps file `name` for reading. The file must not change while it is mapped: published files never do.
    pub fn map(&self, name: &str) -> Result<Map, DiskError> {
        let path = self.path.join(name);
        self.system.map(&path).map_err(DiskError::at("map", &path))
    }

    /// Cuts file `name` to `len` bytes and syncs it.
    pub fn truncate(&self, name: &str, len: u64) -> Result<(), DiskError> {
        let path = self.path.join(name);
        let file = self.system.open(&path).map_err(DiskError::at("open", &path))?;
        file.set_len(len).map_err(DiskError::at("truncate", &path))?;
        file.sync().map_err(DiskError::at("sync", &path))
    }

    /// Removes `name`, a file or a directory with all it holds. Removing what is not there is done already.
    pub fn remove(&self, name: &str) -> Result<(), DiskError> {
        let path = self.path.join(name);
        let removed = self.system.is_dir(&path).and_then(|is_dir| match is_dir {
            true => self.system.remove_dir_all(&path),
            false => self.system.remove_file(&path),
        });
        match removed {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            result => result.map_err(DiskError::at("remove", &path)),
        }
    }

    /// Makes the directory `tmp`, whose files are synced, appear as `name`: after this returns, `name` is there with
    /// everything inside, or (after a crash in between) not at all.
    pub fn publish(&self, tmp: &str, name: &str) -> Result<(), DiskError> {
        self.sub(tmp)?.sync()?;
        self.rename(tmp, &self.path.join(name))?;
        self.sync()
    }

    /// Writes file `name` so that a crash leaves the old contents or the new ones, never a mixture.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.replace_by(name, |file| file.append(bytes))
    }

    /// The same with contents that `write` appends bit by bit.
    pub fn replace_by(&self, name: &str, write: impl FnOnce(&File) -> Result<(), DiskError>) -> Result<(), DiskError> {
        let tmp = format!("{name}.tmp");
        self.remove(&tmp)?;
        let file = self.create(&tmp)?;
        write(&file)?;
        file.sync()?;
        self.replace_with(&tmp, name)
    }

    /// Lets file `tmp`, which is synced, take the place of `name`, durably.
    pub fn replace_with(&self, tmp: &str, name: &str) -> Result<(), DiskError> {
        self.rename(tmp, &self.path.join(name))?;
        self.sync()
    }

    /// Gives file `name` a second name, `as_name` in `target`, durable after [`Dir::sync`] of that.
    pub fn hard_link(&self, name: &str, target: &Dir, as_name: &str) -> Result<(), DiskError> {
        let path = self.path.join(name);
        self.system.hard_link(&path, &target.path.join(as_name)).map_err(DiskError::at("link", &path))
    }

    /// Moves `name`, a file or a directory with all it holds, to `target`, durably; a file replaces one of its name.
    pub fn move_to(&self, name: &str, target: &Dir) -> Result<(), DiskError> {
        self.rename(name, &target.path.join(name))?;
        target.sync()?;
        self.sync()
    }

    /// Makes the names in this directory durable.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.system.sync_dir(&self.path).map_err(DiskError::at("sync", &self.path))
    }

    /// The bytes of all files below. Cost: a walk of the tree.
    pub fn size_bytes(&self) -> Result<u64, DiskError> {
        let mut sum = 0;
        for entry in self.list()? {
            sum += match entry.is_dir {
                true => Dir { path: self.path.join(&entry.name), ..self.clone() }.size_bytes()?,
                false => entry.len,
            };
        }
        Ok(sum)
    }

    fn rename(&self, from: &str, to: &Path) -> Result<(), DiskError> {
        let path = self.path.join(from);
        self.system.rename(&path, to).map_err(DiskError::at("rename", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Dir) -> Vec<(String, bool, u64)> {
        let len = |entry: &Entry| if entry.is_dir { 0 } else { entry.len };
        dir.list().unwrap().iter().map(|entry| (entry.name.clone(), entry.is_dir, len(entry))).collect()
    }

    #[test]
    fn directories_are_made_with_their_parents_and_published_whole() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path().join("a/b/c")).unwrap();
        assert_eq!(names(&dir), []);
        let sub = dir.sub("x.tmp").unwrap();
        sub.create("file").unwrap().append(b"12345").unwrap();
        dir.publish("x.tmp", "x").unwrap();
        assert_eq!(names(&dir), [("x".to_owned(), true, 0)]);
        assert_eq!(names(&dir.sub("x").unwrap()), [("file".to_owned(), false, 5)]);
        assert_eq!(dir.size_bytes().unwrap(), 5);
        dir.remove("x").unwrap();
        dir.remove("x").unwrap();
        assert_eq!(names(&Dir::open(tmp.path().join("a/b/c")).unwrap()), []);
    }

    #[test]
    fn a_replaced_file_has_the_new_contents_and_no_companion() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        // What a crash left of an earlier attempt.
        dir.create("f.tmp").unwrap().append(b"ha").unwrap();
        for contents in [&b"old"[..], b"", b"newer"] {
            dir.replace("f", contents).unwrap();
            assert_eq!(dir.read("f").unwrap(), contents);
            assert_eq!(&*dir.map("f").unwrap(), contents);
            assert_eq!(names(&dir), [("f".to_owned(), false, contents.len() as u64)]);
        }
        dir.truncate("f", 3).unwrap();
        assert_eq!(dir.read("f").unwrap(), b"new");
        assert!(dir.read("g").unwrap_err().is_not_found());
        assert_eq!(dir.create("f").unwrap_err().op, "create");
    }

    #[test]
    fn names_are_added_and_moved_between_directories() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let (from, to) = (dir.sub("from").unwrap(), dir.sub("to").unwrap());
        from.create("f").unwrap().append(b"12").unwrap();
        from.hard_link("f", &to, "g").unwrap();
        from.sub("x").unwrap().create("inside").unwrap();
        assert_eq!(from.hard_link("f", &to, "g").unwrap_err().op, "link");
        for name in ["f", "x"] {
            from.move_to(name, &to).unwrap();
        }
        assert_eq!(names(&from), []);
        assert_eq!(names(&to), [("f".to_owned(), false, 2), ("g".to_owned(), false, 2), ("x".to_owned(), true, 0)]);
        assert_eq!(names(&to.sub("x").unwrap()), [("inside".to_owned(), false, 0)]);
        assert!(from.move_to("f", &to).unwrap_err().is_not_found());
    }
}
