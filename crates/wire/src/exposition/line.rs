//! One line: a sample, something about a family, or nothing of interest.

use std::borrow::Cow;

use model::{Exemplar, LabelsBuilder, METRIC_NAME, MetricKind, Timestamp};

use super::ExpositionFormat;
use super::lexer::{Fault, Lexer, unescape};
use super::number;
use crate::LabelError;
use crate::remote_write::{LabelLimits, check_exemplar_labels, set_labels};

/// What one line says.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A sample.
    Sample(SampleLine<'a>),
    /// The type of a family.
    Kind {
        /// The family.
        family: Cow<'a, str>,
        /// Its type.
        kind: MetricKind,
    },
    /// The help text of a family.
    Help {
        /// The family.
        family: Cow<'a, str>,
        /// What it means.
        help: Cow<'a, str>,
    },
    /// The unit of a family.
    Unit {
        /// The family.
        family: Cow<'a, str>,
        /// Its unit.
        unit: &'a str,
    },
}

/// A sample as written.
#[derive(Debug)]
pub struct SampleLine<'a> {
    /// Name and labels as text: equal text is an equal series, so one is known again by it.
    pub series: &'a str,
    /// When it was taken, if that was said.
    pub t: Option<Timestamp>,
    /// The value.
    pub v: f64,
    /// The exemplar behind it; one without a time has the sample's.
    pub exemplar: Option<Exemplar>,
}

impl SampleLine<'_> {
    /// Replaces `into` by the labels, sorted and without those of empty value.
    ///
    /// Errors: labels that no series may have; `into` is then empty.
    pub fn labels(&self, limits: &LabelLimits, into: &mut LabelsBuilder) -> Result<(), LabelError> {
        let mut pairs = Vec::new();
        let walked = walk_series(&mut Lexer::new(self.series), &mut |name, value| {
            pairs.push((unescape(name), unescape(value)));
        });
        debug_assert!(walked.is_ok(), "a series that was read is well-formed");
        set_labels(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())), limits, into)
    }
}

/// What a line is, at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glance {
    /// Nothing, or a comment.
    Nothing,
    /// The end of an OpenMetrics text.
    End,
    /// Something to be parsed.
    Entry,
}

pub(super) fn glance(line: &[u8], format: ExpositionFormat) -> Glance {
    if format == ExpositionFormat::OpenMetrics {
        return if line == b"# EOF" { Glance::End } else { Glance::Entry };
    }
    let line = line.trim_ascii_start();
    let Some(descriptor) = line.strip_prefix(b"#") else {
        return if line.is_empty() { Glance::Nothing } else { Glance::Entry };
    };
    let keyword = descriptor.trim_ascii_start();
    let is_known = |known: &&[u8]| {
        keyword.strip_prefix(*known).is_some_and(|rest| rest.starts_with(b" ") || rest.starts_with(b"\t"))
    };
    let is_descriptor = keyword.len() < descriptor.len() && [&b"TYPE"[..], b"HELP"].iter().any(is_known);
    if is_descriptor { Glance::Entry } else { Glance::Nothing }
}

/// Reads a line without its end, which says something at a [`glance`].
pub(super) fn parse(line: &str, format: ExpositionFormat) -> Result<Entry<'_>, Fault> {
    let mut lexer = Lexer::new(line);
    if format == ExpositionFormat::Prometheus {
        lexer.blanks();
    }
    if lexer.is_at_end() {
        return lexer.fault("an empty line");
    }
    if lexer.take("#") { descriptor(lexer, format) } else { sample(lexer, format) }
}

/// What follows `#`.
fn descriptor<'a>(mut lexer: Lexer<'a>, format: ExpositionFormat) -> Result<Entry<'a>, Fault> {
    let is_separated = lexer.blanks();
    let keyword = lexer.word();
    let is_known = matches!(keyword, "TYPE" | "HELP" | "UNIT");
    if !is_separated || !is_known {
        return Err(Fault { at: 0, what: "expected # TYPE, # HELP, # UNIT or # EOF".to_owned() });
    }
    lexer.separator("the name of a family")?;
    let name_at = lexer.at();
    let family = unescape(lexer.name(true)?);
    if family.is_empty() {
        return Err(Fault { at: name_at, what: "expected the name of a family".to_owned() });
    }
    if !lexer.is_at_end() {
        lexer.separator("the text")?;
    }
    Ok(match keyword {
        "TYPE" => {
            let word_at = lexer.at();
            let word = lexer.word();
            lexer.blanks();
            let kind = kind(word, format).filter(|_| lexer.is_at_end());
            let kind = kind.ok_or_else(|| Fault { at: word_at, what: format!("unknown type {:?}", cut(word)) })?;
            Entry::Kind { family, kind }
        }
        "HELP" => Entry::Help { family, help: unescape(lexer.rest()) },
        _ => Entry::Unit { family, unit: lexer.rest() },
    })
}

fn kind(word: &str, format: ExpositionFormat) -> Option<MetricKind> {
    let is_open = format == ExpositionFormat::OpenMetrics;
    if word == "unknown" || (word == "untyped" && !is_open) {
        return Some(MetricKind::Unknown);
    }
    Some(MetricKind::parse(word)).filter(|kind| *kind != MetricKind::Unknown)
}

fn sample<'a>(mut lexer: Lexer<'a>, format: ExpositionFormat) -> Result<Entry<'a>, Fault> {
    let start = lexer.at();
    let mut has_name = false;
    walk_series(&mut lexer, &mut |name, _| has_name |= name == METRIC_NAME)?;
    if !has_name {
        return Err(Fault { at: start, what: "expected the name of a metric".to_owned() });
    }
    let series = lexer.taken().get(start..).unwrap_or_default();
    // Braces end a series by themselves.
    if !lexer.blanks() && !series.ends_with('}') {
        return lexer.fault(format!("expected a space before the value, found {}", lexer.found()));
    }
    let v = value(&mut lexer)?;
    let mut line = SampleLine { series, v, t: None, exemplar: None };
    if !lexer.blanks() {
        return Ok(Entry::Sample(line));
    }
    let is_open = format == ExpositionFormat::OpenMetrics;
    let has_exemplar = is_open && lexer.rest().starts_with('#');
    if !lexer.is_at_end() && !has_exemplar {
        line.t = Some(time(&mut lexer, format)?);
        lexer.blanks();
    }
    if is_open && lexer.take("#") {
        line.exemplar = Some(exemplar(&mut lexer, line.t)?);
        lexer.blanks();
    }
    if lexer.is_at_end() { Ok(Entry::Sample(line)) } else { lexer.fault("text behind the sample") }
}

/// What follows the `#` behind a sample; without a time of its own it has that of the sample.
fn exemplar(lexer: &mut Lexer<'_>, t: Option<Timestamp>) -> Result<Exemplar, Fault> {
    lexer.separator("the labels of an exemplar")?;
    let at = lexer.at();
    let mut pairs = Vec::new();
    lexer.expect("{")?;
    walk_labels(lexer, false, &mut |name, value| pairs.push((unescape(name), unescape(value))))?;
    let bytes = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let labels = check_exemplar_labels(bytes).map_err(|fault| Fault { at, what: fault.to_string() })?;
    lexer.separator("the value of an exemplar")?;
    let v = value(lexer)?;
    let own =
        if lexer.blanks() && !lexer.is_at_end() { Some(time(lexer, ExpositionFormat::OpenMetrics)?) } else { None };
    Ok(Exemplar { labels, t: own.or(t).unwrap_or(0), v })
}

fn value(lexer: &mut Lexer<'_>) -> Result<f64, Fault> {
    let at = lexer.at();
    let word = lexer.word();
    number::value(word).ok_or_else(|| Fault { at, what: format!("expected a number, found {:?}", cut(word)) })
}

fn time(lexer: &mut Lexer<'_>, format: ExpositionFormat) -> Result<Timestamp, Fault> {
    let at = lexer.at();
    let word = lexer.word();
    let (t, unit) = match format {
        ExpositionFormat::OpenMetrics => (number::seconds(word), "seconds"),
        ExpositionFormat::Prometheus => (word.parse().ok(), "milliseconds"),
    };
    t.ok_or_else(|| Fault { at, what: format!("expected a time in {unit}, found {:?}", cut(word)) })
}

/// Goes over a series: a name, labels in braces, or both; `visit` sees each name and value, escapes not resolved.
fn walk_series<'a>(lexer: &mut Lexer<'a>, visit: &mut impl FnMut(&'a str, &'a str)) -> Result<(), Fault> {
    let name = lexer.bare_name(true);
    if !name.is_empty() {
        visit(METRIC_NAME, name);
    }
    // A blank between name and braces is as old as the format.
    if lexer.rest().trim_start_matches([' ', '\t']).starts_with('{') {
        lexer.blanks();
        lexer.expect("{")?;
        walk_labels(lexer, name.is_empty(), visit)?;
    }
    Ok(())
}

/// Goes over what follows `{` up to `}`; with `may_name` one of the entries may be the name of the metric in quotes.
fn walk_labels<'a>(
    lexer: &mut Lexer<'a>,
    may_name: bool,
    visit: &mut impl FnMut(&'a str, &'a str),
) -> Result<(), Fault> {
    let mut may_name = may_name;
    loop {
        lexer.blanks();
        if lexer.take("}") {
            return Ok(());
        }
        let is_quoted = lexer.rest().starts_with('"');
        let name = lexer.name(false)?;
        if name.is_empty() {
            return lexer.fault(format!("expected the name of a label, found {}", lexer.found()));
        }
        lexer.blanks();
        if may_name && is_quoted && !lexer.rest().starts_with('=') {
            may_name = false;
            visit(METRIC_NAME, name);
        } else {
            lexer.expect("=")?;
            lexer.blanks();
            visit(name, lexer.quoted()?);
        }
        lexer.blanks();
        if !lexer.take(",") && !lexer.rest().starts_with('}') {
            return lexer.fault(format!("expected ',' or '}}', found {}", lexer.found()));
        }
    }
}

/// A word for a message.
fn cut(word: &str) -> String {
    word.chars().take(40).collect()
}
