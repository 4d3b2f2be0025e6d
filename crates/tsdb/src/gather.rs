//! Putting the series of several parts of the store together: those with equal labels become one.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::LazyLock;

use ahash::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use model::{Budget, Interrupt, Labels};

use crate::merged::MergedSeries;

/// One hash for all blocks and the life of the process, so that a series that stays in memory keeps it.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The hash of a label set.
pub(crate) fn hash(labels: &Labels) -> u64 {
    HASHER.hash_one(labels.as_bytes())
}

/// Label sets, each once.
#[derive(Default)]
pub(crate) struct LabelSets {
    sets: Vec<Labels>,
    places: HashTable<(u64, usize)>,
}

impl LabelSets {
    /// Adds a set, and says whether it is new.
    pub(crate) fn insert(&mut self, labels: &Labels, hash: u64) -> bool {
        let LabelSets { sets, places } = self;
        let is_same = |(known, at): &(u64, usize)| *known == hash && sets[*at] == *labels;
        let Entry::Vacant(place) = places.entry(hash, is_same, |(known, _)| *known) else { return false };
        place.insert((hash, sets.len()));
        sets.push(labels.clone());
        true
    }

    /// All of them, sorted.
    ///
    /// Cost: they came in sorted runs, which this sort only merges.
    pub(crate) fn finish(mut self) -> Vec<Labels> {
        self.sets.sort();
        self.sets
    }
}

/// Texts of several sorted parts, each once.
#[derive(Debug, Default)]
pub(crate) struct SortedTexts {
    /// Those of the parts before, sorted.
    texts: Vec<String>,
    /// Those that only the current part has, sorted.
    fresh: Vec<String>,
    /// How many of `texts` are behind the last one of the current part.
    passed: usize,
}

/// Bytes that a text takes beside its own.
const TEXT_BYTES: usize = 64;

impl SortedTexts {
    /// Starts a part.
    pub(crate) fn start_part(&mut self) {
        self.passed = 0;
        if !self.fresh.is_empty() {
            self.texts.append(&mut self.fresh);
            // Two runs, which this sort only merges.
            self.texts.sort();
        }
    }

    /// Adds the next text of the current part, which is not less than the one before; one that is new is charged.
    pub(crate) fn add(&mut self, text: Cow<'_, str>, budget: &Budget) -> Result<(), Interrupt> {
        while let Some(known) = self.texts.get(self.passed) {
            match known.as_str().cmp(&text) {
                Ordering::Less => self.passed += 1,
                Ordering::Equal => return Ok(()),
                Ordering::Greater => break,
            }
        }
        budget.charge(TEXT_BYTES + text.len())?;
        self.fresh.push(text.into_owned());
        Ok(())
    }

    /// All of them, sorted, the first `limit` of them.
    pub(crate) fn finish(mut self, limit: usize) -> Vec<String> {
        self.start_part();
        self.texts.truncate(limit);
        self.texts
    }
}

/// The series of a selection while its parts are added one after the other.
#[derive(Default)]
pub(crate) struct Gathering {
    series: Vec<MergedSeries>,
    /// The places of the series of the parts before the current one. Nothing is looked up for the first part.
    places: HashTable<usize>,
    /// How many series have their place in there.
    placed: usize,
    /// Whether there are series of more than one part.
    is_mixed: bool,
}

impl Gathering {
    /// Starts a part of about `n` series, which come sorted by labels, and no two of which are one, except neighbours.
    pub(crate) fn start_part(&mut self, n: usize) {
        if n == 0 {
            return;
        }
        self.is_mixed |= !self.series.is_empty();
        let Gathering { series, places, placed, .. } = self;
        places.reserve(series.len() - *placed, |at| series[*at].hash());
        for at in *placed..series.len() {
            places.insert_unique(series[at].hash(), at, |at| series[*at].hash());
        }
        *placed = series.len();
        series.reserve(if *placed == 0 { n } else { 0 });
    }

    /// The series with these labels, if a part before has it, or if it was the last one.
    pub(crate) fn find(&mut self, labels: &Labels, hash: u64) -> Option<&mut MergedSeries> {
        let Gathering { series, places, .. } = self;
        let is_same = |known: &MergedSeries| known.hash() == hash && known.has_labels(labels);
        let at = match series.last() {
            Some(last) if is_same(last) => series.len() - 1,
            _ => *places.find(hash, |at| is_same(&series[*at]))?,
        };
        series.get_mut(at)
    }

    /// Adds a series that was not found.
    pub(crate) fn add(&mut self, new: MergedSeries) -> &mut MergedSeries {
        self.series.push(new);
        let last = self.series.len() - 1;
        &mut self.series[last]
    }

    /// All series, sorted by labels.
    pub(crate) fn finish(mut self) -> Vec<MergedSeries> {
        if self.is_mixed {
            // Sorted runs, which this sort only merges.
            self.series.sort_by(|a, b| a.labels().cmp(b.labels()));
        }
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_sorted_parts_come_once_and_sorted() {
        let budget = Budget::unlimited();
        let mut texts = SortedTexts::default();
        for part in [&["b", "d"][..], &[], &["a", "b", "c", "e"], &["d", "e"], &["", "f"]] {
            texts.start_part();
            part.iter().for_each(|text| texts.add(Cow::Borrowed(text), &budget).unwrap());
        }
        assert_eq!(budget.bytes(), 7 * TEXT_BYTES as u64 + 6, "each was charged once");
        assert_eq!(texts.finish(usize::MAX), ["", "a", "b", "c", "d", "e", "f"]);
    }
}
