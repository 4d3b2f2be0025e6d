//! A series' labels: sorted pairs of strings in one shared allocation, and the builder that makes them.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The label that holds the metric name.
pub const METRIC_NAME: &str = "__name__";

/// Bits of a length that one character carries.
const LEN_BITS: u32 = 6;
/// Set in every length character but the last.
const LEN_MORE: u8 = 1 << LEN_BITS;

/// An immutable set of labels, cheap to clone.
///
/// Invariant: names strictly ascend by bytes, no name and no value is empty.
/// Shape: one string: for each pair the name's length, the name, the value's length, the value.
/// Q: Why are lengths written in 6-bit characters? A: every byte stays below 0x80, so the whole is valid UTF-8, and
/// a name or value is cut out of it as `&str` without checking its bytes again and without `unsafe`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<str>);

impl Labels {
    /// No labels.
    pub fn empty() -> Labels {
        Labels("".into())
    }

    /// Labels of pairs in any order; of two pairs with one name the last stays, empty values are dropped.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// Labels of pairs that already are sorted, unique and not empty. Cost: one allocation beside `buf`'s.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, buf: &mut String) -> Labels {
        buf.clear();
        let mut last = "";
        for (name, value) in pairs {
            debug_assert!(last < name && !value.is_empty(), "labels must be sorted, unique and not empty: {name:?}");
            last = name;
            push_text(buf, name);
            push_text(buf, value);
        }
        Labels(buf.as_str().into())
    }

    /// The pairs in ascending order of names.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { rest: &self.0 }
    }

    /// The value of `name`. Cost: one pass up to it.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, value) in self.iter() {
            match n.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The metric name, if there is one.
    pub fn metric_name(&self) -> Option<&str> {
        self.get(METRIC_NAME)
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of labels. Cost: one pass.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The bytes that equal labels, and only they, share: what to hash.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Ord for Labels {
    /// By pairs: name, then value, then length, as Prometheus orders series.
    ///
    /// Cost: what both begin with is passed over eight bytes at a time; only the first pair that differs is taken apart.
    fn cmp(&self, other: &Labels) -> Ordering {
        let (own, theirs) = (self.0.as_bytes(), other.0.as_bytes());
        let same = common_prefix(own, theirs);
        let mut start = 0;
        while start < own.len() {
            let end = text_end(own, text_end(own, start));
            if same < end {
                break;
            }
            start = end;
        }
        LabelsIter { rest: &self.0[start..] }.cmp(LabelsIter { rest: &other.0[start..] })
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// As PromQL writes them: `name{a="b"}`, or `{a="b"}` without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name().unwrap_or("");
        let plain = is_plain_name(name, true);
        if plain {
            f.write_str(name)?;
        }
        let mut first = true;
        for (label, value) in self.iter().filter(|(label, _)| !plain || *label != METRIC_NAME) {
            f.write_str(if first { "{" } else { ", " })?;
            first = false;
            if is_plain_name(label, false) {
                write!(f, "{label}={value:?}")?;
            } else {
                write!(f, "{label:?}={value:?}")?;
            }
        }
        match (first, plain) {
            (false, _) => f.write_str("}"),
            (true, false) => f.write_str("{}"),
            (true, true) => Ok(()),
        }
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether `name` needs no quotes in PromQL and in text formats; colons are for names of metrics.
pub fn is_plain_name(name: &str, with_colons: bool) -> bool {
    let mut bytes = name.bytes();
    let start = |b: u8| b.is_ascii_alphabetic() || b == b'_' || (b == b':' && with_colons);
    bytes.next().is_some_and(start) && bytes.all(|b| start(b) || b.is_ascii_digit())
}

/// Iterates over the pairs of [`Labels`].
#[derive(Clone)]
pub struct LabelsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = take_text(self.rest);
        let (value, rest) = take_text(rest);
        self.rest = rest;
        Some((name, value))
    }
}

#[inline]
fn take_text(from: &str) -> (&str, &str) {
    let (len, start) = text_len(from.as_bytes(), 0);
    from[start..].split_at(len)
}

/// Where the text behind the length at `pos` ends.
#[inline]
fn text_end(bytes: &[u8], pos: usize) -> usize {
    let (len, start) = text_len(bytes, pos);
    start + len
}

/// The length that stands at `pos`, and where its text starts.
#[inline]
fn text_len(bytes: &[u8], mut pos: usize) -> (usize, usize) {
    let (mut len, mut shift) = (0, 0);
    loop {
        let b = bytes[pos];
        pos += 1;
        len |= usize::from(b & (LEN_MORE - 1)) << shift;
        if b & LEN_MORE == 0 {
            return (len, pos);
        }
        shift += LEN_BITS;
    }
}

/// How many bytes both begin with.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let ((rows_a, _), (rows_b, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let start = 8 * rows_a.iter().zip(rows_b).take_while(|(a, b)| a == b).count();
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

fn push_text(buf: &mut String, text: &str) {
    const DIGIT: usize = LEN_MORE as usize - 1;
    let mut len = text.len();
    while len > DIGIT {
        buf.push(digit(len & DIGIT, LEN_MORE));
        len >>= LEN_BITS;
    }
    buf.push(digit(len, 0));
    buf.push_str(text);
}

#[expect(clippy::cast_possible_truncation, reason = "callers pass six bits")]
fn digit(bits: usize, flag: u8) -> char {
    debug_assert!(bits < usize::from(LEN_MORE));
    char::from(bits as u8 | flag)
}

/// Makes [`Labels`]; reuse one for many series to keep its memory.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    /// Sorted by name at all times; label sets are small.
    pairs: Vec<(String, String)>,
    buf: String,
}

impl LabelsBuilder {
    /// Starts from existing labels.
    pub fn new(base: &Labels) -> LabelsBuilder {
        let pairs = base.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        LabelsBuilder { pairs, buf: String::new() }
    }

    /// Sets `name`; an empty value removes it, since an empty label is an absent one.
    pub fn set(&mut self, name: &str, value: &str) -> &mut LabelsBuilder {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => self.pairs[at].1 = value.to_owned(),
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`.
    pub fn remove(&mut self, name: &str) -> &mut LabelsBuilder {
        self.set(name, "")
    }

    /// Keeps the labels for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) -> &mut LabelsBuilder {
        self.pairs.retain(|(n, _)| keep(n));
        self
    }

    /// The value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.pairs[at].1)
    }

    /// Forgets all labels and keeps the memory.
    pub fn clear(&mut self) {
        self.pairs.clear();
    }

    /// The labels set so far.
    pub fn build(&mut self) -> Labels {
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())), &mut self.buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_come_back_sorted_whatever_their_length() {
        let long = "x".repeat(70_000);
        let labels = Labels::from_pairs([("zone", "eu"), ("__name__", "up"), ("long", &long), ("empty", "")]);
        let back: Vec<_> = labels.iter().collect();
        assert_eq!(back, [("__name__", "up"), ("long", long.as_str()), ("zone", "eu")]);
        assert_eq!(labels.get("zone"), Some("eu"));
        assert_eq!(labels.get("empty"), None);
    }

    #[test]
    fn order_is_by_pairs_not_by_encoded_length() {
        let a = Labels::from_pairs([("a", "zz")]);
        let b = Labels::from_pairs([("b", "a")]);
        let ab = Labels::from_pairs([("a", "zz"), ("b", "a")]);
        assert!(a < b && a < ab && ab < b);
    }

    /// Equal beginnings are passed over, wherever they end: inside a name, a value or a length.
    #[test]
    fn order_is_that_of_the_pairs_for_all_neighbours() {
        let texts =
            ["a", "ab", "abcdefgh", "abcdefgi", "b", "\u{e4}", &"x".repeat(63), &"x".repeat(64), &"x".repeat(65)];
        let mut all = vec![Labels::empty()];
        for one in texts {
            all.push(Labels::from_pairs([("name", one)]));
            for two in texts {
                all.push(Labels::from_pairs([(one, "v"), (two, one)]));
                all.push(Labels::from_pairs([("__name__", "m"), ("k", one), ("z", two)]));
            }
        }
        for (a, b) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            assert_eq!(a.cmp(b), a.iter().cmp(b.iter()), "{a:?} and {b:?}");
        }
    }

    #[test]
    fn names_outside_the_old_character_set_are_quoted() {
        let labels = Labels::from_pairs([("__name__", "my.metric"), ("http.status", "a\"b")]);
        assert_eq!(labels.to_string(), r#"{__name__="my.metric", "http.status"="a\"b"}"#);
        assert_eq!(Labels::from_pairs([("__name__", "up")]).to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
    }
}
