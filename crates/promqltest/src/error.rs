//! Why a script is not a script; failed evaluations are `Failure`s of a report instead.

use thiserror::Error;

/// A line that the test language does not allow.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {what}")]
pub struct ScriptError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl ScriptError {
    /// An error in line `line_idx`, counted from 0.
    pub(crate) fn at(line_idx: usize, what: impl Into<String>) -> ScriptError {
        ScriptError { line: line_idx + 1, what: what.into() }
    }
}
