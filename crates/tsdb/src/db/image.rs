//! When the head's image is written, so that a start has little of the log to read.

use super::Db;
use crate::error::TsdbError;
use crate::head::{Image, WalCovers};

/// At the end an image is worth its time if the log has grown by this part of what makes one due.
const PART: u64 = 32;

/// The last image, and what came since.
#[derive(Debug, Default)]
pub(super) struct Imaged {
    /// Bytes that the log had been given when it was written, counted from the start on; less than nothing if there were
    /// some to read at the start.
    log_bytes: i128,
    image_bytes: u64,
    /// Whether there may be one on disk.
    is_there: bool,
}

impl Imaged {
    /// After a start that found `image` or none, and read `read` bytes of the log.
    pub(super) fn at_start(image: Option<&Image>, read: u64) -> Imaged {
        Imaged { log_bytes: -i128::from(read), image_bytes: image.map_or(0, Image::len), is_there: image.is_some() }
    }
}

impl Db {
    /// Moves full chunks out of memory, and writes an image of the head if the log has grown enough since the last one: the
    /// next start reads the log from there on. Cheap when little was written; makes way for flushes, merges and deletions.
    pub fn image(&self) {
        if let Some(_one) = self.maintenance.try_lock() {
            self.offload_and_image();
        }
    }

    /// What fails is only logged: nothing is lost by it.
    pub(super) fn offload_and_image(&self) {
        if let Err(error) = self.head.offload() {
            tracing::warn!(%error, "sealed chunks stay in memory");
        }
        if let Err(error) = self.image_if_due() {
            tracing::warn!(%error, "the head has no new image");
        }
    }

    fn image_if_due(&self) -> Result<(), TsdbError> {
        let mut imaged = self.imaged.lock();
        let due = (imaged.image_bytes / 2).max(self.options.head_image_log_bytes);
        if i128::from(due) <= self.grown(&imaged) { self.image_now(&mut imaged) } else { Ok(()) }
    }

    /// An image at the end, if it is worth it.
    pub(super) fn image_at_end(&self) -> Result<(), TsdbError> {
        let mut imaged = self.imaged.lock();
        let worth_it = i128::from(self.options.head_image_log_bytes / PART);
        if worth_it <= self.grown(&imaged) { self.image_now(&mut imaged) } else { Ok(()) }
    }

    /// Another image after the one that a flush has removed.
    pub(super) fn image_again(&self) -> Result<(), TsdbError> {
        self.image_now(&mut self.imaged.lock())
    }

    /// By how much the log has grown since the last image.
    fn grown(&self, imaged: &Imaged) -> i128 {
        i128::from(self.head.log().stats().appended_bytes) - imaged.log_bytes
    }

    fn image_now(&self, imaged: &mut Imaged) -> Result<(), TsdbError> {
        // Should it fail, the next attempt comes when it is due again.
        imaged.log_bytes += self.grown(imaged);
        imaged.is_there = true;
        if let Some(bytes) = self.head.write_image(&self.dir, &self.covers())? {
            imaged.image_bytes = bytes;
            tracing::debug!(bytes, "image of the head written");
        }
        Ok(())
    }

    /// Removes the image: the head is about to lose what it has. Returns whether there may have been one.
    pub(super) fn remove_image(&self) -> Result<bool, TsdbError> {
        let mut imaged = self.imaged.lock();
        if imaged.is_there {
            self.head.remove_image(&self.dir)?;
            imaged.image_bytes = 0;
        }
        Ok(std::mem::take(&mut imaged.is_there))
    }

    /// What the blocks and those that are gone cover of the log.
    fn covers(&self) -> WalCovers {
        let (blocks, gone) = (self.blocks(), self.gone.lock());
        let said = blocks.iter().map(|block| block.meta().log_covers()).chain([&*gone]);
        WalCovers::new(said, true, Some(self.head.log().store()))
    }
}
