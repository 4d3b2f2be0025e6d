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
    let mut apply = |at: At<'_>, record| match record {
        Record::Samples(floats) => {
            all.extend(at.floats().unwrap().iter().map(|s| s.sample.t));
            floats.newest
        }
        Record::Tombstones(_) | Record::Series(_) => Timestamp::MIN,
        other => panic!("{other:?}"),
    };
    let progress = ReplayProgress::default();
    let (log, replayed) = replay(root, 0, &progress, None, &mut apply).unwrap();
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
        // When power fails there may be zeros in the place of what was not written: the first two bytes of a header, with
        // zeros behind them, were once taken for a record without bytes, and the rest of the commit for all of it.
        let zeros = [&bytes[..cut], &vec![0; bytes.len() - cut]].concat();
        for left in [bytes[..cut].to_vec(), zeros] {
            let same = left.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
            let expect = if same == bytes.len() { 4 } else { 1 + 2 * i64::from(last <= same) };
            let root = store(&[left]);
            for _ in 0..2 {
                let (all, replayed) = timestamps(&root);
                assert_eq!(
                    (all, replayed.findings.len()),
                    ((0..expect).collect(), 0),
                    "cut at {cut} of {}",
                    bytes.len()
                );
            }
        }
    }
    // In a segment that was durable, a flipped bit in the commit costs what it touches, not the rest of the commit.
    let mut flipped = bytes.clone();
    flipped[last - 1] ^= 1;
    let (all, replayed) = timestamps(&store(&[flipped, segment(&[sample(4)]), segment(&[sample(5)])]));
    assert_eq!((all, replayed.findings.len()), (vec![0, 1, 3, 4, 5], 1));
}

/// A segment of commits, each said to be durable by the next one, as in a log in which each waits for its own sync; then
/// some more that share a sync. Returns where each commit ends as well.
fn marked(alone: i64, together: i64) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for i in 0..alone + together {
        if (1..=alone).contains(&i) {
            let offset = bytes.len() as u64;
            frame::push_record(&mut bytes, offset, &end(0, offset));
        }
        let mut commit = sample(i);
        if i % 2 == 0 {
            commit.tombstones([]);
            commit.samples([SampleRecord { series: SeriesRef(2), sample: Sample { t: i, v: 0.5 } }]);
        }
        frame::push_commit(&mut bytes, 0, &commit);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Where the headers of fragments begin, none of which is cut in two.
fn headers(bytes: &[u8]) -> Vec<usize> {
    let mut headers = vec![0];
    while let Some(at) = headers.last().copied().filter(|at| *at < bytes.len()) {
        headers.push(at + 7 + usize::from(u16::from_be_bytes([bytes[at + 1], bytes[at + 2]])));
    }
    headers
}

/// Every bit of a short log: what is lost was touched, or shared the last sync with what was, and is told.
#[test]
fn a_changed_bit_of_the_last_page_is_told_unless_it_is_of_the_last_write() {
    let times = |i: usize| vec![i as i64; if i.is_multiple_of(2) { 2 } else { 1 }];
    for (alone, together) in [(5, 1), (4, 3), (0, 4)] {
        let (bytes, ends) = marked(alone, together);
        let (headers, last) = (headers(&bytes), ends[ends.len() - 2]);
        let all: Vec<i64> = (0..ends.len()).flat_map(times).collect();
        let whole = Replayed { records: all.len() as u64, findings: vec![] };
        assert_eq!(timestamps(&store(std::slice::from_ref(&bytes))), (all.clone(), whole));
        for bit in 0..bytes.len() * 8 {
            let (at, mut changed) = (bit / 8, bytes.clone());
            changed[at] ^= 1 << (bit % 8);
            let root = store(&[changed]);
            let (found, replayed) = timestamps(&root);
            let case = format!("bit {bit} of {alone} and {together} commits: {found:?}, {:?}", replayed.findings);
            let touched = ends.partition_point(|end| *end <= at);
            let before: Vec<i64> = (0..touched).flat_map(times).collect();
            let behind: Vec<i64> = (touched + 1..ends.len()).flat_map(times).collect();
            let in_header = at - headers[headers.partition_point(|header| *header <= at) - 1];
            if (touched as i64) < alone {
                // A wrong length leads astray.
                let astray = (1..3).contains(&in_header);
                assert!(found.starts_with(&before) && (astray || found.ends_with(&behind)), "{case}");
            } else if in_header != 0 {
                assert_eq!(found, before, "nothing of a commit that may not have been whole: {case}");
            }
            assert!(!replayed.findings.is_empty() || found == all || last <= at, "not told: {case}");
            assert_eq!(timestamps(&root).0, found, "another start: {case}");
        }
    }
}

#[test]
fn a_segment_that_is_shorter_than_it_was_is_told() {
    let (bytes, ends) = marked(3, 1);
    let mut next = segment(&[sample(9)]);
    let offset = next.len() as u64;
    frame::push_record(&mut next, offset, &end(0, bytes.len() as u64));
    let root = store(&[bytes[..ends[1]].to_vec(), next]);
    let (found, replayed) = timestamps(&root);
    assert_eq!(found, [0, 0, 1, 9]);
    let [finding] = &replayed.findings[..] else { panic!("{replayed:?}") };
    assert!(finding.what.contains("missing") && finding.file == "wal/00000000", "{finding:?}");
}

#[test]
fn samples_that_look_like_fragments_are_not_replayed() {
    // A record that a crash has torn, in which a sender has hidden one.
    let hidden = segment(&[sample(66)]);
    let mut torn = Records::default();
    let labels = model::Labels::from_pairs([("__name__", "m")]);
    torn.series([(SeriesRef(1), &labels)]);
    let mut bytes = segment(&[sample(0)]);
    let from = bytes.len();
    let mut record = torn.iter().next().unwrap().to_vec();
    record.extend(&hidden);
    let offset = from as u64;
    frame::push_record(&mut bytes, offset, &record);
    bytes[from + 9] ^= 1;
    let root = store(&[bytes]);
    let (found, replayed) = timestamps(&root);
    assert_eq!((found, replayed.findings.len(), len(&root, "00000000")), (vec![0], 1, Some(offset)));
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
    let root = store(&[torn.clone(), segment(&[sample(4)])]);
    root.sub(WAL_DIR).unwrap().remove("store").unwrap();
    assert_eq!(timestamps(&root).1.findings.len(), 1);
    // In the last one of those, with nothing behind it and with a record; the rest counts.
    for (behind, findings) in [(0, 0), (1, 1)] {
        let mut bytes = bytes.clone();
        let at = bytes.len() - 1 - behind * bytes.len() / 4;
        bytes[at] ^= 1;
        let root = store(std::slice::from_ref(&bytes));
        root.sub(WAL_DIR).unwrap().remove("store").unwrap();
        let (all, replayed) = timestamps(&root);
        assert_eq!((all.len(), replayed.findings.len()), (3, findings), "{replayed:?}");
        assert_eq!(len(&root, "00000000"), Some(if findings == 0 { third } else { bytes.len() as u64 }));
    }
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
    let one = bytes.len() / 3000;
    // A record's contents, and the length of another one.
    let (first, second) = (one * 100, one * 200);
    bytes[first + 20] ^= 1;
    bytes[second + 2] ^= 1;
    // One that was durable: there are two behind it.
    let root = store(&[bytes.clone(), segment(&[sample(3000)]), segment(&[sample(3001)])]);
    for _ in 0..2 {
        let (all, replayed) = timestamps(&root);
        assert!(all.starts_with(&(0..100).chain(101..200).collect::<Vec<_>>()), "{all:?}");
        assert!(all.ends_with(&(2000..3002).collect::<Vec<_>>()) && all.len() < 3000, "{}", all.len());
        let [of_one, of_page] = &replayed.findings[..] else { panic!("{replayed:?}") };
        for (finding, offset, least, most) in [(of_one, first, one, one), (of_page, second, 20_000, frame::PAGE_BYTES)]
        {
            assert!(finding.what.starts_with(&format!("offset {offset}: ")), "{finding:?}");
            assert_eq!(finding.file, "wal/00000000");
            assert_eq!(finding.quarantined.as_deref(), Some(&*format!("quarantine/wal-00000000-{offset}")));
            let copy = root.sub("quarantine").unwrap().read(&format!("wal-00000000-{offset}")).unwrap();
            assert_eq!(copy, bytes[offset..][..copy.len()]);
            assert!(least <= copy.len() && copy.len() <= most, "{}", copy.len());
        }
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
    let name = |root: &Dir| replay(root, 0, &ReplayProgress::default(), None, &mut |_, _| 0).unwrap().0.store();
    let first = name(&root);
    assert_eq!(first, name(&root));
    assert_ne!(first, name(&store(&[])));
}
