//! The list of blocks: how it is found at the start, and how it changes while readers use the one before.

use std::sync::Arc;

use disk::Dir;
use model::Timestamp;
use ulid::Ulid;

use super::Db;
use crate::block::{Block, BlockError, BlockMeta, CREATION_SUFFIX, Caches, withdraw_block};
use crate::compact::SALVAGED_HINT;
use crate::error::TsdbError;
use crate::integrity::{Finding, Findings};

/// A block being removed; a crash leaves it behind.
const DELETION_SUFFIX: &str = ".tmp-for-deletion";
/// Where damaged files are kept for whoever wants to look at them; nothing here reads or removes them.
pub(super) const QUARANTINE_DIR: &str = "quarantine";

/// The blocks found at the start.
pub(super) struct Found {
    pub(super) blocks: Vec<Arc<Block>>,
    /// The names of those that are damaged beyond opening.
    pub(super) unreadable: Vec<String>,
    /// Whether there are no others that could not be opened: a disk that fails to read today may read tomorrow.
    pub(super) all_opened: bool,
    /// Whether the disk did not hand out some of them.
    pub(super) some_unread: bool,
}

/// Opens all blocks in `dir`, and removes what crashes left: half a block, and blocks that another one replaced.
pub(super) fn open_blocks(dir: &Dir, caches: &Caches, findings: &Findings) -> Result<Found, TsdbError> {
    let mut found = Found { blocks: Vec::new(), unreadable: Vec::new(), all_opened: true, some_unread: false };
    for entry in dir.list()?.into_iter().filter(|entry| entry.is_dir) {
        if entry.name.ends_with(CREATION_SUFFIX) || entry.name.ends_with(DELETION_SUFFIX) {
            dir.remove(&entry.name)?;
            continue;
        }
        if Ulid::from_string(&entry.name).is_err() {
            continue;
        }
        match Block::open_telling(dir, &entry.name, caches, findings.clone()) {
            Ok(block) => found.blocks.push(Arc::new(block)),
            Err(e) => {
                let range = BlockMeta::read(&dir.sub(&entry.name)?, &entry.name).map(|meta| meta.range().closed());
                findings.add(Finding {
                    file: entry.name.clone(),
                    what: e.to_string(),
                    lost: "its samples are missing".to_owned(),
                    range: range.ok(),
                    quarantined: None,
                });
                found.all_opened = false;
                found.some_unread |= matches!(e, BlockError::Disk(_)) && !e.is_damage();
                if e.is_damage() {
                    found.unreadable.push(entry.name);
                }
            }
        }
    }
    remove_replaced(dir, &mut found.blocks)?;
    sort(&mut found.blocks);
    Ok(found)
}

/// Removes the blocks whose samples are all in another one: a crash came after that was there and before they were gone.
fn remove_replaced(dir: &Dir, blocks: &mut Vec<Arc<Block>>) -> Result<(), TsdbError> {
    let replacing = |old: &Arc<Block>| blocks.iter().find(|new| replaces(new.meta(), old.meta()));
    let replaced: Vec<(Ulid, bool)> = (blocks.iter())
        .filter_map(|old| {
            let hints = &replacing(old)?.meta().compaction.hints;
            Some((old.meta().ulid, hints.iter().any(|hint| hint == SALVAGED_HINT)))
        })
        .collect();
    for (ulid, salvaged) in &replaced {
        match salvaged {
            true => drop(set_aside(dir, &ulid.to_string())?),
            false => remove_block(dir, &ulid.to_string())?,
        }
    }
    blocks.retain(|block| replaced.iter().all(|(ulid, _)| *ulid != block.meta().ulid));
    Ok(())
}

/// Whether `new` says that it was made of `old`, or of all that `old` was made of.
pub(crate) fn replaces(new: &BlockMeta, old: &BlockMeta) -> bool {
    let (made, of) = (&new.compaction, &old.compaction);
    let has_all = !of.sources.is_empty() && of.sources.iter().all(|source| made.sources.contains(source));
    // A block written anew, perhaps more than once since the old one, keeps its level and is a source itself.
    let anew = of.level == made.level && made.sources.contains(&new.ulid) && !of.sources.contains(&new.ulid);
    new.ulid != old.ulid
        && (made.parents.iter().any(|parent| parent.ulid == old.ulid) || has_all && (of.level < made.level || anew))
}

/// Makes block `name` go away, durably and as a whole. After an error it is to be called again.
pub(super) fn remove_block(dir: &Dir, name: &str) -> Result<(), TsdbError> {
    let doomed = format!("{name}{DELETION_SUFFIX}");
    if is_there(dir, name)? {
        dir.publish(name, &doomed)?;
    } else {
        // The last attempt came as far as that.
        dir.sync()?;
    }
    Ok(dir.remove(&doomed)?)
}

fn is_there(dir: &Dir, name: &str) -> Result<bool, TsdbError> {
    Ok(dir.list()?.iter().any(|entry| entry.name == name))
}

/// Moves block `name` to the quarantine and returns where it is now. After an error it is to be called again.
pub(super) fn set_aside(dir: &Dir, name: &str) -> Result<String, TsdbError> {
    let quarantine = dir.sub(QUARANTINE_DIR)?;
    if is_there(dir, name)? {
        // What stands there under this name is the same block from an attempt that a crash ended.
        quarantine.remove(name)?;
        dir.move_to(name, &quarantine)?;
    } else {
        // The last attempt came as far as that.
        quarantine.sync()?;
        dir.sync()?;
    }
    Ok(format!("{QUARANTINE_DIR}/{name}"))
}

/// In the order they were written, which is also their rank: at equal times the first one's samples win. Blocks of one
/// flush share no time, and blocks of others come before ours.
fn sort(blocks: &mut [Arc<Block>]) {
    let segment = |block: &Block| block.meta().log_covers().covers.last().map(|cover| cover.segment);
    blocks.sort_by_key(|block| (segment(block), block.range().start, block.range().end, block.meta().ulid));
}

impl Db {
    /// Opens a block that was just written. If that fails it goes again: the next start would take it for one of ours,
    /// and what is deleted meanwhile would be back.
    pub(super) fn open_written(&self, name: &str) -> Result<Block, BlockError> {
        let block = Block::open_telling(&self.dir, name, &self.caches, self.findings.clone());
        block.inspect_err(|_| withdraw_block(&self.dir, name))
    }

    /// Replaces the list of blocks by one with `new` and without `gone`. Readers keep the list they started with.
    pub(super) fn swap_blocks(&self, new: Option<Block>, gone: &[Arc<Block>]) {
        let mut blocks = self.blocks().to_vec();
        blocks.retain(|block| gone.iter().all(|gone| gone.meta().ulid != block.meta().ulid));
        blocks.extend(new.map(Arc::new));
        sort(&mut blocks);
        self.blocks.store(Arc::new(blocks));
    }

    /// Takes blocks out of the list and off the disk; a damaged one goes to the quarantine.
    pub(super) fn retire(&self, new: Option<Block>, gone: &[Arc<Block>], why: &str) -> Result<(), TsdbError> {
        self.swap_blocks(new, gone);
        for block in gone {
            tracing::info!(block = %block.meta().ulid, why, "block retired");
        }
        self.retired.lock().extend(gone.iter().cloned());
        self.remove_retired()
    }

    /// Takes the blocks off the disk that are out of the list, in that order. One that cannot be removed keeps the others
    /// there: they are what says, at the next start, that another one has its samples, or has them no more.
    pub(super) fn remove_retired(&self) -> Result<(), TsdbError> {
        let mut retired = self.retired.lock();
        while let Some(block) = retired.front() {
            let name = block.meta().ulid.to_string();
            match block.is_damaged() {
                true => self.findings.quarantined(&name, &set_aside(&self.dir, &name)?),
                false => remove_block(&self.dir, &name)?,
            }
            retired.pop_front();
        }
        Ok(())
    }

    /// Moves the blocks that could not be opened to the quarantine, once what the log still has of them is in blocks: as
    /// long as they stand where they are, a replay does not rely on what other blocks say of the log.
    pub(super) fn set_aside_unreadable(&self) -> Result<(), TsdbError> {
        let mut unreadable = self.unreadable.lock();
        if unreadable.is_empty() {
            return Ok(());
        }
        let (blocks, gone) = (self.blocks(), self.gone.lock().clone());
        let said = blocks.iter().map(|block| block.meta().log_covers()).chain([&gone]);
        if let Some(before) = said.flat_map(|log| &log.covers).map(|cover| cover.before).max() {
            self.flush_before(before)?;
        }
        while let Some(name) = unreadable.last() {
            self.findings.quarantined(name, &set_aside(&self.dir, name)?);
            unreadable.pop();
        }
        Ok(())
    }
}

/// The newest timestamp that a block may hold.
pub(super) fn newest(blocks: &[Arc<Block>]) -> Timestamp {
    blocks.iter().map(|block| block.range().closed().maxt).max().unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The description of block `name`, made of `sources`, which replaces `parents`.
    fn meta(name: u128, level: u32, sources: &[u128], parents: &[u128]) -> BlockMeta {
        let name_of = |name: &u128| Ulid(*name).to_string();
        let parents = parents.iter().map(|name| json!({ "ulid": name_of(name), "minTime": 0, "maxTime": 1 }));
        let compaction = json!({
            "level": level,
            "sources": sources.iter().map(name_of).collect::<Vec<_>>(),
            "parents": parents.collect::<Vec<_>>(),
        });
        let meta =
            json!({ "ulid": name_of(&name), "minTime": 0, "maxTime": 1, "version": 1, "compaction": compaction });
        serde_json::from_value(meta).unwrap()
    }

    #[test]
    fn a_block_replaces_what_it_was_made_of_and_no_other() {
        let (first, other) = (meta(1, 1, &[1], &[]), meta(2, 1, &[2], &[]));
        let (anew, twice) = (meta(3, 1, &[1, 3], &[1]), meta(4, 1, &[1, 3, 4], &[3]));
        let (merged, merged_anew) = (meta(5, 2, &[1, 2, 3, 4], &[4, 2]), meta(6, 2, &[1, 2, 3, 4, 6], &[5]));
        // Shares of one merge, as others make them: each has all sources.
        let shares = [meta(7, 2, &[1, 2], &[]), meta(8, 2, &[1, 2], &[])];
        for (new, old, expected) in [
            (&anew, &first, true),
            (&twice, &anew, true),
            (&twice, &first, true),
            (&merged, &first, true),
            (&merged, &twice, true),
            (&merged_anew, &merged, true),
            (&merged_anew, &anew, true),
            (&first, &anew, false),
            (&first, &twice, false),
            (&anew, &twice, false),
            (&twice, &other, false),
            (&twice, &merged, false),
            (&merged, &merged_anew, false),
            (&shares[0], &shares[1], false),
            (&shares[0], &other, true),
            (&merged, &merged, false),
        ] {
            assert_eq!(replaces(new, old), expected, "{new:?} and {old:?}");
        }
    }
}
