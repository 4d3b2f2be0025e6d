//! Expressions and numbers as text.

use std::fmt;

use model::{METRIC_NAME, Matcher};

use crate::duration::DurationText;
use crate::expr::{Aggregate, At, Binary, Cardinality, Expr, Selector, Subquery};
use crate::span::{Span, SpanExpr, SpanOp};

/// A number as Prometheus writes it into a label: never with an exponent.
pub(crate) fn number_text(v: f64) -> String {
    if v.is_nan() {
        return "NaN".to_owned();
    }
    if v.is_infinite() {
        return if v > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    format!("{v}")
}

/// A text between quotes, with the escapes that PromQL reads.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        f.write_str("\"")
    }
}

/// A label name, in quotes if it needs them.
struct LabelName<'a>(&'a str);

impl fmt::Display for LabelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let starts = self.0.bytes().next().is_some_and(|b| plain(b) && !b.is_ascii_digit());
        if starts && self.0.bytes().all(plain) { f.write_str(self.0) } else { Quoted(self.0).fmt(f) }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Number { value, .. } => f.write_str(&number_text(*value)),
            Expr::Text { text, .. } => Quoted(text).fmt(f),
            Expr::Selector(selector) => {
                write_series(f, selector)?;
                Shift(selector.pinned, &selector.offset).fmt(f)?;
                write_extent(f, selector)
            }
            Expr::Range(range) => {
                write_series(f, &range.selector)?;
                write!(f, "[{}]", range.range)?;
                Shift(range.selector.pinned, &range.selector.offset).fmt(f)?;
                write_extent(f, &range.selector)
            }
            Expr::Subquery(subquery) => write!(f, "{}{}", subquery.expr, subquery_tail(subquery)),
            Expr::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                write_list(f, &call.args)?;
                f.write_str(")")
            }
            Expr::Aggregate(aggregate) => {
                f.write_str(&aggregate_head(aggregate))?;
                match &aggregate.param {
                    Some(param) => write!(f, "({param}, {})", aggregate.expr),
                    None => write!(f, "({})", aggregate.expr),
                }
            }
            Expr::Binary(binary) => write!(f, "{} {} {}", binary.lhs, binary_operator(binary), binary.rhs),
            Expr::Negate(_, inner) => write!(f, "-{inner}"),
            Expr::Paren(_, inner) => write!(f, "({inner})"),
            Expr::Invariant(inner) => inner.fmt(f),
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expr {
            None => DurationText(self.ms).fmt(f),
            Some(expr) => expr.fmt(f),
        }
    }
}

impl fmt::Display for SpanExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpanExpr::Seconds(seconds) => f.write_str(&number_text(*seconds)),
            SpanExpr::Step => f.write_str("step()"),
            SpanExpr::Range => f.write_str("range()"),
            SpanExpr::Negate(inner) => write!(f, "-{}", Operand(inner)),
            SpanExpr::Binary(op @ (SpanOp::Lesser | SpanOp::Greater), lhs, rhs) => {
                write!(f, "{}({lhs}, {rhs})", op.as_str())
            }
            SpanExpr::Binary(op, lhs, rhs) => write!(f, "{} {} {}", Operand(lhs), op.as_str(), Operand(rhs)),
        }
    }
}

/// A part of a length of time, in brackets if it has operators of its own.
struct Operand<'a>(&'a SpanExpr);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            SpanExpr::Negate(_) => write!(f, "({})", self.0),
            SpanExpr::Seconds(seconds) if seconds.is_sign_negative() => write!(f, "({})", self.0),
            SpanExpr::Binary(op, ..) if !matches!(op, SpanOp::Lesser | SpanOp::Greater) => write!(f, "({})", self.0),
            expr => expr.fmt(f),
        }
    }
}

fn write_list(f: &mut fmt::Formatter<'_>, items: &[impl fmt::Display]) -> fmt::Result {
    for (idx, item) in items.iter().enumerate() {
        let separator = if idx == 0 { "" } else { ", " };
        write!(f, "{separator}{item}")?;
    }
    Ok(())
}

/// Label names with commas between them.
struct LabelList<'a>(&'a [String]);

impl fmt::Display for LabelList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<LabelName<'_>> = self.0.iter().map(|label| LabelName(label)).collect();
        write_list(f, &names)
    }
}

fn write_series(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let in_braces = selector.matchers.iter().filter(|matcher| name.is_empty() || matcher.name() != METRIC_NAME);
    let text = |m: &Matcher| format!("{}{}{}", LabelName(m.name()), m.op().as_str(), Quoted(m.value()));
    let mut texts: Vec<String> = in_braces.map(text).collect();
    // As Prometheus shows them.
    texts.sort();
    if texts.is_empty() { Ok(()) } else { write!(f, "{{{}}}", texts.join(",")) }
}

/// Where a selector or subquery looks, when that is not the time of the step.
struct Shift<'a>(Option<At>, &'a Span);

impl fmt::Display for Shift<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shift(pinned, offset) = self;
        match pinned {
            None => {}
            Some(At::Start) => f.write_str(" @ start()")?,
            Some(At::End) => f.write_str(" @ end()")?,
            Some(At::Time(t)) => write!(f, " @ {:.3}", *t as f64 / 1000.0)?,
        }
        match &offset.expr {
            None if offset.ms == 0 => Ok(()),
            None => write!(f, " offset {offset}"),
            Some(_) => write!(f, " offset ({offset})"),
        }
    }
}

fn write_extent(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    selector.extent.map_or(Ok(()), |extent| write!(f, " {}", extent.as_str()))
}

/// An aggregation up to its bracket.
pub(crate) fn aggregate_head(aggregate: &Aggregate) -> String {
    let (op, grouping) = (aggregate.op.as_str(), &aggregate.grouping);
    match grouping.without {
        false if grouping.labels.is_empty() => op.to_owned(),
        without => format!("{op} {} ({}) ", if without { "without" } else { "by" }, LabelList(&grouping.labels)),
    }
}

/// The operator of a binary expression with all that says how its sides match.
pub(crate) fn binary_operator(binary: &Binary) -> String {
    let (matching, mut text) = (&binary.matching, binary.op.as_str().to_owned());
    if binary.returns_bool {
        text.push_str(" bool");
    }
    // An empty list of labels to ignore says nothing; an empty list to match on does.
    let is_grouped = matches!(matching.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
    if matching.written && (matching.on || is_grouped || !matching.labels.is_empty()) {
        let word = if matching.on { "on" } else { "ignoring" };
        text += &format!(" {word} ({})", LabelList(&matching.labels));
    }
    if let Some(word) = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    } {
        text += &format!(" {word} ({})", LabelList(&matching.include));
    }
    match (matching.fill.left, matching.fill.right) {
        (Some(left), Some(right)) if left.to_bits() == right.to_bits() => {
            text += &format!(" fill ({})", number_text(left));
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                if let Some(value) = value {
                    text += &format!(" {word} ({})", number_text(value));
                }
            }
        }
    }
    text
}

/// What follows a subquery's expression.
pub(crate) fn subquery_tail(subquery: &Subquery) -> String {
    let step = subquery.step.as_ref().map(Span::to_string).unwrap_or_default();
    format!("[{}:{step}]{}", subquery.range, Shift(subquery.pinned, &subquery.offset))
}
