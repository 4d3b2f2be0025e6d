//! The simulated disk as a file system that [`Dir`](crate::Dir) and [`File`](crate::File) call.

use std::any::Any;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use super::Sim;
use super::call::Op;
use super::names::Node;
use super::state::State;
use crate::system::{Handle, System, already_open};
use crate::{Entry, Map};

/// The disk between two crashes.
#[derive(Clone, Debug)]
pub(super) struct SimSystem {
    sim: Sim,
    epoch: u64,
}

impl SimSystem {
    pub(super) fn new(sim: Sim, epoch: u64) -> SimSystem {
        SimSystem { sim, epoch }
    }

    fn enter(&self, op: Op, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.sim.state();
        state.enter(self.epoch, op, path)?;
        Ok(state)
    }

    fn handle(&self, node: Node, path: &Path) -> Box<dyn Handle> {
        Box::new(SimFile { system: self.clone(), node, path: path.to_owned() })
    }
}

impl System for SimSystem {
    fn is_dir(&self, path: &Path) -> io::Result<bool> {
        let state = self.enter(Op::Stat, path)?;
        Ok(state.names.is_dir(state.find(path)?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Entry>> {
        let state = self.enter(Op::List, path)?;
        let names = state.names.of(state.find(path)?).ok_or(ErrorKind::NotADirectory)?;
        let entry = |(name, node): (&String, &Node)| {
            let len = state.files.get(node).map_or(0, |file| file.contents.len() as u64);
            Entry { name: name.clone(), is_dir: state.names.is_dir(*node), len }
        };
        Ok(names.iter().map(entry).collect())
    }

    fn make_dirs(&self, path: &Path) -> io::Result<()> {
        let mut dirs: Vec<&Path> = path.ancestors().collect();
        dirs.retain(|dir| dir.file_name().is_some());
        // The last one is asked for even when it is there, as the real one does.
        let is_there = |dir: &&Path| *dir != path && self.sim.state().find(dir).is_ok();
        for dir in dirs.into_iter().rev().skip_while(is_there) {
            self.enter(Op::MakeDir, dir)?.make_dir(dir)?;
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let node = self.enter(Op::Create, path)?.create(path)?;
        Ok(self.handle(node, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let node = self.enter(Op::Open, path)?.find(path)?;
        Ok(self.handle(node, path))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.enter(Op::Read, path)?;
        let node = state.find(path)?;
        Ok(state.file(node)?.contents.live().to_vec())
    }

    fn map(&self, path: &Path) -> io::Result<Map> {
        let mut state = self.enter(Op::Map, path)?;
        let node = state.find(path)?;
        Ok(Map::of_bytes(state.file(node)?.contents.live()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(Op::Rename, from)?.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.enter(Op::Link, from)?.hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.enter(Op::Unlink, path)?.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let all = self.enter(Op::List, path)?.below(path)?;
        for path in all.iter().rev() {
            let is_dir = {
                let state = self.sim.state();
                state.find(path).is_ok_and(|node| state.names.is_dir(node))
            };
            match is_dir {
                true => self.enter(Op::RemoveDir, path)?.remove_empty_dir(path)?,
                false => self.remove_file(path)?,
            }
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.enter(Op::SyncDir, path)?;
        let dir = state.find(path)?;
        state.names.sync(dir);
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>> {
        let mut state = self.enter(Op::Lock, path)?;
        let node = match state.find(path) {
            Ok(node) => node,
            Err(_) => state.create(path)?,
        };
        if !state.locks.insert(node) {
            return Err(already_open());
        }
        Ok(Box::new(Held { system: self.clone(), node }))
    }
}

/// A lock that is held.
struct Held {
    system: SimSystem,
    node: Node,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.system.sim.state();
        if state.epoch == self.system.epoch {
            state.locks.remove(&self.node);
        }
    }
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    system: SimSystem,
    node: Node,
    path: PathBuf,
}

impl Handle for SimFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.system.sim.state();
        let fault = state.enter(self.system.epoch, Op::Write, &self.path)?;
        state.append(self.node, bytes, fault)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.system.enter(Op::SetLen, &self.path)?.set_len(self.node, len)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.system.sim.state();
        let fault = state.enter(self.system.epoch, Op::Sync, &self.path)?;
        let State { files, random, .. } = &mut *state;
        let Some(file) = files.get_mut(&self.node) else { return Err(ErrorKind::NotFound.into()) };
        match fault {
            None => file.contents.sync(),
            Some(fault) => {
                file.contents.drop_pending(random);
                return Err(fault.error());
            }
        }
        Ok(())
    }
}
