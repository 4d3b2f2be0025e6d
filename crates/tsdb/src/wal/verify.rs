//! Reads the whole log as a replay would, changes nothing, and says what cannot be read.

use disk::{Dir, DiskError};

use super::frame::{Found, SegmentReader};
use super::record::decode;
use super::{WAL_DIR, names};

/// Calls `tell` with the file and what is wrong there, for each damaged place of the log and its checkpoints in the data
/// directory `root`. Returns the number of records that can be read.
///
/// The end of the last two segments is told as well, though it may be what a crash cut off.
pub(crate) fn verify(root: &Dir, tell: &mut dyn FnMut(&str, String)) -> Result<u64, DiskError> {
    if !root.list()?.iter().any(|entry| entry.is_dir && entry.name == WAL_DIR) {
        return Ok(0);
    }
    let (dir, mut records) = (root.sub(WAL_DIR)?, 0);
    for entry in dir.list()? {
        if names::checkpoint_number(&entry.name).is_some() {
            records += segments(&dir.sub(&entry.name)?, &format!("{WAL_DIR}/{}", entry.name), tell)?;
        }
    }
    Ok(records + segments(&dir, WAL_DIR, tell)?)
}

/// The same for the segments in `dir`, which is called `path`.
fn segments(dir: &Dir, path: &str, tell: &mut dyn FnMut(&str, String)) -> Result<u64, DiskError> {
    let mut records = 0;
    for entry in dir.list()?.iter().filter(|entry| names::segment_number(&entry.name).is_some()) {
        let (bytes, file) = (dir.map(&entry.name)?, format!("{path}/{}", entry.name));
        records += verify_segment(&bytes, &mut |offset, what| tell(&file, format!("byte {offset}: {what}")));
    }
    Ok(records)
}

/// The same for the bytes of one segment: calls `tell` with the place and what is wrong there.
pub(crate) fn verify_segment(bytes: &[u8], tell: &mut dyn FnMut(u64, &'static str)) -> u64 {
    let (mut reader, mut records) = (SegmentReader::new(bytes), 0);
    while let Some(found) = reader.next() {
        let (offset, read) = match found {
            Found::Record { offset, bytes } => (offset, decode(bytes).map(drop)),
            Found::Unreadable { offset, what } | Found::Damage { offset, what, .. } => (offset, Err(what)),
        };
        match read {
            Ok(()) => records += 1,
            Err(what) => tell(offset, what),
        }
    }
    records
}
