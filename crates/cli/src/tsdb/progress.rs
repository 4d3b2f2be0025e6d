//! How far a long command is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::print;

/// Between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Tells of one piece of work of known size, or unknown.
pub(super) struct Progress {
    what: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// Begins to tell of `what`, in units of which there are `total`; 0 when nobody knows.
    pub(super) fn start(what: &'static str, total: u64) -> anyhow::Result<Progress> {
        let bar = match (stderr().is_terminal(), total) {
            (false, _) => None,
            (true, 0) => Some(ProgressBar::new_spinner()),
            (true, total) => {
                let style = ProgressStyle::with_template("{prefix} {wide_bar} {percent}% {msg} {eta}")?;
                Some(ProgressBar::new(total).with_style(style))
            }
        };
        let bar = bar.map(|bar| bar.with_prefix(what));
        let now = Instant::now();
        Ok(Progress { what, total, bar, begun: now, told: now })
    }

    /// So much is done, which `detail` says in words.
    pub(super) fn set(&mut self, done: u64, detail: &dyn Fn() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(detail());
        } else if LINE_INTERVAL <= self.told.elapsed() {
            self.told = Instant::now();
            let percent = (done * 100).checked_div(self.total).map_or_else(String::new, |n| format!("{n}%, "));
            print::note(&format!("{}: {percent}{}", self.what, detail()));
        }
    }

    /// Ends it, and returns how long it took.
    pub(super) fn finish(self) -> Duration {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.begun.elapsed()
    }
}
