//! Retention: whole blocks go, the oldest first, by their age and by the bytes of the store.

use std::sync::Arc;

use model::Timestamp;

use super::Db;
use crate::block::Block;
use crate::error::TsdbError;
use crate::head::{CHUNKS_HEAD_DIR, IMAGE_FILE};
use crate::wal::WAL_DIR;

impl Db {
    /// Removes the blocks whose newest sample is past retention.
    pub(super) fn remove_expired(&self, now: Timestamp) -> Result<(), TsdbError> {
        let Some(retention_ms) = self.options.retention_ms else { return Ok(()) };
        let oldest = now.saturating_sub(retention_ms);
        let expired: Vec<_> = self.blocks().iter().filter(|block| block.range().end <= oldest).cloned().collect();
        self.keep_covers(&expired)?;
        self.retire(None, &expired, "it is past retention")
    }

    /// Removes the oldest blocks while the store is larger than it may be.
    ///
    /// Blocks alone can go, so a log larger than the limit takes them all but the newest one.
    pub(super) fn remove_beyond_size(&self) -> Result<(), TsdbError> {
        let Some(bytes_max) = self.options.retention_bytes else { return Ok(()) };
        let mut blocks: Vec<Arc<Block>> = self.blocks().to_vec();
        blocks.sort_by_key(|block| block.range().end);
        let mut bytes = self.log_bytes()? + blocks.iter().map(|block| block.size_bytes()).sum::<u64>();
        let _newest = blocks.pop();
        let beyond = blocks.into_iter().take_while(|block| {
            let too_many = bytes > bytes_max;
            bytes = bytes.saturating_sub(block.size_bytes());
            too_many
        });
        let beyond: Vec<Arc<Block>> = beyond.collect();
        self.keep_covers(&beyond)?;
        self.retire(None, &beyond, "the store is larger than its retention allows")
    }

    /// Bytes on disk that are no blocks: the log, the head's chunks and its image.
    fn log_bytes(&self) -> Result<u64, TsdbError> {
        let mut bytes = 0;
        for entry in self.dir.list()? {
            bytes += match entry.name.as_str() {
                WAL_DIR | CHUNKS_HEAD_DIR => self.dir.sub(&entry.name)?.size_bytes()?,
                IMAGE_FILE => entry.len,
                _ => 0,
            };
        }
        Ok(bytes)
    }
}
