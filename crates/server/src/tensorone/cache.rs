//! Answers that may be given again: by what was asked and the time it is about.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Scope, Timestamp};
use parking_lot::Mutex;

use super::answer::Kept;

/// Bytes of answers held.
const BYTES_MAX: usize = 32 << 20;
/// Bytes one answer takes beside its body.
const ENTRY_BYTES: usize = 512;

/// What makes two requests one question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    /// Whose series it is about.
    pub(crate) scope: Scope,
    /// The path and the parameters as understood.
    pub(crate) asked: String,
    /// The time, in units of how long the answer may be given again.
    pub(crate) slot: i64,
    /// When the answer may no longer be given.
    pub(crate) end: Timestamp,
}

/// The answers held, all of them dropped when they become too many.
#[derive(Debug, Default)]
pub(crate) struct AnswerCache {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    answers: HashMap<Arc<Question>, Kept, ahash::RandomState>,
    bytes: usize,
}

impl AnswerCache {
    /// The answer to `question`, if it is held and `now` is before its end.
    pub(crate) fn get(&self, question: &Question, now: Timestamp) -> Option<Kept> {
        let held = self.held.lock();
        held.answers.get(question).filter(|_| now < question.end).cloned()
    }

    /// Holds an answer until its question's end.
    pub(crate) fn put(&self, question: Question, kept: &Kept, now: Timestamp) {
        let size = ENTRY_BYTES + question.asked.len() + kept.body.len();
        if BYTES_MAX / 4 < size {
            return;
        }
        let mut held = self.held.lock();
        if BYTES_MAX < held.bytes + size {
            held.answers.retain(|question, _| now < question.end);
            let sizes = held.answers.iter().map(|(asked, kept)| ENTRY_BYTES + asked.asked.len() + kept.body.len());
            held.bytes = sizes.sum();
        }
        if BYTES_MAX < held.bytes + size {
            held.answers.clear();
            held.bytes = 0;
        }
        held.bytes += size;
        held.answers.insert(Arc::new(question), kept.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(asked: &str) -> Question {
        Question { scope: Scope::All, asked: asked.to_owned(), slot: 1, end: 100 }
    }

    fn kept(len: usize) -> Kept {
        Kept::new("application/json", " ".repeat(len))
    }

    #[test]
    fn an_answer_is_given_again_until_its_end() {
        let cache = AnswerCache::default();
        cache.put(question("a"), &kept(3), 50);
        assert_eq!(cache.get(&question("a"), 99).unwrap().body.len(), 3);
        assert!(cache.get(&question("a"), 100).is_none());
        assert!(cache.get(&question("b"), 99).is_none());
    }

    #[test]
    fn the_answers_held_are_bounded() {
        let cache = AnswerCache::default();
        for n in 0..100 {
            cache.put(question(&n.to_string()), &kept(1 << 20), 50);
        }
        assert!(cache.held.lock().bytes <= BYTES_MAX);
        cache.put(question("huge"), &kept(BYTES_MAX), 50);
        assert!(cache.get(&question("huge"), 50).is_none());
    }
}
