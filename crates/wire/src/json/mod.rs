//! Prometheus' JSON, written straight into bytes: numbers, labels, results and the envelope around them.

mod envelope;
mod histogram;
mod number;
mod sink;
mod text;
mod value;

pub use envelope::{encode_success, push_error, push_success, write_success};
pub use number::{push_number, push_timestamp};
pub use sink::{Sink, write_array};
pub use text::{push_labels, push_string, push_strings, write_label_sets, write_strings};
pub use value::{encode_value, write_value};

/// What cannot fail.
fn certain<T>(outcome: Result<T, std::convert::Infallible>) -> T {
    match outcome {
        Ok(value) => value,
    }
}
