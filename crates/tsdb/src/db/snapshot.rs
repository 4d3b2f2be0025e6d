//! A copy of the store at one moment: hard links to its blocks, which never change.

use disk::{Dir, DiskError};
use model::Timestamp;
use ulid::Ulid;

use super::Db;
use crate::error::TsdbError;

/// The directory of snapshots inside the data directory.
pub(super) const SNAPSHOTS_DIR: &str = "snapshots";
/// A snapshot being made; a crash leaves it behind.
pub(super) const SNAPSHOT_SUFFIX: &str = ".tmp";

impl Db {
    /// Makes a snapshot and returns its name under `snapshots/`: a data directory of its own, all blocks inside.
    ///
    /// `with_head` writes the samples that are in no block yet to blocks first. Cost: no bytes of samples are copied, but
    /// those of removed blocks stay on the disk for as long as the snapshot does.
    pub fn snapshot(&self, with_head: bool) -> Result<String, TsdbError> {
        let _one = self.exclusive();
        if with_head {
            self.flush_before(Timestamp::MAX)?;
        }
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| TsdbError::NoRandomness)?;
        let newest = self.head.maxt().unwrap_or(0).max(0).cast_unsigned();
        let name = Ulid::from_parts(newest, u128::from_le_bytes(random)).to_string();
        let temporary = format!("{name}{SNAPSHOT_SUFFIX}");
        let all = self.dir.sub(SNAPSHOTS_DIR)?;
        self.dir.sync()?;
        let linked = self.link_blocks(&all.sub(&temporary)?).and_then(|()| all.publish(&temporary, &name));
        if let Err(e) = linked {
            all.remove(&temporary)?;
            return Err(e.into());
        }
        Ok(name)
    }

    fn link_blocks(&self, into: &Dir) -> Result<(), DiskError> {
        for block in self.blocks().iter() {
            let name = block.meta().ulid.to_string();
            link_files(&self.dir.sub(&name)?, &into.sub(&name)?)?;
        }
        Ok(())
    }
}

/// Links every file below `from` into `to`, and makes the names durable.
fn link_files(from: &Dir, to: &Dir) -> Result<(), DiskError> {
    for entry in from.list()? {
        if entry.is_dir {
            link_files(&from.sub(&entry.name)?, &to.sub(&entry.name)?)?;
        } else {
            from.hard_link(&entry.name, to, &entry.name)?;
        }
    }
    to.sync()
}

/// Removes what a crash left of snapshots in the making.
pub(super) fn remove_remains(dir: &Dir) -> Result<(), DiskError> {
    if !dir.list()?.iter().any(|entry| entry.is_dir && entry.name == SNAPSHOTS_DIR) {
        return Ok(());
    }
    let all = dir.sub(SNAPSHOTS_DIR)?;
    for entry in all.list()?.iter().filter(|entry| entry.name.ends_with(SNAPSHOT_SUFFIX)) {
        all.remove(&entry.name)?;
    }
    Ok(())
}
