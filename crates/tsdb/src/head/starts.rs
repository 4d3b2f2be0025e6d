//! Since when the samples of a series count: a step function over time that keeps only its changes.

use model::{StartRun, TimeRange, Timestamp};

/// Steps that one series keeps at most; a sender that changes its mind at every sample loses the oldest.
const STEPS_MAX: usize = 1024;

/// The start timestamps of one series.
///
/// Invariant: `from` ascends strictly.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Starts(Vec<StartRun>);

impl Starts {
    /// Notes that the sample at `told.from` counts since `told.start`. `newest` is the newest sample of the series:
    /// what is told of an older one says nothing about those that follow it. Returns the steps that are new.
    pub(super) fn tell(&mut self, told: StartRun, newest: Option<Timestamp>) -> [Option<StartRun>; 2] {
        let known = self.at(told.from);
        if known == told.start {
            return [None, None];
        }
        self.set(told);
        let next = StartRun { from: told.from.saturating_add(1), start: known };
        let is_alone = newest.is_some_and(|newest| told.from < newest)
            && self.0.binary_search_by_key(&next.from, |run| run.from).is_err();
        if is_alone {
            self.set(next);
        }
        self.0.dedup_by_key(|run| run.start);
        [Some(told), is_alone.then_some(next)]
    }

    /// Makes `step` one of the steps, as the log has it.
    pub(super) fn set(&mut self, step: StartRun) {
        match self.0.binary_search_by_key(&step.from, |run| run.from) {
            Ok(at) => self.0[at] = step,
            Err(at) => self.0.insert(at, step),
        }
        if STEPS_MAX < self.0.len() {
            self.0.remove(0);
        }
    }

    /// The steps that the samples inside `range` need.
    pub(super) fn inside(&self, range: TimeRange) -> &[StartRun] {
        let first = self.0.partition_point(|run| run.from <= range.mint).saturating_sub(1);
        let end = self.0.partition_point(|run| run.from <= range.maxt);
        self.0.get(first..end).unwrap_or_default()
    }

    /// The newest step.
    pub(super) fn last(&self) -> Option<StartRun> {
        self.0.last().copied()
    }

    /// Forgets what only samples up to `maxt` need.
    pub(super) fn forget(&mut self, maxt: Timestamp) {
        let first = self.0.partition_point(|run| run.from <= maxt).saturating_sub(1);
        self.0.drain(..first);
    }

    /// Whether nothing is known.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn at(&self, t: Timestamp) -> Timestamp {
        let after = self.0.partition_point(|run| run.from <= t);
        after.checked_sub(1).map_or(0, |idx| self.0[idx].start)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn runs(starts: &Starts) -> Vec<(i64, i64)> {
        starts.0.iter().map(|run| (run.from, run.start)).collect()
    }

    #[test]
    fn only_changes_are_kept() {
        let mut starts = Starts::default();
        let mut tell = |from, start, newest| starts.tell(StartRun { from, start }, newest) != [None, None];
        assert!(tell(10, 5, None));
        assert!(!tell(20, 5, Some(10)));
        assert!(tell(30, 25, Some(20)));
        assert!(tell(40, 0, Some(30)), "no longer known");
        assert_eq!(runs(&starts), [(10, 5), (30, 25), (40, 0)]);
        assert_eq!(starts.inside(TimeRange { mint: 25, maxt: 30 }).len(), 2);
        assert_eq!(starts.inside(TimeRange { mint: 31, maxt: 39 }), [StartRun { from: 30, start: 25 }]);
        assert_eq!(starts.inside(TimeRange { mint: 0, maxt: 9 }), []);
        starts.forget(35);
        assert_eq!(runs(&starts), [(30, 25), (40, 0)]);
    }

    #[test]
    fn what_is_told_of_a_late_sample_changes_no_other() {
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut starts, mut restored, mut expected) = (Starts::default(), Starts::default(), BTreeMap::new());
            for _ in 0..60 {
                let (t, start) = (rng.random_range(1..100), rng.random_range(0..4));
                let newest = expected.last_key_value().map(|(t, _)| *t);
                let steps = starts.tell(StartRun { from: t, start }, newest.max(Some(t)));
                steps.into_iter().flatten().for_each(|step| restored.set(step));
                expected.insert(t, start);
                for (t, start) in &expected {
                    assert_eq!((starts.at(*t), restored.at(*t)), (*start, *start), "seed {seed}, at {t}: {starts:?}");
                }
            }
        }
    }
}
