//! A selection of a store's series, one after the other.

use std::collections::BTreeSet;

use model::{Budget, Columns, Labels, Matcher, Queryable, Scope};
use tsdb::Db;

use super::{Selection, open_store};
use crate::print;

/// What is done with each series.
type EachSeries<'a> = dyn FnMut(&Labels, &Columns) -> anyhow::Result<()> + 'a;

/// Calls `each` with every series of the selection that has samples in its range: for each selector in turn, sorted by
/// labels, and never twice. What is damaged is told and left out.
pub(super) fn for_each_series(selection: &Selection, each: &mut EachSeries<'_>) -> anyhow::Result<()> {
    let db = open_store(&selection.dir)?;
    db.damages().iter().for_each(|damage| print::note(&format!("damaged: {damage}")));
    let mut sets: Vec<&[Matcher]> = selection.selectors.iter().map(|selector| &selector.0[..]).collect();
    if sets.is_empty() {
        sets.push(&[]);
    }
    for (set_idx, matchers) in sets.iter().enumerate() {
        let seen = |labels: &Labels| sets[..set_idx].iter().any(|set| set.iter().all(|m| m.matches_labels(labels)));
        read(&db, matchers, selection, &|labels| !seen(labels), each)?;
    }
    Ok(())
}

fn read(
    db: &Db,
    matchers: &[Matcher],
    selection: &Selection,
    wanted: &dyn Fn(&Labels) -> bool,
    each: &mut EachSeries<'_>,
) -> anyhow::Result<()> {
    let (budget, mut columns) = (Budget::unlimited(), Columns::default());
    let selected = db.querier(Scope::All).select(matchers, selection.range(), &budget)?;
    for idx in (0..selected.series.len()).filter(|idx| wanted(selected.series.labels(*idx))) {
        selected.series.read(idx, &mut columns, &budget)?;
        if !columns.is_empty() {
            each(selected.series.labels(idx), &columns)?;
        }
    }
    let warnings: BTreeSet<String> = selected.warnings.into_iter().chain(budget.warnings()).collect();
    warnings.iter().for_each(|warning| print::note(&format!("warning: {warning}")));
    Ok(())
}
