//! A text read line by line, in memory for one line.

use std::io::{BufRead, Read};

use super::ExpositionFormat;
use super::lexer::Fault;
use super::line::{Entry, Glance, glance, parse};
use crate::ExpositionError;

/// Bytes of one line; the largest label values of the largest series take less.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Reads a text entry by entry.
///
/// Cost: one buffer of the longest line so far, at most a MiB.
#[derive(Debug)]
pub struct ExpositionReader<R> {
    input: R,
    format: ExpositionFormat,
    line: Vec<u8>,
    line_number: u64,
    is_ended: bool,
}

impl<R: BufRead> ExpositionReader<R> {
    /// Reads `input` from where it stands.
    pub fn new(input: R, format: ExpositionFormat) -> ExpositionReader<R> {
        ExpositionReader { input, format, line: Vec::new(), line_number: 0, is_ended: false }
    }

    /// The number of the line read last, from 1.
    pub fn line_number(&self) -> u64 {
        self.line_number
    }

    /// The next entry, or `None` at the end of the text.
    ///
    /// Errors: input that cannot be read, and a line that is not of the format; reading on is then of no use.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, ExpositionError> {
        while self.next_line()? {
            match glance(&self.line, self.format) {
                Glance::Nothing => {}
                Glance::End => self.is_ended = true,
                Glance::Entry => return self.entry().map(Some),
            }
        }
        Ok(None)
    }

    /// Fills `line` with the next one and says whether there is any; looks after the end.
    fn next_line(&mut self) -> Result<bool, ExpositionError> {
        self.line.clear();
        let is_open = self.format == ExpositionFormat::OpenMetrics;
        let n = self.input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut self.line)?;
        if n == 0 {
            let is_cut = is_open && !std::mem::replace(&mut self.is_ended, true);
            return if is_cut { Err(self.at_line("the text ends without # EOF")) } else { Ok(false) };
        }
        self.line_number += 1;
        if self.is_ended && is_open {
            return Err(self.at_line("text behind # EOF"));
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if n > LINE_BYTES_MAX {
            return Err(self.at_line(format!("a line of more than {LINE_BYTES_MAX} bytes")));
        }
        if !is_open && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }

    fn entry(&self) -> Result<Entry<'_>, ExpositionError> {
        let line = std::str::from_utf8(&self.line).map_err(|e| {
            let good = self.line.get(..e.valid_up_to()).unwrap_or_default();
            self.error(&String::from_utf8_lossy(good), e.valid_up_to(), "bytes that are not UTF-8")
        })?;
        parse(line, self.format).map_err(|Fault { at, what }| self.error(line, at, what))
    }

    fn at_line(&self, what: impl Into<String>) -> ExpositionError {
        self.error("", 0, what)
    }

    /// Columns are characters, from 1; a text without a line ends in its first.
    fn error(&self, line: &str, at: usize, what: impl Into<String>) -> ExpositionError {
        let column = line.get(..at).unwrap_or_default().chars().count() + 1;
        ExpositionError::Syntax { line: self.line_number.max(1), column, what: what.into() }
    }
}
