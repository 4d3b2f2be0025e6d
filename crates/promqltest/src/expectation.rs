//! What a script states about one evaluation, and the `expect` lines that say it.

use model::Pattern;

use crate::cursor::Cursor;
use crate::script::StepGrid;
use crate::series::SeriesLine;

/// All that is stated about one evaluation.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// The result.
    pub outcome: Outcome,
    /// Whether the series of an instant vector come in the order of the lines.
    pub ordered: bool,
    /// The warnings.
    pub warnings: Annotations,
    /// The infos.
    pub infos: Annotations,
}

/// The result of one evaluation.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// An error.
    Fail(TextMatch),
    /// A number.
    Scalar(f64),
    /// A string.
    String(String),
    /// An instant vector, or the matrix of a range query over its own grid.
    Series(Vec<SeriesLine>),
    /// The matrix of an instant query, with samples on a grid.
    Samples(StepGrid, Vec<SeriesLine>),
}

/// What is stated about warnings, or about infos.
#[derive(Clone, Debug)]
pub enum Annotations {
    /// Nothing.
    Unstated,
    /// That there is none.
    Absent,
    /// That each of these matches one, and each one is matched by one of these.
    Present(Vec<TextMatch>),
}

/// A condition on a message.
#[derive(Clone, Debug)]
pub enum TextMatch {
    /// Every message.
    Any,
    /// This message.
    Exact(String),
    /// A message in which this pattern, given with its text, is found.
    Found(String, Pattern),
}

impl Expectation {
    /// No statement but that the result is empty.
    pub(crate) fn empty() -> Expectation {
        Expectation {
            outcome: Outcome::Series(Vec::new()),
            ordered: false,
            warnings: Annotations::Unstated,
            infos: Annotations::Unstated,
        }
    }

    /// Adds the statement of one `expect` line, given without its first word.
    pub(crate) fn state(&mut self, line: &str) -> Result<(), String> {
        let mut cursor = Cursor::new(line);
        let kind = cursor.name();
        cursor.skip_blanks();
        match kind {
            "string" => {
                self.outcome = Outcome::String(cursor.quoted()?);
                return if cursor.at_end() {
                    Ok(())
                } else {
                    Err(format!("unexpected {:?} after a string", cursor.rest()))
                };
            }
            "range" => {
                self.outcome = Outcome::Samples(StepGrid::parse_after_vector(cursor.rest())?, Vec::new());
                return Ok(());
            }
            _ => {}
        }
        let text = TextMatch::parse(cursor.rest())?;
        match kind {
            "fail" => self.outcome = Outcome::Fail(text),
            "ordered" => self.ordered = true,
            "warn" => self.warnings.state_present(text)?,
            "info" => self.infos.state_present(text)?,
            "no_warn" => self.warnings.state_absent()?,
            "no_info" => self.infos.state_absent()?,
            _ => return Err(format!("unknown expectation {kind:?}")),
        }
        Ok(())
    }
}

impl Annotations {
    pub(crate) fn state_present(&mut self, text: TextMatch) -> Result<(), String> {
        match self {
            Annotations::Unstated => *self = Annotations::Present(vec![text]),
            Annotations::Present(all) => all.push(text),
            Annotations::Absent => return Err("annotations are expected and excluded at once".to_owned()),
        }
        Ok(())
    }

    fn state_absent(&mut self) -> Result<(), String> {
        if matches!(self, Annotations::Present(_)) {
            return Err("annotations are expected and excluded at once".to_owned());
        }
        *self = Annotations::Absent;
        Ok(())
    }

    /// Compares what is stated with the messages there are.
    pub(crate) fn check(&self, kind: &str, messages: &[String]) -> Result<(), String> {
        match self {
            Annotations::Unstated => Ok(()),
            Annotations::Absent if messages.is_empty() => Ok(()),
            Annotations::Absent => Err(format!("expected no {kind}, got {messages:?}")),
            Annotations::Present(texts) => {
                if let Some(text) = texts.iter().find(|text| !messages.iter().any(|message| text.accepts(message))) {
                    return Err(format!("expected {kind} {text}, got {messages:?}"));
                }
                match messages.iter().find(|message| !texts.iter().any(|text| text.accepts(message))) {
                    Some(message) => Err(format!("unexpected {kind} {message:?}")),
                    None => Ok(()),
                }
            }
        }
    }
}

impl TextMatch {
    /// Parses `msg: text`, `regex: pattern` or nothing.
    fn parse(line: &str) -> Result<TextMatch, String> {
        if line.is_empty() {
            Ok(TextMatch::Any)
        } else if let Some(text) = line.strip_prefix("msg:") {
            Ok(TextMatch::Exact(text.trim().to_owned()))
        } else if let Some(pattern) = line.strip_prefix("regex:") {
            TextMatch::found(pattern.trim())
        } else {
            Err(format!("expected 'msg:' or 'regex:' at {line:?}"))
        }
    }

    pub(crate) fn found(pattern: &str) -> Result<TextMatch, String> {
        let anywhere = Pattern::new(&format!(".*(?:{pattern}).*")).map_err(|error| error.to_string())?;
        Ok(TextMatch::Found(pattern.to_owned(), anywhere))
    }

    pub(crate) fn accepts(&self, message: &str) -> bool {
        match self {
            TextMatch::Any => true,
            TextMatch::Exact(text) => text == message,
            TextMatch::Found(_, pattern) => pattern.matches(message),
        }
    }
}

impl std::fmt::Display for TextMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TextMatch::Any => f.write_str("of any text"),
            TextMatch::Exact(text) => write!(f, "{text:?}"),
            TextMatch::Found(pattern, _) => write!(f, "matching {pattern:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_must_match_both_ways() {
        let mut stated = Annotations::Unstated;
        stated.state_present(TextMatch::found("counter").unwrap()).unwrap();
        stated.state_present(TextMatch::Exact("b".to_owned())).unwrap();
        let check =
            |messages: &[&str]| stated.check("info", &messages.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>());
        assert!(check(&["not a counter (1:6)", "b"]).is_ok());
        assert!(check(&["b"]).is_err());
        assert!(check(&["a counter", "b", "c"]).is_err());
        assert!(stated.state_absent().is_err());
    }

    #[test]
    fn unknown_statements_are_refused() {
        for line in ["nothing", "fail because", "string open", "string \"a\" b", "range vector", "info regex: ("] {
            assert!(Expectation::empty().state(line).is_err(), "{line}");
        }
    }
}
