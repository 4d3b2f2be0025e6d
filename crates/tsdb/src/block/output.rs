//! A file of a block being written: buffered, counted, and checksummed section by section.

use disk::{Dir, File};

use super::error::BlockError;

/// Bytes collected before a write.
const BUFFER_BYTES: usize = 256 << 10;

/// A new file that grows.
pub(crate) struct Output {
    file: File,
    buf: Vec<u8>,
    crc: u32,
}

impl Output {
    /// Creates file `name` in `dir`.
    pub(crate) fn create(dir: &Dir, name: &str) -> Result<Output, BlockError> {
        Ok(Output { file: dir.create(name)?, buf: Vec::with_capacity(BUFFER_BYTES), crc: 0 })
    }

    /// Bytes put so far: where the next one goes.
    pub(crate) fn pos(&self) -> u64 {
        self.file.len() + self.buf.len() as u64
    }

    /// Adds bytes to the file and to the running checksum.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        if self.buf.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() > BUFFER_BYTES {
            self.file.append(bytes)?;
        } else {
            self.buf.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Starts the checksum of what follows.
    pub(crate) fn start_checksum(&mut self) {
        self.crc = 0;
    }

    /// Adds the checksum of everything since it was started.
    pub(crate) fn put_checksum(&mut self) -> Result<(), BlockError> {
        self.put(&self.crc.to_be_bytes())
    }

    /// Adds zeros until the position is a multiple of `align`.
    pub(crate) fn pad(&mut self, align: u64) -> Result<(), BlockError> {
        while !self.pos().is_multiple_of(align) {
            self.put(&[0])?;
        }
        Ok(())
    }

    /// Writes out what is collected and makes the file durable.
    pub(crate) fn finish(mut self) -> Result<(), BlockError> {
        self.flush()?;
        Ok(self.file.sync()?)
    }

    /// Writes out what is collected, for a file that is only read back and then removed.
    pub(crate) fn finish_temporary(mut self) -> Result<(), BlockError> {
        self.flush()
    }

    fn flush(&mut self) -> Result<(), BlockError> {
        self.file.append(&self.buf)?;
        self.buf.clear();
        Ok(())
    }
}
