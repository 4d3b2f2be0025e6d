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
/// the log behind them. `apply` returns the newest timestamp of the record, by which segments become obsolete.
///
/// A tail that a crash cut off is removed: it was never acknowledged. Damage before intact records is skipped, kept
/// in the file and told.
pub(crate) fn replay(
    dir: Dir,
    mut apply: impl FnMut(Option<u64>, Record) -> Timestamp,
) -> Result<(Log, Replayed), DiskError> {
    let entries = dir.list()?;
    let mut replayed = Replayed::default();
    let checkpoint = entries.iter().filter_map(|e| names::checkpoint_number(&e.name)).max();
    if let Some(number) = checkpoint {
        let sub = dir.sub(&names::checkpoint(number))?;
        for entry in sub.list()?.iter().filter(|e| names::segment_number(&e.name).is_some()) {
            read_segment(&sub, &entry.name, &mut replayed, |record| apply(None, record))?;
        }
    }
    let mut closed = Vec::new();
    for number in entries.iter().filter_map(|e| names::segment_number(&e.name)) {
        if checkpoint.is_some_and(|covered| number <= covered) {
            // The crash came between the checkpoint and the removal of what it replaces.
            dir.remove(&names::segment(number))?;
            continue;
        }
        let mut maxt = Timestamp::MIN;
        read_segment(&dir, &names::segment(number), &mut replayed, |record| {
            let newest = apply(Some(number), record);
            maxt = maxt.max(newest);
            newest
        })?;
        closed.push((number, maxt));
    }
    let next = closed.last().map(|(n, _)| n + 1).or(checkpoint.map(|n| n + 1)).unwrap_or(0);
    Ok((Log::start(dir, next, closed)?, replayed))
}

fn read_segment(
    dir: &Dir,
    name: &str,
    replayed: &mut Replayed,
    mut apply: impl FnMut(Record) -> Timestamp,
) -> Result<(), DiskError> {
    let bytes = dir.map(name)?;
    let mut reader = SegmentReader::new(&bytes);
    // Damage counts only once an intact record follows it; else it is the torn tail.
    let mut pending: Vec<String> = Vec::new();
    let mut torn_at = None;
    while let Some(found) = reader.next() {
        match found {
            Found::Record(record) => {
                replayed.damages.append(&mut pending);
                torn_at = None;
                match decode(record) {
                    Ok(record) => {
                        replayed.records += 1;
                        apply(record);
                    }
                    Err(what) => replayed.damages.push(format!("segment {name}: {what}")),
                }
            }
            Found::Damage { offset, what } => {
                torn_at.get_or_insert(offset);
                pending.push(format!("segment {name}, offset {offset}: {what}"));
            }
        }
    }
    drop(bytes);
    torn_at.map_or(Ok(()), |len| dir.truncate(name, len))
}

#[cfg(test)]
mod tests {
    use super::super::{RecordWriter, SampleRecord, SeriesRef};
    use super::*;
    use model::Sample;

    fn sample(i: i64) -> SampleRecord {
        SampleRecord { series: SeriesRef(1), sample: Sample { t: i, v: 0.5 } }
    }

    fn timestamps(dir: &Dir) -> (Vec<i64>, Replayed) {
        let mut all = Vec::new();
        let (_, replayed) = replay(dir.clone(), |_, record| match record {
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
        let mut w = RecordWriter::default();
        for i in 0..10 {
            log.append(&[w.samples([sample(i)].into_iter())], i).unwrap();
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
        let mut w = RecordWriter::default();
        for i in 0..3 {
            log.append(&[w.samples([sample(i)].into_iter())], i).unwrap();
            log.cut().unwrap();
        }
        let kept = w.samples([sample(100)].into_iter()).to_vec();
        super::super::write_checkpoint(&dir, 1, [kept.as_slice()].into_iter()).unwrap();
        assert_eq!(timestamps(&dir).0, [100, 2]);
        assert!(dir.list().unwrap().iter().all(|e| e.name != "00000000" && e.name != "00000001"));
    }
}
