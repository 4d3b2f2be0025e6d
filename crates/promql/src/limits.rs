//! What a query text may be, checked before a parser sees it.

use crate::ParseError;
use crate::scan::{Token, TokenKind};

/// Bounds on a query text.
///
/// Q: Why before the parser? A: it builds a tree whose depth and cost follow nesting and operators; a bound checked
/// afterwards would be checked too late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextLimits {
    /// Length in bytes.
    pub bytes_max: usize,
    /// Brackets open at once.
    pub depth_max: usize,
    /// Operators, calls and brackets together.
    pub nodes_max: usize,
}

impl Default for TextLimits {
    fn default() -> TextLimits {
        TextLimits { bytes_max: 64 << 10, depth_max: 128, nodes_max: 1000 }
    }
}

impl TextLimits {
    pub(crate) fn check_length(&self, text: &str) -> Result<(), ParseError> {
        if text.len() <= self.bytes_max {
            return Ok(());
        }
        Err(ParseError::at("", 0, format!("query is {} bytes, limit {}", text.len(), self.bytes_max)))
    }

    pub(crate) fn check_tokens(&self, text: &str, tokens: &[Token]) -> Result<(), ParseError> {
        let (mut depth, mut nodes, mut in_braces) = (0usize, 0usize, false);
        for token in tokens {
            match &token.kind {
                TokenKind::Mark("(" | "[") => {
                    depth += 1;
                    nodes += 1;
                }
                TokenKind::Mark(")" | "]") => depth = depth.saturating_sub(1),
                TokenKind::Mark("{") => in_braces = true,
                TokenKind::Mark("}") => in_braces = false,
                TokenKind::Mark("," | ":") => {}
                TokenKind::Mark(_) if !in_braces => nodes += 1,
                TokenKind::Name(name) if !in_braces && is_word_operator(name) => nodes += 1,
                _ => {}
            }
            if depth > self.depth_max {
                let message = format!("query nests deeper than its limit of {} brackets", self.depth_max);
                return Err(ParseError::at(text, token.start, message));
            }
            if nodes > self.nodes_max {
                let message = format!("query has more operators and calls than its limit of {}", self.nodes_max);
                return Err(ParseError::at(text, token.start, message));
            }
        }
        Ok(())
    }
}

fn is_word_operator(name: &str) -> bool {
    ["and", "or", "unless", "atan2"].iter().any(|op| op.eq_ignore_ascii_case(name))
}
