//! The operations of a run.

use std::fmt;

use disk::sim::Fault;

use crate::START;
use crate::model::Doomed;
use crate::value::{Key, Value};

/// Samples of a request that are printed.
const SAMPLES_PRINTED_MAX: usize = 6;

/// One thing done to the store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Time passes.
    Advance(i64),
    /// A request, with metadata or without.
    Append { samples: Vec<(Key, Value)>, help: Option<String> },
    /// The head is written to blocks.
    Flush,
    /// What is due is done.
    Maintain,
    /// Samples and exemplars are deleted, again and again until that is done.
    Delete(Doomed),
    /// What is deleted leaves the blocks.
    Clean,
    /// A copy is made, and read if that worked.
    Snapshot,
    /// The process ends and starts again.
    Restart,
    /// The power goes and comes back.
    Crash(u64),
    /// The call after so many others fails, if it belongs to the next step.
    Fail(u64, Fault),
    /// The disk has so many bytes left, or all of them again.
    Room(Option<u64>),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step::Append { samples, help } = self else { return write!(f, "{self:?}") };
        write!(f, "Append {}", samples.len())?;
        for ((series, t, number), value) in samples.iter().take(SAMPLES_PRINTED_MAX) {
            let number = if *number > 0 { format!("#{number}") } else { String::new() };
            write!(f, " [{series}]{:+}{number}={value:?}", t - START)?;
        }
        let more = if samples.len() > SAMPLES_PRINTED_MAX { " ..." } else { "" };
        write!(f, "{more} {}", help.as_deref().unwrap_or_default())
    }
}
