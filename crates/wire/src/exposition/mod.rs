//! The text formats of metrics, OpenMetrics 1.0 and Prometheus 0.0.4: read line by line, and written.
//!
//! The crates that read them take a whole file as one string and build a tree of it; an import of a day's samples is
//! larger than memory.

mod encoder;
mod lexer;
mod line;
mod number;
mod reader;

pub use encoder::{encode_series, push_eof, push_family, push_sample};
pub use line::{Entry, SampleLine};
pub use reader::ExpositionReader;

/// Which of the two formats a text has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// OpenMetrics 1.0: times in seconds, exemplars, units, and an end that says so.
    OpenMetrics,
    /// Prometheus 0.0.4: times in milliseconds, and comments.
    Prometheus,
}

impl ExpositionFormat {
    /// The content type of such a text.
    pub fn content_type(self) -> &'static str {
        match self {
            ExpositionFormat::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            ExpositionFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}
