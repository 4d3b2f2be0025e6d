//! The queries in progress: listed for their owners, ended on request, and remembered in the log if they were slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use model::{Budget, Stop, Timestamp};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::turns::Owner;
use crate::clock;

/// Bytes of a query's text that lists and logs show.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// Every query that waits or runs.
pub(crate) struct Register {
    last_id: AtomicU64,
    entries: Mutex<BTreeMap<u64, Arc<Entry>>>,
    /// From how long on a query is logged.
    slow: Duration,
}

/// One query in progress.
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) owner: Owner,
    /// What was asked, such as `/api/v1/query`.
    pub(crate) what: &'static str,
    /// The expression or selectors, fit to be shown.
    pub(crate) text: String,
    pub(crate) started: Timestamp,
    pub(crate) since: Instant,
    pub(crate) is_running: AtomicBool,
    pub(crate) budget: Arc<Budget>,
    stop: Stop,
    /// Wakes who waits for its turn.
    ended: Notify,
}

/// Takes the entry out when dropped.
pub(crate) struct Registered {
    register: Arc<Register>,
    pub(crate) entry: Arc<Entry>,
}

impl Register {
    pub(crate) fn new(slow: Duration) -> Arc<Register> {
        Arc::new(Register { last_id: AtomicU64::new(0), entries: Mutex::default(), slow })
    }

    /// Enters a query.
    pub(crate) fn enter(
        self: &Arc<Register>,
        owner: Owner,
        what: &'static str,
        text: &str,
        budget: Arc<Budget>,
        stop: Stop,
    ) -> Registered {
        let id = self.last_id.fetch_add(1, Relaxed) + 1;
        let (text, started, since) = (shown(text), clock::now_ms(), Instant::now());
        let is_running = AtomicBool::new(false);
        let ended = Notify::new();
        let entry = Arc::new(Entry { id, owner, what, text, started, since, is_running, budget, stop, ended });
        self.entries.lock().insert(id, entry.clone());
        Registered { register: self.clone(), entry }
    }

    /// What `owner` may see, the oldest first: an operator everything, a project its own.
    pub(crate) fn list(&self, owner: &Owner) -> Vec<Arc<Entry>> {
        self.entries.lock().values().filter(|entry| entry.may_be_seen_by(owner)).cloned().collect()
    }

    /// Ends a query that `owner` may see; false if there is none of that id.
    pub(crate) fn end(&self, owner: &Owner, id: u64) -> bool {
        let entry = self.entries.lock().get(&id).filter(|entry| entry.may_be_seen_by(owner)).cloned();
        let Some(entry) = entry else { return false };
        entry.stop.cancel();
        // Kept for one that has not begun to wait.
        entry.ended.notify_one();
        true
    }
}

impl Entry {
    fn may_be_seen_by(&self, owner: &Owner) -> bool {
        *owner == Owner::Operator || self.owner == *owner
    }
}

impl Registered {
    /// Ready when somebody ends the query.
    pub(crate) async fn ended(&self) {
        self.entry.ended.notified().await;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let Registered { register, entry } = self;
        register.entries.lock().remove(&entry.id);
        let took = entry.since.elapsed();
        if took < register.slow {
            return;
        }
        let Entry { id, owner, what, text, budget, .. } = &**entry;
        let project = owner.project().map_or("", |project| project.as_str());
        let (samples, bytes_most) = (budget.samples(), budget.bytes_most());
        let (seconds, ended) = (took.as_secs_f64(), budget.check().err().map(|interrupt| interrupt.to_string()));
        let ended = ended.unwrap_or_default();
        tracing::warn!(id, project, what, seconds, samples, bytes_most, ended, query = text, "slow query");
    }
}

/// A text as lists and logs may show it: not too long, and without characters that would act on a terminal, break a
/// line, or reorder what stands beside them.
fn shown(text: &str) -> String {
    let mut cut = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let mut shown = String::with_capacity(cut);
    for c in text[..cut].chars() {
        match c {
            '"' | '\'' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    if cut < text.len() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_texts_are_short_and_harmless() {
        assert_eq!(shown("up{job=\"a\"}"), "up{job=\"a\"}");
        assert_eq!(shown("a\n\u{1b}[2J\u{202e}b\\"), "a\\n\\u{1b}[2J\\u{202e}b\\\\");
        let long = "\u{e4}".repeat(TEXT_BYTES_MAX);
        assert_eq!(shown(&long), "\u{e4}".repeat(TEXT_BYTES_MAX / 2) + "...");
    }
}
