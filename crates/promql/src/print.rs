//! Expressions and numbers as text.

use std::fmt;

use model::{METRIC_NAME, Matcher};

use crate::duration::DurationText;
use crate::expr::{Aggregate, At, Binary, Cardinality, Expr, Selector};

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
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

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
                write_shift(f, selector.pinned, selector.offset_ms)
            }
            Expr::Range(range) => {
                write_series(f, &range.selector)?;
                write!(f, "[{}]", DurationText(range.range_ms))?;
                write_shift(f, range.selector.pinned, range.selector.offset_ms)
            }
            Expr::Subquery(subquery) => {
                write!(f, "{}[{}:", subquery.expr, DurationText(subquery.range_ms))?;
                if let Some(step_ms) = subquery.step_ms {
                    write!(f, "{}", DurationText(step_ms))?;
                }
                f.write_str("]")?;
                write_shift(f, subquery.pinned, subquery.offset_ms)
            }
            Expr::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                write_list(f, &call.args)?;
                f.write_str(")")
            }
            Expr::Aggregate(aggregate) => write_aggregate(f, aggregate),
            Expr::Binary(binary) => write_binary(f, binary),
            Expr::Negate(inner) => write!(f, "-{inner}"),
            Expr::Paren(inner) => write!(f, "({inner})"),
            Expr::Invariant(inner) => inner.fmt(f),
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

fn write_labels(f: &mut fmt::Formatter<'_>, labels: &[String]) -> fmt::Result {
    let names: Vec<LabelName<'_>> = labels.iter().map(|label| LabelName(label)).collect();
    write_list(f, &names)
}

fn write_series(f: &mut fmt::Formatter<'_>, selector: &Selector) -> fmt::Result {
    let name = selector.name.as_deref().unwrap_or("");
    f.write_str(name)?;
    let in_braces = selector.matchers.iter().filter(|matcher| name.is_empty() || matcher.name() != METRIC_NAME);
    let text = |m: &Matcher| format!("{}{}{}", LabelName(m.name()), m.op().as_str(), Quoted(m.value()));
    let texts: Vec<String> = in_braces.map(text).collect();
    if texts.is_empty() { Ok(()) } else { write!(f, "{{{}}}", texts.join(",")) }
}

fn write_shift(f: &mut fmt::Formatter<'_>, pinned: Option<At>, offset_ms: i64) -> fmt::Result {
    match pinned {
        None => {}
        Some(At::Start) => f.write_str(" @ start()")?,
        Some(At::End) => f.write_str(" @ end()")?,
        Some(At::Time(t)) => write!(f, " @ {:.3}", t as f64 / 1000.0)?,
    }
    if offset_ms == 0 { Ok(()) } else { write!(f, " offset {}", DurationText(offset_ms)) }
}

fn write_aggregate(f: &mut fmt::Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
    f.write_str(aggregate.op.as_str())?;
    let grouping = &aggregate.grouping;
    if grouping.without || !grouping.labels.is_empty() {
        write!(f, " {} (", if grouping.without { "without" } else { "by" })?;
        write_labels(f, &grouping.labels)?;
        f.write_str(") ")?;
    }
    match &aggregate.param {
        Some(param) => write!(f, "({param}, {})", aggregate.expr),
        None => write!(f, "({})", aggregate.expr),
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, binary: &Binary) -> fmt::Result {
    let matching = &binary.matching;
    write!(f, "{} {}", binary.lhs, binary.op.as_str())?;
    if binary.returns_bool {
        f.write_str(" bool")?;
    }
    if matching.written {
        f.write_str(if matching.on { " on (" } else { " ignoring (" })?;
        write_labels(f, &matching.labels)?;
        f.write_str(")")?;
    }
    if let Some(word) = match matching.cardinality {
        Cardinality::ManyToOne => Some("group_left"),
        Cardinality::OneToMany => Some("group_right"),
        Cardinality::OneToOne | Cardinality::ManyToMany => None,
    } {
        write!(f, " {word} (")?;
        write_labels(f, &matching.include)?;
        f.write_str(")")?;
    }
    write!(f, " {}", binary.rhs)
}
