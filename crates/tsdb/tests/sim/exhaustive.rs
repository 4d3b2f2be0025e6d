//! A fixed workload in which every call fails once in every way, then the power goes, and a call of the recovery fails.

use std::ops::Range;

use crate::model::Doomed;
use crate::run::Run;
use crate::step::Step;
use crate::value::{Key, Shape, Value, histogram};
use crate::{HOUR_MS, MINUTE_MS, START, attempt, long_seeds};
use disk::Sim;
use disk::sim::{Call, Fault};

/// Failures tried of the recovery after each failure of the workload in the normal run; the long mode tries all.
const RECOVERIES: usize = 2;

/// Floats of two series and histograms of another in every fourth of the given minutes, and an exemplar of each series
/// at the end.
fn append(minutes: Range<i64>, v: u32, help: Option<&str>) -> Step {
    let at = |minute: i64| START + minute * MINUTE_MS;
    let counts = |minute: i64| [v, v + u32::try_from(minute.rem_euclid(7)).unwrap()];
    let samples = minutes.clone().filter(|minute| minute % 4 == 0).flat_map(|minute| {
        let floats = (0..2).map(move |series| ((series, at(minute), 0), Value::from(f64::from(v))));
        floats.chain([((2, at(minute), 0), histogram(3, &counts(minute), Shape::Counter, false))])
    });
    let exemplars = (0..3).map(|series| ((series, at(minutes.end), v), Value::Exemplar(f64::from(v))));
    let samples: Vec<(Key, Value)> = samples.chain(exemplars).collect();
    Step::Append { samples, help: help.map(str::to_owned) }
}

fn workload() -> Vec<Step> {
    let delete = |series, from, to| Step::Delete(Doomed { series, from: START + from, to: START + to });
    vec![
        Step::Restart,
        Step::Advance(HOUR_MS),
        append(0..60, 1, Some("first")),
        // Late ones, some repeated with the same value and with another one.
        append(-130..-100, 2, None),
        append(50..65, 1, None),
        append(-105..-95, 3, None),
        Step::Advance(3 * HOUR_MS),
        append(100..240, 4, None),
        delete(Some(1), 10 * MINUTE_MS, 20 * MINUTE_MS),
        // Writes blocks, and cuts the log behind them.
        Step::Maintain,
        append(20..30, 5, Some("second")),
        Step::Advance(HOUR_MS),
        append(240..244, 6, None),
        delete(None, 0, 5 * MINUTE_MS),
        Step::Flush,
        append(244..248, 7, None),
        Step::Restart,
        append(248..252, 8, Some("third")),
        Step::Snapshot,
        Step::Clean,
        Step::Maintain,
        append(252..256, 9, None),
    ]
}

/// What a recovered store has to be capable of.
fn afterwards() -> [Step; 4] {
    [append(256..260, 10, None), Step::Flush, Step::Restart, append(260..264, 11, None)]
}

/// The calls of the sound workload, each with the step that makes it and its number among the calls of that.
fn calls() -> Vec<(usize, u64, Call)> {
    let mut run = Run::new(Sim::new(1));
    let mut calls = Vec::new();
    for (idx, step) in workload().iter().enumerate() {
        let before = run.sim.calls();
        run.step(step).unwrap();
        let made = run.sim.trace().into_iter().skip(usize::try_from(before).unwrap());
        calls.extend((0..).zip(made).map(|(number, call)| (idx, number, call)));
    }
    calls
}

/// Every way in which each of `calls` can fail.
fn failures(calls: &[Call]) -> Vec<(u64, Fault)> {
    let ways = |call: &Call| call.op.faults().iter().copied().chain([Fault::PowerCut]);
    (0..).zip(calls).flat_map(|(number, call)| ways(call).map(move |fault| (number, fault))).collect()
}

/// Lets power cuts and the failures of `steps` happen, and says which step went wrong.
fn run_all(run: &mut Run, steps: impl IntoIterator<Item = Step>) -> Result<(), String> {
    steps.into_iter().try_for_each(|step| run.step(&step).map_err(|what| format!("{step}: {what}")))
}

/// Runs the workload with one failure, then recovers from a power cut, also with failures of the recovery. Returns how
/// many recoveries there were.
fn check(step_idx: usize, failure: (u64, Fault), seed: u64, recoveries_max: usize) -> Result<usize, String> {
    let mut run = Run::new(Sim::new(seed));
    let mut steps = workload();
    steps.insert(step_idx, Step::Fail(failure.0, failure.1));
    run_all(&mut run, steps)?;
    run.stop(Some(seed));
    let mut sound = run.fork();
    sound.open()?;
    let failures = failures(&sound.sim.trace());
    run_all(&mut sound, afterwards())?;
    // Others each time, so that many runs together try all.
    let stride = failures.len().div_ceil(recoveries_max);
    let offset = usize::try_from(seed).unwrap() % stride;
    let chosen = failures.iter().skip(offset).step_by(stride);
    for (number, fault) in chosen.clone() {
        let mut run = run.fork();
        let steps = [Step::Fail(*number, *fault), Step::Restart].into_iter().chain(afterwards());
        run_all(&mut run, steps).map_err(|what| format!("recovery, call {number}, {fault:?}: {what}"))?;
    }
    Ok(chosen.len() + 1)
}

#[test]
fn every_call_fails_in_every_way_and_then_one_of_the_recovery() {
    let started = std::time::Instant::now();
    let recoveries_max = if long_seeds().is_some() { usize::MAX } else { RECOVERIES };
    let calls = calls();
    let (mut runs, mut recoveries) = (0, 0);
    for (seed, (step_idx, number, call)) in (0..).zip(&calls) {
        for fault in call.op.faults().iter().chain([&Fault::PowerCut]) {
            let result = attempt(|| check(*step_idx, (*number, *fault), seed, recoveries_max));
            let step = &workload()[*step_idx];
            recoveries +=
                result.unwrap_or_else(|what| panic!("{step}, call {number} of it, {call}, {fault:?}: {what}"));
            runs += 1;
        }
    }
    println!("{} calls, {runs} failures, {recoveries} recoveries, {:.0?}", calls.len(), started.elapsed());
}
