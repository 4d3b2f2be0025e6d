//! The index of a block: symbols, series sorted by labels, and for each label pair the series that have it.

pub(crate) mod layout;
mod rebuilt;
mod series;
mod spool;
mod strings;
mod symbols;
mod table;
mod writer;

use std::sync::OnceLock;

use disk::Dir;
use model::{Interrupt, Labels};
use roaring::RoaringBitmap;

use crate::block::BlockError;
use crate::block::file::BlockFile;
use crate::select::LabelIndex;
use layout::{INDEX_FILE, SERIES_ALIGN, Toc};
use rebuilt::Rebuilt;
use symbols::Symbols;
use table::{Entry, PostingsTable};

pub(crate) use series::SeriesReader;
pub use series::{BlockSeries, ChunkMeta};
pub(crate) use writer::IndexWriter;

/// The name and value whose postings are all series.
const ALL: &str = "";

/// With so many times fewer series than postings, each is searched among them instead of making a set of them.
const NARROW_FEWER_BY: u64 = 16;

/// An index file, mapped. What is kept in memory beside the map is a 16th of the offsets.
#[derive(Debug)]
pub(crate) struct Index {
    file: BlockFile,
    toc: Toc,
    symbols: Symbols,
    table: PostingsTable,
    /// Stands in for the table and all postings once some of them are known to be damaged.
    rebuilt: OnceLock<Rebuilt>,
    /// What was wrong with the table or the table of contents.
    damage: Option<BlockError>,
}

impl Index {
    /// Maps the index of the block that errors call `name`; verifies all checksums but those of series and postings,
    /// which are verified when they are read.
    ///
    /// What leads to the series' postings may be damaged: they are made anew then, see [`Index::damage`].
    pub(crate) fn open(block: &Dir, name: &str) -> Result<Index, BlockError> {
        Index::read(BlockFile::map(block, INDEX_FILE, format!("{name}/{INDEX_FILE}"))?)
    }

    /// Reads what leads to the series.
    pub(crate) fn read(file: BlockFile) -> Result<Index, BlockError> {
        let (toc, mut damage) = match Toc::read(&file) {
            Err(error @ BlockError::Corrupt { .. }) => (Toc::of_sections(&file)?, Some(error)),
            read => (read?, None),
        };
        let symbols = Symbols::read(&file, toc.symbols)?;
        let table = match PostingsTable::read(&file, toc.postings_table) {
            Err(error @ BlockError::Corrupt { .. }) => {
                damage.get_or_insert(error);
                PostingsTable::default()
            }
            read => read?,
        };
        let index = Index { file, toc, symbols, table, rebuilt: OnceLock::new(), damage };
        if index.damage.is_some() {
            index.rebuild();
        }
        Ok(index)
    }

    /// What was found damaged and made anew when the index was opened.
    pub(crate) fn damage(&self) -> Option<&BlockError> {
        self.damage.as_ref()
    }

    /// Makes the postings anew from the series, in memory, unless that was done. Returns the number of series.
    pub(crate) fn rebuild(&self) -> u64 {
        self.rebuilt.get_or_init(|| Rebuilt::of(self)).all().len()
    }

    /// Whether the postings were made anew.
    pub(crate) fn is_rebuilt(&self) -> bool {
        self.rebuilt.get().is_some()
    }

    /// Whether the sections stand one behind the other in the order of their format, the table last.
    pub(crate) fn sections_are_in_order(&self) -> bool {
        let Toc { symbols, series, label_indices, postings, label_index_table, postings_table } = self.toc;
        let end = |offset| layout::section(&self.file, offset).map(|(start, content)| start + content.len() as u64 + 4);
        let padded = |end: u64, start: u64| end <= start && start < end + SERIES_ALIGN;
        symbols == layout::HEADER_BYTES as u64
            && end(symbols).is_ok_and(|end| padded(end, series))
            && series <= label_indices
            && label_indices <= postings
            && postings < postings_table
            && label_index_table <= postings_table
            && end(postings_table).is_ok_and(|end| end + layout::TOC_BYTES as u64 == self.file.bytes().len() as u64)
    }

    /// Starts reading series.
    pub(crate) fn series(&self) -> SeriesReader<'_> {
        SeriesReader::new(self)
    }

    /// Every label name, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let rebuilt = self.rebuilt.get();
        let table = rebuilt.is_none().then(|| self.table.names());
        rebuilt.into_iter().flat_map(Rebuilt::names).chain(table.into_iter().flatten())
    }

    /// How many values `name` has.
    pub(crate) fn values_count(&self, name: &str) -> usize {
        self.rebuilt.get().map_or_else(|| self.table.values_count(name), |rebuilt| rebuilt.values_count(name))
    }

    /// Every value of `name`, sorted.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = Result<IndexValue<'_>, BlockError>> {
        let rebuilt = self.rebuilt.get();
        let entries = rebuilt.is_none().then(|| self.table.entries_from(&self.file, name, ""));
        let of_table = move |Entry { value, postings }| IndexValue { text: value, list: List::At(self, postings) };
        let listed = rebuilt.into_iter().flat_map(move |rebuilt| rebuilt.values(name));
        listed
            .map(|(text, refs)| Ok(IndexValue { text, list: List::Rebuilt(refs) }))
            .chain(entries.into_iter().flatten().map(move |entry| entry.map(of_table)))
    }

    /// The references at `offset`, ascending, as the file has them. They are offsets into this file and mean nothing
    /// outside.
    fn refs(&self, offset: u64) -> Result<&[[u8; 4]], BlockError> {
        let (start, content) = layout::section(&self.file, offset)?;
        let (refs, odd) = content.as_chunks::<4>();
        let Some((count, refs)) = refs.split_first().filter(|_| odd.is_empty()) else {
            return Err(self.file.corrupt(start, "the postings are no list of references"));
        };
        if refs.len() != u32::from_be_bytes(*count) as usize {
            return Err(self.file.corrupt(start, "the postings have another length than they say"));
        }
        Ok(refs)
    }

    /// Where the postings of a label pair are, if a series has it.
    fn pair(&self, name: &str, value: &str) -> Result<Option<u64>, BlockError> {
        let entry = self.table.entries_from(&self.file, name, value).next().transpose()?;
        Ok(entry.filter(|entry| entry.value == value).map(|entry| entry.postings))
    }

    fn bitmap(&self, offset: u64) -> Result<RoaringBitmap, BlockError> {
        RoaringBitmap::from_sorted_iter(self.refs(offset)?.iter().map(|r| u32::from_be_bytes(*r)))
            .map_err(|_| self.file.corrupt(offset, "the postings do not ascend"))
    }
}

impl LabelIndex for Index {
    type Error = BlockError;

    fn all(&self) -> Result<RoaringBitmap, BlockError> {
        self.rebuilt.get().map_or_else(|| self.postings(ALL, ALL), |rebuilt| Ok(rebuilt.all().clone()))
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, BlockError> {
        if let Some(rebuilt) = self.rebuilt.get() {
            return Ok(rebuilt.get(name, value).cloned().unwrap_or_default());
        }
        self.pair(name, value)?.map_or_else(|| Ok(RoaringBitmap::new()), |offset| self.bitmap(offset))
    }

    fn count(&self, name: &str, value: &str) -> Result<Option<u64>, BlockError> {
        if let Some(rebuilt) = self.rebuilt.get() {
            return Ok(rebuilt.get(name, value).map(RoaringBitmap::len));
        }
        Ok(self.pair(name, value)?.map(|offset| layout::postings_count(&self.file, offset)))
    }

    fn narrow(&self, set: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), BlockError> {
        if self.is_rebuilt() {
            *set &= self.postings(name, value)?;
            return Ok(());
        }
        let Some(offset) = self.pair(name, value)? else {
            set.clear();
            return Ok(());
        };
        let mut refs = self.refs(offset)?;
        if refs.len() as u64 / NARROW_FEWER_BY < set.len() {
            *set &= self.bitmap(offset)?;
            return Ok(());
        }
        let kept = set.iter().filter(|wanted| {
            refs = &refs[refs.partition_point(|reference| u32::from_be_bytes(*reference) < *wanted)..];
            refs.first().is_some_and(|reference| u32::from_be_bytes(*reference) == *wanted)
        });
        *set = kept.collect();
        Ok(())
    }

    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, Interrupt>,
    ) -> Result<RoaringBitmap, BlockError> {
        if let Some(rebuilt) = self.rebuilt.get() {
            return Ok(rebuilt.postings_where(name, accept)?);
        }
        let mut set = RoaringBitmap::new();
        for entry in self.table.entries_from(&self.file, name, prefix) {
            let entry = entry?;
            if !entry.value.starts_with(prefix) {
                break;
            }
            if accept(entry.value)? {
                set |= self.bitmap(entry.postings)?;
            }
        }
        Ok(set)
    }

    fn labels(&self, series: u32) -> Option<Labels> {
        self.series().read(series).ok().map(|series| series.labels)
    }
}

/// A value of a label name.
pub(crate) struct IndexValue<'a> {
    text: &'a str,
    list: List<'a>,
}

/// Where a list of references is.
enum List<'a> {
    /// At an offset of the file.
    At(&'a Index, u64),
    Rebuilt(&'a RoaringBitmap),
}

impl<'a> IndexValue<'a> {
    /// The value.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The series that have it.
    pub(crate) fn references(&self) -> Result<RoaringBitmap, BlockError> {
        match self.list {
            List::At(index, offset) => index.bitmap(offset),
            List::Rebuilt(refs) => Ok(refs.clone()),
        }
    }

    /// Whether a series of `refs` has it. Cost: up to the first one that does.
    pub(crate) fn is_among(&self, refs: &RoaringBitmap) -> Result<bool, BlockError> {
        match self.list {
            List::At(index, offset) => {
                let own = index.refs(offset)?;
                Ok(own.iter().any(|reference| refs.contains(u32::from_be_bytes(*reference))))
            }
            List::Rebuilt(own) => Ok(!own.is_disjoint(refs)),
        }
    }
}

#[cfg(test)]
mod tests;
