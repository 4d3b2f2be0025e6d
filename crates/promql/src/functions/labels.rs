//! Functions that rewrite labels: label_replace and label_join.

use model::{LabelsBuilder, METRIC_NAME};
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use crate::EvalError;
use crate::eval::{Evaluator, Grid, Series};
use crate::expr::Call;

/// Memory a compiled pattern may take. Source: the same order as the store's matchers.
const PATTERN_BYTES_MAX: usize = 1 << 20;

pub(super) fn replace(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let target = label_name(evaluator.text(&call.args[1])?, "destination", "label_replace")?;
    let template = go_template(evaluator.text(&call.args[2])?);
    let source = evaluator.text(&call.args[3])?;
    let pattern = evaluator.text(&call.args[4])?;
    let refused = || EvalError::Invalid(format!("invalid regular expression in label_replace(): {pattern}"));
    let config = Regex::config().nfa_size_limit(Some(PATTERN_BYTES_MAX)).onepass_size_limit(Some(PATTERN_BYTES_MAX));
    let syntax = syntax::Config::new().dot_matches_new_line(true);
    let mut builder = Regex::builder();
    // Alone first: a pattern such as `a)|(b` must not lean on our own brackets.
    builder.configure(config).syntax(syntax).build(pattern).map_err(|_| refused())?;
    let regex = builder.build(&format!("^(?:{pattern})$")).map_err(|_| refused())?;
    let mut series = evaluator.vector(&call.args[0], grid)?;
    let mut captures = regex.create_captures();
    for s in &mut series {
        evaluator.ctx.budget.check()?;
        let value = s.labels.get(source).unwrap_or("");
        regex.captures(value, &mut captures);
        if !captures.is_match() {
            continue;
        }
        // Each reference stands for no more than the value.
        let references = template.matches('$').count();
        check_value(target, references.saturating_mul(value.len()), COMPUTED_BYTES_MAX)?;
        let mut text = String::new();
        captures.interpolate_string_into(value, &template, &mut text);
        check_value(target, text.len(), VALUE_BYTES_MAX)?;
        evaluator.ctx.budget.charge(text.len() + s.labels.as_bytes().len())?;
        let mut labels = LabelsBuilder::new(&s.labels);
        s.labels = labels.set(target, &text).build();
        s.nameless &= target != METRIC_NAME;
    }
    evaluator.merge_same_labels(series, grid)
}

/// A replacement in Go's spelling: there a `$` that names nothing stands for nothing, and so it does here; but a
/// final or lone `$` would be kept, so it is taken out.
fn go_template(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '$' {
            match chars.peek() {
                Some('$') => out.extend(chars.next()),
                Some(next) if next.is_ascii_alphanumeric() || matches!(next, '_' | '{') => {}
                _ => drop(out.pop()),
            }
        }
    }
    out
}

pub(super) fn join(evaluator: &Evaluator<'_>, call: &Call, grid: Grid) -> Result<Vec<Series>, EvalError> {
    let separator = evaluator.text(&call.args[2])?;
    let mut sources = Vec::new();
    for arg in &call.args[3..] {
        sources.push(label_name(evaluator.text(arg)?, "source", "label_join")?);
    }
    let target = label_name(evaluator.text(&call.args[1])?, "destination", "label_join")?;
    let mut series = evaluator.vector(&call.args[0], grid)?;
    for s in &mut series {
        evaluator.ctx.budget.check()?;
        let values: Vec<&str> = sources.iter().map(|source| s.labels.get(source).unwrap_or("")).collect();
        let bytes = values.iter().map(|value| value.len() + separator.len()).sum();
        check_value(target, bytes, VALUE_BYTES_MAX)?;
        evaluator.ctx.budget.charge(bytes + s.labels.as_bytes().len())?;
        let text = values.join(separator);
        let mut labels = LabelsBuilder::new(&s.labels);
        s.labels = labels.set(target, &text).build();
        s.nameless &= target != METRIC_NAME;
    }
    evaluator.merge_same_labels(series, grid)
}

/// Longest value that a label may be given: what a written one may have at most.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// Most bytes put together for one: references that find nothing stand for less.
const COMPUTED_BYTES_MAX: usize = 1 << 20;

fn check_value(label: &str, bytes: usize, most: usize) -> Result<(), EvalError> {
    if bytes <= most {
        return Ok(());
    }
    Err(EvalError::Invalid(format!("computed value of label {label:?} takes {bytes} bytes, limit {most}")))
}

/// Whether a text may name a label: any but the empty one, and one whose bytes were no UTF-8.
pub(crate) fn is_label_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(char::REPLACEMENT_CHARACTER)
}

fn label_name<'a>(name: &'a str, role: &str, function: &str) -> Result<&'a str, EvalError> {
    if !is_label_name(name) {
        return Err(EvalError::Invalid(format!("invalid {role} label name in {function}(): {name}")));
    }
    Ok(name)
}
