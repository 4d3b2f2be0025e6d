//! Exemplars: of each project those that were written last, in the order they came.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use hashbrown::{HashMap, HashSet, HashTable};
use model::{Budget, Exemplar, Interrupt, Labels, Matcher, PROJECT_LABEL, TimeRange};

use super::Head;
use super::series::Series;
use crate::options::Options;
use crate::quotas::Quotas;
use crate::wal::SeriesRef;

/// Bytes charged for each exemplar of an answer.
const EXEMPLAR_BYTES: usize = 128;

/// The exemplars of all projects.
#[derive(Debug)]
pub(crate) struct Exemplars {
    by_project: HashMap<Box<str>, Ring, RandomState>,
    per_project_max: usize,
    total_max: usize,
    /// What single projects may have in place of `per_project_max`.
    quotas: Quotas,
}

/// The exemplars of one project, the first written first.
///
/// Invariant: `places` has the number of each one that is kept; the first place has number `dropped`. No more than half
/// of the places are empty.
#[derive(Debug, Default)]
struct Ring {
    /// Nothing is where one was deleted.
    kept: VecDeque<Option<Kept>>,
    dropped: u64,
    places: HashTable<u64>,
    /// The numbers of those that each series has, ascending; not a series that has none.
    by_series: HashMap<Labels, VecDeque<u64>, RandomState>,
    hasher: RandomState,
}

/// Series of one project that have exemplars.
struct OfProject {
    project: Box<str>,
    series: Vec<Labels>,
}

#[derive(Debug)]
struct Kept {
    series: Arc<Series>,
    exemplar: Exemplar,
}

impl Exemplars {
    /// None yet, of each project no more than `options` say, and of all together neither, but one of each.
    pub(super) fn new(options: &Options) -> Exemplars {
        Exemplars {
            by_project: HashMap::default(),
            per_project_max: options.exemplars_per_project_max,
            total_max: options.exemplars_max,
            quotas: options.quotas.clone(),
        }
    }

    /// How many a project may have: an even share if there are many of them.
    fn share(&self, project: &str) -> usize {
        let share = self.total_max / self.by_project.len().max(1);
        self.quotas.of_project(project).exemplars_max.unwrap_or(self.per_project_max).min(share).max(1)
    }

    /// Keeps an exemplar; the project's oldest one goes if there are too many. Returns whether it is news.
    pub(super) fn add(&mut self, series: &Arc<Series>, exemplar: &Exemplar) -> bool {
        let project = project(&series.labels);
        if !self.by_project.contains_key(project) {
            self.by_project.insert(project.into(), Ring::default());
            // One project more: the shares of the others are smaller now.
            let shares: Vec<usize> = self.by_project.keys().map(|project| self.share(project)).collect();
            self.by_project.values_mut().zip(shares).for_each(|(ring, share)| ring.shrink(share));
        }
        let share = self.share(project);
        let new = Kept { series: series.clone(), exemplar: exemplar.clone() };
        self.by_project.get_mut(project).is_some_and(|ring| ring.add(new, share))
    }

    /// The series among `wanted` that have one: some of them may be in no index any more.
    pub(super) fn series_among(&self, wanted: &HashSet<SeriesRef>) -> BTreeMap<SeriesRef, Arc<Series>> {
        let kept = self.by_project.values().flat_map(|ring| ring.kept.iter().flatten());
        let among = kept.filter(|kept| wanted.contains(&kept.series.id));
        among.map(|kept| (kept.series.id, kept.series.clone())).collect()
    }

    /// The series of one project that have some.
    fn series_of(&self, project: &str) -> Vec<Labels> {
        self.by_project.get(project).map(|ring| ring.by_series.keys().cloned().collect()).unwrap_or_default()
    }

    /// Those of `series`, all of them of one project, that lie inside `range`, as they came.
    fn of_series<'a>(
        &'a self,
        project: &str,
        series: &'a [Labels],
        range: TimeRange,
    ) -> impl Iterator<Item = (&'a Labels, &'a Kept)> {
        let ring = self.by_project.get(project);
        let numbers = series.iter().filter_map(move |labels| Some((labels, ring?, ring?.by_series.get(labels)?)));
        let kept = numbers.flat_map(|(labels, ring, numbers)| {
            numbers.iter().filter_map(move |number| Some((labels, ring.kept.get(ring.position(*number))?.as_ref()?)))
        });
        kept.filter(move |(_, kept)| range.contains(kept.exemplar.t))
    }

    /// Forgets those of `series` inside `range`. Cost: follows the number of those that the series has.
    pub(crate) fn delete(&mut self, series: &Labels, range: TimeRange) {
        if let Some(ring) = self.by_project.get_mut(project(series)) {
            ring.delete(series, range);
        }
    }

    /// The projects that have some.
    pub(super) fn projects(&self) -> Vec<Box<str>> {
        self.by_project.keys().cloned().collect()
    }

    /// Those of one project with their series, the first written first.
    pub(super) fn of_project(&self, project: &str) -> impl Iterator<Item = (&Arc<Series>, &Exemplar)> {
        let kept = self.by_project.get(project).into_iter().flat_map(|ring| ring.kept.iter().flatten());
        kept.map(|kept| (&kept.series, &kept.exemplar))
    }

    /// The number of those that are kept.
    pub(super) fn len(&self) -> usize {
        self.by_project.values().map(|ring| ring.places.len()).sum()
    }
}

impl Head {
    /// The exemplars inside `range` of the series that satisfy one of `sets`, by series and time.
    ///
    /// A commit waits while they are looked at: that is for one project at a time, and matchers are asked in between.
    pub(crate) fn select_exemplars(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, Interrupt> {
        let mut all: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for OfProject { project, series } in self.series_with_exemplars(sets, budget)? {
            for (labels, kept) in self.exemplars.read().of_series(&project, &series, range) {
                budget.charge(EXEMPLAR_BYTES)?;
                all.entry(labels.clone()).or_default().push(kept.exemplar.clone());
            }
        }
        all.values_mut().for_each(|exemplars| exemplars.sort_by_key(|exemplar| exemplar.t));
        Ok(all.into_iter().collect())
    }

    /// The series that have an exemplar inside `range` and satisfy one of `sets`, each once.
    pub(super) fn select_by_exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> BTreeMap<Labels, Arc<Series>> {
        let selected = self.series_with_exemplars(sets, &Budget::unlimited());
        let mut found = BTreeMap::new();
        for OfProject { project, series } in selected.expect("a budget without limits interrupts nothing") {
            for (labels, kept) in self.exemplars.read().of_series(&project, &series, range) {
                found.entry(labels.clone()).or_insert_with(|| kept.series.clone());
            }
        }
        found
    }

    /// The series that satisfy one of `sets` and have exemplars, by their project.
    fn series_with_exemplars(&self, sets: &[Vec<Matcher>], budget: &Budget) -> Result<Vec<OfProject>, Interrupt> {
        let mut all = Vec::new();
        let projects = self.exemplars.read().projects();
        for project in projects {
            let reaches = |set: &Vec<Matcher>| set.iter().all(|m| m.name() != PROJECT_LABEL || m.matches(&project));
            if !sets.iter().any(reaches) {
                continue;
            }
            budget.check()?;
            let mut series = self.exemplars.read().series_of(&project);
            series.retain(|labels| sets.iter().any(|set| set.iter().all(|matcher| matcher.matches_labels(labels))));
            all.push(OfProject { project, series });
        }
        Ok(all)
    }
}

impl Ring {
    fn add(&mut self, new: Kept, max: usize) -> bool {
        let hash = hash(&self.hasher, &new);
        let is_same = |number: &u64| {
            self.kept.get(self.position(*number)).and_then(Option::as_ref).is_some_and(|kept| kept.is_same(&new))
        };
        if self.places.find(hash, is_same).is_some() {
            return false;
        }
        self.shrink(max - 1);
        let number = self.dropped + self.kept.len() as u64;
        self.by_series.entry(new.series.labels.clone()).or_default().push_back(number);
        self.kept.push_back(Some(new));
        let (kept, dropped, hasher) = (&self.kept, self.dropped, &self.hasher);
        let rehash =
            |number: &u64| kept[position(*number, dropped)].as_ref().map_or(0, |kept| self::hash(hasher, kept));
        self.places.insert_unique(hash, number, rehash);
        true
    }

    /// Forgets the oldest until there are no more than `max`.
    fn shrink(&mut self, max: usize) {
        while max < self.places.len() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        while let Some(oldest) = self.kept.pop_front() {
            let number = self.dropped;
            self.dropped += 1;
            let Some(oldest) = oldest else { continue };
            self.forget_place(number, &oldest);
            if let Some(numbers) = self.by_series.get_mut(&oldest.series.labels) {
                numbers.pop_front();
                if numbers.is_empty() {
                    self.by_series.remove(&oldest.series.labels);
                }
            }
            return;
        }
    }

    fn delete(&mut self, series: &Labels, range: TimeRange) {
        let Some(mut numbers) = self.by_series.remove(series) else { return };
        numbers.retain(|number| {
            let at = self.position(*number);
            let gone = self.kept.get_mut(at).and_then(|kept| kept.take_if(|kept| range.contains(kept.exemplar.t)));
            if let Some(gone) = &gone {
                self.forget_place(*number, gone);
            }
            gone.is_none()
        });
        if !numbers.is_empty() {
            self.by_series.insert(series.clone(), numbers);
        }
        if 2 * self.places.len() < self.kept.len() {
            self.close_up();
        }
    }

    fn forget_place(&mut self, number: u64, gone: &Kept) {
        if let Ok(place) = self.places.find_entry(hash(&self.hasher, gone), |kept| *kept == number) {
            place.remove();
        }
    }

    /// Closes the gaps that deletions left.
    fn close_up(&mut self) {
        self.places.clear();
        self.by_series.clear();
        for kept in std::mem::take(&mut self.kept).into_iter().flatten() {
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
    use model::ProjectId;

    use super::*;
    use crate::quotas::Quota;

    fn series(i: u32) -> Arc<Series> {
        let labels = Labels::from_pairs([("i", i.to_string().as_str()), (PROJECT_LABEL, "p")]);
        Arc::new(Series::new(SeriesRef(u64::from(i)), i, labels))
    }

    fn exemplar(t: i64) -> Exemplar {
        Exemplar { labels: Labels::from_pairs([("trace_id", t.to_string().as_str())]), t, v: 0.5 }
    }

    fn of(exemplars_per_project_max: usize, exemplars_max: usize) -> Exemplars {
        Exemplars::new(&Options { exemplars_per_project_max, exemplars_max, ..Options::default() })
    }

    fn times(exemplars: &Exemplars) -> Vec<i64> {
        exemplars.of_project("p").map(|(_, exemplar)| exemplar.t).collect()
    }

    #[test]
    fn the_oldest_goes_and_what_is_kept_is_known() {
        let (mut exemplars, a, b) = (of(100, 1000), series(1), series(2));
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
        // Gaps are no exemplars: all that there is room for is kept, and what goes is the oldest.
        for t in 1000..1080 {
            assert!(exemplars.add(&b, &exemplar(t)));
        }
        assert_eq!((exemplars.len(), times(&exemplars).first().copied()), (100, Some(902)));
        assert!(exemplars.add(&b, &exemplar(2000)) && exemplars.add(&a, &exemplar(902)));
        assert_eq!((exemplars.len(), times(&exemplars).first().copied()), (100, Some(904)));
    }

    /// Each deletion looks at the series' own: with a pass over all of them this takes minutes.
    #[test]
    fn many_series_are_deleted_one_by_one() {
        let mut exemplars = of(200_000, 200_000);
        let all: Vec<Arc<Series>> = (0..100_000).map(series).collect();
        for t in 0..2 {
            assert!(all.iter().all(|series| exemplars.add(series, &exemplar(t))));
        }
        for (i, series) in all.iter().enumerate() {
            exemplars.delete(&series.labels, TimeRange { mint: 1, maxt: 1 });
            assert_eq!(exemplars.len(), 200_000 - 1 - i);
        }
        assert_eq!(times(&exemplars), vec![0; 100_000]);
        all.iter().for_each(|series| exemplars.delete(&series.labels, TimeRange::ALL));
        assert_eq!((exemplars.len(), exemplars.by_project["p"].kept.len()), (0, 0));
    }

    #[test]
    fn a_project_may_have_more_or_fewer_than_others() {
        let options = Options { exemplars_per_project_max: 10, exemplars_max: 100, ..Options::default() };
        let (mut exemplars, own) = (Exemplars::new(&options), series(1));
        let other = Arc::new(Series::new(SeriesRef(2), 2, Labels::from_pairs([("i", "1"), (PROJECT_LABEL, "q")])));
        let mut fill = |max: usize| {
            let quota = Quota { exemplars_max: Some(max), ..Quota::default() };
            options.quotas.set([(ProjectId::parse("p").unwrap(), quota)]);
            for t in 0..100 {
                exemplars.add(&own, &exemplar(1000 * max as i64 + t));
                exemplars.add(&other, &exemplar(1000 * max as i64 + t));
            }
            ["p", "q"].map(|project| exemplars.of_project(project).count())
        };
        assert_eq!(fill(30), [30, 10]);
        assert_eq!(fill(3), [3, 10]);
        assert_eq!(fill(1000), [50, 10], "no more than its share of all");
        options.quotas.set([]);
        exemplars.add(&own, &exemplar(7));
        assert_eq!(exemplars.of_project("p").count(), 10);
    }

    #[test]
    fn many_projects_have_even_shares() {
        let mut exemplars = of(100, 120);
        let of = |project: &str| {
            let labels = Labels::from_pairs([("i", "1"), (PROJECT_LABEL, project)]);
            Arc::new(Series::new(SeriesRef(1), 1, labels))
        };
        let kept = |exemplars: &Exemplars, project: &str| {
            exemplars.of_project(project).map(|(_, exemplar)| exemplar.t).collect::<Vec<_>>()
        };
        for t in 0..200 {
            exemplars.add(&of("a"), &exemplar(t));
        }
        assert_eq!(exemplars.len(), 100);
        exemplars.add(&of("b"), &exemplar(1));
        assert_eq!(kept(&exemplars, "a"), (140..200).collect::<Vec<_>>());
        for project in 0..300 {
            exemplars.add(&of(&project.to_string()), &exemplar(7));
        }
        assert_eq!((kept(&exemplars, "a"), kept(&exemplars, "b"), exemplars.len()), (vec![199], vec![1], 302));
        assert!(exemplars.add(&of("a"), &exemplar(300)));
        assert_eq!(kept(&exemplars, "a"), [300]);
    }
}
