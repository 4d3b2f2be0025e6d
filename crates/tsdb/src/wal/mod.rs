//! The write-ahead log: records in 32 KiB pages in numbered segments, in Prometheus' layout (see FORMAT.md).
//!
//! Every segment describes the series it mentions, so segments are dropped whole once blocks hold their samples;
//! what must outlive them (family metadata) is carried over in a checkpoint.

mod checkpoint;
mod floats;
mod frame;
mod identity;
mod log;
mod names;
mod newest;
mod record;
mod replay;
mod verify;

pub(crate) use checkpoint::write_checkpoint;
pub(crate) use floats::FloatRecords;
pub(crate) use log::{Describe, Log, LogPlace};
pub(crate) use newest::newest;
pub(crate) use record::{
    DeletionRecord, ExemplarRecord, FamilyMetadata, Floats, HistogramRecord, Mark, RawLabels, Record, Records,
    SampleRecord, SeriesRef, StartRecord, TombstoneRecord,
};
pub(crate) use record::{decode, each_described};
pub use replay::ReplayProgress;
pub(crate) use replay::{At, Replayed, has_late, read_late, remove_late, replay};
pub(crate) use verify::verify;
#[cfg(feature = "fuzzing")]
pub(crate) use verify::verify_segment;

/// The bytes of a segment that has these records.
#[cfg(test)]
pub(crate) fn segment_of(records: &Records) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::push_commit(&mut bytes, 0, records);
    bytes
}

/// The directory of the log inside the data directory.
pub(crate) const WAL_DIR: &str = "wal";

/// The identity of the log in the data directory `root`, if it has one yet.
pub(crate) fn store_of(root: &disk::Dir) -> Result<Option<ulid::Ulid>, disk::DiskError> {
    identity::read(&root.sub(WAL_DIR)?)
}

/// The same, and the last segment that the newest checkpoint replaces.
pub(crate) fn identity_of(root: &disk::Dir) -> Result<(Option<ulid::Ulid>, Option<u64>), disk::DiskError> {
    let dir = root.sub(WAL_DIR)?;
    let checkpoint = dir.list()?.iter().filter_map(|entry| names::checkpoint_number(&entry.name)).max();
    Ok((identity::read(&dir)?, checkpoint))
}

/// The length of a segment of the log in the data directory `root`, if it is there.
pub(crate) fn segment_len(root: &disk::Dir, number: u64) -> Result<Option<u64>, disk::DiskError> {
    let entries = root.sub(WAL_DIR)?.list()?;
    Ok(entries.iter().find(|entry| entry.name == names::segment(number)).map(|entry| entry.len))
}

/// Whether we have written to the log in the data directory `root`: then it has a name, be it a damaged one.
pub(crate) fn is_ours(root: &disk::Dir) -> Result<bool, disk::DiskError> {
    identity::is_there(&root.sub(WAL_DIR)?)
}

/// The numbers of the segments of the log in the data directory `root`.
pub(crate) fn segments(root: &disk::Dir) -> Result<Vec<u64>, disk::DiskError> {
    let entries = root.sub(WAL_DIR)?.list()?;
    Ok(entries.iter().filter_map(|entry| names::segment_number(&entry.name)).collect())
}
