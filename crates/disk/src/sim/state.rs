//! The state of a simulated disk, and what each call does to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::call::{Call, Fault, Op};
use super::file::Contents;
use super::names::{Names, Node, ROOT};
use super::random::Random;

#[derive(Clone, Debug)]
pub(super) struct State {
    /// How often the power came back: what was handed out before is useless.
    pub(super) epoch: u64,
    pub(super) is_off: bool,
    pub(super) names: Names,
    pub(super) files: BTreeMap<Node, File>,
    pub(super) locks: BTreeSet<Node>,
    pub(super) capacity: Option<u64>,
    /// Bytes of files that have a name.
    pub(super) used: u64,
    pub(super) trace: Vec<Call>,
    pub(super) faults: BTreeMap<u64, Fault>,
    pub(super) random: Random,
    /// Calls that failed by a fault or for want of room.
    pub(super) failures: u64,
    next: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) contents: Contents,
    links: usize,
}

impl State {
    pub(super) fn new(random: Random) -> State {
        State {
            epoch: 0,
            is_off: false,
            names: Names::new(),
            files: BTreeMap::new(),
            locks: BTreeSet::new(),
            capacity: None,
            used: 0,
            trace: Vec::new(),
            faults: BTreeMap::new(),
            random,
            failures: 0,
            next: ROOT.0 + 1,
        }
    }

    /// Counts a call. Errors: it fails without doing anything. A fault that is returned is for the call to act out.
    pub(super) fn enter(&mut self, epoch: u64, op: Op, path: &Path) -> io::Result<Option<Fault>> {
        if epoch != self.epoch || self.is_off {
            return Err(Fault::PowerCut.error());
        }
        let fault = self.faults.remove(&(self.trace.len() as u64));
        self.trace.push(Call { op, path: path.to_owned() });
        self.is_off = fault == Some(Fault::PowerCut);
        self.failures += u64::from(fault.is_some());
        match fault {
            None => Ok(None),
            Some(fault @ (Fault::Short | Fault::Dropped)) if op.faults().contains(&fault) => Ok(Some(fault)),
            Some(fault) => Err(fault.error()),
        }
    }

    pub(super) fn crash(&mut self, random: &mut Random) {
        self.names = std::mem::replace(&mut self.names, Names::new()).crashed(random);
        let links = self.names.links();
        let files = std::mem::take(&mut self.files).into_iter();
        let crashed = files.filter_map(|(node, file)| {
            let links = *links.get(&node)?;
            Some((node, File { contents: file.contents.crashed(random), links }))
        });
        self.files = crashed.collect();
        self.used = self.files.values().map(|file| file.contents.len() as u64).sum();
        self.epoch += 1;
        (self.is_off, self.locks) = (false, BTreeSet::new());
        self.faults.clear();
    }

    /// What `path` names.
    pub(super) fn find(&self, path: &Path) -> io::Result<Node> {
        let mut node = ROOT;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let names = self.names.of(node).ok_or(ErrorKind::NotADirectory)?;
            node = *name.to_str().and_then(|name| names.get(name)).ok_or(ErrorKind::NotFound)?;
        }
        Ok(node)
    }

    /// The directory that holds `path`, and the name in it.
    fn parent(&self, path: &Path) -> io::Result<(Node, String)> {
        let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
        let dir = self.find(path.parent().ok_or(ErrorKind::InvalidInput)?)?;
        if !self.names.is_dir(dir) {
            return Err(ErrorKind::NotADirectory.into());
        }
        Ok((dir, name.to_owned()))
    }

    pub(super) fn file(&mut self, node: Node) -> io::Result<&mut File> {
        self.files.get_mut(&node).ok_or_else(|| ErrorKind::IsADirectory.into())
    }

    fn add(&mut self) -> Node {
        self.next += 1;
        Node(self.next)
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> io::Result<()> {
        let (dir, name) = self.parent(path)?;
        match self.find(path) {
            Ok(node) if self.names.is_dir(node) => Ok(()),
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => {
                self.check_room()?;
                let node = self.add();
                self.names.add_dir(node);
                self.names.change(vec![(dir, name, Some(node))]);
                Ok(())
            }
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<Node> {
        let (dir, name) = self.parent(path)?;
        if self.find(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.check_room()?;
        let node = self.add();
        self.files.insert(node, File { links: 1, ..File::default() });
        self.names.change(vec![(dir, name, Some(node))]);
        Ok(node)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (from_dir, from_name) = self.parent(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        match self.find(to) {
            Ok(old) if old == node => return Ok(()),
            Ok(old) if self.names.is_dir(old) => {
                if !self.names.is_dir(node) {
                    return Err(ErrorKind::IsADirectory.into());
                }
                if self.names.of(old).is_some_and(|names| !names.is_empty()) {
                    return Err(ErrorKind::DirectoryNotEmpty.into());
                }
            }
            Ok(_) if self.names.is_dir(node) => return Err(ErrorKind::NotADirectory.into()),
            Ok(old) => self.unlink(old),
            Err(_) => {}
        }
        self.names.change(vec![(from_dir, from_name, None), (to_dir, to_name, Some(node))]);
        Ok(())
    }

    pub(super) fn hard_link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.find(from)?;
        let (dir, name) = self.parent(to)?;
        if self.find(to).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        self.file(node)?.links += 1;
        self.names.change(vec![(dir, name, Some(node))]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        self.file(node)?;
        let (dir, name) = self.parent(path)?;
        self.unlink(node);
        self.names.change(vec![(dir, name, None)]);
        Ok(())
    }

    pub(super) fn remove_empty_dir(&mut self, path: &Path) -> io::Result<()> {
        let node = self.find(path)?;
        match self.names.of(node) {
            None => return Err(ErrorKind::NotADirectory.into()),
            Some(names) if !names.is_empty() => return Err(ErrorKind::DirectoryNotEmpty.into()),
            Some(_) => {}
        }
        let (dir, name) = self.parent(path)?;
        self.names.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn unlink(&mut self, node: Node) {
        let Some(file) = self.files.get_mut(&node) else { return };
        file.links -= 1;
        if file.links == 0 {
            self.used -= file.contents.len() as u64;
        }
    }

    /// Appends what there is room for, all of it or an error.
    pub(super) fn append(&mut self, node: Node, bytes: &[u8], fault: Option<Fault>) -> io::Result<()> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let fits = match fault {
            Some(_) => self.random.below(bytes.len().max(1)),
            None => bytes.len(),
        };
        let fits = fits.min(room);
        let file = self.file(node)?;
        file.contents.append(&bytes[..fits]);
        if file.links > 0 {
            self.used += fits as u64;
        }
        if fits < bytes.len() && fault.is_none() {
            self.failures += 1;
        }
        if fits < bytes.len() || fault.is_some() { Err(Fault::Short.error()) } else { Ok(()) }
    }

    pub(super) fn set_len(&mut self, node: Node, len: u64) -> io::Result<()> {
        let len_new = usize::try_from(len).map_err(|_| ErrorKind::FileTooLarge)?;
        let file = self.file(node)?;
        let old = file.contents.len() as u64;
        file.contents.set_len(len_new);
        if file.links > 0 {
            self.used = self.used + len - old;
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.used))
    }

    /// A new name needs a little room as well.
    fn check_room(&mut self) -> io::Result<()> {
        if 0 < self.room() {
            return Ok(());
        }
        self.failures += 1;
        Err(Fault::NoSpace.error())
    }

    /// The directories and files below `path`, each before what it holds.
    pub(super) fn below(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut all = vec![path.to_owned()];
        let names = self.names.of(self.find(path)?).into_iter().flatten();
        for (name, _) in names {
            all.extend(self.below(&path.join(name))?);
        }
        Ok(all)
    }
}
