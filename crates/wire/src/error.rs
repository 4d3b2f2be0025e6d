//! Why a body, a series or a content type is refused.

use std::fmt;

use model::PatternError;
use thiserror::Error;

/// Why a whole request is refused: nothing of it is stored.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WireError {
    /// The body is, or would become, larger than a request may be.
    #[error("request declares {declared} bytes after decompression, limit {limit}")]
    TooLarge {
        /// Bytes the request says it has.
        declared: u64,
        /// Bytes a request may have.
        limit: u64,
    },
    /// The body is not one snappy block.
    #[error("body is not a snappy block: {reason}")]
    Snappy {
        /// What is wrong with it.
        reason: String,
    },
    /// The bytes are not the protobuf message they should be.
    #[error("malformed protobuf: the {what} at byte {offset} is truncated or not well-formed")]
    Malformed {
        /// The message or field.
        what: &'static str,
        /// Where it starts in the decompressed body.
        offset: usize,
    },
    /// The symbol table does not begin with the empty string.
    #[error("the symbol table of {n} strings must begin with the empty one")]
    Symbols {
        /// Strings in it.
        n: usize,
    },
    /// The request holds more of something than one request may.
    #[error("request has more than {limit} {what}; send smaller ones")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

/// Why a remote-read request is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReadError {
    /// Its bytes are not the message they should be, or hold too much.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A pattern does not compile.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A matcher is of no known type.
    #[error("matcher of unknown type {kind}")]
    MatcherType {
        /// The type sent.
        kind: u64,
    },
    /// A label name or a value to be matched is not UTF-8.
    #[error("name or value of a matcher is not valid UTF-8")]
    NotUtf8,
    /// The client understands no kind of answer that is given.
    #[error("none of the kinds of answers {kinds:?} is known, known are 0 (samples) and 1 (streamed chunks)")]
    Answer {
        /// The kinds it listed.
        kinds: Vec<u32>,
    },
}

/// Why one series of a request is refused; the others are kept.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{fault} in series {series}")]
pub struct LabelError {
    /// The series' labels as far as they can be shown, cut to a few hundred bytes.
    pub series: String,
    /// What is wrong with them.
    pub fault: LabelFault,
}

/// What is wrong with a series' labels.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LabelFault {
    /// There is no `__name__`, or it is empty.
    #[error("no metric name")]
    NoMetricName,
    /// A label's name is empty.
    #[error("empty label name")]
    EmptyName,
    /// Two labels share a name.
    #[error("duplicate label name {name:?}")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A name or a value is not UTF-8.
    #[error("label name or value is not valid UTF-8")]
    NotUtf8,
    /// A reference leads nowhere.
    #[error("reference to symbol {reference} of {symbols}")]
    BadRef {
        /// The reference.
        reference: u32,
        /// Symbols there are.
        symbols: usize,
    },
    /// References that do not come in pairs.
    #[error("{n} references to names and values, which is odd")]
    OddRefs {
        /// References sent.
        n: usize,
    },
    /// There are too many labels.
    #[error("{n} labels, limit {limit}")]
    TooMany {
        /// Labels sent.
        n: usize,
        /// Labels allowed.
        limit: usize,
    },
    /// All names and values together are too long.
    #[error("labels of {len} bytes together, limit {limit}")]
    TooLong {
        /// Bytes sent.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A name is too long.
    #[error("label name of {len} bytes, limit {limit}")]
    NameTooLong {
        /// Bytes sent.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A value is too long.
    #[error("value of {len} bytes of label {name:?}, limit {limit}")]
    ValueTooLong {
        /// The label.
        name: String,
        /// Bytes sent.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// Why one native histogram is refused; what else its series holds is kept.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HistogramFault {
    /// The bytes are not the message they should be.
    #[error("malformed histogram message")]
    Malformed,
    /// Its schema is none that is known.
    #[error("histogram schema {schema}, known are -4 to 52 and -53")]
    Schema {
        /// The schema sent.
        schema: i32,
    },
    /// There are too many buckets, spans or bounds.
    #[error("histogram has more than {limit} buckets, spans or bounds")]
    TooManyBuckets {
        /// How many there may be.
        limit: usize,
    },
    /// Spans and buckets do not belong together.
    #[error("histogram spans lay out {spans} buckets, {buckets} were sent")]
    SpansMismatch {
        /// Buckets that the spans lay out.
        spans: u64,
        /// Buckets sent.
        buckets: usize,
    },
    /// A span begins before the one in front of it ends, or a custom one before the first bucket.
    #[error("histogram span offset {offset} is negative")]
    SpanOffset {
        /// The offset.
        offset: i32,
    },
    /// The spans reach beyond the custom buckets.
    #[error("histogram spans end at custom bucket {end} of {n}")]
    CustomLayout {
        /// The index behind the last bucket.
        end: i32,
        /// Buckets that the bounds make.
        n: usize,
    },
    /// The buckets hold more or less than the count says.
    #[error("histogram count is {count}, its buckets hold {buckets}")]
    CountMismatch {
        /// The count sent.
        count: u64,
        /// The sum of the buckets.
        buckets: u128,
    },
    /// Another rule is broken.
    #[error("histogram has {0}")]
    Invalid(&'static str),
}

/// Why one exemplar is refused; what else its series holds is kept.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ExemplarFault {
    /// The bytes are not the message they should be.
    #[error("malformed exemplar message")]
    Malformed,
    /// Its labels are too long.
    #[error("exemplar labels have more than {limit} characters")]
    TooLong {
        /// Characters that all names and values may have.
        limit: usize,
    },
    /// Its labels are unacceptable.
    #[error("{0} in exemplar")]
    Labels(#[from] LabelFault),
}

/// Why a text of metrics is refused.
#[derive(Debug, Error)]
pub enum ExpositionError {
    /// It could not be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// It is not of the format.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// The line, from 1.
        line: u64,
        /// The character in it, from 1.
        column: usize,
        /// What was expected there, or found.
        what: String,
    },
}

/// A `Content-Type` or `Content-Encoding` that this server does not read: the answer is 415.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct UnsupportedMedia {
    pub(crate) header: &'static str,
    pub(crate) value: String,
    pub(crate) supported: &'static str,
}

impl fmt::Display for UnsupportedMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unsupported {} {:?}, supported: {}", self.header, self.value, self.supported)
    }
}
