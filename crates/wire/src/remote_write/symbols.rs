//! The strings of a 2.0 request, each sent once, and label references resolved to them without trusting one.

use std::ops::Range;

use crate::LabelFault;
use crate::field::{push_varint, varint_len};

/// The symbol table: where each string lies in the body.
///
/// Invariant: the ranges lie in `body`, which is at most `u32::MAX` bytes.
#[derive(Debug, Default)]
pub(super) struct Symbols<'a> {
    body: &'a [u8],
    at: Vec<Range<u32>>,
}

impl<'a> Symbols<'a> {
    pub(super) fn new(body: &'a [u8]) -> Symbols<'a> {
        Symbols { body, at: Vec::new() }
    }

    pub(super) fn push(&mut self, at: Range<u32>) {
        self.at.push(at);
    }

    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether the table begins with the empty string, as every one must.
    pub(super) fn is_valid(&self) -> bool {
        self.at.first().is_some_and(|first| first.is_empty())
    }

    #[inline]
    pub(super) fn get(&self, reference: u32) -> Option<&'a [u8]> {
        let at = self.at.get(reference as usize)?;
        self.body.get(at.start as usize..at.end as usize)
    }

    /// Checks that `references` come in pairs and are in the table.
    pub(super) fn check(&self, references: &[u32]) -> Result<(), LabelFault> {
        if !references.len().is_multiple_of(2) {
            return Err(LabelFault::OddRefs { n: references.len() });
        }
        references.iter().try_for_each(|reference| self.check_one(*reference))
    }

    pub(super) fn check_one(&self, reference: u32) -> Result<(), LabelFault> {
        let n = self.at.len();
        if (reference as usize) < n { Ok(()) } else { Err(LabelFault::BadRef { reference, symbols: n }) }
    }

    /// The names and values that `references` stand for; one that is not in the table is shown as a question mark.
    pub(super) fn pairs(&self, references: &[u32]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let text = |reference| self.get(reference).unwrap_or(b"?");
        references.as_chunks().0.iter().map(move |[name, value]| (text(*name), text(*value)))
    }

    /// Bytes of the strings that `references` stand for, as far as they are in the table.
    #[inline]
    pub(super) fn text_len(&self, references: &[u32]) -> u64 {
        let len = |reference: &u32| self.at.get(*reference as usize).map_or(0, |at| u64::from(at.end - at.start));
        references.iter().map(len).sum()
    }

    /// Bytes allocated besides the body.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.at.capacity() * size_of::<Range<u32>>()
    }

    /// Appends the label fields that remote write 1.0 would have sent.
    pub(super) fn write_labels(&self, references: &[u32], into: &mut Vec<u8>) {
        for (name, value) in self.pairs(references) {
            let text_len = |text: &[u8]| 1 + varint_len(text.len() as u64) + text.len();
            into.push(0x0a);
            push_varint((text_len(name) + text_len(value)) as u64, into);
            into.push(0x0a);
            push_varint(name.len() as u64, into);
            into.extend_from_slice(name);
            into.push(0x12);
            push_varint(value.len() as u64, into);
            into.extend_from_slice(value);
        }
    }
}
