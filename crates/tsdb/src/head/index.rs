//! The head's index: series by labels, and postings for each label pair.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::{HashMap, HashTable};
use model::{Interrupt, Labels, PROJECT_LABEL};
use roaring::RoaringBitmap;

use super::samples::HeadSamples;
use super::series::Series;
use crate::select::LabelIndex;
use crate::wal::SeriesRef;

/// Which series there are, and which have a given label pair.
///
/// Invariant: a series in `slots` is in `by_labels`, in `all`, and in the postings of each of its pairs, and nowhere
/// else. A slot is used again after its series is gone, so slots never leave the lock that guards the index.
#[derive(Debug, Default)]
pub(crate) struct HeadIndex {
    slots: Vec<Option<Arc<Series>>>,
    free: Vec<u32>,
    by_labels: HashTable<u32>,
    hasher: RandomState,
    all: RoaringBitmap,
    /// Values are ordered, so that a pattern's prefix narrows the search.
    postings: HashMap<Box<str>, BTreeMap<Box<str>, RoaringBitmap>, RandomState>,
    /// The number of series of each project; those without one are under the empty name.
    by_project: HashMap<Box<str>, usize, RandomState>,
}

/// A label pair that series in neighbouring slots share.
struct PairRun<'a> {
    name: &'a str,
    value: &'a str,
    slots: Range<u32>,
}

impl HeadIndex {
    /// The series with exactly these labels.
    pub(crate) fn get(&self, labels: &Labels) -> Option<&Arc<Series>> {
        let slot = self.by_labels.find(self.hash(labels), |slot| self.at(*slot).labels == *labels)?;
        Some(self.at(*slot))
    }

    /// Adds a series that is not there yet.
    pub(crate) fn insert(&mut self, id: SeriesRef, labels: Labels) -> Arc<Series> {
        let series = self.insert_unlisted(id, labels, HeadSamples::default());
        for (name, value) in series.labels.iter() {
            self.change(name, value, |slots| _ = slots.insert(series.slot));
        }
        self.count(&series);
        series
    }

    /// The same without its postings: until they are there too, only [`HeadIndex::get`] knows of it.
    pub(super) fn insert_unlisted(&mut self, id: SeriesRef, labels: Labels, samples: HeadSamples) -> Arc<Series> {
        debug_assert!(self.get(&labels).is_none(), "series {labels} is in the head already");
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            u32::try_from(self.slots.len() - 1).expect("fewer than 2^32 series in the head")
        });
        let series = Arc::new(Series::with(id, slot, labels, samples));
        self.slots[slot as usize] = Some(series.clone());
        let (slots, hasher) = (&self.slots, &self.hasher);
        let rehash = |slot: &u32| hash(hasher, &occupied(slots, *slot).labels);
        self.by_labels.insert_unique(hash(hasher, &series.labels), slot, rehash);
        series
    }

    /// Makes room for so many series more.
    pub(super) fn reserve(&mut self, n_series: usize) {
        self.slots.reserve(n_series);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.by_labels.reserve(n_series, |slot| hash(hasher, &occupied(slots, *slot).labels));
    }

    /// Adds the postings of many series that were inserted without them.
    ///
    /// Cost: for each series a lookup by hash for the pairs in which it differs from the one before it.
    pub(super) fn list(&mut self, series: &[Arc<Series>]) {
        let mut runs: Vec<PairRun<'_>> = Vec::new();
        let mut found: HashMap<(&str, &str), RoaringBitmap, RandomState> = HashMap::default();
        let mut end = |PairRun { name, value, slots }| {
            _ = found.entry((name, value)).or_default().insert_range(slots);
        };
        for series in series {
            let slots = series.slot..series.slot + 1;
            for (nth, (name, value)) in series.labels.iter().enumerate() {
                match runs.get_mut(nth) {
                    Some(run) if run.slots.end == slots.start && run.name == name && run.value == value => {
                        run.slots.end = slots.end;
                    }
                    Some(run) => end(std::mem::replace(run, PairRun { name, value, slots: slots.clone() })),
                    None => runs.push(PairRun { name, value, slots: slots.clone() }),
                }
            }
            self.count(series);
        }
        runs.into_iter().for_each(end);
        for ((name, value), slots) in found {
            self.change(name, value, |all| *all |= slots);
        }
    }

    /// Changes which series have a pair.
    fn change(&mut self, name: &str, value: &str, change: impl FnOnce(&mut RoaringBitmap)) {
        let values = self.postings.entry_ref(name).or_default();
        match values.get_mut(value) {
            Some(slots) => change(slots),
            None => change(values.entry(value.into()).or_default()),
        }
    }

    fn count(&mut self, series: &Series) {
        self.all.insert(series.slot);
        match self.by_project.get_mut(project(&series.labels)) {
            Some(count) => *count += 1,
            None => _ = self.by_project.insert(project(&series.labels).into(), 1),
        }
    }

    /// Removes a series, if it is there. One that left before may be in the hands of an exemplar, and its slot another's.
    pub(crate) fn remove(&mut self, series: &Series) {
        let (hash, slots) = (self.hash(&series.labels), &self.slots);
        match self.by_labels.find_entry(hash, |slot| std::ptr::eq(&raw const **occupied(slots, *slot), series)) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => return,
        }
        for (name, value) in series.labels.iter() {
            let Some(values) = self.postings.get_mut(name) else { continue };
            if let Some(postings) = values.get_mut(value) {
                postings.remove(series.slot);
                if postings.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.postings.remove(name);
            }
        }
        self.all.remove(series.slot);
        if let Some(count) = self.by_project.get_mut(project(&series.labels)) {
            *count -= 1;
            if *count == 0 {
                self.by_project.remove(project(&series.labels));
            }
        }
        self.slots[series.slot as usize] = None;
        self.free.push(series.slot);
    }

    /// Every series.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Series>> {
        self.slots.iter().flatten()
    }

    /// The number of series.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number of series of the project that `labels` belong to.
    pub(crate) fn len_of_project(&self, labels: &Labels) -> usize {
        self.len_in(project(labels))
    }

    /// The number of series of a project.
    pub(crate) fn len_in(&self, project: &str) -> usize {
        self.by_project.get(project).copied().unwrap_or_default()
    }

    /// The number of label pairs.
    pub(crate) fn pairs(&self) -> usize {
        self.postings.values().map(BTreeMap::len).sum()
    }

    /// The series in the given slots.
    pub(crate) fn resolve(&self, slots: &RoaringBitmap) -> Vec<Arc<Series>> {
        slots.iter().map(|slot| self.at(slot).clone()).collect()
    }

    /// Every label name.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.postings.keys().map(|name| &**name)
    }

    /// Every value of `name`, ascending, with the slots that have it.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &RoaringBitmap)> {
        self.postings.get(name).into_iter().flatten().map(|(value, slots)| (&**value, slots))
    }

    fn pair(&self, name: &str, value: &str) -> Option<&RoaringBitmap> {
        self.postings.get(name)?.get(value)
    }

    fn at(&self, slot: u32) -> &Arc<Series> {
        occupied(&self.slots, slot)
    }

    fn hash(&self, labels: &Labels) -> u64 {
        hash(&self.hasher, labels)
    }
}

fn project(labels: &Labels) -> &str {
    labels.get(PROJECT_LABEL).unwrap_or_default()
}

fn occupied(slots: &[Option<Arc<Series>>], slot: u32) -> &Arc<Series> {
    slots[slot as usize].as_ref().expect("an indexed slot is occupied")
}

fn hash(hasher: &RandomState, labels: &Labels) -> u64 {
    hasher.hash_one(labels.as_bytes())
}

impl LabelIndex for HeadIndex {
    type Error = Interrupt;

    fn all(&self) -> Result<RoaringBitmap, Interrupt> {
        Ok(self.all.clone())
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, Interrupt> {
        Ok(self.pair(name, value).cloned().unwrap_or_default())
    }

    fn count(&self, name: &str, value: &str) -> Result<Option<u64>, Interrupt> {
        Ok(self.pair(name, value).map(RoaringBitmap::len))
    }

    fn narrow(&self, set: &mut RoaringBitmap, name: &str, value: &str) -> Result<(), Interrupt> {
        match self.pair(name, value) {
            Some(slots) => *set &= slots,
            None => set.clear(),
        }
        Ok(())
    }

    fn postings_where(
        &self,
        name: &str,
        prefix: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, Interrupt>,
    ) -> Result<RoaringBitmap, Interrupt> {
        let mut set = RoaringBitmap::new();
        let Some(values) = self.postings.get(name) else { return Ok(set) };
        let from = (std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded);
        for (value, slots) in values.range::<str, _>(from).take_while(|(value, _)| value.starts_with(prefix)) {
            if accept(value)? {
                set |= slots;
            }
        }
        Ok(set)
    }

    fn labels(&self, series: u32) -> Option<Labels> {
        self.slots.get(series as usize)?.as_ref().map(|series| series.labels.clone())
    }
}

#[cfg(test)]
mod tests {
    use model::{Budget, MatchOp, Matcher};

    use super::*;
    use crate::select;

    /// Its slot has another series by now, and one hash in a hundred looks like the other's.
    #[test]
    fn a_series_that_left_takes_no_other_with_it() {
        let mut index = HeadIndex::default();
        let labels = |i: u64| Labels::from_pairs([("i", i.to_string().as_str())]);
        for i in 0..2000 {
            let gone = index.insert(SeriesRef(2 * i), labels(2 * i));
            index.remove(&gone);
            let other = index.insert(SeriesRef(2 * i + 1), labels(2 * i + 1));
            assert_eq!(gone.slot, other.slot);
            index.remove(&gone);
            assert!(index.get(&other.labels).is_some(), "{i}");
            index.remove(&other);
        }
        assert_eq!(index.len(), 0);
    }

    /// Whether few series are looked at one by one or the sets of values are united, the same are selected.
    #[test]
    fn few_series_are_selected_as_many_are() {
        let mut index = HeadIndex::default();
        for i in 0..2000_u64 {
            let (few, many, odd) = (format!("f{}", i % 100), format!("m{}", i % 5), format!("o{}", i % 7));
            let odd = if i % 3 == 0 { "" } else { &odd };
            let pairs = [("few", few.as_str()), ("i", &i.to_string()), ("many", &many), ("odd", odd)];
            index.insert(SeriesRef(i), Labels::from_pairs(pairs));
        }
        let others = [
            ("odd", MatchOp::NotEqual, ""),
            ("odd", MatchOp::Equal, ""),
            ("odd", MatchOp::Regex, "o[1-3]"),
            ("odd", MatchOp::Regex, "|o1"),
            ("odd", MatchOp::NotRegex, "o.*"),
            ("odd", MatchOp::NotRegex, "o[12]|"),
            ("many", MatchOp::NotEqual, "m1"),
            ("missing", MatchOp::NotEqual, ""),
            ("missing", MatchOp::NotRegex, "x.*"),
        ];
        let others = others.map(|(name, op, value)| Matcher::new(name, op, value).unwrap());
        for (n, first) in others.iter().enumerate() {
            for second in &others[n..] {
                let select = |name, value| {
                    let matchers = [Matcher::equal(name, value), first.clone(), second.clone()];
                    let found = select::select(&index, &matchers, &Budget::unlimited()).unwrap();
                    let all = index.iter().filter(|series| {
                        matchers.iter().all(|m| m.matches(series.labels.get(m.name()).unwrap_or_default()))
                    });
                    assert_eq!(found, all.map(|series| series.slot).collect::<RoaringBitmap>(), "{matchers:?}");
                };
                select("few", "f42");
                select("many", "m2");
            }
        }
    }

    #[test]
    fn a_series_that_left_does_not_come_back() {
        let series = Series::new(SeriesRef(1), 0, Labels::empty());
        series.add(5, model::SampleValue::Float(1.0));
        series.delete(model::TimeRange { mint: 0, maxt: 4 });
        assert!(!series.retire(6), "it has a sample");
        series.forget(&series.snapshot(model::TimeRange::ALL));
        assert!(series.retire(6));
        // As a deletion does that finds it by its exemplars.
        assert!(series.retire(model::Timestamp::MIN) && series.is_gone());
    }
}
