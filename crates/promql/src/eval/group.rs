//! Groups of series by some of their labels.

use hashbrown::HashMap;
use model::{Labels, METRIC_NAME};

use super::Naming;
use crate::expr::Grouping;

/// Finds the group of each series and the labels of each group.
pub(crate) struct Groups<'g> {
    grouping: &'g Grouping,
    naming: Naming,
    by_key: HashMap<Box<[u8]>, usize, ahash::RandomState>,
    pub(crate) labels: Vec<Labels>,
    key: Vec<u8>,
    buf: String,
}

impl<'g> Groups<'g> {
    pub(crate) fn new(grouping: &'g Grouping) -> Groups<'g> {
        Groups::named(grouping, Naming::default())
    }

    /// Groups for series some of which have lost what names them.
    pub(crate) fn named(grouping: &'g Grouping, naming: Naming) -> Groups<'g> {
        Groups { grouping, naming, by_key: HashMap::default(), labels: Vec::new(), key: Vec::new(), buf: String::new() }
    }

    /// The group of a series; `nameless` hides what names it. Cost: one pass over the labels, no allocation for a
    /// known group.
    pub(crate) fn group_of(&mut self, labels: &Labels, nameless: bool) -> usize {
        if self.grouping.labels.is_empty() && !self.grouping.without {
            if self.labels.is_empty() {
                self.labels.push(Labels::empty());
            }
            return 0;
        }
        let (grouping, naming) = (self.grouping, self.naming);
        let keeps = |name: &str| keeps(grouping, naming, name, nameless);
        self.key.clear();
        match self.grouping.labels.as_slice() {
            // The usual one: its value alone tells groups apart.
            [name] if !self.grouping.without => {
                let value = labels.get(name).filter(|_| keeps(name));
                self.key.extend_from_slice(value.unwrap_or("").as_bytes());
            }
            _ => {
                for (name, value) in labels.iter().filter(|(name, _)| keeps(name)) {
                    push_text(&mut self.key, name);
                    push_text(&mut self.key, value);
                }
            }
        }
        if let Some(group_idx) = self.by_key.get(self.key.as_slice()) {
            return *group_idx;
        }
        let kept = labels.iter().filter(|(name, _)| keeps(name));
        self.labels.push(Labels::from_sorted(kept, &mut self.buf));
        self.by_key.insert(self.key.as_slice().into(), self.labels.len() - 1);
        self.labels.len() - 1
    }
}

/// Whether a group keeps the label `name` of its series.
fn keeps(grouping: &Grouping, naming: Naming, name: &str, nameless: bool) -> bool {
    if (name == METRIC_NAME && grouping.without) || (nameless && naming.holds(name)) {
        return false;
    }
    let listed = grouping.labels.iter().any(|label| label == name);
    listed != grouping.without
}

/// Adds a text so that different lists of texts never make equal keys.
pub(crate) fn push_text(key: &mut Vec<u8>, text: &str) {
    key.extend_from_slice(&(text.len() as u64).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}
