//! A checkpoint: what is still needed of segments that are about to be removed, published before they go.

use disk::{Dir, DiskError};

use super::{Records, frame, names};

/// Writes `records` as the checkpoint that replaces the segments up to and including `number`, then removes older
/// checkpoints. The segments themselves are removed by the caller afterwards.
pub(crate) fn write_checkpoint(dir: &Dir, number: u64, records: &Records) -> Result<(), DiskError> {
    if dir.list()?.iter().any(|entry| entry.name == names::checkpoint(number)) {
        // Written before, by a call that failed afterwards.
        return Ok(());
    }
    dir.remove(names::CHECKPOINT_TMP)?;
    let tmp = dir.sub(names::CHECKPOINT_TMP)?;
    let file = tmp.create(&names::segment(0))?;
    let mut frames = Vec::new();
    for record in records.iter() {
        let offset = frames.len() as u64;
        frame::push_record(&mut frames, offset, record);
    }
    file.append(&frames)?;
    file.sync()?;
    dir.publish(names::CHECKPOINT_TMP, &names::checkpoint(number))?;
    for entry in dir.list()? {
        if names::checkpoint_number(&entry.name).is_some_and(|n| n < number) {
            dir.remove(&entry.name)?;
        }
    }
    dir.sync()
}
