//! What is read back of logs that crashes, flipped bits and other programs have left.

use disk::Sim;
use model::Sample;

use super::super::frame;
use super::super::record::{Records, SampleRecord, SeriesRef, end};
use super::*;

fn sample(i: i64) -> Records {
    let mut records = Records::default();
    records.samples([SampleRecord { series: SeriesRef(1), sample: Sample { t: i, v: 0.5 } }]);
    records
}

/// A data directory whose log has these segments.
fn store(segments: &[Vec<u8>]) -> Dir {
    let root = Sim::new(1).root();
    let dir = root.sub(WAL_DIR).unwrap();
    identity::make(&dir).unwrap();
    for (number, bytes) in (0..).zip(segments) {
        dir.create(&names::segment(number)).unwrap().append(bytes).unwrap();
    }
    root
}

fn segment(commits: &[Records]) -> Vec<u8> {
    let mut bytes = Vec::new();
    commits.iter().for_each(|records| frame::push_commit(&mut bytes, 0, records));
    bytes
}

fn timestamps(root: &Dir) -> (Vec<i64>, Replayed) {
    let mut all = Vec::new();
    let mut apply = |_, record| match record {
        Record::Samples(samples) => {
            all.extend(samples.iter().map(|s| s.sample.t));
            samples.iter().map(|s| s.sample.t).max().unwrap()
        }
        Record::Tombstones(_) | Record::Series(_) => Timestamp::MIN,
        other => panic!("{other:?}"),
    };
    let progress = ReplayProgress::default();
    let (log, replayed) = replay(root, 0, &progress, &mut apply).unwrap();
    drop(log);
    // However it went, it is through.
    for (all, done) in [progress.segments(), progress.bytes()] {
        assert_eq!(all, done);
    }
    (all, replayed)
}

fn len(root: &Dir, segment: &str) -> Option<u64> {
    let entries = root.sub(WAL_DIR).unwrap().list().unwrap();
    entries.iter().find(|entry| entry.name == segment).map(|entry| entry.len)
}

#[test]
fn a_torn_tail_is_cut_and_later_segments_follow() {
    let bytes = segment(&(0..10).map(sample).collect::<Vec<_>>());
    let one = bytes.len() / 10;
    let root = store(&[bytes[..bytes.len() - 5].to_vec()]);
    for _ in 0..2 {
        assert_eq!(timestamps(&root), ((0..9).collect(), Replayed { records: 9, findings: vec![] }));
        assert_eq!(len(&root, "00000000"), Some(9 * one as u64));
    }
}

#[test]
fn a_commit_is_read_whole_or_not_at_all() {
    let mut commit = sample(1);
    commit.tombstones([]);
    commit.samples([SampleRecord { series: SeriesRef(2), sample: Sample { t: 2, v: 0.5 } }]);
    let bytes = segment(&[sample(0), commit, sample(3)]);
    let first = segment(&[sample(0)]).len();
    let last = bytes.len() - first;
    for cut in first..=bytes.len() {
        let root = store(&[bytes[..cut].to_vec()]);
        let expect = if cut == bytes.len() { 4 } else { 1 + 2 * i64::from(last <= cut) };
        for _ in 0..2 {
            let (all, replayed) = timestamps(&root);
            assert_eq!((all, replayed.findings.len()), ((0..expect).collect(), 0), "cut at {cut} of {}", bytes.len());
        }
    }
    // A flipped bit in the commit costs what it touches, not the rest of the commit.
    let mut flipped = bytes.clone();
    flipped[last - 1] ^= 1;
    flipped.resize(frame::PAGE_BYTES, 0);
    flipped.extend(&bytes);
    let (all, replayed) = timestamps(&store(&[flipped]));
    assert_eq!((all, replayed.findings.len()), (vec![0, 1, 0, 1, 2, 3], 1));
}

#[test]
fn the_end_of_a_segment_that_was_not_the_last_is_damage_only_if_it_was_durable() {
    let bytes = segment(&(0..4).map(sample).collect::<Vec<_>>());
    let torn = bytes[..bytes.len() - 3].to_vec();
    let next = |len: u64| {
        let mut next = segment(&[sample(4)]);
        let offset = next.len() as u64;
        frame::push_record(&mut next, offset, &end(0, len));
        next
    };
    let third = bytes.len() as u64 * 3 / 4;
    // Both unsynced when the power went; the first durable as far as it is whole; the first durable to its end.
    for (len_durable, findings) in [(None, 0), (Some(third), 0), (Some(bytes.len() as u64), 1)] {
        let root = store(&[torn.clone(), len_durable.map_or(segment(&[sample(4)]), next)]);
        let (all, replayed) = timestamps(&root);
        assert_eq!((all, replayed.findings.len()), (vec![0, 1, 2, 4], findings), "{len_durable:?}");
        // Damage stays where it is.
        let left = if findings == 0 { third } else { torn.len() as u64 };
        assert_eq!(len(&root, "00000000"), Some(left), "{len_durable:?}");
    }
    // Two behind it, it was durable; in another program's log, one behind it.
    let root = store(&[torn.clone(), segment(&[sample(4)]), segment(&[sample(5)])]);
    assert_eq!(timestamps(&root).1.findings.len(), 1);
    let root = store(&[torn, segment(&[sample(4)])]);
    root.sub(WAL_DIR).unwrap().remove("store").unwrap();
    assert_eq!(timestamps(&root).1.findings.len(), 1);
}

#[test]
fn a_checkpoint_replaces_the_segments_before_it() {
    let root = store(&[segment(&[sample(0)]), segment(&[sample(1)]), segment(&[sample(2)]), Vec::new(), Vec::new()]);
    super::super::write_checkpoint(&root.sub(WAL_DIR).unwrap(), 1, &sample(100)).unwrap();
    assert_eq!(timestamps(&root).0, [100, 2]);
    assert_eq!(["00000000", "00000001", "00000004"].map(|name| len(&root, name)), [None; 3]);
}

#[test]
fn damage_is_copied_to_the_quarantine_and_told_at_each_start() {
    let mut bytes = segment(&(0..3000).map(sample).collect::<Vec<_>>());
    bytes[frame::PAGE_BYTES + 100] ^= 1;
    bytes[frame::PAGE_BYTES + 200] ^= 1;
    let root = store(&[bytes.clone()]);
    for _ in 0..2 {
        let (all, replayed) = timestamps(&root);
        assert!(1900 < all.len() && all.len() < 3000, "{}", all.len());
        let [finding] = &replayed.findings[..] else { panic!("{replayed:?}") };
        let offset: usize = finding.what.split([' ', ':']).nth(1).unwrap().parse().unwrap();
        assert!((frame::PAGE_BYTES..frame::PAGE_BYTES + 100).contains(&offset), "{finding:?}");
        assert_eq!(finding.file, "wal/00000000");
        assert_eq!(finding.quarantined.as_deref(), Some(&*format!("quarantine/wal-00000000-{offset}")));
        let copy = root.sub("quarantine").unwrap().read(&format!("wal-00000000-{offset}")).unwrap();
        assert_eq!(copy, bytes[offset..][..copy.len()]);
        assert!(20_000 < copy.len() && copy.len() <= frame::PAGE_BYTES, "{}", copy.len());
    }
}

#[test]
fn records_in_a_compression_that_cannot_be_undone_are_told_and_kept() {
    let mut bytes = segment(&(0..3).map(sample).collect::<Vec<_>>());
    let len = bytes.len();
    for record in 1..3 {
        bytes[record * len / 3] |= 1 << 4;
    }
    let root = store(&[bytes.clone()]);
    for _ in 0..2 {
        let (found, replayed) = timestamps(&root);
        assert_eq!((found, replayed.findings.len()), (vec![0], 2));
        assert!(replayed.findings[0].what.contains("zstd"), "{replayed:?}");
        assert_eq!(root.sub(WAL_DIR).unwrap().read("00000000").unwrap(), bytes);
    }
}

#[test]
fn the_store_keeps_its_name() {
    let root = store(&[]);
    let name = |root: &Dir| replay(root, 0, &ReplayProgress::default(), &mut |_, _| 0).unwrap().0.store();
    let first = name(&root);
    assert_eq!(first, name(&root));
    assert_ne!(first, name(&store(&[])));
}
