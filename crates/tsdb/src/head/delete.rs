//! Deleting in the head: samples and exemplars go at once, in the order of commits, and the log says so.

use std::sync::Arc;

use disk::DiskError;
use model::{Budget, Matcher, TimeRange, Timestamp};

use super::Head;
use super::series::Series;
use crate::select;
use crate::wal::TombstoneRecord;

impl Head {
    /// Removes what the series that satisfy one of `sets` have inside `range`; durable when it returns. What is written
    /// later may lie inside it again. Returns the number of series that had samples there.
    ///
    /// The log is told of the matchers first, before a block is: it may still have samples that the head gave to blocks,
    /// of series that left the head, and these must not come back when no block covers them any more.
    ///
    /// Errors: the log failed. What was removed stays removed, and the log hears of it before anything else.
    pub(crate) fn delete(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<u64, Arc<DiskError>> {
        let mut position = self.log_deletion(sets, range)?;
        let selected = self.select_any(sets, range);
        let (mut rest, mut deleted) = (selected.iter(), 0);
        while !rest.as_slice().is_empty() {
            let mut hold = self.hold();
            let segment = self.log.ready()?;
            hold.clear();
            for series in rest.by_ref() {
                deleted += u64::from(series.delete(range));
                self.exemplars.write().delete(&series.labels, range);
                // Told of every one: samples may have come since the log was told of all together.
                hold.note_deleted(series, segment, TombstoneRecord { series: series.id, range });
                if series.retire(Timestamp::MIN) {
                    self.index.write().remove(series);
                }
                if hold.is_long() {
                    break;
                }
            }
            position = hold.log(&self.log, Timestamp::MIN)?;
        }
        self.log.wait_durable(position, self)?;
        Ok(deleted)
    }

    /// Has the log say what is deleted. Returns the position to wait for.
    fn log_deletion(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Result<u64, Arc<DiskError>> {
        let mut hold = self.hold();
        self.log.ready()?;
        hold.clear();
        hold.note_deletion(sets, range);
        hold.log(&self.log, Timestamp::MIN)
    }

    /// The series that satisfy one of `sets`, each once; of those that left the head, the ones with an exemplar.
    fn select_any(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<Arc<Series>> {
        let mut found = self.select_by_exemplars(sets, range);
        for matchers in sets {
            let selected = self.with_index(|index| {
                select::select(index, matchers, &Budget::unlimited()).map(|slots| index.resolve(&slots))
            });
            let selected = selected.expect("a budget without limits interrupts nothing");
            found.extend(selected.into_iter().map(|series| (series.labels.clone(), series)));
        }
        found.into_values().collect()
    }
}
