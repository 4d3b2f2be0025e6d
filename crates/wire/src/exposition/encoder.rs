//! Series, samples and families as OpenMetrics text, straight into bytes.

use model::{Exemplar, Labels, METRIC_NAME, Metadata, Sample, is_plain_name};

use crate::json::{push_number, push_timestamp};

/// Appends a series as it stands in front of each of its values: encode it once, then push it with every sample.
///
/// A name that is no plain one goes into the braces, in quotes.
pub fn encode_series(labels: &Labels, into: &mut Vec<u8>) {
    let name = labels.metric_name().unwrap_or_default();
    let is_plain = is_plain_name(name, true);
    if is_plain {
        into.extend_from_slice(name.as_bytes());
    }
    let mut separator = b'{';
    if !is_plain && !name.is_empty() {
        into.push(separator);
        separator = b',';
        push_quoted(name, into);
    }
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        into.push(separator);
        separator = b',';
        push_pair(name, value, into);
    }
    if separator == b',' {
        into.push(b'}');
    }
}

/// Appends the line of one sample; `series` is what [`encode_series`] made.
pub fn push_sample(series: &[u8], sample: Sample, exemplar: Option<&Exemplar>, into: &mut Vec<u8>) {
    into.extend_from_slice(series);
    into.push(b' ');
    push_number(sample.v, into);
    into.push(b' ');
    push_timestamp(sample.t, into);
    if let Some(exemplar) = exemplar {
        into.extend_from_slice(b" # {");
        for (i, (name, value)) in exemplar.labels.iter().enumerate() {
            if i > 0 {
                into.push(b',');
            }
            push_pair(name, value, into);
        }
        into.extend_from_slice(b"} ");
        push_number(exemplar.v, into);
        into.push(b' ');
        push_timestamp(exemplar.t, into);
    }
    into.push(b'\n');
}

/// Appends the lines that describe a family: its type, and unit and help text if there are any.
pub fn push_family(family: &str, metadata: &Metadata, into: &mut Vec<u8>) {
    let lines = [("TYPE", metadata.kind.as_str()), ("UNIT", &metadata.unit), ("HELP", &metadata.help)];
    for (keyword, text) in lines.into_iter().filter(|(_, text)| !text.is_empty()) {
        into.extend_from_slice(b"# ");
        into.extend_from_slice(keyword.as_bytes());
        into.push(b' ');
        if is_plain_name(family, true) {
            into.extend_from_slice(family.as_bytes());
        } else {
            push_quoted(family, into);
        }
        into.push(b' ');
        push_escaped(text, into);
        into.push(b'\n');
    }
}

/// Appends the end, without which the text counts as cut off.
pub fn push_eof(into: &mut Vec<u8>) {
    into.extend_from_slice(b"# EOF\n");
}

fn push_pair(name: &str, value: &str, into: &mut Vec<u8>) {
    if is_plain_name(name, false) {
        into.extend_from_slice(name.as_bytes());
    } else {
        push_quoted(name, into);
    }
    into.push(b'=');
    push_quoted(value, into);
}

fn push_quoted(text: &str, into: &mut Vec<u8>) {
    into.push(b'"');
    push_escaped(text, into);
    into.push(b'"');
}

fn push_escaped(text: &str, into: &mut Vec<u8>) {
    for b in text.bytes() {
        match b {
            b'\n' => into.extend_from_slice(b"\\n"),
            b'"' | b'\\' => into.extend_from_slice(&[b'\\', b]),
            _ => into.push(b),
        }
    }
}
