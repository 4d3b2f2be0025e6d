//! `promenade tsdb verify`: every byte of every block, and a report.

use std::path::Path;

use anyhow::bail;
use tsdb::Check;

use super::{in_use, open_dir};
use crate::print;

/// Verifies; problems are an error.
pub(super) fn run(path: &Path) -> anyhow::Result<()> {
    let dir = open_dir(path)?;
    // A server would remove blocks while they are read.
    let _lock = dir.lock("lock").map_err(|e| in_use(path, e.into()))?;
    let report = tsdb::verify(&dir)?;
    // Blocks of late samples overlap until they are merged: nothing is wrong with them, but others may not like it.
    let (notes, problems): (Vec<_>, Vec<_>) =
        report.problems.iter().partition(|problem| problem.check == Check::BlockOverlap);
    for (kind, list) in [("problem", &problems), ("note", &notes)] {
        for problem in list {
            print::line(&format!("{kind}: {}: {} ({})", problem.file, problem.what, problem.check.name()))?;
        }
    }
    let tsdb::Report { blocks, series, chunks, samples, .. } = &report;
    print::line(&format!("{blocks} blocks with {series} series, {chunks} chunks and {samples} samples read"))?;
    match problems.len() as u64 + report.problems_unquoted {
        0 => Ok(()),
        1 => bail!("1 problem in {}", path.display()),
        count => bail!("{count} problems in {}", path.display()),
    }
}
