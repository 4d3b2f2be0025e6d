//! Since when the samples of a series count: a step function over time that keeps only its changes.

use model::{StartRun, TimeRange, Timestamp};

use crate::steps;

/// Steps that one series keeps at most; a sender that changes its mind at every sample loses the oldest.
const STEPS_MAX: usize = 4096;

/// The start timestamps of one series.
///
/// Invariant: `from` ascends strictly.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Starts(Vec<StartRun>);

impl Starts {
    /// Notes that the sample at `told.from` counts since `told.start`. `newest` is the newest sample of the series:
    /// what is told of an older one says nothing about those that follow it. Returns the steps to be logged: those that
    /// are new, and those that another segment may have and this one must, since segments go one by one.
    pub(super) fn tell(&mut self, told: StartRun, newest: Option<Timestamp>) -> [Option<StartRun>; 2] {
        let is_known = steps::at(&self.0, told.from) == told.start;
        // Each segment has the last step.
        if is_known && self.last().is_none_or(|last| last.from <= told.from) {
            return [None, None];
        }
        let is_late = newest.is_some_and(|newest| told.from < newest);
        let after = told.from.saturating_add(1);
        let next = is_late.then(|| StartRun { from: after, start: steps::at(&self.0, after) });
        if !is_known {
            self.set(told);
            next.into_iter().for_each(|next| self.set(next));
        }
        [Some(told), next]
    }

    /// Makes `step` one of the steps, as the log has it. Where it says what is known, that may be by a step that is
    /// followed by others later, whose segments are gone.
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
                    let found = [&starts, &restored].map(|starts| steps::at(&starts.0, *t));
                    assert_eq!(found, [*start; 2], "seed {seed}, at {t}: {starts:?}");
                }
            }
        }
    }

    #[test]
    fn what_a_late_sample_needs_is_logged_again() {
        let mut starts = Starts::default();
        for (from, start, newest) in [(10, 5, 9), (30, 5, 10), (20, 15, 30)] {
            starts.tell(StartRun { from, start }, Some(newest));
        }
        assert_eq!(runs(&starts), [(10, 5), (20, 15), (21, 5)]);
        // The segment that has it may go before this one.
        let again = starts.tell(StartRun { from: 15, start: 5 }, Some(30));
        assert_eq!(again, [StartRun { from: 15, start: 5 }, StartRun { from: 16, start: 5 }].map(Some));
        assert_eq!(starts.tell(StartRun { from: 25, start: 5 }, Some(30)), [None, None]);
        assert_eq!(runs(&starts).len(), 3);
    }
}
