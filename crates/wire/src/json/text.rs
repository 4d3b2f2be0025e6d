//! Strings and labels as JSON.

use model::Labels;

use super::{Sink, certain, write_array};

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes a string in quotes; what may not stand in one is escaped, all else stays as it is.
pub fn push_string(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|b| must_escape(*b)) {
        let (plain, escaped) = rest.split_at(at);
        into.extend_from_slice(plain);
        let Some((b, after)) = escaped.split_first() else { break };
        push_escape(*b, into);
        rest = after;
    }
    into.extend_from_slice(rest);
    into.push(b'"');
}

#[inline]
fn must_escape(b: u8) -> bool {
    b < 0x20 || b == b'"' || b == b'\\'
}

fn push_escape(b: u8, into: &mut Vec<u8>) {
    let short = match b {
        b'"' | b'\\' => b,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            into.extend_from_slice(b"\\u00");
            return into.extend([b >> 4, b & 0xf].map(|nibble| HEX_DIGITS[usize::from(nibble)]));
        }
    };
    into.extend([b'\\', short]);
}

/// Writes labels as an object, in their order.
pub fn push_labels(labels: &Labels, into: &mut Vec<u8>) {
    into.push(b'{');
    for (i, (name, value)) in labels.iter().enumerate() {
        if i > 0 {
            into.push(b',');
        }
        push_string(name, into);
        into.push(b':');
        push_string(value, into);
    }
    into.push(b'}');
}

/// Writes an array of strings.
pub fn push_strings<'a>(texts: impl IntoIterator<Item = &'a str>, into: &mut Vec<u8>) {
    certain(write_strings(texts, into));
}

/// Writes an array of strings: label names, or values.
pub fn write_strings<'a, S: Sink>(texts: impl IntoIterator<Item = &'a str>, into: &mut S) -> Result<(), S::Error> {
    write_array(texts, into, |text, into| {
        push_string(text, into.bytes());
        Ok(())
    })
}

/// Writes an array of label objects: series.
pub fn write_label_sets<'a, S: Sink>(sets: impl IntoIterator<Item = &'a Labels>, into: &mut S) -> Result<(), S::Error> {
    write_array(sets, into, |labels, into| {
        push_labels(labels, into.bytes());
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> String {
        let mut into = Vec::new();
        push_string(text, &mut into);
        String::from_utf8(into).unwrap()
    }

    #[test]
    fn strings_are_escaped_where_json_demands_it() {
        for (text, json) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("line\nnext\r\t", r#""line\nnext\r\t""#),
            ("\u{0}\u{1f}\u{8}\u{c}", r#""\u0000\u001f\u0008\u000c""#),
            ("\u{7f}\u{2028}\u{2029}<&>\u{e9}\u{1f600}", "\"\u{7f}\u{2028}\u{2029}<&>\u{e9}\u{1f600}\""),
        ] {
            assert_eq!(string(text), json);
        }
    }

    #[test]
    fn every_character_reads_back_as_itself() {
        let all: String = (0..0x3000).chain(0x1f600..0x1f680).filter_map(char::from_u32).collect();
        assert_eq!(serde_json::from_str::<String>(&string(&all)).unwrap(), all);
    }

    #[test]
    fn labels_and_lists_keep_their_order() {
        let (a, b) = (Labels::from_pairs([("z", "1"), ("__name__", "up"), ("a b", "\"")]), Labels::empty());
        let mut into = Vec::new();
        certain(write_label_sets([&a, &b], &mut into));
        push_strings(["b", "a"], &mut into);
        push_strings([], &mut into);
        let expected = r#"[{"__name__":"up","a b":"\"","z":"1"},{}]["b","a"][]"#;
        assert_eq!(String::from_utf8(into).unwrap(), expected);
    }
}
