//! Names, quoted text and numbers off one line; what is wrong is told with its place.

use std::borrow::Cow;

/// What is wrong, and at which byte of the line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) what: String,
}

/// A position in a line.
///
/// Invariant: `at` is a boundary of characters, at most `line.len()`.
pub(super) struct Lexer<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(line: &'a str) -> Lexer<'a> {
        Lexer { line, at: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The line up to here.
    pub(super) fn taken(&self) -> &'a str {
        self.line.get(..self.at).unwrap_or_default()
    }

    pub(super) fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.line.len()
    }

    pub(super) fn fault<T>(&self, what: impl Into<String>) -> Result<T, Fault> {
        Err(Fault { at: self.at, what: what.into() })
    }

    /// Goes over `text` if it comes next.
    pub(super) fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Goes over `text`, which has to come next.
    pub(super) fn expect(&mut self, text: &str) -> Result<(), Fault> {
        if self.take(text) { Ok(()) } else { self.fault(format!("expected {text:?}, found {}", self.found())) }
    }

    /// Goes over spaces and tabs; whether there was one.
    pub(super) fn blanks(&mut self) -> bool {
        let rest = self.rest();
        let len = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        self.at += len;
        len > 0
    }

    /// Goes over at least one space or tab.
    pub(super) fn separator(&mut self, before: &str) -> Result<(), Fault> {
        if self.blanks() {
            Ok(())
        } else {
            self.fault(format!("expected a space before {before}, found {}", self.found()))
        }
    }

    /// Everything up to the next space or tab.
    pub(super) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let word = rest.split([' ', '\t']).next().unwrap_or_default();
        self.at += word.len();
        word
    }

    /// A bare name, which may be empty; colons are for names of metrics.
    pub(super) fn bare_name(&mut self, with_colons: bool) -> &'a str {
        let rest = self.rest();
        let is_inside = |(i, b): (usize, u8)| {
            b.is_ascii_alphabetic() || b == b'_' || (b == b':' && with_colons) || (i > 0 && b.is_ascii_digit())
        };
        let len = rest.bytes().enumerate().position(|byte| !is_inside(byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    /// The text between two quotes, its escapes not resolved: see [`unescape`].
    pub(super) fn quoted(&mut self) -> Result<&'a str, Fault> {
        self.expect("\"")?;
        let rest = self.rest();
        let mut is_escaped = false;
        for (i, b) in rest.bytes().enumerate() {
            match b {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => {
                    self.at += i + 1;
                    return Ok(rest.get(..i).unwrap_or_default());
                }
                _ => {}
            }
        }
        self.fault("text without a closing quote")
    }

    /// A name, bare or in quotes.
    pub(super) fn name(&mut self, with_colons: bool) -> Result<&'a str, Fault> {
        if self.rest().starts_with('"') { self.quoted() } else { Ok(self.bare_name(with_colons)) }
    }

    /// The next character for a message.
    pub(super) fn found(&self) -> String {
        self.rest().chars().next().map_or_else(|| "the end of the line".to_owned(), |c| format!("{c:?}"))
    }
}

/// Resolves `\\`, `\n` and `\"`; a backslash before anything else stands for itself.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some(c @ ('"' | '\\')) => plain.push(c),
            other => {
                plain.push('\\');
                plain.extend(other);
            }
        }
    }
    Cow::Owned(plain)
}
