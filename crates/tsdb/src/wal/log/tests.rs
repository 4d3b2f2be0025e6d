//! Whatever the disk does, what was acknowledged is there after the next start.

use disk::Sim;
use disk::sim::Fault;
use model::{Labels, Sample};
use parking_lot::Mutex;

use super::super::{At, Record, ReplayProgress, SampleRecord, replay};
use super::*;

/// Stands for the head: any series is described by its number.
#[derive(Default)]
struct AnyHead {
    commit: Mutex<()>,
}

fn labels(id: SeriesRef) -> Labels {
    Labels::from_pairs([("id", id.0.to_string().as_str())])
}

impl Describe for AnyHead {
    fn pause(&self, then: &mut dyn FnMut()) {
        let _no_commit = self.commit.lock();
        then();
    }

    fn describe(&self, series: &HashSet<SeriesRef>, into: &mut Records) {
        let described: Vec<(SeriesRef, Labels)> = series.iter().map(|id| (*id, labels(*id))).collect();
        into.series(described.iter().map(|(id, labels)| (*id, labels)));
    }
}

/// What a start finds: the timestamps of all samples in order, and how many damages.
fn found(root: &Dir) -> (Vec<Timestamp>, usize) {
    open(root).1
}

fn open(root: &Dir) -> (Log, (Vec<Timestamp>, usize)) {
    let (mut all, mut described) = (Vec::new(), HashSet::new());
    let mut apply = |at: At<'_>, record: Record| {
        let segment = at.segment;
        match record {
            Record::Series(series) => described.extend(series.iter().map(|(id, _)| (segment, id))),
            Record::Samples(_) => {
                for SampleRecord { series, sample } in at.floats().unwrap() {
                    assert!(described.contains(&(segment, series)), "segment {segment:?} does not describe {series:?}");
                    all.push(sample.t);
                }
            }
            other => panic!("{other:?}"),
        }
        all.last().copied().unwrap_or(Timestamp::MIN)
    };
    let (log, replayed) = replay(root, 0, &ReplayProgress::default(), None, &mut apply).unwrap();
    (log, (all, replayed.findings.len()))
}

/// One commit, as the head makes it: the series is described once in each segment.
struct Writer<'a> {
    log: &'a Log,
    head: &'a AnyHead,
    described_in: Option<u64>,
}

impl<'a> Writer<'a> {
    fn new(log: &'a Log, head: &'a AnyHead) -> Writer<'a> {
        Writer { log, head, described_in: None }
    }

    fn append(&mut self, t: Timestamp) -> Result<u64, Arc<DiskError>> {
        let _commit = self.head.commit.lock();
        let segment = self.log.ready()?;
        let (id, mut records) = (SeriesRef(7), Records::default());
        if self.described_in.replace(segment) != Some(segment) {
            records.series([(id, &labels(id))]);
        }
        records.samples([SampleRecord { series: id, sample: Sample { t, v: 0.5 } }]);
        self.log.append(&records, t)
    }

    fn commit(&mut self, t: Timestamp) -> Result<(), Arc<DiskError>> {
        let position = self.append(t)?;
        self.log.wait_durable(position, self.head)
    }
}

fn timestamps(upto: Timestamp) -> Vec<Timestamp> {
    (0..upto).collect()
}

#[test]
fn waiters_share_syncs_and_cuts_lose_nothing() {
    let tmp = tempfile::tempdir().unwrap();
    let root = Dir::open(tmp.path()).unwrap();
    let (log, head) = (open(&root).0, AnyHead::default());
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (log, head) = (&log, &head);
            scope.spawn(move || {
                for i in 0..50 {
                    // Each commit of this test describes its series.
                    Writer::new(log, head).commit(worker * 50 + i).unwrap();
                    if i % 20 == 19 {
                        log.cut(head).unwrap();
                    }
                }
            });
        }
    });
    let stats = log.stats();
    assert!(stats.syncs <= 8 * 50 + 3 * stats.segment, "{stats:?}");
    drop(log);
    let (mut all, damages) = found(&root);
    all.sort_unstable();
    assert_eq!((all, damages), (timestamps(400), 0));
}

#[test]
fn only_whole_old_segments_are_obsolete() {
    let dir = Sim::new(1).root();
    let log = Log::start(dir, Ulid::nil(), 5, vec![(3, 10), (4, 30)], None).unwrap();
    assert_eq!(log.obsolete(4, 10), None);
    assert_eq!(log.obsolete(4, 11), Some(3));
    assert_eq!(log.obsolete(4, 31), Some(4));
    assert_eq!(log.obsolete(3, 31), Some(3));
    log.remove_through(3).unwrap();
    assert_eq!(log.obsolete(4, 31), Some(4));
}

#[test]
fn after_a_failed_sync_the_commits_are_written_again_and_succeed() {
    let sim = Sim::new(1);
    let root = sim.root();
    let (log, head) = (open(&root).0, AnyHead::default());
    let mut writer = Writer::new(&log, &head);
    writer.commit(0).unwrap();
    let waiting = writer.append(1).unwrap();
    writer.append(2).unwrap();
    sim.fail(sim.calls(), Fault::Dropped);
    log.wait_durable(waiting, &head).unwrap();
    let stats = log.stats();
    assert_eq!((stats.segment, stats.sync_failures, stats.read_only), (1, 1, false));
    writer.commit(3).unwrap();
    drop(log);
    sim.crash(5);
    assert_eq!(found(&sim.root()), (timestamps(4), 0));
}

#[test]
fn a_log_without_a_working_file_is_read_only_until_it_heals() {
    let sim = Sim::new(1);
    let root = sim.root();
    let (log, head) = (open(&root).0, AnyHead::default());
    let mut writer = Writer::new(&log, &head);
    writer.commit(0).unwrap();
    let lost = writer.append(1).unwrap();
    (0..40).for_each(|i| sim.fail(sim.calls() + i, Fault::Io));
    assert!(log.wait_durable(lost, &head).unwrap_err().to_string().starts_with("sync"));
    for _ in 0..3 {
        let refused = [log.ready().map(drop), log.cut(&head).map(drop), log.wait_durable(lost, &head), log.heal(&head)];
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
    }
    assert!(log.stats().read_only);
    sim.heal();
    log.heal(&head).unwrap();
    // What nobody was told of is durable now, and so is what comes next.
    log.wait_durable(lost, &head).unwrap();
    writer.commit(2).unwrap();
    drop(log);
    sim.crash(9);
    assert_eq!(found(&sim.root()), (timestamps(3), 0));
}

/// A sync fails, the disk is full, so that there is no other segment, and the process ends. The page cache still has what
/// the disk has not; a start that reads it may sync it with success, and yet it is gone after the next power cut.
#[test]
fn what_a_failed_sync_left_in_the_page_cache_does_not_pass_for_durable() {
    for seed in 0..20 {
        let sim = Sim::new(seed);
        let root = sim.root();
        let (log, head) = (open(&root).0, AnyHead::default());
        let mut writer = Writer::new(&log, &head);
        writer.commit(0).unwrap();
        let lost = writer.append(1).unwrap();
        sim.fail(sim.calls(), Fault::Dropped);
        sim.set_capacity(Some(sim.used()));
        log.wait_durable(lost, &head).unwrap_err();
        drop(log);
        sim.set_capacity(None);
        let started = found(&root);
        sim.crash(seed);
        assert_eq!(found(&sim.root()), started, "seed {seed}");
    }
}

#[test]
fn what_did_not_fit_goes_first_into_the_log_once_it_does() {
    let sim = Sim::new(1);
    let root = sim.root();
    let (log, head) = (open(&root).0, AnyHead::default());
    let mut writer = Writer::new(&log, &head);
    writer.commit(0).unwrap();
    sim.set_capacity(Some(sim.used() + 20));
    assert!(writer.append(1).is_err());
    assert!(writer.append(2).is_err(), "the first one still does not fit");
    sim.set_capacity(None);
    writer.commit(2).unwrap();
    drop(log);
    sim.crash(3);
    assert_eq!(found(&sim.root()), (timestamps(3), 0));
}

#[test]
fn a_log_at_rest_says_that_its_last_commit_is_durable() {
    for (seals, at_end, told) in
        [(0, false, 0), (1, false, 0), (2, false, 1), (5, false, 1), (1, true, 1), (3, true, 1)]
    {
        let root = Sim::new(1).root();
        let (log, head) = (open(&root).0, AnyHead::default());
        let mut writer = Writer::new(&log, &head);
        writer.commit(0).unwrap();
        writer.commit(1).unwrap();
        let len = log.tail.lock().file.len();
        (0..seals).for_each(|_| log.seal(&head, at_end).unwrap());
        assert_eq!(log.tail.lock().file.len() - len, told * 24, "once, after {seals}");
        drop(log);
        let (wal, name) = (root.sub("wal").unwrap(), names::segment(0));
        let mut bytes = wal.read(&name).unwrap();
        bytes[usize::try_from(len).unwrap() - 1] ^= 1;
        wal.replace(&name, &bytes).unwrap();
        assert_eq!(found(&root), (vec![0], usize::try_from(told).unwrap()), "{seals} {at_end}");
    }
}

/// A few commits, some of which share a sync, and cuts. Returns the last time that was acknowledged, with all before.
fn workload(log: &Log, head: &AnyHead) -> (Timestamp, Timestamp) {
    let (mut writer, mut acknowledged, mut t) = (Writer::new(log, head), -1, 0);
    for step in 0..12 {
        match step {
            3 | 7 => _ = log.cut(head),
            5 => {
                // A cut as a full segment makes it: the old one is not durable.
                let mut tail = log.tail.lock();
                _ = tail.swap();
            }
            4 => _ = log.cut(head).and_then(|_| log.create_spare(&log.turn())),
            _ => {
                _ = writer.append(t).inspect(|_| t += 1);
                if writer.append(t).and_then(|at| log.wait_durable(at, head)).is_ok() {
                    (acknowledged, t) = (t, t + 1);
                }
            }
        }
        _ = log.heal(head);
    }
    (acknowledged, t)
}

/// Every call to the disk fails once in every way it can, alone or with the ones after it; then the power goes.
#[test]
fn no_failure_of_one_call_costs_an_acknowledged_commit_or_looks_like_damage() {
    let calls = {
        let sim = Sim::new(1);
        let log = open(&sim.root()).0;
        let before = sim.calls();
        assert_eq!(workload(&log, &AnyHead::default()).0, 15);
        sim.trace().split_off(usize::try_from(before).unwrap())
    };
    let mut runs = 0;
    for (nth, call) in calls.iter().enumerate() {
        for fault in call.op.faults().iter().chain([&Fault::PowerCut]) {
            for together in [1, 2, 5] {
                let sim = Sim::new(nth as u64);
                let log = open(&sim.root()).0;
                (0..together).for_each(|i| sim.fail(sim.calls() + nth as u64 + i, *fault));
                let (acknowledged, written) = workload(&log, &AnyHead::default());
                drop(log);
                sim.heal();
                sim.crash(nth as u64 * 31 + runs);
                let (mut all, damages) = found(&sim.root());
                let told = format!("{together} of {fault:?} from call {nth}, {call}: {all:?}, {acknowledged}");
                all.sort_unstable();
                all.dedup();
                // A commit whose append failed may be there all the same, or not.
                assert!(timestamps(acknowledged + 1).iter().all(|t| all.contains(t)), "{told}");
                assert!(all.iter().all(|t| *t <= written), "{told}");
                assert_eq!(damages, 0, "{told}");
                // And once more: a start leaves a log that the next start reads the same way.
                let mut again = found(&sim.root()).0;
                again.sort_unstable();
                again.dedup();
                assert_eq!(again, all, "{told}");
                runs += 1;
            }
        }
    }
    assert!(100 < runs, "{runs} runs");
}
