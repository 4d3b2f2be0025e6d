//! From promql-parser's tree to ours: numbers of tokens become values, matchers and positions again.

use model::{METRIC_NAME, MatchOp, Matcher, PatternError};
use promql_parser::label::Matcher as ParsedMatcher;
use promql_parser::parser as parsed;
use promql_parser::parser::token as ids;

use crate::ParseError;
use crate::expr::{
    Aggregate, AggregateOp, At, Binary, BinaryOp, Call, Cardinality, Expr, Fill, Grouping, Matching, RangeSelector,
    Selector, Subquery,
};
use crate::functions;
use crate::scan::{Token, TokenKind};
use crate::settle::NOT_POSITIVE;
use crate::skeleton::{NAME_PREFIX, Skeleton, skeleton};
use crate::span::{DURATION_MS_MAX, Span};

/// An expression and what is known of it.
pub(crate) struct Lowered {
    pub(crate) expr: Expr,
    pub(crate) n_selectors: usize,
    /// Whether a length of time in it follows the query's step or range.
    pub(crate) follows_query: bool,
}

/// Parses tokens into an expression.
pub(crate) fn parse(source: &str, tokens: &[Token]) -> Result<Lowered, ParseError> {
    let skeleton = skeleton(source, tokens)?;
    let tree = parsed::parse(&skeleton.text).map_err(|message| syntax_error(source, tokens, &message))?;
    let mut lowering = Lowering {
        source,
        tokens,
        skeleton: &skeleton,
        calls_seen: 0,
        trims_seen: 0,
        n_selectors: 0,
        follows_query: false,
        n_extents: 0,
        in_info: false,
    };
    let expr = lowering.expr(&tree)?;
    if lowering.n_extents < skeleton.extents.len() {
        return Err(ParseError::at(source, 0, "anchored and smoothed modifiers need a selector with a plain name"));
    }
    Ok(Lowered { expr, n_selectors: lowering.n_selectors, follows_query: lowering.follows_query })
}

/// The parser's message without the skeleton's numbers, at the first token that cannot stand where it stands.
fn syntax_error(source: &str, tokens: &[Token], message: &str) -> ParseError {
    if let Some(found) = crate::syntax::first_misfit(source, tokens) {
        return found;
    }
    if message == "invalid promql query" {
        return ParseError::at(source, source.len(), "unexpected end of input");
    }
    // The parser checks some types on its own; its words become those that `check` and Prometheus use.
    let mut message = message.replace('\'', "\"").replace("got:", "got");
    for (theirs, ours) in [("vector", "instant vector"), ("matrix", "range vector")] {
        for before in ["type ", "or ", "got ", "on "] {
            message = message.replace(&format!("{before}{theirs}"), &format!("{before}{ours}"));
        }
    }
    ParseError::at(source, 0, message)
}

struct Lowering<'a> {
    source: &'a str,
    tokens: &'a [Token],
    skeleton: &'a Skeleton,
    calls_seen: usize,
    trims_seen: usize,
    n_selectors: usize,
    follows_query: bool,
    /// Selectors seen that are anchored or smoothed.
    n_extents: usize,
    /// Inside the second argument of `info`, which may match everything.
    in_info: bool,
}

impl Lowering<'_> {
    fn error(&self, at: usize, message: impl Into<String>) -> ParseError {
        ParseError::at(self.source, at, message)
    }

    /// The token a number of the skeleton stands for.
    fn token(&self, number: usize) -> Result<&Token, ParseError> {
        let token = number.checked_sub(1).and_then(|idx| self.tokens.get(idx));
        token.ok_or_else(|| self.error(0, "unexpected number"))
    }

    fn numbered(&self, text: &str) -> Result<&Token, ParseError> {
        self.token(text.parse().map_err(|_| self.error(0, format!("unexpected {text:?}")))?)
    }

    /// The text of a name or string token.
    fn word(&self, text: &str) -> Result<String, ParseError> {
        match &self.numbered(text)?.kind {
            TokenKind::Name(word) | TokenKind::Text(word) => Ok(word.clone()),
            TokenKind::Number(_) | TokenKind::Duration(_) | TokenKind::Mark(_) => {
                Err(self.error(0, format!("unexpected {text:?}")))
            }
        }
    }

    fn words(&self, labels: &promql_parser::label::Labels) -> Result<Vec<String>, ParseError> {
        labels.labels.iter().map(|label| self.word(label)).collect()
    }

    fn next_call(&mut self) -> usize {
        let at = self.skeleton.calls.get(self.calls_seen).copied().unwrap_or(0);
        self.calls_seen += 1;
        at
    }

    fn expr(&mut self, tree: &parsed::Expr) -> Result<Expr, ParseError> {
        Ok(match tree {
            parsed::Expr::NumberLiteral(number) => self.number(number.val)?,
            parsed::Expr::StringLiteral(text) => {
                let token = self.numbered(&text.val)?;
                let literal = self.source.get(token.start..token.end).unwrap_or("").to_owned();
                Expr::Text { text: self.word(&text.val)?, literal, at: token.start }
            }
            parsed::Expr::Paren(paren) => {
                let inner = self.expr(&paren.expr)?;
                Expr::Paren(self.mark_before(inner.at(), "("), Box::new(inner))
            }
            parsed::Expr::Unary(unary) => {
                let inner = self.expr(&unary.expr)?;
                Expr::Negate(self.mark_before(inner.at(), "-"), Box::new(inner))
            }
            parsed::Expr::VectorSelector(selector) => Expr::Selector(self.selector(selector)?),
            parsed::Expr::MatrixSelector(range) => Expr::Range(RangeSelector {
                selector: self.selector(&range.vs)?,
                range: self.positive_span(range.range)?,
            }),
            parsed::Expr::Subquery(subquery) => self.subquery(subquery)?,
            parsed::Expr::Call(call) => self.call(call)?,
            parsed::Expr::Aggregate(aggregate) => self.aggregate(aggregate)?,
            parsed::Expr::Binary(binary) => self.binary(binary)?,
            parsed::Expr::Extension(_) => return Err(self.error(0, "unexpected extension")),
        })
    }

    /// Where `mark` stands before the expression at `at`; the parser keeps no plus signs, which may be between.
    fn mark_before(&self, at: usize, mark: &str) -> usize {
        let before = self.tokens.partition_point(|token| token.start < at);
        let found = self.tokens[..before].iter().rev().find(|token| !token.is("+"));
        found.filter(|token| token.is(mark)).map_or(at, |token| token.start)
    }

    fn number(&self, number: f64) -> Result<Expr, ParseError> {
        #[expect(clippy::cast_possible_truncation, reason = "the skeleton holds small whole numbers alone")]
        let token_number = number.abs() as usize;
        let token = self.token(token_number)?;
        if number > 0.0 {
            return Ok(Expr::Number { value: seconds(token), at: token.start });
        }
        // The parser takes a minus into the number: the expression starts there.
        let sign = self.token(token_number - 1).map_or(token.start, |sign| sign.start);
        Ok(Expr::Number { value: -seconds(token), at: sign })
    }

    /// The length of time a number of the skeleton stands for.
    fn span(&mut self, span: std::time::Duration) -> Result<(Span, usize), ParseError> {
        let number = usize::try_from(span.as_secs()).unwrap_or(usize::MAX);
        let at = self.token(number)?.start;
        let expr = self.skeleton.spans.get(&number).ok_or_else(|| self.error(at, "unexpected duration"))?;
        if !expr.is_constant() {
            self.follows_query = true;
            return Ok((Span { ms: 0, expr: Some(Box::new(expr.clone())) }, at));
        }
        let ms = expr.ms(0, 0).map_err(|message| self.error(at, message))?;
        Ok((Span { ms, expr: None }, at))
    }

    fn positive_span(&mut self, span: std::time::Duration) -> Result<Span, ParseError> {
        match self.span(span)? {
            (span, at) if span.expr.is_none() && span.ms <= 0 => Err(self.error(at, NOT_POSITIVE)),
            (span, _) => Ok(span),
        }
    }

    fn offset(&mut self, offset: Option<&parsed::Offset>) -> Result<Span, ParseError> {
        match offset {
            None => Ok(Span::default()),
            // A sign is part of the length of time and not left to the parser.
            Some(parsed::Offset::Pos(span) | parsed::Offset::Neg(span)) => Ok(self.span(*span)?.0),
        }
    }

    fn pinned(&self, at: Option<&parsed::AtModifier>) -> Result<Option<At>, ParseError> {
        let time = match at {
            None => return Ok(None),
            Some(parsed::AtModifier::Start) => return Ok(Some(At::Start)),
            Some(parsed::AtModifier::End) => return Ok(Some(At::End)),
            Some(parsed::AtModifier::At(time)) => *time,
        };
        let (sign, since) = match time.duration_since(std::time::SystemTime::UNIX_EPOCH) {
            Ok(since) => (1.0, since),
            Err(before) => (-1.0, before.duration()),
        };
        let token = self.token(usize::try_from(since.as_secs()).unwrap_or(usize::MAX))?;
        let ms = milliseconds(sign * seconds(token));
        let ms = ms.ok_or_else(|| self.error(token.start, "timestamp out of bounds for @ modifier"))?;
        Ok(Some(At::Time(ms)))
    }

    fn selector(&mut self, selector: &parsed::VectorSelector) -> Result<Selector, ParseError> {
        let (name, mut at) = self.metric_name(selector.name.as_deref())?;
        let mut matchers = Vec::new();
        if let Some(first) = selector.matchers.matchers.first().filter(|_| name.is_none()) {
            at = self.numbered(if first.name == METRIC_NAME { &first.value } else { &first.name })?.start;
            at = self.source.get(..at).and_then(|before| before.rfind('{')).unwrap_or(at);
        }
        for matcher in &selector.matchers.matchers {
            matchers.push(self.matcher(matcher)?);
        }
        if let Some(name) = &name {
            if let Some(twice) = matchers.iter().find(|matcher| matcher.name() == METRIC_NAME) {
                let message = format!("metric name must not be set twice: {name:?} or {:?}", twice.value());
                return Err(self.error(at, message));
            }
            matchers.push(Matcher::equal(METRIC_NAME, name));
        }
        if !self.in_info && matchers.iter().all(Matcher::matches_empty) {
            return Err(self.error(at, "vector selector must contain at least one non-empty matcher"));
        }
        let selector_idx = self.n_selectors;
        self.n_selectors += 1;
        let offset = self.offset(selector.offset.as_ref())?;
        let pinned = self.pinned(selector.at.as_ref())?;
        let extent = self.skeleton.extents.get(&at).copied();
        self.n_extents += usize::from(extent.is_some());
        Ok(Selector { selector_idx, name, matchers, offset, pinned, extent, statistics_only: false, at })
    }

    fn metric_name(&self, name: Option<&str>) -> Result<(Option<String>, usize), ParseError> {
        let Some(name) = name else { return Ok((None, 0)) };
        match name.strip_prefix(NAME_PREFIX).filter(|number| number.bytes().all(|b| b.is_ascii_digit())) {
            Some(number) if !number.is_empty() => Ok((Some(self.word(number)?), self.numbered(number)?.start)),
            // A keyword used as a metric name stays in the skeleton as it is.
            _ => Ok((Some(name.to_owned()), 0)),
        }
    }

    fn matcher(&self, matcher: &ParsedMatcher) -> Result<Matcher, ParseError> {
        if matcher.name == METRIC_NAME {
            return Ok(Matcher::equal(METRIC_NAME, &self.word(&matcher.value)?));
        }
        let value_number: usize = matcher.value.parse().unwrap_or(0);
        let value = self.token(value_number)?;
        let op = match self.token(value_number - 1)?.kind {
            TokenKind::Mark("!=") => MatchOp::NotEqual,
            TokenKind::Mark("=~") => MatchOp::Regex,
            TokenKind::Mark("!~") => MatchOp::NotRegex,
            _ => MatchOp::Equal,
        };
        let name = self.word(&matcher.name)?;
        let text = self.word(&matcher.value)?;
        let refused = |error: PatternError| self.error(value.start, error.to_string());
        Matcher::new(&name, op, &text).map_err(refused)
    }

    fn subquery(&mut self, subquery: &parsed::SubqueryExpr) -> Result<Expr, ParseError> {
        Ok(Expr::Subquery(Box::new(Subquery {
            expr: self.expr(&subquery.expr)?,
            range: self.positive_span(subquery.range)?,
            step: subquery.step.map(|step| self.positive_span(step)).transpose()?,
            offset: self.offset(subquery.offset.as_ref())?,
            pinned: self.pinned(subquery.at.as_ref())?,
        })))
    }

    fn call(&mut self, call: &parsed::Call) -> Result<Expr, ParseError> {
        let at = self.next_call();
        let name = call.func.name;
        let function =
            functions::lookup(name).ok_or_else(|| self.error(at, format!("unknown function with name {name:?}")))?;
        let mut args = Vec::with_capacity(call.args.args.len());
        for (idx, arg) in call.args.args.iter().enumerate() {
            self.in_info = name == "info" && idx == 1;
            args.push(self.expr(arg)?);
            self.in_info = false;
        }
        Ok(Expr::Call(Call { function, args, at }))
    }

    fn aggregate(&mut self, aggregate: &parsed::AggregateExpr) -> Result<Expr, ParseError> {
        let at = self.next_call();
        let name = aggregate.op.to_string();
        let op = AggregateOp::parse(&name).ok_or_else(|| self.error(at, format!("unknown aggregation {name:?}")))?;
        let param = aggregate.param.as_ref().map(|param| self.expr(param)).transpose()?;
        let expr = self.expr(&aggregate.expr)?;
        let grouping = match &aggregate.modifier {
            None => Grouping::default(),
            Some(parsed::LabelModifier::Include(labels)) => Grouping { without: false, labels: self.words(labels)? },
            Some(parsed::LabelModifier::Exclude(labels)) => Grouping { without: true, labels: self.words(labels)? },
        };
        Ok(Expr::Aggregate(Box::new(Aggregate { op, expr, param, grouping, at })))
    }

    /// The operator that was written where the skeleton has a comparison.
    fn with_trim(&mut self, op: BinaryOp) -> BinaryOp {
        if !matches!(op, BinaryOp::Less | BinaryOp::Greater) {
            return op;
        }
        let trims = self.skeleton.trims.get(self.trims_seen).copied().unwrap_or(false);
        self.trims_seen += 1;
        match op {
            BinaryOp::Less if trims => BinaryOp::TrimUpper,
            BinaryOp::Greater if trims => BinaryOp::TrimLower,
            op => op,
        }
    }

    /// The value behind a number of the skeleton, which has the value's sign.
    fn fill_value(&self, number: Option<f64>) -> Result<Option<f64>, ParseError> {
        let Some(number) = number else { return Ok(None) };
        #[expect(clippy::cast_possible_truncation, reason = "the skeleton holds small whole numbers alone")]
        let token = self.token(number.abs() as usize)?;
        match token.kind {
            TokenKind::Number(value) => Ok(Some(if number < 0.0 { -value } else { value })),
            _ => Err(self.error(token.start, "expected a number to fill with")),
        }
    }

    fn binary(&mut self, binary: &parsed::BinaryExpr) -> Result<Expr, ParseError> {
        let lhs = self.expr(&binary.lhs)?;
        let op = binary_op(binary.op.id()).ok_or_else(|| self.error(lhs.at(), "unknown operator"))?;
        let op = self.with_trim(op);
        let rhs = self.expr(&binary.rhs)?;
        let mut matching = Matching::default();
        let mut returns_bool = false;
        if let Some(modifier) = &binary.modifier {
            returns_bool = modifier.return_bool;
            let fill = &modifier.fill_values;
            matching.fill = Fill { left: self.fill_value(fill.lhs)?, right: self.fill_value(fill.rhs)? };
            if let Some(labels) = &modifier.matching {
                matching.on = labels.is_include();
                matching.labels = self.words(labels.labels())?;
                matching.written = true;
            }
            let (cardinality, include) = match &modifier.card {
                parsed::VectorMatchCardinality::ManyToOne(labels) => (Cardinality::ManyToOne, self.words(labels)?),
                parsed::VectorMatchCardinality::OneToMany(labels) => (Cardinality::OneToMany, self.words(labels)?),
                parsed::VectorMatchCardinality::OneToOne | parsed::VectorMatchCardinality::ManyToMany => {
                    (Cardinality::OneToOne, Vec::new())
                }
            };
            (matching.cardinality, matching.include) = (cardinality, include);
        }
        if op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        Ok(Expr::Binary(Box::new(Binary { op, lhs, rhs, matching, returns_bool })))
    }
}

/// A literal's value as a number: durations count in seconds.
fn seconds(token: &Token) -> f64 {
    match token.kind {
        TokenKind::Number(value) => value,
        TokenKind::Duration(ms) => ms as f64 / 1000.0,
        TokenKind::Name(_) | TokenKind::Text(_) | TokenKind::Mark(_) => f64::NAN,
    }
}

/// Seconds as whole milliseconds, within the range that sums of times leave room for.
fn milliseconds(seconds: f64) -> Option<i64> {
    let ms = (seconds * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (ms.abs() <= DURATION_MS_MAX as f64).then_some(ms as i64)
}

fn binary_op(id: ids::TokenId) -> Option<BinaryOp> {
    Some(match id {
        ids::T_ADD => BinaryOp::Add,
        ids::T_SUB => BinaryOp::Sub,
        ids::T_MUL => BinaryOp::Mul,
        ids::T_DIV => BinaryOp::Div,
        ids::T_MOD => BinaryOp::Mod,
        ids::T_POW => BinaryOp::Pow,
        ids::T_ATAN2 => BinaryOp::Atan2,
        ids::T_EQLC => BinaryOp::Equal,
        ids::T_NEQ => BinaryOp::NotEqual,
        ids::T_LSS => BinaryOp::Less,
        ids::T_LTE => BinaryOp::LessEqual,
        ids::T_GTR => BinaryOp::Greater,
        ids::T_GTE => BinaryOp::GreaterEqual,
        ids::T_LAND => BinaryOp::And,
        ids::T_LOR => BinaryOp::Or,
        ids::T_LUNLESS => BinaryOp::Unless,
        _ => return None,
    })
}
