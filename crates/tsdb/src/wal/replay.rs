//! The log's reading end at start: the newest checkpoint, then every segment after it, damage contained.

use disk::{Dir, DiskError};
use model::Timestamp;

use super::frame::{Found, SegmentReader};
use super::record::{Record, decode};
use super::{Log, names};

/// What a replay found beside the records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records handed over.
    pub(crate) records: u64,
    /// Places that could not be read, each as a sentence for the operator.
    pub(crate) damages: Vec<String>,
}

/// Hands every readable record to `apply` with the number of its segment (`None` for the checkpoint), then starts
/// the log behind them, at segment `first` or later. `apply` returns the newest timestamp of the record, by which
/// segments become obsolete.
///
/// What a crash cut off at the end of the last segment is removed: it was never acknowledged. Other damage is skipped,
/// kept in the file and told.
pub(crate) fn replay(
    dir: Dir,
    first: u64,
    mut apply: impl FnMut(Option<u64>, Record) -> Timestamp,
) -> Result<(Log, Replayed), DiskError> {
    let entries = dir.list()?;
    let mut replayed = Replayed::default();
    let mut closed = Vec::new();
    let checkpoint = entries.iter().filter_map(|e| names::checkpoint_number(&e.name)).max();
    if let Some(number) = checkpoint {
        let sub = dir.sub(&names::checkpoint(number))?;
        let mut maxt = Timestamp::MIN;
        for entry in sub.list()?.iter().filter(|e| names::segment_number(&e.name).is_some()) {
            let mut apply = |record| maxt = maxt.max(apply(None, record));
            read_segment(&sub, &entry.name, false, &mut replayed, &mut apply)?;
        }
        if maxt != Timestamp::MIN {
            // Ours have no samples; those of others stand for the last segment that they replace.
            closed.push((number, maxt));
        }
    }
    let numbers: Vec<u64> = entries.iter().filter_map(|e| names::segment_number(&e.name)).collect();
    for number in numbers.iter().copied() {
        if checkpoint.is_some_and(|covered| number <= covered) {
            // The crash came between the checkpoint and the removal of what it replaces.
            dir.remove(&names::segment(number))?;
            continue;
        }
        let mut maxt = Timestamp::MIN;
        let mut apply = |record| maxt = maxt.max(apply(Some(number), record));
        let is_last = numbers.last() == Some(&number);
        read_segment(&dir, &names::segment(number), is_last, &mut replayed, &mut apply)?;
        closed.push((number, maxt));
    }
    let last = closed.last().map(|(n, _)| *n).max(checkpoint);
    let next = last.map_or(0, |n| n + 1).max(first);
    Ok((Log::start(dir, next, closed)?, replayed))
}

/// Hands the readable records of one segment to `apply`. Only the last segment can end in what a crash cut off.
fn read_segment(
    dir: &Dir,
    name: &str,
    is_last: bool,
    replayed: &mut Replayed,
    apply: &mut dyn FnMut(Record),
) -> Result<(), DiskError> {
    let bytes = dir.map(name)?;
    let mut reader = SegmentReader::new(&bytes);
    let tell = |offset: u64, what: &str| format!("segment {name}, offset {offset}: {what}");
    // Damage that no intact record follows so far, and where it begins.
    let mut pending: Vec<String> = Vec::new();
    let mut torn_at = None;
    while let Some(found) = reader.next() {
        if let Found::Damage { offset, what } = found {
            torn_at.get_or_insert(offset);
            pending.push(tell(offset, what));
            continue;
        }
        replayed.damages.append(&mut pending);
        torn_at = None;
        let decoded = match found {
            Found::Record(record) => decode(record).map_err(|what| format!("segment {name}: {what}")),
            Found::Unreadable { offset, what } | Found::Damage { offset, what } => Err(tell(offset, what)),
        };
        match decoded {
            Ok(record) => {
                replayed.records += 1;
                apply(record);
            }
            Err(what) => replayed.damages.push(what),
        }
    }
    let len = bytes.len() as u64;
    drop(bytes);
    if is_last {
        // Synced even when it is whole: what a killed process had not synced yet counts as durable from now on.
        return dir.truncate(name, torn_at.unwrap_or(len));
    }
    replayed.damages.append(&mut pending);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Records, SampleRecord, SeriesRef};
    use super::*;
    use model::Sample;

    fn sample(i: i64) -> Records {
        let mut records = Records::default();
        records.samples([SampleRecord { series: SeriesRef(1), sample: Sample { t: i, v: 0.5 } }]);
        records
    }

    fn timestamps(dir: &Dir) -> (Vec<i64>, Replayed) {
        let mut all = Vec::new();
        let (_, replayed) = replay(dir.clone(), 0, |_, record| match record {
            Record::Samples(samples) => {
                all.extend(samples.iter().map(|s| s.sample.t));
                samples.iter().map(|s| s.sample.t).max().unwrap()
            }
            other => panic!("{other:?}"),
        })
        .unwrap();
        (all, replayed)
    }

    #[test]
    fn a_torn_tail_is_cut_and_later_segments_follow() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let log = Log::start(dir.clone(), 0, Vec::new()).unwrap();
        for i in 0..10 {
            log.append(&sample(i), i).unwrap();
        }
        drop(log);
        dir.truncate("00000000", 10 * 33 - 5).unwrap();
        assert_eq!(timestamps(&dir), ((0..9).collect(), Replayed { records: 9, damages: vec![] }));
        assert_eq!(dir.list().unwrap().iter().find(|e| e.name == "00000000").unwrap().len % 9, 0);
        assert_eq!(timestamps(&dir).0, (0..9).collect::<Vec<_>>());
    }

    #[test]
    fn a_checkpoint_replaces_the_segments_before_it() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let log = Log::start(dir.clone(), 0, Vec::new()).unwrap();
        for i in 0..3 {
            log.append(&sample(i), i).unwrap();
            log.cut().unwrap();
        }
        super::super::write_checkpoint(&dir, 1, &sample(100)).unwrap();
        assert_eq!(timestamps(&dir).0, [100, 2]);
        assert!(dir.list().unwrap().iter().all(|e| e.name != "00000000" && e.name != "00000001"));
    }

    #[test]
    fn records_in_a_compression_that_is_not_read_are_told_and_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = Dir::open(tmp.path()).unwrap();
        let log = Log::start(dir.clone(), 0, Vec::new()).unwrap();
        for i in 0..3 {
            log.append(&sample(i), i).unwrap();
        }
        drop(log);
        let mut bytes = dir.read("00000000").unwrap();
        let len = bytes.len();
        for record in 1..3 {
            bytes[record * len / 3] |= 1 << 4;
        }
        dir.replace("00000000", &bytes).unwrap();
        for _ in 0..2 {
            let (found, replayed) = timestamps(&dir);
            assert_eq!((found, replayed.damages.len()), (vec![0], 2));
            assert!(replayed.damages[0].contains("zstd"), "{replayed:?}");
            assert_eq!(dir.read("00000000").unwrap(), bytes);
        }
    }
}
