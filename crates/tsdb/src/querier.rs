//! Reading the store: one querier over the head and all blocks, inside one scope that no matcher can leave.

use std::borrow::Cow;
use std::sync::Arc;

use model::{
    Budget, Exemplar, Interrupt, Labels, Matcher, Metadata, PROJECT_LABEL, Queryable, Scope, Selected, StorageError,
    TimeRange,
};
use roaring::RoaringBitmap;

use crate::block::{Block, BlockError, POSTINGS_LOST};
use crate::db::Db;
use crate::gather::{self, Gathering, LabelSets, SortedTexts};
use crate::head::{Head, HeadIndex, Series};
use crate::merged::{MergedSeries, MergedSet};
use crate::select;
use crate::values::SeriesValues;

/// Bytes charged for each series of a selection beside its labels: its place in the tables and a handful of chunk
/// references.
const SERIES_BYTES: usize = 512;
/// Bytes that a label set in a sorted list takes beside its own.
const ITEM_BYTES: usize = 64;

/// Reads one scope of a store.
///
/// Always the head first: what a flush moves to a block meanwhile is then seen twice, and merged, never missed.
pub struct Querier<'a> {
    db: &'a Db,
    scope: Scope,
}

impl<'a> Querier<'a> {
    pub(crate) fn new(db: &'a Db, scope: Scope) -> Querier<'a> {
        Querier { db, scope }
    }

    pub(crate) fn head(&self) -> &Head {
        self.db.head()
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The names of the labels of series that match one of `sets` (all series, if there is none), sorted.
    ///
    /// At most `limit` names, one more if there are more; 0 for all. Of a part of the store that overlaps `range`, all
    /// series count, whether they have a sample inside or not.
    pub fn label_names(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<String>, StorageError> {
        let (mut names, most) = (SortedTexts::default(), most(limit));
        for matchers in scoped_sets(&self.scope, sets) {
            if self.head_overlaps(range) {
                self.db.head().with_index(|index| -> Result<(), Interrupt> {
                    let series = select::select(index, &matchers, budget)?;
                    let mut all: Vec<&str> = index.names().collect();
                    all.sort_unstable();
                    names.start_part();
                    for name in all {
                        if has_one_of(index, name, &series, budget)? {
                            names.add(Cow::Borrowed(name), budget)?;
                        }
                    }
                    Ok(())
                })?;
            }
            for block in self.blocks(range) {
                names.start_part();
                for name in readable(&block, block.label_names(&matchers, most, budget), budget)? {
                    names.add(name, budget)?;
                }
            }
        }
        Ok(names.finish(most))
    }

    /// The number of series with recent samples: those that the head has.
    pub fn active_series(&self) -> usize {
        self.db.head().with_index(|index| match &self.scope {
            Scope::All => index.len(),
            Scope::Project(id) => index.len_in(id.as_str()),
        })
    }

    /// The values of label `name` among series that match one of `sets` (all series, if there is none), sorted.
    ///
    /// At most `limit` values, one more if there are more; 0 for all. Which series count: see
    /// [`Querier::label_names`].
    pub fn label_values(
        &self,
        name: &str,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<String>, StorageError> {
        let (mut values, most) = (SortedTexts::default(), most(limit));
        for matchers in scoped_sets(&self.scope, sets) {
            if self.head_overlaps(range) {
                self.db.head().with_index(|index| -> Result<(), Interrupt> {
                    let series = select::select(index, &matchers, budget)?;
                    let mut found = 0;
                    values.start_part();
                    for (value, postings) in index.values(name) {
                        budget.check()?;
                        if found < most && !postings.is_disjoint(&series) {
                            values.add(Cow::Borrowed(value), budget)?;
                            found += 1;
                        }
                    }
                    Ok(())
                })?;
            }
            for block in self.blocks(range) {
                values.start_part();
                for value in readable(&block, block.label_values(name, &matchers, most, budget), budget)? {
                    values.add(value, budget)?;
                }
            }
        }
        Ok(values.finish(most))
    }

    /// The labels of the series that match one of `sets`, sorted; at most `limit`, one more if there are more.
    pub fn series(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        limit: usize,
        budget: &Budget,
    ) -> Result<Vec<Labels>, StorageError> {
        let mut all = LabelSets::default();
        for matchers in scoped_sets(&self.scope, sets) {
            for series in self.select_head(&matchers, budget)? {
                budget.check()?;
                // The head's labels are shared, not copied.
                if series.overlaps(range) && all.insert(&series.labels, gather::hash(&series.labels)) {
                    budget.charge(ITEM_BYTES)?;
                }
            }
            for block in self.blocks(range) {
                for series in readable(&block, block.select(&matchers, range, budget), budget)? {
                    budget.check()?;
                    if all.insert(&series.labels, series.hash) {
                        budget.charge(ITEM_BYTES + series.labels.as_bytes().len())?;
                    }
                }
            }
        }
        let mut all = all.finish();
        all.truncate(most(limit));
        Ok(all)
    }

    /// The exemplars inside `range` of the series that match one of `sets`, by series, each series' by time.
    pub fn exemplars(
        &self,
        sets: &[Vec<Matcher>],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, StorageError> {
        Ok(self.db.head().select_exemplars(&scoped_sets(&self.scope, sets), range, budget)?)
    }

    /// The metadata of families, all or the one called `family`, sorted by name.
    pub fn metadata(&self, family: Option<&str>) -> Vec<(String, Metadata)> {
        self.db.head().families().read().get(&self.scope, family)
    }

    /// The same selection as [`Queryable::select`] makes, to be read as what was written: integer and float histograms
    /// told apart.
    pub fn values(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<SeriesValues, StorageError> {
        Ok(SeriesValues::new(self.merge(matchers, range, budget)?))
    }

    /// The series of a selection, put together from head and blocks.
    fn merge(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<MergedSet, StorageError> {
        let matchers = scoped(&self.scope, matchers);
        let mut head: Vec<(Labels, crate::head::Snapshot)> = Vec::new();
        for series in self.select_head(&matchers, budget)? {
            budget.check()?;
            let snapshot = series.snapshot(range);
            if !snapshot.is_empty() {
                budget.charge(SERIES_BYTES + size_of_val(snapshot.late.as_slice()))?;
                head.push((series.labels.clone(), snapshot));
            }
        }
        let blocks = self.blocks(range);
        let mut gathering = Gathering::default();
        let new = |labels: &Labels, hash: u64| -> Result<MergedSeries, StorageError> {
            budget.charge(SERIES_BYTES + labels.as_bytes().len())?;
            Ok(MergedSeries::new(labels.clone(), hash))
        };
        for (block_idx, block) in (0u32..).zip(&blocks) {
            let found = readable(block, block.select(&matchers, range, budget), budget)?;
            let tombstones = block.tombstones();
            gathering.start_part(found.len());
            for series in found {
                budget.check()?;
                let deleted = tombstones.of(series.reference);
                match gathering.find(&series.labels, series.hash) {
                    Some(known) => known.add_block(block_idx, block, series, deleted, range),
                    None => {
                        let new = new(&series.labels, series.hash)?;
                        gathering.add(new).add_block(block_idx, block, series, deleted, range);
                    }
                }
            }
        }
        gathering.start_part(head.len());
        for (labels, snapshot) in head {
            budget.check()?;
            let hash = gather::hash(&labels);
            match gathering.find(&labels, hash) {
                Some(known) => known.add_head(snapshot),
                None => gathering.add(new(&labels, hash)?).add_head(snapshot),
            }
        }
        Ok(MergedSet::new(range, blocks, gathering.finish()))
    }

    /// The head's series of a selection, sorted by labels.
    fn select_head(&self, matchers: &[Matcher], budget: &Budget) -> Result<Vec<Arc<Series>>, StorageError> {
        let found = self.db.head().with_index(|index| {
            let slots = select::select(index, matchers, budget)?;
            budget
                .charge(usize::try_from(slots.len()).unwrap_or(usize::MAX).saturating_mul(size_of::<Arc<Series>>()))?;
            Ok::<_, Interrupt>(index.resolve(&slots))
        });
        Ok(self.db.head().sorted(found?))
    }

    /// The blocks that overlap `range`, oldest first.
    fn blocks(&self, range: TimeRange) -> Vec<Arc<Block>> {
        let blocks = self.db.blocks();
        blocks.iter().filter(|block| block.range().closed().overlaps(range)).cloned().collect()
    }

    /// Whether the head may have samples inside `range`.
    fn head_overlaps(&self, range: TimeRange) -> bool {
        self.db.head().range().is_some_and(|head| head.overlaps(range))
    }
}

impl Queryable for Querier<'_> {
    fn select(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Selected, StorageError> {
        let series = Box::new(self.merge(matchers, range, budget)?);
        Ok(Selected { series, warnings: self.db.warnings(range) })
    }
}

/// `matchers` and the scope: the only way from matchers to postings.
fn scoped(scope: &Scope, matchers: &[Matcher]) -> Vec<Matcher> {
    let own = match scope {
        Scope::All => None,
        Scope::Project(project) => Some(Matcher::equal(PROJECT_LABEL, project.as_str())),
    };
    own.into_iter().chain(matchers.iter().cloned()).collect()
}

/// The sets inside the scope; without a set, everything inside it.
pub(crate) fn scoped_sets(scope: &Scope, sets: &[Vec<Matcher>]) -> Vec<Vec<Matcher>> {
    let all = [Vec::new()];
    let sets = if sets.is_empty() { &all[..] } else { sets };
    sets.iter().map(|matchers| scoped(scope, matchers)).collect()
}

/// What was found in `block`; nothing if its postings are damaged, and then the budget's owner is told.
fn readable<T>(block: &Block, found: Result<Vec<T>, BlockError>, budget: &Budget) -> Result<Vec<T>, StorageError> {
    match found {
        Ok(found) => Ok(found),
        Err(BlockError::Interrupted(interrupt)) => Err(StorageError::Interrupted(interrupt)),
        Err(e @ BlockError::Corrupt { .. }) => {
            block.tell(&e, POSTINGS_LOST, block.range().closed(), budget);
            Ok(Vec::new())
        }
        Err(e) => Err(StorageError::Failed(e.to_string())),
    }
}

/// Whether one of `series` has a label `name`.
fn has_one_of(index: &HeadIndex, name: &str, series: &RoaringBitmap, budget: &Budget) -> Result<bool, Interrupt> {
    for (_, postings) in index.values(name) {
        budget.check()?;
        if !postings.is_disjoint(series) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many items tell that `limit` is reached: one more than it; 0 is no limit.
fn most(limit: usize) -> usize {
    if limit == 0 { usize::MAX } else { limit.saturating_add(1) }
}
