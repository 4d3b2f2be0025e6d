//! The calls that a simulated disk counts, and the ways in which each can fail.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// One call made to the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What was asked.
    pub op: Op,
    /// Of which file or directory.
    pub path: PathBuf,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.op, self.path.display())
    }
}

/// What can be asked of a disk; each is one call to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after its system call")]
pub enum Op {
    Stat,
    List,
    MakeDir,
    Create,
    Open,
    Read,
    Map,
    Write,
    SetLen,
    Sync,
    SyncDir,
    Rename,
    Link,
    Unlink,
    RemoveDir,
    Lock,
}

/// A way for a call to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It does nothing and answers `EIO`.
    Io,
    /// It does nothing and answers `ENOSPC`.
    NoSpace,
    /// A write puts down a part of its bytes and answers `ENOSPC`.
    Short,
    /// A sync answers `EIO` and forgets what it had to write: a later one succeeds and proves nothing.
    Dropped,
    /// The power goes before the call: it and every later one answers `EIO` until [`crash`](super::Sim::crash).
    PowerCut,
}

impl Op {
    /// The ways in which it can fail, beside a power cut.
    pub fn faults(self) -> &'static [Fault] {
        match self {
            Op::Stat | Op::List | Op::Open | Op::Read | Op::Map => &[Fault::Io],
            Op::SetLen | Op::Unlink | Op::RemoveDir => &[Fault::Io],
            Op::MakeDir | Op::Create | Op::SyncDir | Op::Rename | Op::Link | Op::Lock => &[Fault::Io, Fault::NoSpace],
            Op::Write => &[Fault::Io, Fault::NoSpace, Fault::Short],
            Op::Sync => &[Fault::Io, Fault::NoSpace, Fault::Dropped],
        }
    }
}

impl Fault {
    /// What the call answers.
    pub(super) fn error(self) -> io::Error {
        match self {
            Fault::Io | Fault::Dropped | Fault::PowerCut => io::Error::from_raw_os_error(EIO),
            Fault::NoSpace | Fault::Short => io::Error::from_raw_os_error(ENOSPC),
        }
    }
}

/// Source: Linux `include/uapi/asm-generic/errno-base.h`.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
