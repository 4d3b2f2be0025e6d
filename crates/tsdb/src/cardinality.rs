//! Which names and values are many: the largest parts of what a scope has in the head.

use std::cmp::Reverse;

use model::{Budget, Interrupt, METRIC_NAME, StorageError, TimeRange};
use roaring::RoaringBitmap;

use crate::head::HeadIndex;
use crate::querier::{Querier, scoped_sets};
use crate::select;

/// Values between two looks at the budget.
const VALUES_PER_CHECK: usize = 256;

/// The size of the head's part of a scope, and what it is made of: names with numbers, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cardinality {
    /// Series.
    pub series: u64,
    /// Label pairs, each counted once.
    pub label_pairs: u64,
    /// Chunks.
    pub chunks: u64,
    /// From the oldest to the newest sample.
    pub range: Option<TimeRange>,
    /// Series by metric name.
    pub series_by_name: Vec<(String, u64)>,
    /// Values by label name.
    pub values_by_label: Vec<(String, u64)>,
    /// Bytes of the values that series have, by label name.
    pub bytes_by_label: Vec<(String, u64)>,
    /// Series by `name=value`.
    pub series_by_pair: Vec<(String, u64)>,
}

/// The largest few of many.
struct Top {
    most: usize,
    /// The largest first; of equals, the first by name.
    found: Vec<(Reverse<u64>, String)>,
}

impl Top {
    fn new(most: usize) -> Top {
        Top { most, found: Vec::new() }
    }

    fn add(&mut self, n: u64, name: impl FnOnce() -> String) {
        let is_full = self.found.len() == self.most;
        if is_full && self.found.last().is_none_or(|(least, _)| n < least.0) {
            return;
        }
        let item = (Reverse(n), name());
        let at = self.found.partition_point(|other| *other < item);
        self.found.insert(at, item);
        self.found.truncate(self.most);
    }

    fn into_list(self) -> Vec<(String, u64)> {
        self.found.into_iter().map(|(n, name)| (name, n.0)).collect()
    }
}

/// What one label name adds.
#[derive(Default)]
struct OfName {
    values: u64,
    bytes: u64,
}

impl Querier<'_> {
    /// Counts what the scope has in the head; each list has at most `most` entries.
    ///
    /// Cost: one intersection for each label pair, and a lock on each series.
    pub fn cardinality(&self, most: usize, budget: &Budget) -> Result<Cardinality, StorageError> {
        let (mut out, head) = (Cardinality::default(), self.head());
        let mut tops = [const { None }; 4].map(|_: Option<()>| Top::new(most));
        let scope = &scoped_sets(self.scope(), &[])[0];
        let all = head.with_index(|index| select::select(index, scope, budget))?;
        let names: Vec<String> = head.with_index(|index| index.names().map(str::to_owned).collect());
        let [by_name, by_values, by_bytes, by_pair] = &mut tops;
        for name in names {
            let found = head.with_index(|index| count(index, &name, &all, by_name, by_pair, budget))?;
            if found.values > 0 {
                out.label_pairs += found.values;
                by_values.add(found.values, || name.clone());
                by_bytes.add(found.bytes, || name.clone());
            }
        }
        let series = head.with_index(|index| index.resolve(&all));
        budget.charge(size_of_val(series.as_slice()))?;
        for series in &series {
            budget.check()?;
            out.chunks += series.size().0 as u64;
            if let Some(range) = series.range() {
                let both = |so_far: TimeRange| TimeRange {
                    mint: so_far.mint.min(range.mint),
                    maxt: so_far.maxt.max(range.maxt),
                };
                out.range = Some(out.range.map_or(range, both));
            }
        }
        out.series = series.len() as u64;
        [out.series_by_name, out.values_by_label, out.bytes_by_label, out.series_by_pair] = tops.map(Top::into_list);
        Ok(out)
    }
}

/// Counts the values of `name` among `all`.
fn count(
    index: &HeadIndex,
    name: &str,
    all: &RoaringBitmap,
    by_name: &mut Top,
    by_pair: &mut Top,
    budget: &Budget,
) -> Result<OfName, Interrupt> {
    let mut found = OfName::default();
    for (i, (value, postings)) in index.values(name).enumerate() {
        if i.is_multiple_of(VALUES_PER_CHECK) {
            budget.check()?;
        }
        let n = postings.intersection_len(all);
        if n == 0 {
            continue;
        }
        found.values += 1;
        found.bytes += n * value.len() as u64;
        by_pair.add(n, || format!("{name}={value}"));
        if name == METRIC_NAME {
            by_name.add(n, || value.to_owned());
        }
    }
    Ok(found)
}
