//! What blocks that are gone said of the log: its segments may outlive them, and a replay must not bring back what they had.

use std::sync::Arc;

use disk::Dir;
use ulid::Ulid;

use super::Db;
use crate::block::{Block, BlockMeta, LogCovers, WalCover};
use crate::error::TsdbError;
use crate::integrity::{Finding, Findings};
use crate::wal::{self, WAL_DIR};

/// The file in the directory of the log.
const COVERS_FILE: &str = "covers";
const MAGIC: &[u8; 5] = b"COVR\x01";

/// What the file says; nothing without one. A damaged one is told and counts as none: the worst that follows is that
/// samples are back that retention has to remove once more.
pub(super) fn read(root: &Dir, findings: &Findings) -> Result<LogCovers, TsdbError> {
    let bytes = match root.sub(WAL_DIR)?.read(COVERS_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.is_not_found() => return Ok(LogCovers::default()),
        Err(e) => return Err(e.into()),
    };
    Ok(decode(&bytes).unwrap_or_else(|| {
        findings.add(Finding {
            file: format!("{WAL_DIR}/{COVERS_FILE}"),
            what: "the file is damaged".to_owned(),
            lost: "samples past retention may be back".to_owned(),
            range: None,
            quarantined: None,
        });
        LogCovers::default()
    }))
}

fn encode(LogCovers { store, covers }: &LogCovers) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&store.unwrap_or_default().to_bytes());
    for WalCover { segment, before } in covers {
        bytes.extend_from_slice(&segment.to_be_bytes());
        bytes.extend_from_slice(&before.to_be_bytes());
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<LogCovers> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content).to_be_bytes() != *crc {
        return None;
    }
    let (store, rest) = content.strip_prefix(MAGIC)?.split_first_chunk::<16>()?;
    let (covers, rest) = rest.as_chunks::<16>();
    let cover = |bytes: &[u8; 16]| {
        let (segment, before) = bytes.split_first_chunk::<8>()?;
        let before = i64::from_be_bytes(*before.first_chunk()?);
        Some(WalCover { segment: u64::from_be_bytes(*segment), before })
    };
    let covers = covers.iter().map(cover).collect::<Option<Vec<WalCover>>>()?;
    rest.is_empty().then_some(LogCovers { store: Some(Ulid::from_bytes(*store)), covers })
}

/// Notes what the blocks of another directory say of the log in `root`, which came from there.
pub(crate) fn note_covers(root: &Dir, blocks: &[BlockMeta]) -> Result<(), TsdbError> {
    let Some(store) = wal::store_of(root)? else { return Ok(()) };
    let gone = read(root, &Findings::default())?;
    let joined = LogCovers::joined(blocks.iter().map(BlockMeta::log_covers).chain([&gone]), Some(store));
    Ok(root.sub(WAL_DIR)?.replace(COVERS_FILE, &encode(&joined))?)
}

impl Db {
    /// Keeps what `gone`, which are about to go, say of the segments that the log still has.
    pub(super) fn keep_covers(&self, gone: &[Arc<Block>]) -> Result<(), TsdbError> {
        let mut kept = self.gone.lock();
        let log = self.head.log();
        let all = gone.iter().map(|block| block.meta().log_covers()).chain([&*kept]);
        let mut joined = LogCovers::joined(all, Some(log.store()));
        let oldest = log.oldest();
        joined.covers.retain(|cover| oldest <= cover.segment);
        if joined.covers != kept.covers {
            log.dir().replace(COVERS_FILE, &encode(&joined))?;
            *kept = joined;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_changed_byte_is_read() {
        let cover = |segment, before| WalCover { segment, before };
        let covers = vec![cover(3, i64::MAX), cover(u64::MAX, -7)];
        let all = LogCovers { store: Some(Ulid::from_parts(1, 2)), covers };
        let bytes = encode(&all);
        assert_eq!(decode(&bytes), Some(all));
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 0x10;
            assert_eq!((decode(&changed), decode(&bytes[..i])), (None, None), "byte {i}");
        }
    }
}
