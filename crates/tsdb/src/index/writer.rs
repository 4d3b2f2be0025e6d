//! Writes an index: series come one by one and sorted; sections are written from front to back when all are there.
//!
//! Memory: the distinct strings and label pairs, 4 bytes a series, and one batch of postings. The series themselves
//! wait in a temporary file.

use ahash::RandomState;
use disk::Dir;
use hashbrown::HashMap;
use model::Labels;

use super::layout::{CRC_BYTES, INDEX_FILE, LEN_BYTES, MAGIC, SERIES_ALIGN, Toc, VERSION};
use super::series::{ChunkMeta, push_chunks};
use super::spool::{Spool, SpoolWriter};
use super::strings::Strings;
use crate::block::BlockError;
use crate::block::output::Output;
use crate::chunk::varint::{push_uvarint, uvarint_len};

/// References gathered in one pass over the series, 16 MiB of them; more passes when there are more.
const BATCH_REFS_MAX: u64 = 4 << 20;

/// An index in the making.
pub(crate) struct IndexWriter {
    block: Dir,
    strings: Strings,
    pair_numbers: HashMap<(u32, u32), u32, RandomState>,
    pairs: Vec<Pair>,
    spool: SpoolWriter,
    n_series: u32,
    pub(super) batch_refs_max: u64,
    pair_buf: Vec<u32>,
    chunk_buf: Vec<u8>,
}

/// A label pair: the numbers of its strings, and how many series have it.
struct Pair {
    name: u32,
    value: u32,
    count: u32,
}

impl IndexWriter {
    /// Starts the index of the block being written in `block`.
    pub(crate) fn create(block: &Dir) -> Result<IndexWriter, BlockError> {
        Ok(IndexWriter {
            block: block.clone(),
            strings: Strings::default(),
            pair_numbers: HashMap::default(),
            pairs: Vec::new(),
            spool: SpoolWriter::create(block)?,
            n_series: 0,
            batch_refs_max: BATCH_REFS_MAX,
            pair_buf: Vec::new(),
            chunk_buf: Vec::new(),
        })
    }

    /// Adds a series whose labels come after those of all others.
    pub(crate) fn add(&mut self, labels: &Labels, chunks: &[ChunkMeta]) -> Result<(), BlockError> {
        let full = || BlockError::invalid("more than 2^32 strings, label pairs or series");
        self.pair_buf.clear();
        for (name, value) in labels.iter() {
            let name = self.strings.number(name).ok_or_else(full)?;
            let value = self.strings.number(value).ok_or_else(full)?;
            let next = u32::try_from(self.pairs.len()).map_err(|_| full())?;
            let number = *self.pair_numbers.entry((name, value)).or_insert(next);
            if number == next {
                self.pairs.push(Pair { name, value, count: 0 });
            }
            self.pairs[number as usize].count += 1;
            self.pair_buf.push(number);
        }
        self.n_series = self.n_series.checked_add(1).ok_or_else(full)?;
        self.chunk_buf.clear();
        push_chunks(&mut self.chunk_buf, chunks);
        self.spool.push(&self.pair_buf, &self.chunk_buf)
    }

    /// Writes the file and makes it durable.
    pub(crate) fn finish(self) -> Result<(), BlockError> {
        let IndexWriter { block, strings, pair_numbers, pairs, spool, n_series, batch_refs_max, .. } = self;
        drop(pair_numbers);
        let spool = spool.finish(&block)?;
        let mut output = Output::create(&block, INDEX_FILE)?;
        output.put(&MAGIC.to_be_bytes())?;
        output.put(&[VERSION])?;
        let mut toc = Toc { symbols: output.pos(), ..Toc::default() };
        let sorted = strings.sorted();
        write_symbols(&mut output, &strings, &sorted)?;
        let symbols = inverse(&sorted);
        drop(sorted);
        let order = sort_pairs(&pairs, &symbols);

        toc.series = output.pos();
        let refs = write_series(&mut output, &spool, &pairs, &symbols, n_series)?;
        toc.label_indices = output.pos();
        toc.postings = output.pos();
        output.pad(LEN_BYTES as u64)?;
        let all = output.pos();
        write_postings(&mut output, &refs)?;
        let lists = output.pos();
        write_pair_postings(
            &mut output,
            &spool,
            &Postings { pairs: &pairs, order: &order, refs: &refs },
            batch_refs_max,
        )?;
        toc.label_index_table = output.pos();
        toc.postings_table = output.pos();
        write_table(&mut output, &strings, &pairs, &order, [all, lists])?;
        output.start_checksum();
        output.put(&toc.to_bytes())?;
        output.put_checksum()?;
        output.finish()?;
        spool.remove(&block)
    }
}

/// Where each number stands in `order`.
fn inverse(order: &[u32]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    for (place, number) in (0..).zip(order) {
        places[*number as usize] = place;
    }
    places
}

/// The numbers of all pairs, sorted by name and value; symbols sort as their strings do.
fn sort_pairs(pairs: &[Pair], symbols: &[u32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..).take(pairs.len()).collect();
    order.sort_unstable_by_key(|number| {
        let pair = &pairs[*number as usize];
        (symbols[pair.name as usize], symbols[pair.value as usize])
    });
    order
}

/// A section's length; sections are smaller than 4 GiB by their format.
fn section_len(bytes: usize) -> Result<[u8; 4], BlockError> {
    let len = u32::try_from(bytes).map_err(|_| BlockError::invalid("a section of the index would exceed 4 GiB"))?;
    Ok(len.to_be_bytes())
}

fn write_symbols(output: &mut Output, strings: &Strings, sorted: &[u32]) -> Result<(), BlockError> {
    let text_bytes = |number: &u32| uvarint_len(strings.get(*number).len() as u64) + strings.get(*number).len();
    output.put(&section_len(4 + sorted.iter().map(text_bytes).sum::<usize>())?)?;
    output.start_checksum();
    output.put(&section_len(sorted.len())?)?;
    let mut buf = Vec::new();
    for number in sorted {
        push_text(&mut buf, strings.get(*number));
        output.put(&buf)?;
        buf.clear();
    }
    output.put_checksum()
}

fn push_text(buf: &mut Vec<u8>, text: &str) {
    push_uvarint(buf, text.len() as u64);
    buf.extend_from_slice(text.as_bytes());
}

/// Writes all series and returns their references.
fn write_series(
    output: &mut Output,
    spool: &Spool,
    pairs: &[Pair],
    symbols: &[u32],
    n_series: u32,
) -> Result<Vec<u32>, BlockError> {
    let mut refs = Vec::with_capacity(n_series as usize);
    let (mut len, mut content) = (Vec::new(), Vec::new());
    spool.each(|numbers, chunks| {
        output.pad(SERIES_ALIGN)?;
        let reference = u32::try_from(output.pos() / SERIES_ALIGN)
            .map_err(|_| BlockError::invalid("the series of the index would exceed 64 GiB"))?;
        refs.push(reference);
        content.clear();
        push_uvarint(&mut content, numbers.len() as u64);
        for number in numbers {
            let pair = &pairs[*number as usize];
            push_uvarint(&mut content, symbols[pair.name as usize].into());
            push_uvarint(&mut content, symbols[pair.value as usize].into());
        }
        content.extend_from_slice(chunks);
        len.clear();
        push_uvarint(&mut len, content.len() as u64);
        output.put(&len)?;
        output.start_checksum();
        output.put(&content)?;
        output.put_checksum()
    })?;
    debug_assert!(refs.is_sorted_by(|a, b| a < b), "references ascend with the series");
    Ok(refs)
}

/// One list of postings: its length stays a multiple of 4, so that the next one is aligned too.
fn write_postings(output: &mut Output, refs: &[u32]) -> Result<(), BlockError> {
    output.put(&section_len((refs.len() + 1) * 4)?)?;
    output.start_checksum();
    output.put(&section_len(refs.len())?)?;
    let mut buf = Vec::with_capacity(4096);
    for part in refs.chunks(1024) {
        buf.clear();
        buf.extend(part.iter().flat_map(|reference| reference.to_be_bytes()));
        output.put(&buf)?;
    }
    output.put_checksum()
}

/// The bytes that a list of `count` references takes.
fn postings_bytes(count: u32) -> u64 {
    (LEN_BYTES + 4 + CRC_BYTES) as u64 + u64::from(count) * 4
}

/// What the postings are made of.
struct Postings<'a> {
    pairs: &'a [Pair],
    /// The pairs' numbers in the order of their lists.
    order: &'a [u32],
    /// The series' references in their order.
    refs: &'a [u32],
}

/// Writes the lists of all pairs in their order, as many in one pass over the series as fit a batch.
fn write_pair_postings(
    output: &mut Output,
    spool: &Spool,
    postings: &Postings<'_>,
    batch_refs_max: u64,
) -> Result<(), BlockError> {
    let places = inverse(postings.order);
    let count = |place: usize| u64::from(postings.pairs[postings.order[place] as usize].count);
    let mut start = 0;
    while start < postings.order.len() {
        let (mut end, mut total) = (start, 0);
        while end < postings.order.len() && (end == start || total + count(end) <= batch_refs_max) {
            total += count(end);
            end += 1;
        }
        write_batch(output, spool, postings, &places, start..end)?;
        start = end;
    }
    Ok(())
}

fn write_batch(
    output: &mut Output,
    spool: &Spool,
    postings: &Postings<'_>,
    places: &[u32],
    batch: std::ops::Range<usize>,
) -> Result<(), BlockError> {
    // Where the next reference of each list goes; behind the last one its list ends.
    let mut cursors = Vec::with_capacity(batch.len());
    let mut total = 0;
    for number in &postings.order[batch.clone()] {
        cursors.push(total);
        total += postings.pairs[*number as usize].count as usize;
    }
    let mut lists = vec![0; total];
    let mut series = postings.refs.iter();
    spool.each(|numbers, _| {
        let reference = series.next().ok_or_else(|| BlockError::invalid("more series than before"))?;
        for number in numbers {
            let place = places[*number as usize] as usize;
            if batch.contains(&place) {
                let cursor = &mut cursors[place - batch.start];
                lists[*cursor] = *reference;
                *cursor += 1;
            }
        }
        Ok(())
    })?;
    let mut start = 0;
    for end in cursors {
        write_postings(output, &lists[start..end])?;
        start = end;
    }
    Ok(())
}

/// Writes where each list is: `starts` are those of all series and of the first pair.
fn write_table(
    output: &mut Output,
    strings: &Strings,
    pairs: &[Pair],
    order: &[u32],
    starts: [u64; 2],
) -> Result<(), BlockError> {
    let [all, first] = starts;
    let entries = || {
        let mut next = first;
        let pairs = order.iter().map(move |number| {
            let pair = &pairs[*number as usize];
            let offset = next;
            next += postings_bytes(pair.count);
            (strings.get(pair.name), strings.get(pair.value), offset)
        });
        std::iter::once(("", "", all)).chain(pairs)
    };
    let mut buf = Vec::new();
    let mut bytes = 4;
    for (name, value, offset) in entries() {
        buf.clear();
        push_entry(&mut buf, name, value, offset);
        bytes += buf.len();
    }
    output.put(&section_len(bytes)?)?;
    output.start_checksum();
    output.put(&section_len(order.len() + 1)?)?;
    for (name, value, offset) in entries() {
        buf.clear();
        push_entry(&mut buf, name, value, offset);
        output.put(&buf)?;
    }
    output.put_checksum()
}

fn push_entry(buf: &mut Vec<u8>, name: &str, value: &str, offset: u64) {
    buf.push(2);
    push_text(buf, name);
    push_text(buf, value);
    push_uvarint(buf, offset);
}
