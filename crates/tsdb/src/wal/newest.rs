//! The newest sample in a log, looked for from its end.

use disk::{Dir, DiskError};
use model::Timestamp;

use super::frame::{Found, SegmentReader};
use super::record::{Record, decode};
use super::{WAL_DIR, names};

/// The time of the newest sample in the log of the data directory `root`, or of one that is newer than `enough`; the
/// lowest of all times if there is none. What cannot be read is passed over: replaying tells it.
pub(crate) fn newest(root: &Dir, enough: Timestamp) -> Result<Timestamp, DiskError> {
    let dir = root.sub(WAL_DIR)?;
    let entries = dir.list()?;
    let mut newest = newest_of_segments(&dir, enough)?;
    for number in entries.iter().filter_map(|entry| names::checkpoint_number(&entry.name)) {
        if newest <= enough {
            newest = newest.max(newest_of_segments(&dir.sub(&names::checkpoint(number))?, enough)?);
        }
    }
    Ok(newest)
}

fn newest_of_segments(dir: &Dir, enough: Timestamp) -> Result<Timestamp, DiskError> {
    let mut newest = Timestamp::MIN;
    for entry in dir.list()?.iter().rev().filter(|entry| names::segment_number(&entry.name).is_some()) {
        let bytes = dir.map(&entry.name)?;
        let mut reader = SegmentReader::new(&bytes);
        while let Some(found) = reader.next() {
            let Found::Record { bytes, .. } = found else { continue };
            newest = newest.max(newest_in(bytes));
            if enough < newest {
                return Ok(newest);
            }
        }
    }
    Ok(newest)
}

fn newest_in(record: &[u8]) -> Timestamp {
    let newest = match decode(record) {
        Ok(Record::Samples(floats)) => Some(floats.newest),
        Ok(Record::Histograms(all)) => all.iter().map(|record| record.t).max(),
        _ => None,
    };
    newest.unwrap_or(Timestamp::MIN)
}
