//! What was found damaged: a bounded list for operators, fed by the start, by reads and by the scrub.

use std::sync::Arc;

use model::TimeRange;
use parking_lot::Mutex;

/// So many findings are kept; what comes after them is in the log alone.
const FINDINGS_MAX: usize = 1000;

/// One damage: where, what, and what it costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or block, relative to the data directory.
    pub file: String,
    /// What is wrong with it.
    pub what: String,
    /// What is not served because of it; empty when that is nothing.
    pub lost: String,
    /// When the samples were taken that it touches; `None` when that is not known.
    pub range: Option<TimeRange>,
    /// Where the damaged bytes were moved, relative to the data directory.
    pub quarantined: Option<String>,
}

impl Finding {
    /// Whether a query over `range` should hear of it.
    pub(crate) fn touches(&self, range: TimeRange) -> bool {
        !self.lost.is_empty() && self.range.is_none_or(|own| own.overlaps(range))
    }

    /// What a query that misses something because of it is told.
    pub(crate) fn warning(&self) -> String {
        let place = self.file.split('/').next().unwrap_or_default();
        let kind = if ulid::Ulid::from_string(place).is_ok() { "block " } else { "" };
        format!("{kind}{place} is damaged: {}", self.lost)
    }
}

/// All findings since the store was opened, each once; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings(Arc<Mutex<Vec<Finding>>>);

impl Findings {
    /// Adds a finding and writes it to the log, unless it is known.
    pub(crate) fn add(&self, finding: Finding) {
        let mut all = self.0.lock();
        let known = |other: &Finding| (&other.file, &other.what) == (&finding.file, &finding.what);
        if all.len() < FINDINGS_MAX && !all.iter().any(known) {
            let Finding { file, what, lost, .. } = &finding;
            tracing::error!(file, what, lost, "damage found; the rest is served");
            all.push(finding);
        }
    }

    /// Notes that the damaged bytes of every finding in `file`, or below it, are kept at `place`.
    pub(crate) fn quarantined(&self, file: &str, place: &str) {
        let inside =
            |found: &str| found.strip_prefix(file).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        for finding in self.0.lock().iter_mut().filter(|finding| inside(&finding.file)) {
            finding.quarantined.get_or_insert_with(|| place.to_owned());
        }
    }

    /// All of them, the oldest first.
    pub(crate) fn all(&self) -> Vec<Finding> {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(file: &str, what: &str) -> Finding {
        Finding { file: file.into(), what: what.into(), lost: "a chunk".into(), range: None, quarantined: None }
    }

    #[test]
    fn each_damage_is_kept_once_and_their_number_is_bounded() {
        let findings = Findings::default();
        for i in 0..3 * FINDINGS_MAX {
            findings.add(finding(&format!("b/{}", i / 2), "torn"));
        }
        let all = findings.all();
        assert_eq!((all.len(), &*all[0].file, &*all[999].file), (FINDINGS_MAX, "b/0", "b/999"));
        findings.quarantined("b/1", "quarantine/b");
        let moved: Vec<_> = findings.all().into_iter().filter(|f| f.quarantined.is_some()).map(|f| f.file).collect();
        assert_eq!(moved, ["b/1"]);
        findings.quarantined("b", "quarantine/c");
        assert!(findings.all().iter().all(|f| f.quarantined.is_some()));
    }

    #[test]
    fn queries_hear_of_what_their_range_touches() {
        let at = |mint, maxt| TimeRange { mint, maxt };
        let known = Finding { range: Some(at(10, 20)), ..finding("b", "torn") };
        assert!(known.touches(at(20, 30)) && !known.touches(at(21, 30)));
        assert!(finding("b", "torn").touches(at(21, 30)));
        assert!(!Finding { lost: String::new(), ..known }.touches(at(10, 20)));
    }
}
