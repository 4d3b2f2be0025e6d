//! Bugs that the random operations found, each as the few steps that are needed.

use disk::Sim;
use disk::sim::Fault;

use crate::model::Doomed;
use crate::run::Run;
use crate::step::Step;
use crate::value::Value;
use crate::{HOUR_MS, MINUTE_MS, START, attempt, store};

/// Calls of one step; no step of these stories makes more.
const CALLS_MAX: u64 = 150;

fn append(times: &[i64]) -> Step {
    append_value(times, 0.5)
}

fn append_value(times: &[i64], v: f64) -> Step {
    let samples = times.iter().map(|minute| ((1, START + minute * MINUTE_MS, 0), Value::from(v))).collect();
    Step::Append { samples, help: None }
}

/// Runs the steps with a failure at every call of step `failing`, on disks that lose different things.
fn check(failing: usize, fault: Fault, steps: &[Step]) {
    for number in 0..CALLS_MAX {
        let mut run = Run::new(Sim::new(number));
        let mut steps = steps.to_vec();
        steps.insert(failing, Step::Fail(number, fault));
        let result = attempt(|| steps.iter().try_for_each(|step| run.step(step)));
        result.unwrap_or_else(|what| panic!("{fault:?} at call {number} of {}: {what}", steps[failing + 1]));
    }
}

/// The disk is full, so a request fails that reaches over two blocks; the head has it. One of the blocks becomes due.
/// Once it was there, half of the request was, and a restart lost the other half.
#[test]
fn a_block_holds_no_half_of_a_request_that_failed() {
    for room in 0..100 {
        let before = [append(&[0]), Step::Advance(4 * HOUR_MS), Step::Room(Some(room)), append(&[-60, 230])];
        let after = [Step::Room(None), Step::Fail(room, Fault::PowerCut), Step::Maintain, Step::Crash(room)];
        let mut run = Run::new(Sim::new(room));
        before.iter().chain(&after).try_for_each(|step| run.step(step)).unwrap();
    }
}

/// A sync fails and the disk is full, so the log cannot go on elsewhere. A restart read what the sync had not written
/// from the page cache, synced it with success and counted on it; the next power cut took it.
#[test]
fn what_a_failed_sync_left_behind_is_not_counted_on() {
    for seed in 0..50 {
        let mut run = Run::new(Sim::new(seed));
        let failing = [append(&[0]), Step::Room(Some(100)), Step::Fail(1, Fault::Dropped), append(&[1, 2, 3])];
        let after = [Step::Restart, Step::Crash(seed)];
        failing.iter().chain(&after).try_for_each(|step| run.step(step)).unwrap();
    }
}

/// A block was there under its name, but to make that durable failed, and so did the flush. A deletion did not reach the
/// block, and the next start brought the deleted samples back.
#[test]
fn a_deletion_misses_no_block_whose_publication_failed() {
    let all = Doomed { series: None, from: START - HOUR_MS, to: START + HOUR_MS };
    for fault in [Fault::Io, Fault::NoSpace] {
        check(1, fault, &[append(&[0, 1]), Step::Flush, Step::Delete(all), Step::Crash(3)]);
    }
}

/// The disk did not hand out a file of a block at one start: that block was moved to the quarantine, and at the next
/// start, with a sound disk, its samples were missing.
#[test]
fn a_block_that_cannot_be_read_at_one_start_is_there_at_the_next() {
    check(2, Fault::Io, &[append(&[0, 1]), Step::Flush, Step::Restart, Step::Restart]);
}

/// A disk that failed to hand out the tombstones of a block brought the deleted samples back.
#[test]
fn what_is_deleted_stays_deleted_when_tombstones_cannot_be_read_once() {
    let one = Doomed { series: None, from: START, to: START };
    let steps = [append(&[0, 1]), Step::Flush, Step::Delete(one), Step::Restart, Step::Maintain, Step::Restart];
    check(3, Fault::Io, &steps);
}

/// A start served without a block that the disk did not hand out, a deletion succeeded without reaching it, and the next
/// start brought it back.
#[test]
fn a_deletion_is_refused_while_a_block_is_missing() {
    let all = Doomed { series: None, from: START, to: START + HOUR_MS };
    let mut refused = 0;
    for call in 0..CALLS_MAX {
        let mut run = Run::new(Sim::new(call));
        [append(&[0]), Step::Flush].iter().try_for_each(|step| run.step(step)).unwrap();
        run.stop(None);
        run.sim.fail(run.sim.calls() + call, Fault::Io);
        let Ok(db) = run.try_open() else { continue };
        run.sim.heal();
        let is_deleted = store::delete(&db, all).is_ok();
        drop(db);
        let left = store::contents(&run.try_open().unwrap()).unwrap();
        assert_eq!(left.is_empty(), is_deleted, "call {call}");
        refused += u32::from(!is_deleted);
    }
    assert!(refused > 0);
}

/// A sample that contradicts one in a block lies in a later block, where no answer shows it. Power failed while a
/// deletion had reached the first block alone, and the other value came to light.
#[test]
fn half_a_deletion_shows_nothing_that_was_outranked() {
    let all = Doomed { series: None, from: START - HOUR_MS, to: START + HOUR_MS };
    let contradicted = [append(&[0, 10]), Step::Flush, append_value(&[0], 1.5), Step::Flush];
    let steps = [&contradicted[..], &[Step::Delete(all), Step::Crash(3)]].concat();
    check(4, Fault::PowerCut, &steps);
}

/// Blocks were merged, and one of them could not be taken off the disk. Then all that the merged one had was deleted, and
/// it went; the next start took the old one for a block of ours and brought the deleted samples back.
#[test]
fn what_a_merged_block_replaces_goes_before_it() {
    let all = Doomed { series: None, from: START - 24 * HOUR_MS, to: START - HOUR_MS };
    let steps = [append(&[-720, -590, -470, 0]), Step::Flush, Step::Maintain, Step::Delete(all), Step::Maintain];
    for crash in [None, Some(3)] {
        let end = crash.map_or(Step::Restart, Step::Crash);
        check(2, Fault::Io, &[steps.as_slice(), &[end]].concat());
    }
}
