//! Exemplars: of each project those that were written last, in the order they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::{HashMap, HashTable};
use model::{Budget, Exemplar, Interrupt, Labels, Matcher, PROJECT_LABEL, TimeRange};

use super::series::Series;

/// Bytes charged for each exemplar of an answer.
const EXEMPLAR_BYTES: usize = 128;

/// The exemplars of all projects.
#[derive(Debug)]
pub(crate) struct Exemplars {
    by_project: HashMap<Box<str>, Ring, RandomState>,
    per_project_max: usize,
}

/// The exemplars of one project, the first written first.
///
/// Invariant: `places` has the number of each one that is kept; the first one has number `dropped`.
#[derive(Debug, Default)]
struct Ring {
    kept: VecDeque<Kept>,
    dropped: u64,
    places: HashTable<u64>,
    /// How many each series has; not one that has none.
    by_series: HashMap<Labels, usize, RandomState>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Kept {
    series: Arc<Series>,
    exemplar: Exemplar,
}

impl Exemplars {
    /// None yet, and of each project no more than `per_project_max`, but one.
    pub(super) fn new(per_project_max: usize) -> Exemplars {
        Exemplars { by_project: HashMap::default(), per_project_max: per_project_max.max(1) }
    }

    /// Keeps an exemplar; the project's oldest one goes if there are too many. Returns whether it is news.
    pub(super) fn add(&mut self, series: &Arc<Series>, exemplar: &Exemplar) -> bool {
        let project = project(&series.labels);
        let ring = match self.by_project.get_mut(project) {
            Some(ring) => ring,
            None => self.by_project.entry(project.into()).or_default(),
        };
        ring.add(Kept { series: series.clone(), exemplar: exemplar.clone() }, self.per_project_max)
    }

    /// Those inside `range` of the series that satisfy one of `sets`, by series and time.
    pub(crate) fn select(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Interrupt> {
        let mut found: BTreeMap<&Labels, Vec<&Exemplar>> = BTreeMap::new();
        for (project, ring) in &self.by_project {
            budget.check()?;
            let reaches = |set: &Vec<Matcher>| set.iter().all(|m| m.name() != PROJECT_LABEL || m.matches(project));
            if sets.iter().any(reaches) {
                for kept in ring.kept.iter().filter(|kept| range.contains(kept.exemplar.t)) {
                    found.entry(&kept.series.labels).or_default().push(&kept.exemplar);
                }
            }
        }
        let mut all = Vec::new();
        for (labels, mut exemplars) in found {
            budget.check()?;
            if sets.iter().any(|set| set.iter().all(|matcher| matcher.matches_labels(labels))) {
                budget.charge(EXEMPLAR_BYTES * exemplars.len())?;
                exemplars.sort_by_key(|exemplar| exemplar.t);
                all.push((labels.clone(), exemplars.into_iter().cloned().collect()));
            }
        }
        Ok(all)
    }

    /// The series that have one inside `range` and satisfy one of `sets`, each once.
    pub(super) fn series(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<Arc<Series>> {
        let mut found: BTreeMap<&Labels, &Arc<Series>> = BTreeMap::new();
        let kept = self.by_project.values().flat_map(|ring| &ring.kept);
        for kept in kept.filter(|kept| range.contains(kept.exemplar.t)) {
            found.entry(&kept.series.labels).or_insert(&kept.series);
        }
        let selected = |labels: &Labels| sets.iter().any(|set| set.iter().all(|m| m.matches_labels(labels)));
        found.into_iter().filter(|(labels, _)| selected(labels)).map(|(_, series)| series.clone()).collect()
    }

    /// Forgets those of `series` inside `range`. Cost: one pass over the project's, if the series has one.
    pub(crate) fn delete(&mut self, series: &Labels, range: TimeRange) {
        if let Some(ring) = self.by_project.get_mut(project(series))
            && ring.by_series.contains_key(series)
        {
            ring.retain(|kept| kept.series.labels != *series || !range.contains(kept.exemplar.t));
        }
    }

    /// The projects that have some.
    pub(super) fn projects(&self) -> Vec<Box<str>> {
        self.by_project.keys().cloned().collect()
    }

    /// Those of one project with their series, the first written first.
    pub(super) fn of_project(&self, project: &str) -> impl Iterator<Item = (&Arc<Series>, &Exemplar)> {
        let kept = self.by_project.get(project).into_iter().flat_map(|ring| &ring.kept);
        kept.map(|kept| (&kept.series, &kept.exemplar))
    }

    /// The number of those that are kept.
    pub(super) fn len(&self) -> usize {
        self.by_project.values().map(|ring| ring.kept.len()).sum()
    }
}

impl Ring {
    fn add(&mut self, new: Kept, max: usize) -> bool {
        let hash = hash(&self.hasher, &new);
        let is_same = |number: &u64| self.kept.get(self.position(*number)).is_some_and(|kept| kept.is_same(&new));
        if self.places.find(hash, is_same).is_some() {
            return false;
        }
        if max <= self.kept.len()
            && let Some(oldest) = self.kept.pop_front()
        {
            let (hash, number) = (self::hash(&self.hasher, &oldest), self.dropped);
            if let Ok(place) = self.places.find_entry(hash, |kept| *kept == number) {
                place.remove();
            }
            self.dropped += 1;
            if let Some(count) = self.by_series.get_mut(&oldest.series.labels) {
                *count -= 1;
                if *count == 0 {
                    self.by_series.remove(&oldest.series.labels);
                }
            }
        }
        *self.by_series.entry(new.series.labels.clone()).or_default() += 1;
        self.kept.push_back(new);
        let (kept, dropped, hasher) = (&self.kept, self.dropped, &self.hasher);
        let rehash = |number: &u64| self::hash(hasher, &kept[position(*number, dropped)]);
        self.places.insert_unique(hash, dropped + (kept.len() - 1) as u64, rehash);
        true
    }

    fn retain(&mut self, keep: impl Fn(&Kept) -> bool) {
        if self.kept.iter().all(&keep) {
            return;
        }
        self.places.clear();
        self.by_series.clear();
        for kept in std::mem::take(&mut self.kept).into_iter().filter(|kept| keep(kept)) {
            self.add(kept, usize::MAX);
        }
    }

    fn position(&self, number: u64) -> usize {
        position(number, self.dropped)
    }
}

impl Kept {
    fn is_same(&self, other: &Kept) -> bool {
        let (a, b) = (&self.exemplar, &other.exemplar);
        a.t == b.t
            && a.v.to_bits() == b.v.to_bits()
            && a.labels == b.labels
            && self.series.labels == other.series.labels
    }
}

fn project(labels: &Labels) -> &str {
    labels.get(PROJECT_LABEL).unwrap_or_default()
}

fn position(number: u64, dropped: u64) -> usize {
    usize::try_from(number - dropped).expect("a ring fits into memory")
}

fn hash(hasher: &RandomState, kept: &Kept) -> u64 {
    let Kept { series, exemplar: Exemplar { labels, t, v } } = kept;
    hasher.hash_one((series.labels.as_bytes(), labels.as_bytes(), t, v.to_bits()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::SeriesRef;

    fn series(i: u32) -> Arc<Series> {
        let labels = Labels::from_pairs([("i", i.to_string().as_str()), (PROJECT_LABEL, "p")]);
        Arc::new(Series::new(SeriesRef(u64::from(i)), i, labels))
    }

    fn exemplar(t: i64) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", t.to_string().as_str())]), t, v: 0.5 }
    }

    fn times(exemplars: &Exemplars) -> Vec<i64> {
        exemplars.of_project("p").map(|(_, exemplar)| exemplar.t).collect()
    }

    #[test]
    fn the_oldest_goes_and_what_is_kept_is_known() {
        let (mut exemplars, a, b) = (Exemplars::new(100), series(1), series(2));
        for t in 0..1000 {
            assert!(exemplars.add(&a, &exemplar(t)));
            assert!(!exemplars.add(&series(1), &exemplar(t)), "{t}");
            assert!(!exemplars.add(&a, &exemplar((t - 99).max(0))), "{t}");
        }
        assert_eq!(times(&exemplars), (900..1000).collect::<Vec<_>>());
        assert!(exemplars.add(&b, &exemplar(950)), "another series");
        assert!(exemplars.add(&a, &exemplar(900)), "gone with the one before");
        exemplars.delete(&a.labels, TimeRange { mint: 910, maxt: 990 });
        assert_eq!(
            times(&exemplars),
            [902, 903, 904, 905, 906, 907, 908, 909, 991, 992, 993, 994, 995, 996, 997, 998, 999, 950, 900]
        );
        assert!(!exemplars.add(&a, &exemplar(991)));
        assert!(exemplars.add(&a, &exemplar(950)));
    }
}
