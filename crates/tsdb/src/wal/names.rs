//! Every name in the WAL directory: segments `00000042` and checkpoints `checkpoint.00000042`.

/// The name of segment `number`.
pub(super) fn segment(number: u64) -> String {
    format!("{number:08}")
}

/// The number of the segment called `name`.
pub(super) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.len() >= 8 && name.bytes().all(|b| b.is_ascii_digit());
    if digits { name.parse().ok() } else { None }
}

/// The name of the checkpoint that replaces segments up to and including `number`.
pub(super) fn checkpoint(number: u64) -> String {
    format!("checkpoint.{number:08}")
}

/// The number in the checkpoint's name `name`.
pub(super) fn checkpoint_number(name: &str) -> Option<u64> {
    segment_number(name.strip_prefix("checkpoint.")?)
}

/// The name under which a checkpoint is written before it is published.
pub(super) const CHECKPOINT_TMP: &str = "checkpoint.tmp";
