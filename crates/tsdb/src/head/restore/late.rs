//! A Prometheus keeps samples that came late in a second log: they are written into ours, and it is removed.

use std::sync::Arc;

use disk::{Dir, DiskError};
use hashbrown::HashSet;
use model::Timestamp;

use super::WalCovers;
use super::apply::Restored;
use super::worker::Workers;
use crate::error::TsdbError;
use crate::integrity::Finding;
use crate::wal::{self, At, Describe, HistogramRecord, Log, Record, Records, SampleRecord, SeriesRef};

/// The log is synced after so many of these records, so that it need not keep more of them.
const RECORDS_PER_SYNC: usize = 256;

/// Adds the samples of a second log to the series and to `log`, durably, then removes it. A crash before that leaves it
/// there; it is read again, and samples that are there already are not added twice. What the first log deletes it deletes
/// here too, also what came later: a Prometheus hides it.
pub(super) fn adopt(
    root: &Dir,
    log: &Log,
    restored: &mut Restored,
    workers: &mut Workers<'_>,
) -> Result<Vec<Finding>, TsdbError> {
    let mut adoption = Adoption { log, described: HashSet::new(), segment: None, unsynced: 0 };
    let mut result = Ok(());
    let read = wal::read_late(root, &mut |at, record| {
        if result.is_err() {
            return;
        }
        // What the first log deletes is left out.
        match record {
            Record::Samples(_) => {
                let mut floats = workers.read(at);
                floats.retain(|record| restored.is_there(record.series, record.sample.t));
                result = adoption.write(&floats, &[], restored);
                restored.floats(&floats, workers);
            }
            Record::Histograms(mut all) => {
                all.retain(|record| restored.is_there(record.series, record.t));
                result = adoption.write(&[], &all, restored);
                restored.apply(At { segment: None, ..at }, Record::Histograms(all), &WalCovers::default(), workers);
            }
            record => _ = restored.apply(At { segment: None, ..at }, record, &WalCovers::default(), workers),
        }
    })?;
    result?;
    let Some(read) = read else { return Ok(Vec::new()) };
    if workers.some_unread {
        return Err(TsdbError::LogChanged);
    }
    log.wait_durable(log.position(), restored)?;
    wal::remove_late(root)?;
    tracing::info!(records = read.records, "the log of late samples is part of the log now");
    Ok(read.findings)
}

/// What was written so far.
struct Adoption<'a> {
    log: &'a Log,
    /// The series that the current segment describes.
    described: HashSet<SeriesRef>,
    segment: Option<u64>,
    unsynced: usize,
}

impl Adoption<'_> {
    fn write(
        &mut self,
        floats: &[SampleRecord],
        histograms: &[HistogramRecord],
        restored: &Restored,
    ) -> Result<(), Arc<DiskError>> {
        let mut changes = Records::default();
        changes.samples(floats.iter().copied());
        changes.histograms(histograms);
        let of_floats = floats.iter().map(|record| (record.series, record.sample.t));
        let of_histograms = histograms.iter().map(|record| (record.series, record.t));
        let (mut mentioned, mut newest) = (HashSet::new(), Timestamp::MIN);
        for (series, t) in of_floats.chain(of_histograms) {
            mentioned.insert(series);
            newest = newest.max(t);
        }
        let segment = self.log.ready()?;
        if self.segment.replace(segment) != Some(segment) {
            self.described.clear();
        }
        mentioned.retain(|id| self.described.insert(*id));
        let mut described = Records::default();
        restored.describe(&mentioned, &mut described);
        if !described.is_empty() {
            self.log.append(&described, Timestamp::MIN)?;
        }
        if changes.is_empty() {
            return Ok(());
        }
        let position = self.log.append(&changes, newest)?;
        self.unsynced += 1;
        if self.unsynced == RECORDS_PER_SYNC {
            self.unsynced = 0;
            self.log.wait_durable(position, restored)?;
        }
        Ok(())
    }
}
