//! Start timestamps as steps over time: looked up, put together, and taken apart by who has them.

use model::{StartRun, TimeRange, Timestamp};

/// Since when the sample at `t` counts; 0 when that is not known.
pub(crate) fn at(steps: &[StartRun], t: Timestamp) -> Timestamp {
    let after = steps.partition_point(|step| step.from <= t);
    after.checked_sub(1).map_or(0, |idx| steps[idx].start)
}

/// Says of the sample at `t`, which is newer than all before it, that it counts since `start`.
pub(crate) fn note(into: &mut Vec<StartRun>, t: Timestamp, start: Timestamp) {
    if into.last().map_or(0, |last| last.start) != start {
        into.push(StartRun { from: t, start });
    }
}

/// Says of the samples inside `range`, which are newer than all before them, what `steps` says.
pub(crate) fn note_range(into: &mut Vec<StartRun>, steps: &[StartRun], range: TimeRange) {
    note(into, range.mint, at(steps, range.mint));
    let first = steps.partition_point(|step| step.from <= range.mint);
    for step in steps[first..].iter().take_while(|step| step.from <= range.maxt) {
        note(into, step.from, step.start);
    }
}

/// What the parts of one series say, each of its own samples: nothing that one part says holds for another's.
#[derive(Debug, Default)]
pub(crate) struct PartSteps(Vec<(u32, Vec<StartRun>)>);

impl PartSteps {
    /// Adds what part `part` says.
    pub(crate) fn add(&mut self, part: u32, steps: Vec<StartRun>) {
        if !steps.is_empty() {
            self.0.push((part, steps));
        }
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What part `part` says.
    pub(crate) fn of(&self, part: u32) -> &[StartRun] {
        self.0.iter().find(|(known, _)| *known == part).map_or(&[], |(_, steps)| steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(all: &[(i64, i64)]) -> Vec<StartRun> {
        all.iter().map(|(from, start)| StartRun { from: *from, start: *start }).collect()
    }

    #[test]
    fn of_a_range_the_step_before_it_and_those_inside_count() {
        let own = steps(&[(10, 1), (20, 2), (30, 3)]);
        for (range, expected) in [
            ((0, 9), steps(&[])),
            ((0, 10), steps(&[(10, 1)])),
            ((15, 30), steps(&[(15, 1), (20, 2), (30, 3)])),
            ((20, 29), steps(&[(20, 2)])),
            ((i64::MIN, i64::MAX), own.clone()),
        ] {
            let mut cut = Vec::new();
            note_range(&mut cut, &own, TimeRange { mint: range.0, maxt: range.1 });
            assert_eq!(cut, expected, "{range:?}");
        }
        let mut both = steps(&[(5, 1)]);
        note_range(&mut both, &own, TimeRange { mint: 12, maxt: 25 });
        note_range(&mut both, &[], TimeRange { mint: 26, maxt: 28 });
        assert_eq!(both, steps(&[(5, 1), (20, 2), (26, 0)]));
    }
}
