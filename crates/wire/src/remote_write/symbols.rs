//! The strings of a 2.0 request, each sent once, and label references resolved to them without trusting one.

use std::ops::Range;

use super::labels::push_label;
use crate::LabelFault;

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
    pub(super) fn pairs(&self, references: &[u32]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        let text = |reference| self.get(reference).unwrap_or(b"?");
        references.as_chunks().0.iter().map(move |[name, value]| (text(*name), text(*value)))
    }

    /// Bytes of all names and values; `None` if [`Symbols::check`] refuses them.
    #[inline]
    pub(super) fn labels_len(&self, references: &[u32]) -> Option<u64> {
        let mut len = 0;
        for reference in references {
            let at = self.at.get(*reference as usize)?;
            len += u64::from(at.end - at.start);
        }
        references.len().is_multiple_of(2).then_some(len)
    }

    /// Bytes allocated besides the body.
    pub(super) fn heap_bytes(&self) -> usize {
        self.at.capacity() * size_of::<Range<u32>>()
    }

    /// Appends the label fields that remote write 1.0 would have sent.
    #[expect(clippy::cast_possible_truncation, reason = "checked to be less than 128")]
    pub(super) fn write_labels(&self, references: &[u32], into: &mut Vec<u8>) {
        for (name, value) in self.pairs(references) {
            let len = name.len() + value.len() + 4;
            if len < 0x80 {
                // Nearly all labels are this short: each length is one byte.
                let [len, name_len, value_len] = [len, name.len(), value.len()].map(|len| len as u8);
                into.extend_from_slice(&[0x0a, len, 0x0a, name_len]);
                into.extend_from_slice(name);
                into.extend_from_slice(&[0x12, value_len]);
                into.extend_from_slice(value);
            } else {
                push_label(name, value, into);
            }
        }
    }
}
