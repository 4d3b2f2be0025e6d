//! A cursor over one line of a script: words, numbers and quoted strings as the test language writes them.

/// Reads a line from left to right.
pub(crate) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(line: &'a str) -> Cursor<'a> {
        Cursor { rest: line }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a str {
        self.rest
    }

    pub(crate) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Skips blanks; says whether there was one.
    pub(crate) fn skip_blanks(&mut self) -> bool {
        let rest = self.rest.trim_start_matches([' ', '\t']);
        let skipped = rest.len() < self.rest.len();
        self.rest = rest;
        skipped
    }

    /// Reads `token` if it comes next.
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads `word` in any case if it comes next.
    fn eat_ignoring_case(&mut self, word: &str) -> bool {
        let hit = self.rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word));
        if hit {
            self.rest = &self.rest[word.len()..];
        }
        hit
    }

    /// Reads characters while `accept` says so.
    pub(crate) fn take_while(&mut self, mut accept: impl FnMut(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !accept(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Reads a metric or label name; empty when none comes next.
    pub(crate) fn name(&mut self) -> &'a str {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return "";
        }
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    }

    /// Reads a number without its sign: decimal, `Inf` or `NaN`. Hexadecimal is none: `0x3` is three more zeros.
    pub(crate) fn number(&mut self) -> Result<f64, String> {
        for (word, value) in [("infinity", f64::INFINITY), ("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.eat_ignoring_case(word) {
                return Ok(value);
            }
        }
        let before = self.rest;
        self.take_while(|c| c.is_ascii_digit() || c == '.' || c == '_');
        self.exponent();
        let text = &before[..before.len() - self.rest.len()];
        text.replace('_', "").parse().map_err(|_| format!("expected a number at {before:?}"))
    }

    /// Reads `e` with its digits if they come next.
    fn exponent(&mut self) {
        let Some(tail) = self.rest.strip_prefix(['e', 'E']) else { return };
        let digits = tail.strip_prefix(['+', '-']).unwrap_or(tail);
        if digits.starts_with(|c: char| c.is_ascii_digit()) {
            self.rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
        }
    }

    /// Reads a number with an optional sign.
    pub(crate) fn signed_number(&mut self) -> Result<f64, String> {
        let negative = self.eat("-");
        if !negative {
            self.eat("+");
        }
        let number = self.number()?;
        Ok(if negative { -number } else { number })
    }

    /// Reads a whole number of at most `max`.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, String> {
        let before = self.rest;
        match self.take_while(|c| c.is_ascii_digit()).parse() {
            Ok(n) if n <= max => Ok(n),
            Ok(n) => Err(format!("{n} repetitions, limit {max}")),
            Err(_) => Err(format!("expected a number of repetitions at {before:?}")),
        }
    }

    /// Whether a quoted string comes next.
    pub(crate) fn at_quote(&self) -> bool {
        matches!(self.peek(), Some('"' | '\'' | '`'))
    }

    /// Reads a quoted string; backquotes keep backslashes as they are.
    pub(crate) fn quoted(&mut self) -> Result<String, String> {
        let quote =
            self.peek().filter(|_| self.at_quote()).ok_or_else(|| format!("expected a quote at {:?}", self.rest))?;
        self.rest = &self.rest[1..];
        let mut text = String::new();
        while let Some(c) = self.peek() {
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                c if c == quote => return Ok(text),
                '\\' if quote != '`' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
        Err("a quoted string does not end".to_owned())
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> Result<char, String> {
        let c = self.peek().ok_or("a backslash ends the line")?;
        self.rest = &self.rest[c.len_utf8()..];
        let digits = match c {
            'n' => return Ok('\n'),
            't' => return Ok('\t'),
            'r' => return Ok('\r'),
            '\\' | '"' | '\'' => return Ok(c),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => return Err(format!("unknown escape \\{c}")),
        };
        let code = self.rest.get(..digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let decoded = code.and_then(char::from_u32).ok_or_else(|| format!("bad escape \\{c} at {:?}", self.rest))?;
        self.rest = &self.rest[digits..];
        Ok(decoded)
    }
}

/// A number that is all there is on a line, in decimal or hexadecimal.
pub(crate) fn lone_number(line: &str) -> Option<f64> {
    let (negative, digits) = match line.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, line.strip_prefix('+').unwrap_or(line)),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => f64::from(u32::from_str_radix(hex, 16).ok()?),
        None => {
            let mut cursor = Cursor::new(digits);
            cursor.number().ok().filter(|_| cursor.at_end())?
        }
    };
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stop_where_repetition_starts() {
        for (text, number, rest) in [
            ("12.34e-6x3", 12.34e-6, "x3"),
            ("0x4", 0.0, "x4"),
            ("1e3-2x1", 1000.0, "-2x1"),
            ("1_000 2", 1000.0, " 2"),
            ("+InfX", f64::INFINITY, "X"),
            ("-.5", -0.5, ""),
        ] {
            let mut cursor = Cursor::new(text);
            assert_eq!(cursor.signed_number(), Ok(number), "{text}");
            assert_eq!(cursor.rest(), rest, "{text}");
        }
        assert!(Cursor::new("x").number().is_err());
    }

    #[test]
    fn strings_know_three_quotes_and_their_escapes() {
        for (text, value) in
            [(r#""a\"b\\\n""#, "a\"b\\\n"), (r"`a\n`", r"a\n"), (r"'it''", "it"), (r#""\u00e4\x41""#, "\u{e4}A")]
        {
            assert_eq!(Cursor::new(text).quoted().as_deref(), Ok(value), "{text}");
        }
        for bad in [r#""open"#, r#""\q""#, r#""\ud800""#, "plain"] {
            assert!(Cursor::new(bad).quoted().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lone_number_fills_its_line() {
        assert_eq!(lone_number("-0x10"), Some(-16.0));
        assert_eq!(lone_number("+Inf"), Some(f64::INFINITY));
        assert_eq!(lone_number("{} 1"), None);
        assert_eq!(lone_number("1 2"), None);
    }
}
