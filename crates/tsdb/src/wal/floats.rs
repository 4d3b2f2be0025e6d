//! The float samples of a record, read where they stand in their segment.

use super::frame::{Found, SegmentReader};
use super::record::{FloatReader, Mark, SampleRecord};
use super::replay::At;

/// Reads records of float samples that were read before, in memory that it uses again.
#[derive(Default)]
pub(crate) struct FloatRecords {
    record: Vec<u8>,
}

impl FloatRecords {
    /// Hands the samples behind `mark` of the record at `offset` of a segment to `read`, which may stop at any of them.
    /// `None` if they cannot be read any more.
    pub(crate) fn at<T>(
        &mut self,
        bytes: &[u8],
        offset: u64,
        mark: Mark,
        read: impl FnOnce(&mut FloatReader<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut reader = SegmentReader::at(bytes, offset, std::mem::take(&mut self.record));
        let read = match reader.next() {
            Some(Found::Record { bytes, .. }) => {
                bytes.get(1..).and_then(|record| read(&mut FloatReader::start(record, mark)?))
            }
            _ => None,
        };
        self.record = reader.into_buffer();
        read
    }
}

impl At<'_> {
    /// The samples of the record that stands here, one of float samples. `None` if they cannot be read any more.
    pub(crate) fn floats(&self) -> Option<Vec<SampleRecord>> {
        let read = |floats: &mut FloatReader<'_>| Some(std::iter::from_fn(|| floats.take()).collect());
        FloatRecords::default().at(self.bytes, self.offset, Mark::default(), read)
    }
}
