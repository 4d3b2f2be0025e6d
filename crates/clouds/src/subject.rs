//! Whom an expression is about: the label that tells answers apart, its values, and what else narrows the series.

use std::fmt::Write;

use model::{MatchOp, Matcher, PatternError};
use promql::Quoted;

/// Bytes that a list of values may take in one matcher. Source: the pattern limit of matchers, 4 KiB.
const PATTERN_BYTES_MAX: usize = 4000;

/// The series an answer is about, as matchers; values are quoted when they become text, whatever they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    group: Option<String>,
    members: Vec<String>,
    within: Vec<(String, Vec<String>)>,
}

impl Subject {
    /// Everything the caller may read, as one.
    pub fn everything() -> Subject {
        Subject::default()
    }

    /// One answer for each of `members`, told apart by the label `group`.
    pub fn members(group: &str, members: Vec<String>) -> Subject {
        Subject { group: Some(group.to_owned()), members, within: Vec::new() }
    }

    /// One answer for each value that the label `group` has.
    pub fn each(group: &str) -> Subject {
        Subject { group: Some(group.to_owned()), ..Subject::default() }
    }

    /// Only series whose `label` has one of `values`; no values at all narrow nothing.
    #[must_use]
    pub fn within(mut self, label: &str, values: Vec<String>) -> Subject {
        if !values.is_empty() {
            self.within.push((label.to_owned(), values));
        }
        self
    }

    /// Only series that have `label` at all.
    #[must_use]
    pub fn having(mut self, label: &str) -> Subject {
        self.within.push((label.to_owned(), Vec::new()));
        self
    }

    /// The label that tells answers apart.
    pub fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    /// The values asked for; none means all there are.
    pub fn listed(&self) -> &[String] {
        &self.members
    }

    /// The same subject for other members.
    pub(crate) fn with_members(&self, members: Vec<String>) -> Subject {
        Subject { members, ..self.clone() }
    }

    /// The matchers themselves, for looking series up without an expression.
    pub(crate) fn matchers(&self) -> Result<Vec<Matcher>, PatternError> {
        let group = self.group.iter().map(|group| (group, &self.members));
        let within = self.within.iter().map(|(label, values)| (label, values));
        group.chain(within).map(|(label, values)| matcher(label, values)).collect()
    }

    /// The matchers as they stand between braces; empty when nothing narrows.
    pub(crate) fn selector(&self) -> String {
        let mut text = String::new();
        if let Some(group) = &self.group {
            push_matcher(&mut text, group, &self.members);
        }
        for (label, values) in &self.within {
            push_matcher(&mut text, label, values);
        }
        text
    }
}

/// Adds `label` is one of `values`; without any, or with more than a pattern may hold, that it is there at all.
fn push_matcher(text: &mut String, label: &str, values: &[String]) {
    if !text.is_empty() {
        text.push(',');
    }
    let written = match values {
        [] => write!(text, "{}!=\"\"", name(label)),
        [value] => write!(text, "{}={}", name(label), Quoted(value)),
        many => {
            let pattern = many.iter().map(|value| escape(value)).collect::<Vec<_>>().join("|");
            match pattern.len() {
                ..=PATTERN_BYTES_MAX => write!(text, "{}=~{}", name(label), Quoted(&pattern)),
                _ => write!(text, "{}!=\"\"", name(label)),
            }
        }
    };
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// The same as a matcher.
fn matcher(label: &str, values: &[String]) -> Result<Matcher, PatternError> {
    match values {
        [] => Matcher::new(label, MatchOp::NotEqual, ""),
        [value] => Ok(Matcher::equal(label, value)),
        many => {
            let pattern = many.iter().map(|value| escape(value)).collect::<Vec<_>>().join("|");
            match pattern.len() {
                ..=PATTERN_BYTES_MAX => Matcher::new(label, MatchOp::Regex, &pattern),
                _ => Matcher::new(label, MatchOp::NotEqual, ""),
            }
        }
    }
}

/// A label's name, in quotes if it needs them.
fn name(label: &str) -> String {
    if model::is_plain_name(label, false) { label.to_owned() } else { Quoted(label).to_string() }
}

/// `value` as a pattern that matches it alone.
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(values: &[&str]) -> Vec<String> {
        values.iter().map(|value| (*value).to_owned()).collect()
    }

    #[test]
    fn values_stay_values_whatever_they_hold() {
        for (subject, expect) in [
            (Subject::everything(), ""),
            (Subject::members("endpoint_id", list(&["ep_1"])), r#"endpoint_id="ep_1""#),
            (
                Subject::members("endpoint_id", list(&["a\"} or up{x=\"", "b"])),
                r#"endpoint_id=~"a\"\\} or up\\{x=\"|b""#,
            ),
            (Subject::members("e", list(&["x\\\n"])), r#"e="x\\\n""#),
            (Subject::each("cluster_id").within("region", list(&["eu"])), r#"cluster_id!="",region="eu""#),
            (Subject::each("a.b").within("region", list(&[])), r#""a.b"!="""#),
            (Subject::everything().having("endpoint_id"), r#"endpoint_id!="""#),
        ] {
            assert_eq!(subject.selector(), expect);
        }
    }

    #[test]
    fn a_list_too_long_for_a_pattern_becomes_the_label_being_there() {
        let many = Subject::members("e", (0..500).map(|n| format!("endpoint_{n:08}")).collect());
        assert_eq!(many.selector(), "e!=\"\"");
    }
}
