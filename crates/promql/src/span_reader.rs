//! Reads lengths of time, with their operators and calls, out of a query's tokens.

use crate::ParseError;
use crate::scan::{Token, TokenKind};
use crate::span::{SpanExpr, SpanOp};

/// How tightly the unary minus binds: as a product.
const PRODUCT: u8 = 2;

/// Reads a length of time out of a text's tokens, from one of them on; also says which token follows.
pub(crate) type ReadSpan = fn(&str, &[Token], usize) -> Result<(SpanExpr, usize), ParseError>;

/// Reads the length of time that starts at token `first` inside `[]`; also says which token follows it.
pub(crate) fn parse_span(source: &str, tokens: &[Token], first: usize) -> Result<(SpanExpr, usize), ParseError> {
    let mut reader = Reader { source, tokens, at: first };
    let expr = reader.expr(0)?;
    Ok((expr, reader.at))
}

/// The same after `offset`, where an operator that follows a lone number or call belongs to what is around it:
/// `x offset 1m + 2` is `(x offset 1m) + 2`.
pub(crate) fn parse_offset(source: &str, tokens: &[Token], first: usize) -> Result<(SpanExpr, usize), ParseError> {
    let mut reader = Reader { source, tokens, at: first };
    let sign = reader.peek().filter(|token| token.is("+") || token.is("-"));
    let operand = tokens.get(first + usize::from(sign.is_some()));
    let opens = operand.is_some_and(|token| token.is("("));
    let is_lone = |token: &Token| token.name().is_some() || is_number(token);
    let lone = operand.is_some_and(is_lone) || (sign.is_some() && opens);
    if !lone {
        let expr = reader.expr(0)?;
        return Ok((expr, reader.at));
    }
    let negative = sign.is_some_and(|sign| sign.is("-"));
    reader.at += usize::from(sign.is_some());
    let operand = reader.operand()?;
    Ok((if negative { operand.negated() } else { operand }, reader.at))
}

/// The operator of a mark, and how tightly it binds.
fn operator(token: &Token) -> Option<(SpanOp, u8)> {
    let TokenKind::Mark(mark) = token.kind else { return None };
    Some(match mark {
        "+" => (SpanOp::Add, 1),
        "-" => (SpanOp::Sub, 1),
        "*" => (SpanOp::Mul, PRODUCT),
        "/" => (SpanOp::Div, PRODUCT),
        "%" => (SpanOp::Mod, PRODUCT),
        "^" => (SpanOp::Pow, 3),
        _ => return None,
    })
}

fn is_number(token: &Token) -> bool {
    matches!(token.kind, TokenKind::Number(_) | TokenKind::Duration(_))
}

/// Whether a length of time may start with `token`.
pub(crate) fn starts_span(token: &Token) -> bool {
    let calls = ["step", "range", "min_of", "max_of"];
    let named = |name: &str| calls.iter().any(|call| call.eq_ignore_ascii_case(name));
    is_number(token) || ["(", "+", "-"].iter().any(|mark| token.is(mark)) || token.name().is_some_and(named)
}

struct Reader<'a> {
    source: &'a str,
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn unexpected<T>(&self) -> Result<T, ParseError> {
        let at = self.peek().map_or(self.source.len(), |token| token.start);
        let text = self.peek().and_then(|token| self.source.get(token.start..token.end));
        let found = text.map_or("end of input".to_owned(), |text| format!("{text:?}"));
        Err(ParseError::at(
            self.source,
            at,
            format!("unexpected {found}, expected number, duration, step(), or range()"),
        ))
    }

    fn take(&mut self, mark: &str) -> Result<(), ParseError> {
        if !self.peek().is_some_and(|token| token.is(mark)) {
            return self.unexpected();
        }
        self.at += 1;
        Ok(())
    }

    /// An expression of operators that bind tighter than `floor`.
    fn expr(&mut self, floor: u8) -> Result<SpanExpr, ParseError> {
        let mut lhs = self.operand()?;
        while let Some((op, binds)) = self.peek().and_then(operator).filter(|(_, binds)| *binds > floor) {
            self.at += 1;
            // A power takes the powers to its right.
            let rhs = self.expr(if op == SpanOp::Pow { binds - 1 } else { binds })?;
            lhs = SpanExpr::Binary(op, Box::new(lhs), Box::new(rhs));
        }
        Ok(lhs)
    }

    fn operand(&mut self) -> Result<SpanExpr, ParseError> {
        let Some(token) = self.peek() else { return self.unexpected() };
        match &token.kind {
            TokenKind::Number(seconds) => Ok(self.past(SpanExpr::Seconds(*seconds))),
            TokenKind::Duration(ms) => Ok(self.past(SpanExpr::Seconds(*ms as f64 / 1000.0))),
            TokenKind::Mark("(") => {
                self.at += 1;
                let inner = self.expr(0)?;
                self.take(")")?;
                Ok(inner)
            }
            TokenKind::Mark(sign @ ("+" | "-")) => {
                let negative = *sign == "-";
                self.at += 1;
                let inner = self.expr(PRODUCT)?;
                Ok(if negative { inner.negated() } else { inner })
            }
            TokenKind::Name(name) => self.call(&name.to_ascii_lowercase()),
            TokenKind::Text(_) | TokenKind::Mark(_) => self.unexpected(),
        }
    }

    fn past(&mut self, expr: SpanExpr) -> SpanExpr {
        self.at += 1;
        expr
    }

    fn call(&mut self, name: &str) -> Result<SpanExpr, ParseError> {
        let op = match name {
            "step" | "range" => {
                self.at += 1;
                self.take("(")?;
                self.take(")")?;
                return Ok(if name == "step" { SpanExpr::Step } else { SpanExpr::Range });
            }
            "min_of" => SpanOp::Lesser,
            "max_of" => SpanOp::Greater,
            _ => return self.unexpected(),
        };
        self.at += 1;
        self.take("(")?;
        let lhs = self.expr(0)?;
        self.take(",")?;
        let rhs = self.expr(0)?;
        self.take(")")?;
        Ok(SpanExpr::Binary(op, Box::new(lhs), Box::new(rhs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::scan;

    /// The value in a query of 10 s steps over 1 m, and what follows it.
    #[track_caller]
    fn check(read: ReadSpan, text: &str, ms: i64, rest: &str) {
        let tokens = scan(text).unwrap();
        let (expr, after) = read(text, &tokens, 0).unwrap();
        assert_eq!(expr.ms(10_000, 60_000), Ok(ms), "{text}");
        assert_eq!(tokens.get(after).map_or("", |token| &text[token.start..]), rest, "{text}");
    }

    #[test]
    fn operators_bind_as_in_arithmetic() {
        for (text, ms) in [
            ("1m + 2 * 3", 66_000),
            ("(1m + 2) * 3", 186_000),
            ("-2 ^ 2", -4_000),
            ("2 ^ 3 ^ 2", 512_000),
            ("10 - 2 - 3", 5_000),
            ("-5m + 35m", 1_800_000),
            ("1h % 7m / 2", 120_000),
            ("max_of(min_of(step(), 1h), RANGE() / 2)", 30_000),
            ("- - 3", 3_000),
        ] {
            check(parse_span, text, ms, "");
        }
    }

    #[test]
    fn an_offset_ends_after_a_lone_number_or_call() {
        check(parse_offset, "-2 ^ 2", -2_000, "^ 2");
        check(parse_offset, "step() * 2", 10_000, "* 2");
        check(parse_offset, "-(step() - 5) + 1", -5_000, "+ 1");
        check(parse_offset, "(-2 * 2)", -4_000, "");
    }

    #[test]
    fn what_has_no_length_is_refused() {
        for text in ["1 / 0", "1 % (2 - 2)", "(0 - 1) ^ 0.5", "1e300 * 1", "NaN"] {
            let (expr, _) = parse_span(text, &scan(text).unwrap(), 0).unwrap();
            assert!(expr.ms(0, 0).is_err(), "{text}");
        }
        for text in ["", "5 +", "step", "min_of(1)", "x", "(1", "\"1m\""] {
            assert!(parse_span(text, &scan(text).unwrap(), 0).is_err(), "{text}");
        }
    }
}
