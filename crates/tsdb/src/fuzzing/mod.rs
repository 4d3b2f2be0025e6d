//! The readers of the store's files as fuzz tests and fuzz targets enter them: any bytes come in, every promise is held.
//!
//! Each returns whether the bytes were what they should be. Those of files with checksums are read as they are, and again
//! with checksums that match: a mutation rarely hits one, and behind it is the code that must not trust them.

mod reseal;

use model::{Columns, TimeRange};

use crate::block::file::BlockFile;
use crate::block::{BlockError, BlockMeta, Tombstones, verify_starts};
use crate::chunk::{self, Encoding, XorAppender};
use crate::index::Index;
use crate::select::LabelIndex;
use crate::wal;

/// A segment of the log: fragments, records, their compression.
pub fn wal_segment(bytes: &[u8]) -> bool {
    let is_whole = |bytes: &[u8]| {
        let mut damages = 0;
        wal::verify_segment(bytes, &mut |offset, _| {
            assert!(offset <= bytes.len() as u64, "damage at byte {offset} of {}", bytes.len());
            damages += 1;
        });
        damages == 0
    };
    is_whole(bytes) | is_whole(&reseal::segment(bytes))
}

/// A record of the log, its frame and compression undone.
pub fn wal_record(bytes: &[u8]) -> bool {
    wal::decode(bytes).is_ok()
}

/// A chunk as a segment has it: its encoding, then its data.
pub fn chunk(bytes: &[u8]) -> bool {
    let Some((encoding, bytes)) = bytes.split_first() else { return false };
    let Some(encoding) = Encoding::from_byte(*encoding) else { return false };
    let mut all = Columns::default();
    let is_chunk = chunk::decode(encoding, bytes, TimeRange::ALL, &mut all).is_ok();
    let times = if encoding == Encoding::Xor { &all.timestamps } else { &all.histogram_timestamps };
    assert!(times.is_sorted_by(|a, b| a < b), "timestamps ascend");
    assert!(is_chunk || all == Columns::default(), "a chunk that is none leaves nothing behind");
    let (count, middle) = (times.len(), times.get(times.len() / 2).copied());
    drop(all);
    match chunk::samples(encoding, bytes, TimeRange::ALL) {
        Ok(samples) => assert!(is_chunk && samples.len() == count, "both ways find the same samples"),
        Err(_) => assert!(!is_chunk, "both ways refuse the same chunk"),
    }
    if let Some(middle) = middle {
        let mut half = Columns::default();
        let range = TimeRange { mint: middle, maxt: i64::MAX };
        assert!(chunk::decode(encoding, bytes, range, &mut half).is_ok(), "part of a chunk is as good as all of it");
        assert_eq!(half.timestamps.len() + half.histogram_timestamps.len(), count - count / 2, "the later half");
    }
    if encoding == Encoding::Xor
        && let Ok(mut open) = XorAppender::resume(bytes.to_vec())
        && count < usize::from(u16::MAX)
        && open.last_t() < i64::MAX
    {
        open.append(open.last_t() + 1, 1.0);
        assert_eq!(usize::from(open.num_samples()), count + 1, "a chunk goes on where it ended");
    }
    is_chunk
}

/// The index of a block: sections, series, postings, and postings made anew from the series.
pub fn index(bytes: &[u8]) -> bool {
    let is_index = |bytes: Vec<u8>| read_index(BlockFile::of_bytes(bytes)).is_ok();
    is_index(bytes.to_vec()) | is_index(reseal::index(bytes))
}

/// Reads all there is of an index. Errors: the first damage; reading goes on behind it.
fn read_index(file: BlockFile) -> Result<(), BlockError> {
    let index = Index::read(file)?;
    let mut outcome = index.damage().map_or(Ok(()), |_| Err(BlockError::invalid("postings made anew")));
    let mut note = |read: Result<(), BlockError>| {
        if read.is_err() && outcome.is_ok() {
            outcome = read;
        }
    };
    let mut reader = index.series();
    match index.all() {
        Ok(all) => all.iter().for_each(|reference| note(reader.read(reference).map(drop))),
        Err(e) => note(Err(e)),
    }
    for name in index.names() {
        for value in index.values(name) {
            note(value.and_then(|value| {
                let refs = value.references()?;
                let count = index.count(name, value.text())?;
                assert!(count.is_none_or(|count| count == refs.len()), "a list is as long as it says");
                Ok(())
            }));
        }
    }
    index.sections_are_in_order();
    index.rebuild();
    outcome
}

/// The description of a block; one that is good comes back from its own bytes.
pub fn meta(bytes: &[u8]) -> bool {
    let Ok(name) = serde_json::from_slice::<BlockMeta>(bytes).map(|meta| meta.ulid.to_string()) else { return false };
    let Ok(meta) = BlockMeta::parse(&name, bytes) else { return false };
    let again = meta.to_bytes().and_then(|bytes| BlockMeta::parse(&name, &bytes));
    assert!(again.is_ok_and(|again| again == meta), "what is read is written as it was read");
    true
}

/// The deletions of a block; those that are good come back from their own bytes.
pub fn tombstones(bytes: &[u8]) -> bool {
    let read = |bytes: &[u8]| {
        let Ok(tombstones) = Tombstones::decode("bytes", bytes) else { return false };
        for ranges in tombstones.references().filter_map(|reference| tombstones.of(reference)) {
            let have_gaps = ranges.windows(2).all(|pair| pair[0].maxt < pair[1].mint.saturating_sub(1));
            assert!(have_gaps && ranges.iter().all(|range| range.mint <= range.maxt), "ranges ascend with gaps");
        }
        let again = Tombstones::decode("bytes", &tombstones.encode());
        assert!(again.is_ok_and(|again| again == tombstones), "what is read is written as it was read");
        true
    };
    read(bytes) | read(&reseal::tombstones(bytes))
}

/// The start timestamps of a block.
pub fn starts(bytes: &[u8]) -> bool {
    let is_file = |bytes: Vec<u8>| verify_starts(bytes).is_ok();
    is_file(bytes.to_vec()) | is_file(reseal::whole(bytes))
}
