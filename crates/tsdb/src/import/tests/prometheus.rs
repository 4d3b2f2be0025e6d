//! Directories as a Prometheus leaves them, one for each way in which what was deleted there might come back.

use model::TimeRange;
use ulid::Ulid;

use super::*;
use crate::block::{Block, BlockDesc, BlockSpec};
use crate::chunk;
use crate::wal::{self, Records, SampleRecord, SeriesRef, TombstoneRecord};

/// Minutes from [`START`]: samples are a minute apart, and each has its minute as its value.
type Minutes = std::ops::Range<i64>;

fn at(minute: i64) -> Timestamp {
    START + minute * 60_000
}

/// Both ends inside, as everything that deletes means it.
fn closed(minutes: &Minutes) -> TimeRange {
    TimeRange { mint: at(minutes.start), maxt: at(minutes.end - 1) }
}

#[derive(Clone)]
struct TheirBlock {
    number: u64,
    range: Minutes,
    hints: Vec<&'static str>,
    parents: Vec<u64>,
    series: Vec<(&'static str, Minutes)>,
    deleted: Vec<(&'static str, Minutes)>,
}

impl TheirBlock {
    fn new(number: u64, range: Minutes, series: &[(&'static str, Minutes)]) -> TheirBlock {
        let series = series.to_vec();
        TheirBlock { number, range, hints: Vec::new(), parents: Vec::new(), series, deleted: Vec::new() }
    }

    fn write(&self, dir: &Dir) {
        let ulid = |number| Ulid::from_parts(number, 7);
        let range = BlockRange { start: at(self.range.start), end: at(self.range.end) };
        let parent = |number: &u64| BlockDesc { ulid: ulid(*number), min_time: range.start, max_time: range.end };
        let spec = BlockSpec {
            hints: self.hints.iter().map(|hint| (*hint).to_owned()).collect(),
            level: if self.parents.is_empty() { 1 } else { 2 },
            parents: self.parents.iter().map(parent).collect(),
            ..BlockSpec::new(ulid(self.number), range)
        };
        let series = self.series.iter().map(|(name, minutes)| {
            let samples = minutes.clone().map(|minute| (at(minute), SampleValue::Float(minute as f64)));
            Ok(SeriesChunks { labels: labels(name), chunks: chunk::encode(samples), starts: Vec::new() })
        });
        write_block(dir, spec, series).unwrap();
        let block = Block::open(dir, &ulid(self.number).to_string(), 0).unwrap();
        for (name, minutes) in &self.deleted {
            let matcher = Matcher::new("__name__", MatchOp::Equal, name).unwrap();
            block.delete(&[vec![matcher]], closed(minutes)).unwrap();
        }
    }
}

/// A record of a log.
#[derive(Clone)]
enum Logged {
    Series,
    Samples(&'static str, Minutes),
    Deleted(&'static str, Minutes),
}

impl Logged {
    /// A segment that has nothing else.
    fn segment(&self) -> Vec<u8> {
        let names = ["a", "b"];
        let id = |name: &str| SeriesRef(names.iter().position(|other| *other == name).unwrap() as u64 + 1);
        let mut records = Records::default();
        match self {
            Logged::Series => {
                let all = names.map(|name| (id(name), labels(name)));
                records.series(all.iter().map(|(id, labels)| (*id, labels)));
            }
            Logged::Samples(name, minutes) => {
                records.samples(minutes.clone().map(|minute| SampleRecord {
                    series: id(name),
                    sample: Sample { t: at(minute), v: minute as f64 },
                }))
            }
            Logged::Deleted(name, minutes) => {
                records.tombstones([TombstoneRecord { series: id(name), range: closed(minutes) }]);
            }
        }
        wal::segment_of(&records)
    }
}

#[derive(Clone, Default)]
struct Theirs {
    blocks: Vec<TheirBlock>,
    checkpoint: Vec<Logged>,
    wal: Vec<Logged>,
    wbl: Vec<Logged>,
}

impl Theirs {
    fn write(&self, dir: &Dir) {
        self.blocks.iter().for_each(|block| block.write(dir));
        let log = dir.sub("wal").unwrap();
        let mut next = 0;
        if !self.checkpoint.is_empty() {
            next = 3;
            write_log(&log.sub("checkpoint.00000002").unwrap(), 0, &self.checkpoint);
        }
        write_log(&log, next, &self.wal);
        self.write_late(dir);
    }

    fn write_late(&self, dir: &Dir) {
        if !self.wbl.is_empty() {
            write_log(&dir.sub("wbl").unwrap(), 0, &self.wbl);
        }
    }
}

fn write_log(dir: &Dir, next: u64, records: &[Logged]) {
    for (number, record) in (next..).zip(records) {
        dir.create(&format!("{number:08}")).unwrap().append(&record.segment()).unwrap();
    }
}

/// What is deleted stays so, and the rest is there: imported, taken over, after each start that follows, when the first
/// one is cut off before the second log is gone, and in blocks.
#[track_caller]
fn assert_read(theirs: &Theirs, expected: &[(&str, Minutes)]) {
    let mut samples = BTreeMap::<String, Vec<_>>::new();
    for (name, minutes) in expected {
        let of_range = minutes.clone().map(|minute| (at(minute), minute.to_string()));
        samples.entry((*name).to_owned()).or_default().extend(of_range);
    }
    let expected = samples;
    let root = disk::Sim::new(1).root();

    let (from, to) = (root.sub("from").unwrap(), root.sub("to").unwrap());
    theirs.write(&from);
    let (mut import, foreign) = (Import::start(to.clone()).unwrap(), Foreign::open(from).unwrap());
    for part in foreign.parts() {
        import.copy(&foreign, part, &mut |labels: &Labels| Ok::<_, TsdbError>(labels.clone())).unwrap();
    }
    import.finish().unwrap();
    assert_same(&contents(&Db::open(to, Options::default()).unwrap()), &expected);

    let dir = root.sub("taken over").unwrap();
    theirs.write(&dir);
    for start in 0..4 {
        let db = Db::open(dir.clone(), Options::default()).unwrap();
        assert_eq!(db.damages(), [""; 0]);
        assert_same(&contents(&db), &expected);
        match start {
            // As if the crash had come before its removal.
            0 => theirs.write_late(&dir),
            2 => db.flush().unwrap(),
            _ => {}
        }
        assert_same(&contents(&db), &expected);
    }
}

#[test]
fn late_samples_deleted_in_their_block_stay_in_the_log_of_others() {
    // The log has late samples as well; what was deleted of the head begins with the first sample in order.
    let late = TheirBlock {
        hints: vec!["from-out-of-order"],
        deleted: vec![("a", 121..130)],
        ..TheirBlock::new(2, 120..240, &[("a", 121..130)])
    };
    let theirs = Theirs {
        blocks: vec![TheirBlock::new(1, 0..120, &[("a", 0..120), ("b", 0..120)]), late],
        wal: vec![
            Logged::Series,
            Logged::Samples("a", 118..120),
            Logged::Samples("a", 130..140),
            Logged::Samples("b", 120..182),
            Logged::Samples("a", 121..130),
            Logged::Deleted("a", 130..140),
        ],
        ..Theirs::default()
    };
    assert_read(&theirs, &[("a", 0..120), ("b", 0..182)]);
    // The same before there was any block written in order.
    let theirs = Theirs { blocks: theirs.blocks[1..].to_vec(), ..theirs };
    assert_read(&theirs, &[("a", 118..120), ("b", 120..182)]);
}

#[test]
fn what_the_log_deletes_is_deleted_in_the_log_of_late_samples() {
    let late = vec![Logged::Samples("a", 121..123), Logged::Samples("b", 124..126), Logged::Samples("a", 127..130)];
    let theirs = Theirs {
        wal: vec![
            Logged::Series,
            Logged::Samples("a", 120..121),
            Logged::Samples("a", 130..140),
            Logged::Samples("b", 130..140),
            Logged::Samples("a", 121..123),
            Logged::Samples("b", 124..126),
            Logged::Samples("a", 127..130),
            Logged::Deleted("a", 120..128),
        ],
        wbl: late,
        ..Theirs::default()
    };
    assert_read(&theirs, &[("a", 128..140), ("b", 124..126), ("b", 130..140)]);
}

#[test]
fn a_checkpoint_has_samples_that_were_deleted_in_blocks() {
    let block = TheirBlock { deleted: vec![("a", 50..60)], ..TheirBlock::new(1, 0..120, &[("a", 0..120)]) };
    let theirs = Theirs {
        blocks: vec![block],
        checkpoint: vec![Logged::Series, Logged::Samples("a", 40..60)],
        wal: vec![Logged::Samples("a", 60..121), Logged::Samples("b", 120..182)],
        ..Theirs::default()
    };
    assert_read(&theirs, &[("a", 0..50), ("a", 60..121), ("b", 120..182)]);
}

#[test]
fn a_block_that_was_replaced_is_not_read_beside_the_one_that_has_less() {
    let child =
        TheirBlock { parents: vec![1], deleted: vec![("a", 10..20)], ..TheirBlock::new(2, 0..120, &[("a", 0..120)]) };
    let theirs = Theirs {
        blocks: vec![TheirBlock::new(1, 0..120, &[("a", 0..120)]), child],
        wal: vec![Logged::Series, Logged::Samples("a", 120..130)],
        ..Theirs::default()
    };
    assert_read(&theirs, &[("a", 0..10), ("a", 20..130)]);
}

#[test]
fn merged_blocks_of_late_samples_do_not_stand_for_the_log() {
    // The merged block does not say that late samples are all it has. Had the head been cut where it ends, there would be
    // samples of more than half a range behind it; there are some of them behind the end of the first block.
    let merged = TheirBlock {
        parents: vec![5, 6],
        deleted: vec![("a", 121..125)],
        ..TheirBlock::new(2, 120..240, &[("a", 121..130)])
    };
    let log = |end| {
        vec![
            Logged::Series,
            Logged::Samples("a", 100..120),
            Logged::Samples("b", 100..120),
            Logged::Samples("a", 130..182),
            Logged::Samples("b", 120..end),
            Logged::Samples("a", 121..130),
        ]
    };
    let first =
        TheirBlock { deleted: vec![("b", 100..110)], ..TheirBlock::new(1, 0..120, &[("a", 0..120), ("b", 0..120)]) };
    let theirs = Theirs { blocks: vec![first, merged], wal: log(182), ..Theirs::default() };
    assert_read(&theirs, &[("a", 0..120), ("a", 125..182), ("b", 0..100), ("b", 110..182)]);
    // Cut in order where the merged one ends, and the process ended at once: the log has not forgotten anything yet.
    let mut cut = theirs.blocks[1].clone();
    cut.series = vec![("a", 121..182), ("b", 120..240)];
    let theirs = Theirs { blocks: vec![theirs.blocks[0].clone(), cut], wal: log(302), ..theirs };
    assert_read(&theirs, &[("a", 0..120), ("a", 125..182), ("b", 0..100), ("b", 110..302)]);
}

#[test]
fn a_block_made_of_text_does_not_stand_for_the_log() {
    // What `promtool` makes of text ends with its last sample, be that in the head's range.
    let theirs = Theirs {
        blocks: vec![TheirBlock::new(1, 0..120, &[("a", 0..120)]), TheirBlock::new(2, 120..151, &[("b", 120..151)])],
        wal: vec![Logged::Series, Logged::Samples("a", 110..190)],
        ..Theirs::default()
    };
    assert_read(&theirs, &[("a", 0..190), ("b", 120..151)]);
}
