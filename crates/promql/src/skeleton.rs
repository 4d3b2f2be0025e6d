//! The text that promql-parser sees: the query's structure, with every literal and name replaced by its token's number.
//! Lengths of time are read here, whatever they compute: the parser sees a number for each.
//!
//! Q: Why not the text itself? A: the parser refuses or alters some of what Prometheus takes (raw strings with a
//! backslash, large durations, regular expressions of Go's dialect) and keeps no positions. Behind a number it cannot:
//! values, regular expressions and positions come from our own tokens, and only the tree's shape comes from the parser.

use std::fmt::Write;

use hashbrown::HashMap;

use crate::ParseError;
use crate::expr::{AggregateOp, Extent};
use crate::scan::{Token, TokenKind};
use crate::span::SpanExpr;
use crate::span_reader::{ReadSpan, parse_offset, parse_span, starts_span};
use crate::syntax::{BINARY_WORDS, first_misfit};

/// What stands before a metric name's number, since a name cannot start with a digit.
pub(crate) const NAME_PREFIX: char = 'm';

/// Words that the grammar knows and that stay as they are.
const KEYWORDS: [&str; 18] = [
    "and",
    "or",
    "unless",
    "atan2",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "start",
    "end",
    "fill",
    "fill_left",
    "fill_right",
    "step",
];

/// The words after which a bracket holds label names.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// A query as promql-parser may read it, and what its numbers stand for.
#[derive(Default)]
pub(crate) struct Skeleton {
    /// The text for the parser.
    pub(crate) text: String,
    /// Start of each call and aggregation, in source order.
    pub(crate) calls: Vec<usize>,
    /// For each `<` and `>`, in source order, whether it cuts histograms: the parser knows only the comparison, which
    /// binds alike.
    pub(crate) trims: Vec<bool>,
    /// Lengths of time, by the number that stands for each.
    pub(crate) spans: HashMap<usize, SpanExpr>,
    /// What `anchored` and `smoothed` say, by the start of the selector they follow; the parser does not see them.
    pub(crate) extents: HashMap<usize, Extent>,
    /// Start of the last selector.
    selector: Option<usize>,
    /// The token after the last length of time.
    after_span: usize,
    /// The last colon of a subquery.
    colon: usize,
}

fn is_one_of(words: &[&str], name: &str) -> bool {
    words.iter().any(|word| word.eq_ignore_ascii_case(name))
}

/// Where in the grammar a token stands.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Expression,
    Braces,
    Brackets,
    LabelList,
}

/// Builds the skeleton of `tokens`.
pub(crate) fn skeleton(source: &str, tokens: &[Token]) -> Result<Skeleton, ParseError> {
    let mut out = Skeleton::default();
    let (mut place, mut idx) = (Place::Expression, 0);
    while let Some(token) = tokens.get(idx) {
        let previous = idx.checked_sub(1).map(|p| &tokens[p]);
        if place == Place::Brackets && !token.is(":") && !token.is("]") {
            idx = push_span(&mut out, source, tokens, idx, parse_span)?;
            continue;
        }
        match (&token.kind, place) {
            (TokenKind::Mark(mark), _) => {
                check_mark(source, tokens, idx, place)?;
                out.note_mark(token, mark, previous);
                place = place_after(mark, place, previous);
                push_mark(&mut out, token, mark, place);
            }
            (TokenKind::Name(name), Place::Braces) if previous.is_some_and(is_match_op) => {
                let message = format!("unexpected identifier {name:?} in label matching, expected string");
                return Err(ParseError::at(source, token.start, message));
            }
            (TokenKind::Name(_), Place::Braces | Place::LabelList) | (TokenKind::Text(_), _) => {
                let _ = write!(out.text, "\"{}\" ", idx + 1);
            }
            (TokenKind::Number(_) | TokenKind::Duration(_), _) => {
                let _ = write!(out.text, "{} ", idx + 1);
            }
            (TokenKind::Name(name), _) if Extent::parse(name).is_some() && out.is_modified(tokens, idx) => {
                push_extent(&mut out, source, token, name)?;
            }
            (TokenKind::Name(name), _) => {
                let next = tokens.get(idx + 1);
                push_name(&mut out, name, idx, token, previous, next);
                let shifts = name.eq_ignore_ascii_case("offset") && previous.is_some_and(ends_operand);
                if shifts && next.is_some_and(starts_span) {
                    idx = push_span(&mut out, source, tokens, idx + 1, parse_offset)?;
                    continue;
                }
            }
        }
        idx += 1;
    }
    Ok(out)
}

/// Reads the length of time that starts at token `idx`, pushes a number for it, and says which token follows.
fn push_span(
    out: &mut Skeleton,
    source: &str,
    tokens: &[Token],
    idx: usize,
    read: ReadSpan,
) -> Result<usize, ParseError> {
    let (expr, after) = read(source, tokens, idx).map_err(|error| first_misfit(source, tokens).unwrap_or(error))?;
    out.spans.insert(idx + 1, expr);
    out.after_span = after;
    let _ = write!(out.text, "{}s ", idx + 1);
    Ok(after)
}

/// Notes that the last selector is anchored or smoothed.
fn push_extent(out: &mut Skeleton, source: &str, token: &Token, name: &str) -> Result<(), ParseError> {
    let refuse = |message: String| Err(ParseError::at(source, token.start, message));
    let (Some(selector), Some(extent)) = (out.selector, Extent::parse(name)) else {
        return refuse(format!("unexpected {name:?}"));
    };
    if out.colon > selector {
        return refuse(format!("{} modifier is not supported for subqueries", extent.as_str()));
    }
    if out.extents.insert(selector, extent).is_some_and(|other| other != extent) {
        return refuse("anchored and smoothed modifiers cannot be used together".to_owned());
    }
    Ok(())
}

impl Skeleton {
    fn note_mark(&mut self, token: &Token, mark: &str, previous: Option<&Token>) {
        match mark {
            "{" if previous.is_none_or(|previous| Some(previous.start) != self.selector) => {
                self.selector = Some(token.start);
            }
            ":" => self.colon = token.start,
            _ => {}
        }
    }

    /// Whether the word at `idx` follows a selector and its modifiers, and so is no metric name.
    fn is_modified(&self, tokens: &[Token], idx: usize) -> bool {
        let before = |n: usize| idx.checked_sub(n).and_then(|at| tokens.get(at));
        let Some(previous) = before(1).filter(|_| self.selector.is_some()) else { return false };
        match &previous.kind {
            _ if self.after_span == idx => true,
            TokenKind::Name(_) => self.selector == Some(previous.start),
            TokenKind::Mark(mark) => match *mark {
                "]" | "}" => true,
                // `@ start()` or `@ end()`.
                ")" => before(2).is_some_and(|token| token.is("(")) && before(4).is_some_and(|token| token.is("@")),
                _ => false,
            },
            TokenKind::Number(_) | TokenKind::Duration(_) => {
                let signed = before(2).is_some_and(|token| token.is("+") || token.is("-"));
                before(if signed { 3 } else { 2 }).is_some_and(|token| token.is("@"))
            }
            TokenKind::Text(_) => false,
        }
    }
}

fn push_mark(out: &mut Skeleton, token: &Token, mark: &'static str, place: Place) {
    if matches!(mark, "<" | ">" | "</" | ">/") {
        out.trims.push(mark.len() > 1);
    }
    out.text.push_str(match mark {
        "</" => "<",
        ">/" => ">",
        _ if place == Place::Braces && is_match_op(token) => "=",
        mark => mark,
    });
    out.text.push(' ');
}

fn push_name(
    out: &mut Skeleton,
    name: &str,
    idx: usize,
    token: &Token,
    previous: Option<&Token>,
    next: Option<&Token>,
) {
    let opens = next.is_some_and(|next| next.is("("));
    let is_aggregate = AggregateOp::parse(name).is_some();
    let groups = is_aggregate && next.and_then(Token::name).is_some_and(|word| is_one_of(&["by", "without"], word));
    let is_pin = previous.is_some_and(|previous| previous.is("@"));
    let is_keyword = is_one_of(&KEYWORDS, name);
    let calls = (opens && !is_pin && (!is_keyword || is_one_of(&["start", "end", "step"], name))) || groups;
    if calls {
        out.calls.push(token.start);
    }
    if calls || is_aggregate || is_keyword || opens {
        out.text.push_str(name);
    } else {
        out.selector = Some(token.start);
        let _ = write!(out.text, "{NAME_PREFIX}{}", idx + 1);
    }
    out.text.push(' ');
}

fn place_after(mark: &str, place: Place, previous: Option<&Token>) -> Place {
    match mark {
        "{" => Place::Braces,
        "[" => Place::Brackets,
        "}" | "]" | ")" => Place::Expression,
        "(" if previous.and_then(Token::name).is_some_and(|name| is_one_of(&GROUPING, name)) => Place::LabelList,
        _ => place,
    }
}

/// Whether an operand may end with `token`, so that a modifier may follow.
fn ends_operand(token: &Token) -> bool {
    match &token.kind {
        TokenKind::Name(name) => !is_one_of(&BINARY_WORDS, name),
        TokenKind::Mark(mark) => matches!(*mark, ")" | "]" | "}"),
        TokenKind::Number(_) | TokenKind::Duration(_) | TokenKind::Text(_) => true,
    }
}

fn is_match_op(token: &Token) -> bool {
    ["=", "!=", "=~", "!~"].iter().any(|op| token.is(op))
}

/// Refuses marks that the skeleton would hide or that belong elsewhere.
fn check_mark(source: &str, tokens: &[Token], idx: usize, place: Place) -> Result<(), ParseError> {
    let token = &tokens[idx];
    let TokenKind::Mark(mark) = token.kind else { return Ok(()) };
    let refuse = |message: String| Err(ParseError::at(source, token.start, message));
    match mark {
        "=~" | "!~" | "=" if place != Place::Braces => refuse(format!("unexpected {mark:?}")),
        "==" | "<" | ">" | "<=" | ">=" | "</" | ">/" | "+" | "-" if place == Place::Braces => {
            refuse(format!("unexpected {mark:?} in label matching, expected label matching operator"))
        }
        "!" | "|" | "&" | ";" => refuse(format!("unexpected character: {mark:?}")),
        "," | "}" if place == Place::Braces => {
            let lone = idx.checked_sub(2).map(|p| (&tokens[p], &tokens[idx - 1]));
            match lone {
                Some((before, label)) if (before.is("{") || before.is(",")) && label.name().is_some() => {
                    refuse(format!("unexpected {mark:?} in label matching, expected label matching operator"))
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
