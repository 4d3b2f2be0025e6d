//! Prometheus' JSON, written straight into bytes: numbers, labels, results and the envelope around them.

mod envelope;
mod histogram;
mod number;
mod text;
mod value;

pub use envelope::{encode_success, push_error, push_success};
pub use number::{push_number, push_timestamp};
pub use text::{push_label_sets, push_labels, push_string, push_strings};
pub use value::encode_value;

/// Writes `[`, the items with commas between them, and `]`.
fn push_array<T>(items: impl IntoIterator<Item = T>, into: &mut Vec<u8>, mut push: impl FnMut(T, &mut Vec<u8>)) {
    into.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            into.push(b',');
        }
        push(item, into);
    }
    into.push(b']');
}
