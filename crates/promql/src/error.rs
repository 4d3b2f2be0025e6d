//! Why a text is not a query, and why a query has no answer.

use model::{Interrupt, StorageError};
use thiserror::Error;

/// Why a text is not a query, with its place in the text.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column in bytes, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl ParseError {
    /// An error at byte `offset` of `text`.
    pub(crate) fn at(text: &str, offset: usize, message: impl Into<String>) -> ParseError {
        let (line, column) = line_and_column(text, offset);
        ParseError { line, column, message: message.into() }
    }
}

/// The line and column of byte `offset`, both from 1.
pub(crate) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    (line, before.len() - line_start + 1)
}

/// Why a query has no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EvalError {
    /// The query was ended or used its budget up.
    #[error(transparent)]
    Interrupted(#[from] Interrupt),
    /// Storage could not answer.
    #[error("{0}")]
    Storage(String),
    /// The query asks for what PromQL forbids; Prometheus calls it an execution error.
    #[error("{0}")]
    Invalid(String),
}

impl From<StorageError> for EvalError {
    fn from(error: StorageError) -> EvalError {
        match error {
            StorageError::Interrupted(interrupt) => EvalError::Interrupted(interrupt),
            failed @ StorageError::Failed(_) => EvalError::Storage(failed.to_string()),
        }
    }
}
