//! The tokens of a query text, in one linear pass; what they mean together is the parser's business.

use crate::ParseError;
use crate::duration::duration_ms;

/// One token and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    /// Byte offset of its first byte.
    pub(crate) start: usize,
    /// Byte offset after its last byte.
    pub(crate) end: usize,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind {
    /// A name or keyword; outside braces it may hold colons.
    Name(String),
    /// A number.
    Number(f64),
    /// A duration such as `5m`, in milliseconds.
    Duration(i64),
    /// A quoted string, unquoted.
    Text(String),
    /// An operator or bracket.
    Mark(&'static str),
}

impl Token {
    pub(crate) fn is(&self, mark: &str) -> bool {
        matches!(self.kind, TokenKind::Mark(m) if m == mark)
    }

    pub(crate) fn name(&self) -> Option<&str> {
        match &self.kind {
            TokenKind::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// Marks, longest first so that the first hit is the right one.
const MARKS: [&str; 30] = [
    "</", ">/", "==", "=~", "!=", "!~", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "^", "@", ",", ":", "(",
    ")", "{", "}", "[", "]", "!", "|", "&", ";",
];

/// Cuts `text` into tokens; whitespace and comments are left out.
pub(crate) fn scan(text: &str) -> Result<Vec<Token>, ParseError> {
    let mut scanner = Scanner { text, at: 0, in_braces: false, in_brackets: false };
    let mut tokens = Vec::new();
    while let Some(token) = scanner.next_token()? {
        tokens.push(token);
    }
    Ok(tokens)
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// Inside `{}` a name holds no colon and `inf` is a label.
    in_braces: bool,
    /// Inside `[]` a colon stands for itself.
    in_brackets: bool,
}

impl Scanner<'_> {
    fn next_token(&mut self) -> Result<Option<Token>, ParseError> {
        self.skip_blank();
        let start = self.at;
        let Some(first) = self.peek() else { return Ok(None) };
        let next_is_digit = self.text.as_bytes().get(start + 1).is_some_and(u8::is_ascii_digit);
        let kind = match first {
            b'"' | b'\'' | b'`' => self.quoted()?,
            b'0'..=b'9' => self.number_or_duration()?,
            b'.' if next_is_digit => self.number_or_duration()?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.name(),
            b':' if !self.in_brackets && !self.in_braces => self.name(),
            _ => self.mark()?,
        };
        Ok(Some(Token { kind, start, end: self.at }))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&keep) {
            self.at += 1;
        }
    }

    fn skip_blank(&mut self) {
        loop {
            self.skip_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
            if self.peek() != Some(b'#') {
                return;
            }
            self.skip_while(|b| b != b'\n' && b != b'\r');
        }
    }

    fn error(&self, start: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.text, start, message)
    }

    fn mark(&mut self) -> Result<TokenKind, ParseError> {
        let rest = &self.text[self.at..];
        let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) else {
            let c = rest.chars().next().unwrap_or(' ');
            return Err(self.error(self.at, format!("unexpected character: {c:?}")));
        };
        self.at += mark.len();
        match mark {
            "{" => self.in_braces = true,
            "}" => self.in_braces = false,
            "[" => self.in_brackets = true,
            "]" => self.in_brackets = false,
            _ => {}
        }
        Ok(TokenKind::Mark(mark))
    }

    fn name(&mut self) -> TokenKind {
        let start = self.at;
        let colons = !self.in_braces;
        self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_' || (colons && b == b':'));
        let name = &self.text[start..self.at];
        if colons && name.eq_ignore_ascii_case("inf") {
            return TokenKind::Number(f64::INFINITY);
        }
        if colons && name.eq_ignore_ascii_case("nan") {
            return TokenKind::Number(f64::NAN);
        }
        TokenKind::Name(name.to_owned())
    }

    fn number_or_duration(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.at;
        let hex = self.text[start..].starts_with("0x") || self.text[start..].starts_with("0X");
        self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        // The sign of an exponent belongs to the number.
        while !hex
            && matches!(self.text.as_bytes()[self.at - 1], b'e' | b'E')
            && matches!(self.peek(), Some(b'+' | b'-'))
        {
            self.at += 1;
            self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
        }
        let word = &self.text[start..self.at];
        if let Some(number) = number(word) {
            return Ok(TokenKind::Number(number));
        }
        if word.bytes().any(|b| b.is_ascii_digit()) && word.bytes().last().is_some_and(|b| b"smhdwy".contains(&b)) {
            return match duration_ms(word) {
                Ok(ms) => Ok(TokenKind::Duration(ms)),
                Err(message) => Err(self.error(start, message)),
            };
        }
        Err(self.error(start, format!("bad number or duration syntax: {word:?}")))
    }

    fn quoted(&mut self) -> Result<TokenKind, ParseError> {
        let start = self.at;
        let quote = self.text.as_bytes()[start];
        let mut out = Vec::new();
        self.at += 1;
        loop {
            let Some(b) = self.peek() else { return Err(self.error(start, "unterminated quoted string")) };
            self.at += 1;
            match b {
                b if b == quote => break,
                b'\n' if quote != b'`' => return Err(self.error(start, "unterminated quoted string")),
                b'\\' if quote != b'`' => self.escape(quote, &mut out)?,
                b => out.push(b),
            }
        }
        // Escapes such as \xff may make bytes that are not UTF-8: labels hold UTF-8 alone, so they match nothing.
        Ok(TokenKind::Text(String::from_utf8_lossy(&out).into_owned()))
    }

    /// The escape after a backslash, as Go writes them.
    fn escape(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let start = self.at;
        let Some(b) = self.peek() else { return Err(self.error(start, "escape sequence not terminated")) };
        self.at += 1;
        let simple = match b {
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'\\' => b'\\',
            b if b == quote => quote,
            b'x' => return self.escape_digits(2, 16, false, out),
            b'u' => return self.escape_digits(4, 16, true, out),
            b'U' => return self.escape_digits(8, 16, true, out),
            b'0'..=b'7' => {
                self.at = start;
                return self.escape_digits(3, 8, false, out);
            }
            _ => return Err(self.error(start, "unknown escape sequence")),
        };
        out.push(simple);
        Ok(())
    }

    fn escape_digits(&mut self, n: usize, radix: u32, is_char: bool, out: &mut Vec<u8>) -> Result<(), ParseError> {
        let start = self.at;
        let digits = self.text.get(start..start + n);
        let code = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        let Some(code) = code.filter(|_| digits.is_some_and(|d| !d.starts_with('+'))) else {
            return Err(self.error(start, "illegal digit in escape sequence"));
        };
        self.at += n;
        if !is_char {
            let byte = u8::try_from(code).map_err(|_| self.error(start, "octal escape value > 255"))?;
            out.push(byte);
            return Ok(());
        }
        let Some(c) = char::from_u32(code) else {
            return Err(self.error(start, "escape sequence is an invalid Unicode code point"));
        };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }
}

/// A number as Go reads it: decimal, hexadecimal, or octal with a leading zero.
fn number(word: &str) -> Option<f64> {
    let word: String = word.chars().filter(|c| *c != '_').collect();
    if let Some(hex) = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")) {
        return i64::from_str_radix(hex, 16).ok().map(|n| n as f64);
    }
    let octal = word.strip_prefix('0').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()));
    if let Some(n) = octal.and_then(|rest| i64::from_str_radix(rest, 8).ok()) {
        return Some(n as f64);
    }
    let plain = word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    word.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        scan(text).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("5e-3", 0.005),
            ("0xc", 12.0),
            ("0755", 493.0),
            ("08", 8.0),
            ("1_000", 1000.0),
            ("iNf", f64::INFINITY),
        ] {
            assert_eq!(kinds(text), [TokenKind::Number(value)], "{text}");
        }
        for text in ["1.2.3", "0a", "5mm", "1e", "\"a", "'\n'", "\"\\q\"", "§", "\"\\x+1\""] {
            assert!(scan(text).is_err(), "{text}");
        }
    }

    #[test]
    fn strings_unquote_and_comments_vanish() {
        let text = |t: &str| TokenKind::Text(t.to_owned());
        assert_eq!(kinds(r#""a\tb" 'it''s' `raw\d` # tail"#), [text("a\tb"), text("it"), text("s"), text("raw\\d")]);
        assert_eq!(kinds("\"\\u00e9\\x41\\101\"\r\n"), [text("\u{e9}AA")]);
    }

    #[test]
    fn a_colon_is_part_of_a_metric_name_but_not_of_a_subquery() {
        let name = |t: &str| TokenKind::Name(t.to_owned());
        assert_eq!(kinds("vllm:x"), [name("vllm:x")]);
        let mark = TokenKind::Mark;
        assert_eq!(
            kinds("x[1h:5m]"),
            [name("x"), mark("["), TokenKind::Duration(3_600_000), mark(":"), TokenKind::Duration(300_000), mark("]")]
        );
    }
}
