//! `promenade tsdb dump`: samples as `promtool tsdb dump` prints them.

use std::io::{self, BufWriter, Write};

use model::{Columns, Labels, is_plain_name};
use wire::json::push_number;

use super::Selection;
use super::lines::for_each_series;

/// Prints.
pub(super) fn run(selection: &Selection) -> anyhow::Result<()> {
    let (mut out, mut line, mut labels_text) = (BufWriter::new(io::stdout().lock()), Vec::new(), Vec::new());
    for_each_series(selection, &mut |labels, columns| {
        labels_text.clear();
        push_labels(labels, &mut labels_text);
        for at in 0..columns.len() {
            line.clear();
            line.extend_from_slice(&labels_text);
            push_at(columns, at, &mut line);
            out.write_all(&line)?;
        }
        Ok(())
    })?;
    Ok(out.flush()?)
}

/// Adds value and time of the sample at place `at`: floats first, then histograms.
fn push_at(columns: &Columns, at: usize, line: &mut Vec<u8>) {
    let floats = columns.timestamps.len();
    let t = if at < floats {
        push_number(columns.values[at], line);
        columns.timestamps[at]
    } else {
        line.extend_from_slice(columns.histograms[at - floats].to_string().as_bytes());
        columns.histogram_timestamps[at - floats]
    };
    line.extend_from_slice(format!(" {t}\n").as_bytes());
}

/// Adds all labels in braces, the name among them, and a space.
fn push_labels(labels: &Labels, into: &mut Vec<u8>) {
    into.push(b'{');
    for (idx, (name, value)) in labels.iter().enumerate() {
        if idx > 0 {
            into.extend_from_slice(b", ");
        }
        if is_plain_name(name, false) {
            into.extend_from_slice(name.as_bytes());
        } else {
            push_quoted(name, into);
        }
        into.push(b'=');
        push_quoted(value, into);
    }
    into.extend_from_slice(b"} ");
}

fn push_quoted(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    for c in text.chars() {
        match c {
            '"' => into.extend_from_slice(b"\\\""),
            '\\' => into.extend_from_slice(b"\\\\"),
            '\n' => into.extend_from_slice(b"\\n"),
            '\r' => into.extend_from_slice(b"\\r"),
            '\t' => into.extend_from_slice(b"\\t"),
            c if c.is_control() => into.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => into.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    into.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_in_braces_and_quoted_where_they_must_be() {
        let labels = Labels::from_pairs([("__name__", "up"), ("a.b", "x\"y\\\n\u{7}"), ("c", "\u{e9}")]);
        let mut text = Vec::new();
        push_labels(&labels, &mut text);
        let expected = "{__name__=\"up\", \"a.b\"=\"x\\\"y\\\\\\n\\u0007\", c=\"\u{e9}\"} ";
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }
}
