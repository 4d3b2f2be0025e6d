//! Where a text stops being PromQL: promql-parser only says that it does.

use crate::ParseError;
use crate::expr::AggregateOp;
use crate::scan::{Token, TokenKind};

const BINARY_MARKS: [&str; 14] = ["</", ">/", "+", "-", "*", "/", "%", "^", "==", "!=", "<", ">", "<=", ">="];
/// Operators that are words.
pub(crate) const BINARY_WORDS: [&str; 4] = ["and", "or", "unless", "atan2"];
const MATCHING_WORDS: [&str; 4] = ["on", "ignoring", "group_left", "group_right"];

/// The first token that cannot follow the one before it, as far as pairs of tokens tell.
pub(crate) fn first_misfit(source: &str, tokens: &[Token]) -> Option<ParseError> {
    if tokens.is_empty() {
        return Some(ParseError::at(source, 0, "no expression found in input"));
    }
    let mut open: Vec<&'static str> = Vec::new();
    let mut wants_operand = true;
    for (idx, token) in tokens.iter().enumerate() {
        let previous = idx.checked_sub(1).map(|p| &tokens[p]);
        if let TokenKind::Mark(mark @ ("(" | "[" | "{")) = token.kind {
            open.push(mark);
        }
        if let TokenKind::Mark(mark @ (")" | "]" | "}")) = token.kind {
            let fits = matches!((open.pop(), mark), (Some("("), ")") | (Some("["), "]") | (Some("{"), "}"));
            if !fits {
                return Some(unexpected(source, token));
            }
        }
        if matches!(open.last(), Some(&("{" | "["))) || matches!(token.kind, TokenKind::Mark("}" | "]")) {
            wants_operand = false;
            continue;
        }
        match step(token, previous, wants_operand) {
            Some(next) => wants_operand = next,
            None => return Some(unexpected(source, token)),
        }
    }
    match open.last() {
        Some(&"(") => Some(ParseError::at(source, source.len(), "unclosed left parenthesis")),
        Some(_) => Some(ParseError::at(source, source.len(), "unexpected end of input")),
        None if wants_operand => Some(ParseError::at(source, source.len(), "unexpected end of input")),
        None => None,
    }
}

/// Whether an operand must follow `token`, or `None` when `token` itself must not stand here.
fn step(token: &Token, previous: Option<&Token>, wants_operand: bool) -> Option<bool> {
    let after_word = previous.is_some_and(|previous| previous.name().is_some());
    match &token.kind {
        TokenKind::Mark("(") => (wants_operand || after_word || previous.is_some_and(|p| p.is(")"))).then_some(true),
        TokenKind::Mark(")") => (!wants_operand || previous.is_some_and(|p| p.is("(") || p.is(","))).then_some(false),
        TokenKind::Mark(",") => (!wants_operand).then_some(true),
        TokenKind::Mark("+" | "-") => Some(true),
        TokenKind::Mark("@") => (!wants_operand).then_some(true),
        TokenKind::Mark(mark) if BINARY_MARKS.contains(mark) => (!wants_operand).then_some(true),
        TokenKind::Mark(_) => None,
        TokenKind::Number(_) | TokenKind::Duration(_) | TokenKind::Text(_) => wants_operand.then_some(false),
        TokenKind::Name(name) => {
            let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(name));
            if is(&BINARY_WORDS) || is(&["offset", "bool"]) || is(&MATCHING_WORDS) {
                return Some(true);
            }
            let after_aggregate = previous.and_then(Token::name).is_some_and(|word| AggregateOp::parse(word).is_some());
            if is(&["anchored", "smoothed"]) && !wants_operand {
                return Some(false);
            }
            if is(&["by", "without"]) && (after_aggregate || !wants_operand) {
                return Some(true);
            }
            // After the labels of `by (...)` or `on (...)` an operand may follow a closing bracket.
            (wants_operand || previous.is_some_and(|previous| previous.is(")"))).then_some(false)
        }
    }
}

fn unexpected(source: &str, token: &Token) -> ParseError {
    let text = source.get(token.start..token.end).unwrap_or("");
    ParseError::at(source, token.start, format!("unexpected {text:?}"))
}
