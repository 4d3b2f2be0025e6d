//! The labels of one series: well-formed or not, and if so acceptable or not.

use model::{LabelsBuilder, METRIC_NAME};

use super::LabelLimits;
use crate::field::{Cursor, bytes_tag, field_number, push_bytes, push_tag, push_varint, varint_len};
use crate::{LabelError, LabelFault};

/// A label in a series or an exemplar.
pub(super) const LABEL: u32 = bytes_tag(1);

const NAME: u32 = bytes_tag(1);
const VALUE: u32 = bytes_tag(2);

/// No value may be longer, whatever the limits say.
pub(super) const VALUE_BYTES_HARD_MAX: usize = 64 << 10;
/// Nor may all names and values of a series together: indexes of blocks refuse a little more than that.
const SERIES_BYTES_HARD_MAX: usize = 16 << 20;
/// Bytes of a refused series that its error shows.
const SHOWN_BYTES_MAX: usize = 300;
/// Bytes of one name or value that it shows.
const SHOWN_TEXT_BYTES_MAX: usize = 75;

/// Whether `message` is a well-formed label; its text is not looked at.
pub(super) fn check_label(message: Cursor<'_>) -> Option<()> {
    read_label(message).map(drop)
}

/// The length of the label field in front, if it is a name and a value of less than 128 bytes together and nothing
/// else. Nearly all labels are: without this, a series of ten took 95 ns to parse instead of 53.
#[inline]
pub(super) fn plain_label_len(fields: &[u8]) -> Option<usize> {
    let [0x0a, len @ 0..0x80, 0x0a, name_len, rest @ ..] = fields else { return None };
    let name_len = usize::from(*name_len);
    let [0x12, value_len] = rest.get(name_len..)?.first_chunk::<2>()? else { return None };
    let len = usize::from(*len);
    (name_len + usize::from(*value_len) + 4 == len && len + 2 <= fields.len()).then_some(len + 2)
}

/// Appends a label field.
pub(crate) fn push_label(name: &[u8], value: &[u8], into: &mut Vec<u8>) {
    let text_len = |text: &[u8]| 1 + varint_len(text.len() as u64) + text.len();
    push_tag(LABEL, into);
    push_varint((text_len(name) + text_len(value)) as u64, into);
    push_bytes(NAME, name, into);
    push_bytes(VALUE, value, into);
}

pub(super) fn read_label(mut message: Cursor<'_>) -> Option<(&[u8], &[u8])> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while !message.is_at_end() {
        match message.tag()? {
            NAME => name = message.bytes()?,
            VALUE => value = message.bytes()?,
            tag if matches!(field_number(tag), 1 | 2) => return None,
            tag => message.skip(tag)?,
        }
    }
    Some((name, value))
}

/// Iterates over label fields that [`check_label`] has seen.
fn raw_pairs(raw: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    let mut cursor = Cursor::new(raw);
    std::iter::from_fn(move || {
        cursor.tag()?;
        read_label(cursor.message()?)
    })
}

/// Replaces `into` by the labels in `raw`, or says why no series may have them.
pub(super) fn read_labels(raw: &[u8], limits: &LabelLimits, into: &mut LabelsBuilder) -> Result<(), LabelError> {
    set_labels(raw_pairs(raw), limits, into)
}

/// Replaces `into` by `raw` names and values, or says why no series may have them.
pub(crate) fn set_labels<'a>(
    raw: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    limits: &LabelLimits,
    into: &mut LabelsBuilder,
) -> Result<(), LabelError> {
    into.clear();
    let refused = |fault| LabelError { series: show(raw.clone()), fault };
    let n = raw.clone().count();
    if n > limits.labels_max {
        return Err(refused(LabelFault::TooMany { n, limit: limits.labels_max }));
    }
    let bytes = raw.clone().map(|(name, value)| name.len() + value.len()).sum();
    if SERIES_BYTES_HARD_MAX < bytes {
        return Err(refused(LabelFault::TooLong { len: bytes, limit: SERIES_BYTES_HARD_MAX }));
    }
    let mut pairs = Vec::with_capacity(n);
    for pair in raw.clone() {
        pairs.push(check_pair(pair, limits).map_err(refused)?);
    }
    pairs.sort_unstable_by_key(|(name, _)| *name);
    if let Some(twice) = pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(refused(LabelFault::Duplicate { name: cut(twice[0].0.as_bytes()) }));
    }
    if !pairs.iter().any(|(name, value)| *name == METRIC_NAME && !value.is_empty()) {
        return Err(refused(LabelFault::NoMetricName));
    }
    for (name, value) in pairs {
        into.set(name, value);
    }
    Ok(())
}

fn check_pair<'a>((name, value): (&'a [u8], &'a [u8]), limits: &LabelLimits) -> Result<(&'a str, &'a str), LabelFault> {
    if name.len() > limits.name_bytes_max {
        return Err(LabelFault::NameTooLong { len: name.len(), limit: limits.name_bytes_max });
    }
    let value_bytes_max = limits.value_bytes_max.min(VALUE_BYTES_HARD_MAX);
    if value.len() > value_bytes_max {
        return Err(LabelFault::ValueTooLong { name: cut(name), len: value.len(), limit: value_bytes_max });
    }
    let name = std::str::from_utf8(name).map_err(|_| LabelFault::NotUtf8)?;
    let value = std::str::from_utf8(value).map_err(|_| LabelFault::NotUtf8)?;
    if name.is_empty() { Err(LabelFault::EmptyName) } else { Ok((name, value)) }
}

/// The labels for a message: in the order sent, whatever their bytes, and cut where it gets long.
pub(super) fn show<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let mut text = String::from("{");
    for (name, value) in pairs {
        if text.len() > 1 {
            text.push_str(", ");
        }
        if text.len() > SHOWN_BYTES_MAX {
            text.push_str("...");
            break;
        }
        text.push_str(&format!("{}={:?}", cut(name), cut(value)));
    }
    text.push('}');
    text
}

/// A name or value for a message: its first bytes, whatever they are.
fn cut(text: &[u8]) -> String {
    String::from_utf8_lossy(text.get(..SHOWN_TEXT_BYTES_MAX).unwrap_or(text)).into_owned()
}
