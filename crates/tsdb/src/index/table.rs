//! The postings offset table: for each label pair, sorted by name and value, where its postings are.

use super::layout::{self, split_text, split_u32};
use crate::block::BlockError;
use crate::block::file::BlockFile;
use crate::chunk::varint::split_uvarint;

/// One value of this many is kept in memory; between two of them entries are walked over.
const SAMPLING: usize = 16;
/// Every entry starts with the number of its strings.
const STRINGS: u8 = 2;

/// The label names of an index, and where in the file each one's values are.
#[derive(Debug, Default)]
pub(super) struct PostingsTable {
    /// Sorted. The empty name comes first: its one value, empty too, has the postings of all series.
    names: Vec<Name>,
    /// File offsets of every 16th entry of each name, its first one included.
    offsets: Vec<u32>,
}

#[derive(Debug)]
struct Name {
    name: Box<str>,
    values: usize,
    /// Where its part of `offsets` begins.
    first_offset: usize,
}

/// One entry of the table; the bytes of its strings may be anything yet.
struct RawEntry<'a> {
    name: &'a [u8],
    value: &'a [u8],
    postings: u64,
}

/// One entry of the table, its name known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) value: &'a str,
    /// Where the postings are.
    pub(super) postings: u64,
}

impl PostingsTable {
    /// Reads through the table once.
    pub(super) fn read(file: &BlockFile, offset: u64) -> Result<PostingsTable, BlockError> {
        let (start, content) = layout::section(file, offset)?;
        let Some((count, mut rest)) = split_u32(content) else { return Err(file.corrupt(start, "no entry count")) };
        let mut table = PostingsTable { names: Vec::new(), offsets: Vec::new() };
        let mut last: Option<(&[u8], &[u8])> = None;
        for _ in 0..count {
            let at = start + (content.len() - rest.len()) as u64;
            let Some((RawEntry { name, value, .. }, behind)) = split_entry(rest) else {
                return Err(file.corrupt(at, "an entry of the postings table is cut"));
            };
            if last.is_some_and(|last| (name, value) <= last) {
                return Err(file.corrupt(at, "the postings table is not sorted"));
            }
            if !table.add(name, at, last.is_none_or(|last| last.0 != name)) {
                return Err(file.corrupt(at, "a label name is not UTF-8, or the table lies beyond 4 GiB"));
            }
            (last, rest) = (Some((name, value)), behind);
        }
        table.offsets.shrink_to_fit();
        Ok(table)
    }

    fn add(&mut self, name: &[u8], at: u64, is_new: bool) -> bool {
        let Ok(at) = u32::try_from(at) else { return false };
        if is_new {
            let Ok(name) = std::str::from_utf8(name) else { return false };
            self.names.push(Name { name: name.into(), values: 0, first_offset: self.offsets.len() });
        }
        let Some(name) = self.names.last_mut() else { return false };
        if name.values.is_multiple_of(SAMPLING) {
            self.offsets.push(at);
        }
        name.values += 1;
        true
    }

    /// Every label name, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &*name.name).filter(|name| !name.is_empty())
    }

    /// How many values `name` has.
    pub(super) fn values_count(&self, name: &str) -> usize {
        self.find(name).map_or(0, |name| name.values)
    }

    /// The entries of `name` from the first value that is not less than `from`, sorted by value.
    pub(super) fn entries_from<'a>(&'a self, file: &'a BlockFile, name: &str, from: &str) -> Entries<'a> {
        let Some(name) = self.find(name) else { return Entries { file, rest: &[], left: 0 } };
        let offsets = &self.offsets[name.first_offset..][..name.values.div_ceil(SAMPLING)];
        let value_at = |offset: u32| {
            let entry = split_entry(file.tail(offset.into()));
            entry.map_or(&[][..], |(entry, _)| entry.value)
        };
        // The last sampled entry that is less has the wanted one at most 16 entries behind it.
        let sampled = offsets.partition_point(|offset| value_at(*offset) < from.as_bytes()).saturating_sub(1);
        let rest = offsets.get(sampled).map_or(&[][..], |offset| file.tail((*offset).into()));
        let mut entries = Entries { file, rest, left: name.values - sampled * SAMPLING };
        while entries.left > 0
            && let Some((entry, behind)) = split_entry(entries.rest)
            && entry.value < from.as_bytes()
        {
            entries.rest = behind;
            entries.left -= 1;
        }
        entries
    }

    fn find(&self, name: &str) -> Option<&Name> {
        let at = self.names.binary_search_by(|known| (*known.name).cmp(name)).ok()?;
        self.names.get(at)
    }
}

/// Walks over entries of one name.
pub(super) struct Entries<'a> {
    file: &'a BlockFile,
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BlockError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = split_entry(self.rest).and_then(|(entry, behind)| {
            self.rest = behind;
            Some(Entry { value: std::str::from_utf8(entry.value).ok()?, postings: entry.postings })
        });
        if entry.is_none() {
            self.left = 0;
        }
        let at = (self.file.bytes().len() - self.rest.len()) as u64;
        Some(entry.ok_or_else(|| self.file.corrupt(at, "a label value is not UTF-8")))
    }
}

/// Splits an entry off the front.
fn split_entry(bytes: &[u8]) -> Option<(RawEntry<'_>, &[u8])> {
    let (&STRINGS, rest) = bytes.split_first()? else { return None };
    let (name, rest) = split_text(rest)?;
    let (value, rest) = split_text(rest)?;
    let (postings, rest) = split_uvarint(rest)?;
    Some((RawEntry { name, value, postings }, rest))
}
