//! Start timestamps of a block: a file of ours beside the others, there only when a series has some.

use disk::Dir;
use model::{Budget, StartRun, TimeRange};
use roaring::RoaringBitmap;

use super::Block;
use super::error::BlockError;
use super::file::BlockFile;
use super::output::Output;
use crate::chunk::varint::{push_uvarint, push_varint, split_uvarint, split_varint};
use crate::select::LabelIndex;

pub(super) const STARTS_FILE: &str = "starts";
const MAGIC: u32 = 0x5072_5354;
const VERSION: u8 = 1;
/// Magic and version.
const HEADER_BYTES: usize = 5;
const CRC_BYTES: usize = 4;
/// What a damaged file costs.
pub(super) const STARTS_LOST: &str = "start timestamps are missing";

/// Writes the file of one block, series after series.
pub(super) struct StartsWriter {
    dir: Dir,
    /// Created with the first series that has something to say.
    output: Option<Output>,
    /// Series so far.
    n_series: u32,
    /// The number of the last series in the file.
    last: u32,
    buf: Vec<u8>,
    steps: Vec<u8>,
}

impl StartsWriter {
    pub(super) fn new(block: &Dir) -> StartsWriter {
        StartsWriter { dir: block.clone(), output: None, n_series: 0, last: 0, buf: Vec::new(), steps: Vec::new() }
    }

    /// Takes the steps of the next series, which may be none.
    pub(super) fn add(&mut self, steps: &[StartRun]) -> Result<(), BlockError> {
        let number = self.n_series;
        self.n_series = number.checked_add(1).ok_or_else(|| BlockError::invalid("more than 2^32 series"))?;
        if steps.is_empty() {
            return Ok(());
        }
        if !steps.is_sorted_by(|a, b| a.from < b.from) {
            return Err(BlockError::invalid("start timestamps do not ascend"));
        }
        self.steps.clear();
        push_steps(&mut self.steps, steps);
        self.buf.clear();
        push_uvarint(&mut self.buf, u64::from(number - self.last));
        push_uvarint(&mut self.buf, self.steps.len() as u64);
        self.last = number;
        let output = match &mut self.output {
            Some(output) => output,
            None => self.output.insert(create(&self.dir)?),
        };
        output.put(&self.buf)?;
        output.put(&self.steps)
    }

    /// Makes the file durable, if there is one.
    pub(super) fn finish(self) -> Result<(), BlockError> {
        let Some(mut output) = self.output else { return Ok(()) };
        output.put(&self.n_series.to_be_bytes())?;
        output.put_checksum()?;
        output.finish()
    }
}

fn create(dir: &Dir) -> Result<Output, BlockError> {
    let mut output = Output::create(dir, STARTS_FILE)?;
    output.put(&MAGIC.to_be_bytes())?;
    output.put(&[VERSION])?;
    Ok(output)
}

/// The start timestamps of a block, mapped.
#[derive(Debug)]
pub(super) struct BlockStarts {
    file: BlockFile,
    /// The references of the series that have some, ascending, and where in the file.
    places: Vec<(u32, usize)>,
}

impl BlockStarts {
    /// Maps the file of the block that errors call `name`, if it has one, and checks all of it. `references` are those
    /// of the block's series.
    fn open(
        block: &Dir,
        name: &str,
        references: impl FnOnce() -> Result<RoaringBitmap, BlockError>,
    ) -> Result<Option<BlockStarts>, BlockError> {
        let file = match BlockFile::map(block, STARTS_FILE, format!("{name}/{STARTS_FILE}")) {
            Err(BlockError::Disk(e)) if e.is_not_found() => return Ok(None),
            file => file?,
        };
        let mut starts = BlockStarts { file, places: Vec::new() };
        let (entries, references) = (starts.entries()?, references()?);
        let (_, n_series) = split_content(&starts.file)?;
        if references.len() != u64::from(n_series) {
            // Whose steps are whose is not known any more.
            return Err(starts.file.corrupt(0, "the index has another number of series"));
        }
        for (number, at) in entries {
            let Some(reference) = references.select(number) else {
                return Err(starts.file.corrupt(at as u64, "the index has no such series"));
            };
            starts.places.push((reference, at));
        }
        Ok(Some(starts))
    }

    /// Whether the series at `reference` has some.
    pub(super) fn has(&self, reference: u32) -> bool {
        self.place(reference).is_some()
    }

    /// Of the series at `reference` the last step before `range` and those inside. Cost: one pass over its steps.
    pub(super) fn read(&self, reference: u32, range: TimeRange) -> Vec<StartRun> {
        let content = self.place(reference).and_then(|at| self.file.bytes().get(at..));
        let Some((steps, _)) = content.and_then(split_steps) else { return Vec::new() };
        let mut found = Vec::new();
        for step in Steps::new(steps).take_while(|step| step.from <= range.maxt) {
            if step.from <= range.mint {
                found.clear();
            }
            found.push(step);
        }
        found
    }

    /// Reads everything again and checks it.
    pub(super) fn verify(&self) -> Result<(), BlockError> {
        self.entries().map(drop)
    }

    fn place(&self, reference: u32) -> Option<usize> {
        let idx = self.places.binary_search_by_key(&reference, |(reference, _)| *reference).ok()?;
        Some(self.places[idx].1)
    }

    /// The numbers of the series in the file, ascending, and where the steps of each are.
    fn entries(&self) -> Result<Vec<(u32, usize)>, BlockError> {
        let (content, _) = split_content(&self.file)?;
        let place = |rest: &[u8]| HEADER_BYTES + content.len() - rest.len();
        let (mut entries, mut rest): (Vec<(u32, usize)>, _) = (Vec::new(), content);
        while !rest.is_empty() {
            let at = place(rest) as u64;
            let corrupt = || self.file.corrupt(at, "the steps of a series are not what they should be");
            let (distance, behind) = split_uvarint(rest).ok_or_else(corrupt)?;
            let distance = u32::try_from(distance).map_err(|_| corrupt())?;
            let number = match entries.last() {
                Some((last, _)) => last.checked_add(distance).filter(|number| last < number).ok_or_else(corrupt)?,
                None => distance,
            };
            entries.push((number, place(behind)));
            let (steps, behind) = split_steps(behind).ok_or_else(corrupt)?;
            let mut steps = Steps::new(steps);
            if steps.by_ref().count() == 0 || !steps.rest.is_empty() {
                return Err(corrupt());
            }
            rest = behind;
        }
        Ok(entries)
    }
}

/// Checks `bytes` as those of a file.
#[cfg(feature = "fuzzing")]
pub(crate) fn verify_starts(bytes: Vec<u8>) -> Result<(), BlockError> {
    BlockStarts { file: BlockFile::of_bytes(bytes), places: Vec::new() }.verify()
}

impl Block {
    /// The start timestamps; a file that is damaged is told and says nothing.
    pub(super) fn read_starts(&self, name: &str) -> Result<Option<BlockStarts>, BlockError> {
        let budget = Budget::unlimited();
        match BlockStarts::open(&self.dir, name, || self.with_postings(&budget, || self.index.all())) {
            Err(error @ (BlockError::Corrupt { .. } | BlockError::Unsupported { .. })) => {
                self.tell(&error, STARTS_LOST, self.range().closed(), &budget);
                Ok(None)
            }
            read => read,
        }
    }
}

/// What is between header and checksum, both of them checked: the steps, and the number of the block's series.
fn split_content(file: &BlockFile) -> Result<(&[u8], u32), BlockError> {
    let short = || file.corrupt(0, "the file is too short");
    let (checked, crc) = file.bytes().split_last_chunk::<CRC_BYTES>().ok_or_else(short)?;
    let (header, content) = checked.split_first_chunk::<HEADER_BYTES>().ok_or_else(short)?;
    if header[..4] != MAGIC.to_be_bytes() {
        return Err(file.corrupt(0, "the file holds no start timestamps"));
    }
    if crc32c::crc32c(checked).to_be_bytes() != *crc {
        return Err(file.corrupt(0, "the checksum does not match"));
    }
    match header[4] {
        VERSION => {
            let (content, n_series) = content.split_last_chunk().ok_or_else(short)?;
            Ok((content, u32::from_be_bytes(*n_series)))
        }
        version => Err(file.unsupported(4, "start timestamps version", u64::from(version))),
    }
}

/// Splits the length and the bytes of a series' steps off the front.
fn split_steps(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = split_uvarint(bytes)?;
    rest.split_at_checked(usize::try_from(len).ok()?)
}

/// Steps at even distances that count since the one before, as those of deltas do, take two bytes each.
fn push_steps(into: &mut Vec<u8>, steps: &[StartRun]) {
    let (mut last, mut distance) = (0i64, 0i64);
    for StartRun { from, start } in steps {
        let next = from.wrapping_sub(last);
        push_varint(into, next.wrapping_sub(distance));
        push_varint(into, start.wrapping_sub(last));
        (last, distance) = (*from, next);
    }
}

/// Reads what [`push_steps`] wrote; ends early, something left, where bytes are something else.
struct Steps<'a> {
    rest: &'a [u8],
    last: Option<i64>,
    distance: i64,
}

impl<'a> Steps<'a> {
    fn new(bytes: &'a [u8]) -> Steps<'a> {
        Steps { rest: bytes, last: None, distance: 0 }
    }
}

impl Iterator for Steps<'_> {
    type Item = StartRun;

    fn next(&mut self) -> Option<StartRun> {
        let (change, rest) = split_varint(self.rest)?;
        let (ago, rest) = split_varint(rest)?;
        let (last, distance) = (self.last.unwrap_or(0), self.distance.wrapping_add(change));
        let step = StartRun { from: last.wrapping_add(distance), start: last.wrapping_add(ago) };
        if self.last.is_some_and(|last| step.from <= last) {
            return None;
        }
        (self.rest, self.last, self.distance) = (rest, Some(step.from), distance);
        Some(step)
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::SmallRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn bytes_of(steps: &[StartRun]) -> Vec<u8> {
        let mut bytes = Vec::new();
        push_steps(&mut bytes, steps);
        bytes
    }

    #[test]
    fn steps_come_back_whatever_they_are() {
        let mut rng = SmallRng::seed_from_u64(3);
        let ends = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for _ in 0..300 {
            let mut froms: Vec<i64> = (0..rng.random_range(1..20))
                .map(|_| if rng.random() { ends[rng.random_range(0..ends.len())] } else { rng.random_range(-99..99) })
                .collect();
            froms.sort_unstable();
            froms.dedup();
            let step = |from| StartRun { from, start: if rng.random() { rng.random() } else { from } };
            let steps: Vec<StartRun> = froms.into_iter().map(step).collect();
            let bytes = bytes_of(&steps);
            let mut read = Steps::new(&bytes);
            assert_eq!(read.by_ref().collect::<Vec<_>>(), steps);
            assert!(read.rest.is_empty());
            // Whatever bytes are there, reading them ends, and what it gives ascends.
            let noise: Vec<u8> = (0..40).map(|_| rng.random()).collect();
            assert!(Steps::new(&noise).is_sorted_by(|a, b| a.from < b.from));
        }
    }

    #[test]
    fn deltas_take_two_bytes_a_sample() {
        let t = |i: i64| 1_767_225_600_000 + i * 15_000;
        let steps: Vec<StartRun> = (0..1000).map(|i| StartRun { from: t(i), start: t(i - 1) }).collect();
        assert!(bytes_of(&steps).len() < 2 * 1000 + 20, "{}", bytes_of(&steps).len());
    }
}
