//! An exemplar's message: its few labels, checked, and its value and time.

use model::{Exemplar, Labels};

use super::labels::{LABEL, read_label};
use super::symbols::Symbols;
use super::v2::{REF, REFS};
use crate::field::{Cursor, field_number, fixed64_tag, varint_tag};
use crate::{ExemplarFault, LabelFault};

pub(super) const VALUE: u32 = fixed64_tag(2);
pub(super) const TIMESTAMP: u32 = varint_tag(3);

/// Characters of all names and values of one exemplar. Source: OpenMetrics 1.0, "Exemplars".
const CHARS_MAX: usize = 128;

/// Reads and checks the exemplar in `message`; one without a time has the time 0.
///
/// Its labels are references if there are `symbols` for them.
pub(super) fn decode(message: Cursor<'_>, symbols: Option<&Symbols<'_>>) -> Result<Exemplar, ExemplarFault> {
    let raw = RawExemplar::read(message, symbols.is_some()).ok_or(ExemplarFault::Malformed)?;
    let labels = match symbols {
        None => check_labels(raw.pairs.into_iter())?,
        Some(symbols) => {
            symbols.check(&raw.refs)?;
            check_labels(symbols.pairs(&raw.refs))?
        }
    };
    Ok(Exemplar { labels, t: raw.t, v: raw.v })
}

#[derive(Default)]
struct RawExemplar<'a> {
    pairs: Vec<(&'a [u8], &'a [u8])>,
    refs: Vec<u32>,
    t: i64,
    v: f64,
}

impl<'a> RawExemplar<'a> {
    fn read(mut message: Cursor<'a>, has_refs: bool) -> Option<RawExemplar<'a>> {
        let mut raw = RawExemplar::default();
        while !message.is_at_end() {
            match message.tag()? {
                REFS if has_refs => message.message()?.references(&mut raw.refs)?,
                REF if has_refs => raw.refs.push(message.reference()?),
                LABEL if !has_refs => raw.pairs.push(read_label(message.message()?)?),
                VALUE => raw.v = message.double()?,
                TIMESTAMP => raw.t = message.int64()?,
                tag if (1..=3).contains(&field_number(tag)) => return None,
                tag => message.skip(tag)?,
            }
        }
        Some(raw)
    }
}

/// Labels of the pairs, sorted and without those of empty value, if an exemplar may have them.
pub(crate) fn check_labels<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Labels, ExemplarFault> {
    let mut checked = Vec::new();
    let mut n_chars = 0;
    for (name, value) in pairs {
        // A character takes four bytes at most: however long the text, little of it is looked at.
        if name.len() + value.len() > 4 * CHARS_MAX {
            return Err(ExemplarFault::TooLong { limit: CHARS_MAX });
        }
        let name = std::str::from_utf8(name).map_err(|_| LabelFault::NotUtf8)?;
        let value = std::str::from_utf8(value).map_err(|_| LabelFault::NotUtf8)?;
        if name.is_empty() {
            return Err(LabelFault::EmptyName.into());
        }
        n_chars += name.chars().count() + value.chars().count();
        if n_chars > CHARS_MAX {
            return Err(ExemplarFault::TooLong { limit: CHARS_MAX });
        }
        checked.push((name, value));
    }
    checked.sort_unstable();
    if let Some([(name, _), _]) = checked.array_windows().find(|[a, b]| a.0 == b.0) {
        return Err(LabelFault::Duplicate { name: (*name).to_owned() }.into());
    }
    checked.retain(|(_, value)| !value.is_empty());
    Ok(Labels::from_sorted(checked, &mut String::new()))
}
