//! A decompressed question: its selections, and the kind of answer the client understands.

use model::{MatchOp, Matcher, TimeRange};

use crate::ReadError;
use crate::WireError;
use crate::field::{Cursor, bytes_tag, field_number, varint_tag};

const QUERY: u32 = bytes_tag(1);
/// Kinds of answers, several at once or one at a time.
const ANSWERS: u32 = bytes_tag(2);
const ANSWER: u32 = varint_tag(2);

const START: u32 = varint_tag(1);
const END: u32 = varint_tag(2);
const MATCHER: u32 = bytes_tag(3);
const HINTS: u32 = bytes_tag(4);

const MATCHER_TYPE: u32 = varint_tag(1);
const MATCHER_NAME: u32 = bytes_tag(2);
const MATCHER_VALUE: u32 = bytes_tag(3);

/// Selections of one request; Prometheus and Thanos send one.
const QUERIES_MAX: usize = 100;
/// Matchers of all selections together: each may be a pattern with a megabyte of automaton.
const MATCHERS_MAX: usize = 100;
/// Kinds of answers there may be in a list; two are defined.
const ANSWERS_MAX: usize = 16;

/// A question: selections, each to be answered on its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The selections, in the order of their answers.
    pub queries: Vec<ReadQuery>,
    /// The kind of answer to give.
    pub answer: ReadAnswer,
}

/// One selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadQuery {
    /// Closed at both ends, which may be any numbers.
    pub range: TimeRange,
    /// What the series have to satisfy.
    pub matchers: Vec<Matcher>,
}

/// The kinds of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAnswer {
    /// One message with all samples.
    Samples,
    /// A stream of frames with chunks as they are stored.
    StreamedChunks,
}

impl ReadAnswer {
    /// The content type of such an answer. Samples are one snappy block; frames are not compressed.
    pub fn content_type(self) -> &'static str {
        match self {
            ReadAnswer::Samples => "application/x-protobuf",
            ReadAnswer::StreamedChunks => "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse",
        }
    }
}

impl ReadRequest {
    /// Reads the message in `body`, which is at most as large as `decompress` lets it be.
    ///
    /// Of the kinds of answers the first known one counts; without a list it is samples. Hints are not read.
    /// Errors: bytes that are no such message, too many selections or matchers, and patterns that do not compile.
    pub fn parse(body: &[u8]) -> Result<ReadRequest, ReadError> {
        let mut request = ReadRequest { queries: Vec::new(), answer: ReadAnswer::Samples };
        let mut answers = Vec::new();
        let mut n_matchers = 0;
        let mut cursor = Cursor::new(body);
        while !cursor.is_at_end() {
            let offset = cursor.pos();
            let malformed = move || WireError::Malformed { what: "read request", offset };
            match cursor.tag().ok_or_else(malformed)? {
                QUERY => {
                    let raw = RawQuery::read(cursor.message().ok_or_else(malformed)?).ok_or_else(malformed)?;
                    n_matchers += raw.matchers.len();
                    check_count("matchers", n_matchers, MATCHERS_MAX)?;
                    check_count("queries", request.queries.len() + 1, QUERIES_MAX)?;
                    request.queries.push(raw.check()?);
                }
                ANSWERS => {
                    let packed = cursor.message().ok_or_else(malformed)?;
                    packed.references(&mut answers).ok_or_else(malformed)?;
                }
                ANSWER => answers.push(cursor.reference().ok_or_else(malformed)?),
                tag if matches!(field_number(tag), 1 | 2) => return Err(malformed().into()),
                tag => cursor.skip(tag).ok_or_else(malformed)?,
            }
            check_count("kinds of answers", answers.len(), ANSWERS_MAX)?;
        }
        request.answer = choose(&answers)?;
        Ok(request)
    }
}

/// The first kind that is known.
fn choose(answers: &[u32]) -> Result<ReadAnswer, ReadError> {
    let known = answers.iter().find_map(|kind| match kind {
        0 => Some(ReadAnswer::Samples),
        1 => Some(ReadAnswer::StreamedChunks),
        _ => None,
    });
    match known {
        Some(answer) => Ok(answer),
        None if answers.is_empty() => Ok(ReadAnswer::Samples),
        None => Err(ReadError::Answer { kinds: answers.to_vec() }),
    }
}

fn check_count(what: &'static str, n: usize, limit: usize) -> Result<(), WireError> {
    if n <= limit { Ok(()) } else { Err(WireError::TooMany { what, limit }) }
}

#[derive(Default)]
struct RawQuery<'a> {
    start: i64,
    end: i64,
    matchers: Vec<RawMatcher<'a>>,
}

impl<'a> RawQuery<'a> {
    fn read(mut message: Cursor<'a>) -> Option<RawQuery<'a>> {
        let mut raw = RawQuery::default();
        while !message.is_at_end() {
            match message.tag()? {
                START => raw.start = message.int64()?,
                END => raw.end = message.int64()?,
                // One more than there may be is enough to refuse them.
                MATCHER if raw.matchers.len() > MATCHERS_MAX => drop(message.message()?),
                MATCHER => raw.matchers.push(RawMatcher::read(message.message()?)?),
                HINTS => drop(message.message()?),
                tag if (1..=4).contains(&field_number(tag)) => return None,
                tag => message.skip(tag)?,
            }
        }
        Some(raw)
    }

    fn check(self) -> Result<ReadQuery, ReadError> {
        let matchers = self.matchers.iter().map(RawMatcher::check).collect::<Result<_, _>>()?;
        Ok(ReadQuery { range: TimeRange { mint: self.start, maxt: self.end }, matchers })
    }
}

#[derive(Default)]
struct RawMatcher<'a> {
    kind: u64,
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> RawMatcher<'a> {
    fn read(mut message: Cursor<'a>) -> Option<RawMatcher<'a>> {
        let mut raw = RawMatcher::default();
        while !message.is_at_end() {
            match message.tag()? {
                MATCHER_TYPE => raw.kind = message.varint()?,
                MATCHER_NAME => raw.name = message.bytes()?,
                MATCHER_VALUE => raw.value = message.bytes()?,
                tag if (1..=3).contains(&field_number(tag)) => return None,
                tag => message.skip(tag)?,
            }
        }
        Some(raw)
    }

    fn check(&self) -> Result<Matcher, ReadError> {
        let op = match self.kind {
            0 => MatchOp::Equal,
            1 => MatchOp::NotEqual,
            2 => MatchOp::Regex,
            3 => MatchOp::NotRegex,
            kind => return Err(ReadError::MatcherType { kind }),
        };
        let name = std::str::from_utf8(self.name).map_err(|_| ReadError::NotUtf8)?;
        let value = std::str::from_utf8(self.value).map_err(|_| ReadError::NotUtf8)?;
        Ok(Matcher::new(name, op, value)?)
    }
}
