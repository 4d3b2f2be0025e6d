//! The commands of a script: `clear`, `load` and `eval`, each with the lines that belong to it.

use std::collections::HashSet;

use model::Timestamp;

use crate::cursor::lone_number;
use crate::error::ScriptError;
use crate::expectation::{Expectation, Outcome, TextMatch};
use crate::series::{SeriesLine, StartLine};

/// A parsed script.
#[derive(Clone, Debug)]
pub struct Script {
    /// Its commands, in order.
    pub commands: Vec<Command>,
}

/// One command.
#[derive(Clone, Debug)]
pub enum Command {
    /// Forget all series.
    Clear,
    /// Add series.
    Load(Load),
    /// Evaluate and compare.
    Eval(Box<Eval>),
}

/// Series to add.
#[derive(Clone, Debug)]
pub struct Load {
    /// Where the command stands, counted from 1.
    pub line: usize,
    /// The time from one slot to the next; slot 0 is at the epoch.
    pub interval_ms: i64,
    /// Whether classic histograms are added as native ones too.
    pub with_native: bool,
    /// The series.
    pub series: Vec<SeriesLine>,
    /// Since when the samples of some of them count.
    pub starts: Vec<StartLine>,
}

/// An expression and what is stated about it.
#[derive(Clone, Debug)]
pub struct Eval {
    /// Where the command stands, counted from 1.
    pub line: usize,
    /// The expression.
    pub expr: String,
    /// When to evaluate it.
    pub when: When,
    /// What is stated about the answer.
    pub expected: Expectation,
}

/// When to evaluate an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Once.
    Instant(Timestamp),
    /// At each step.
    Range(StepGrid),
}

/// Evenly spaced timestamps, both ends inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepGrid {
    /// The first.
    pub start: Timestamp,
    /// The last is at most this.
    pub end: Timestamp,
    /// From one to the next, positive.
    pub step_ms: i64,
}

impl Script {
    /// Parses a whole script. The first line that the language does not allow is the error.
    pub fn parse(text: &str) -> Result<Script, ScriptError> {
        let lines: Vec<&str> = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
        let mut commands = Vec::new();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            let body = lines[at + 1..].iter().take_while(|line| !line.is_empty()).count();
            let block = Block { line_idx: at, head: line, body: &lines[at + 1..=at + body] };
            let (word, _) = split_word(line);
            let (command, used) = match word {
                "" => (None, 0),
                "clear" => (Some(Command::Clear), 0),
                "load" | "load_with_nhcb" => (Some(Command::Load(block.load()?)), body),
                _ if word == "eval" || word.starts_with("eval_") => {
                    let (eval, used) = block.eval()?;
                    (Some(Command::Eval(Box::new(eval))), used)
                }
                _ => return Err(ScriptError::at(at, format!("unknown command {word:?}"))),
            };
            commands.extend(command);
            at += 1 + used;
        }
        Ok(Script { commands })
    }
}

impl Load {
    /// When slot `slot_idx` is sampled.
    pub(crate) fn slot_time(&self, slot_idx: usize) -> Timestamp {
        i64::try_from(slot_idx).unwrap_or(i64::MAX).saturating_mul(self.interval_ms)
    }
}

impl StepGrid {
    /// Parses `vector from A to B step S`.
    pub(crate) fn parse_after_vector(line: &str) -> Result<StepGrid, String> {
        let rest = keyword(line, "vector")?;
        let (grid, rest) = StepGrid::parse(rest)?;
        if rest.is_empty() { Ok(grid) } else { Err(format!("unexpected {rest:?} after a step")) }
    }

    /// Parses `from A to B step S` and returns what follows.
    fn parse(line: &str) -> Result<(StepGrid, &str), String> {
        let (start, rest) = split_word(keyword(line, "from")?);
        let (end, rest) = split_word(keyword(rest, "to")?);
        let (step, rest) = split_word(keyword(rest, "step")?);
        let grid = StepGrid { start: duration(start)?, end: duration(end)?, step_ms: duration(step)? };
        if grid.end < grid.start || grid.step_ms <= 0 {
            return Err(format!("from {start} to {end} step {step} is no range"));
        }
        Ok((grid, rest))
    }
}

/// A command's line and the lines up to the next blank one.
struct Block<'a> {
    line_idx: usize,
    head: &'a str,
    body: &'a [&'a str],
}

impl Block<'_> {
    fn load(&self) -> Result<Load, ScriptError> {
        let (word, interval) = split_word(self.head);
        let interval_ms = duration(interval).map_err(|what| ScriptError::at(self.line_idx, what))?;
        let (mut series, mut starts) = (Vec::new(), Vec::new());
        for (line_idx, line) in self.numbered_body() {
            let raise = |what| ScriptError::at(line_idx, what);
            match is_start_timestamps(line) {
                true => starts.push(StartLine::parse(line).map_err(raise)?),
                false => series.push(SeriesLine::parse(line).map_err(raise)?),
            }
        }
        keep_last_of_each(&mut series);
        Ok(Load { line: self.line_idx + 1, interval_ms, with_native: word == "load_with_nhcb", series, starts })
    }

    /// The evaluation, and how many lines of the body belong to it.
    fn eval(&self) -> Result<(Eval, usize), ScriptError> {
        let (word, rest) = split_word(self.head);
        let raise = |what| ScriptError::at(self.line_idx, what);
        let (when, expr) = when(rest).map_err(raise)?;
        if expr.is_empty() {
            return Err(raise("there is no expression".to_owned()));
        }
        let mut expected = Expectation::empty();
        state_by_suffix(&mut expected, word).map_err(raise)?;
        let mut used = self.body.len();
        for (line_idx, line) in self.numbered_body() {
            if state_line(&mut expected, when, line).map_err(|what| ScriptError::at(line_idx, what))? {
                used = line_idx - self.line_idx;
                break;
            }
        }
        Ok((Eval { line: self.line_idx + 1, expr: expr.to_owned(), when, expected }, used))
    }

    fn numbered_body(&self) -> impl Iterator<Item = (usize, &str)> {
        self.body.iter().enumerate().map(|(idx, line)| (self.line_idx + 1 + idx, *line))
    }
}

/// Of two lines for one series in one `load`, the last counts.
fn keep_last_of_each(series: &mut Vec<SeriesLine>) {
    let mut seen = HashSet::new();
    series.reverse();
    series.retain(|line| seen.insert(line.labels.clone()));
    series.reverse();
}

/// Whether a line of a `load` gives start timestamps.
fn is_start_timestamps(line: &str) -> bool {
    split_word(line).0.ends_with("@st")
}

/// Parses `instant at T` or `range from A to B step S` and returns the expression that follows.
fn when(line: &str) -> Result<(When, &str), String> {
    match split_word(line) {
        ("instant", rest) => {
            let (at, expr) = split_word(keyword(rest, "at")?);
            Ok((When::Instant(duration(at)?), expr))
        }
        ("range", rest) => {
            let (grid, expr) = StepGrid::parse(rest)?;
            Ok((When::Range(grid), expr))
        }
        (word, _) => Err(format!("expected 'instant' or 'range', got {word:?}")),
    }
}

/// States what the older `eval_fail`, `eval_ordered`, `eval_warn` and `eval_info` say.
fn state_by_suffix(expected: &mut Expectation, word: &str) -> Result<(), String> {
    match word.strip_prefix("eval_") {
        None => {}
        Some("fail") => expected.outcome = Outcome::Fail(TextMatch::Any),
        Some("ordered") => expected.ordered = true,
        Some("warn") => expected.warnings.state_present(TextMatch::Any)?,
        Some("info") => expected.infos.state_present(TextMatch::Any)?,
        Some(suffix) => return Err(format!("unknown command eval_{suffix}")),
    }
    Ok(())
}

/// States what one line below an `eval` says; true when it is the last that belongs to it.
fn state_line(expected: &mut Expectation, when: When, line: &str) -> Result<bool, String> {
    if let Outcome::Fail(text) = &mut expected.outcome {
        if let Some(message) = line.strip_prefix("expected_fail_message") {
            *text = TextMatch::Exact(message.trim().to_owned());
            return Ok(true);
        }
        if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
            *text = TextMatch::found(pattern.trim())?;
            return Ok(true);
        }
    }
    if let ("expect", statement) = split_word(line) {
        expected.state(statement)?;
        return Ok(false);
    }
    if let Some(number) = lone_number(line) {
        expected.outcome = Outcome::Scalar(number);
        return Ok(true);
    }
    let series = SeriesLine::parse(line)?;
    match (&mut expected.outcome, when) {
        (Outcome::Series(_), When::Instant(_)) if series.slots.len() != 1 => {
            Err(format!("{} values for {} in an instant vector", series.slots.len(), series.labels))
        }
        (Outcome::Series(_) | Outcome::Samples(..), _) if series.slots.is_empty() => {
            Err(format!("no value for {}: it cannot be in the result", series.labels))
        }
        (Outcome::Series(lines) | Outcome::Samples(_, lines), _) => {
            lines.push(series);
            Ok(false)
        }
        (Outcome::Fail(_) | Outcome::Scalar(_) | Outcome::String(_), _) => {
            Err("series are expected beside another result".to_owned())
        }
    }
}

/// Splits the first word from the rest.
fn split_word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// Skips `word`, which must come next.
fn keyword<'a>(line: &'a str, word: &str) -> Result<&'a str, String> {
    match split_word(line) {
        (first, rest) if first == word => Ok(rest),
        (first, _) => Err(format!("expected {word:?}, got {first:?}")),
    }
}

fn duration(text: &str) -> Result<i64, String> {
    promql::parse_duration(text).map_err(|error| format!("duration {text:?}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_end_at_a_blank_line_or_a_lone_number() {
        let script = Script::parse(
            "# comment
            load 30s
              up 3
              up 1 2
              up@st _ 1s

            eval instant at 1m 1 + 1
              2
            eval range from 0 to 1m step 30s up
              up 1 2 _

            clear",
        )
        .unwrap();
        let [Command::Load(load), Command::Eval(sum), Command::Eval(up), Command::Clear] = &script.commands[..] else {
            panic!("{script:?}");
        };
        assert_eq!((load.interval_ms, load.series.len()), (30_000, 1));
        assert_eq!((sum.expr.as_str(), sum.when), ("1 + 1", When::Instant(60_000)));
        assert!(matches!(sum.expected.outcome, Outcome::Scalar(2.0)));
        assert_eq!(up.when, When::Range(StepGrid { start: 0, end: 60_000, step_ms: 30_000 }));
        assert_eq!((load.series[0].slots.len(), up.line), (2, 9), "the last of two lines for one series stays");
    }

    #[test]
    fn a_broken_command_is_named_with_its_line() {
        for (text, line) in [
            ("clear\nlaod 5m", 2),
            ("load", 1),
            ("load 5m\n  up{", 2),
            ("eval instant at 1m", 1),
            ("eval later at 1m up", 1),
            ("eval_soon instant at 1m up", 1),
            ("eval range from 5m to 1m step 1m up", 1),
            ("eval instant at 1m up\n  up 1 2", 2),
            ("eval instant at 1m up\n  expect fail\n  up 1", 3),
        ] {
            assert_eq!(Script::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
