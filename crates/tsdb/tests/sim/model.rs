//! What the store must hold: samples that were acknowledged, and requests that may have been taken or not.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::Report;
use crate::value::{Key, Kind, Value};
use crate::{HOUR_MS, MINUTE_MS, START};

/// The out-of-order window of the store under test.
pub(crate) const WINDOW_MS: i64 = 24 * HOUR_MS;
/// How far ahead of the clock a sample may be.
pub(crate) const FUTURE_MS: i64 = 10 * MINUTE_MS;

pub(crate) type Contents = BTreeMap<Key, Value>;

/// What a read found, ascending by its keys.
pub(crate) type Found = Vec<(Key, Value)>;

/// What is to be deleted: of one series or of all, from one time to another, both inside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doomed {
    pub(crate) series: Option<u32>,
    pub(crate) from: i64,
    pub(crate) to: i64,
}

impl Doomed {
    fn has(&self, (series, t, _): &Key) -> bool {
        self.series.is_none_or(|own| own == *series) && (self.from..=self.to).contains(t)
    }
}

/// What a store must report of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// What the request adds.
    pub(crate) news: Contents,
    /// Known with this value.
    same: u64,
    /// Known with another value.
    other: u64,
    /// Known, but no longer in the head: the store may take it again. A read then finds the first value.
    flushed: u64,
    /// Too old or too far ahead.
    outside: u64,
}

impl Verdict {
    /// Whether a report says the same.
    pub(crate) fn check(&self, report: &Report) -> Result<(), String> {
        let all = self.news.len() as u64 + self.same + self.other + self.flushed + self.outside;
        let allows = |least: u64, told: u64| (least..=least + self.flushed).contains(&told);
        let is_right = report.written + report.duplicates + report.refused == all
            && allows(self.news.len() as u64, report.written)
            && allows(self.same, report.duplicates)
            && allows(self.other + self.outside, report.refused);
        let Verdict { news, same, other, flushed, outside } = self;
        let expected = format!("{} new, {same} same, {other} other, {outside} outside, {flushed} flushed", news.len());
        if is_right { Ok(()) } else { Err(format!("report: expected {expected}: {report:?}")) }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// What a read finds.
    live: Contents,
    /// Of that, what a crash must spare.
    durable: BTreeSet<Key>,
    /// Of that, what is still in the head.
    in_head: BTreeSet<Key>,
    /// What requests that were not acknowledged would add, in their order.
    pending: Vec<Contents>,
    /// What a deletion that is not done yet is about: there or not.
    doubtful: Option<Doomed>,
}

impl Model {
    /// The time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.live.keys().filter(|(.., exemplar)| *exemplar == 0).map(|(_, t, _)| *t).max()
    }

    /// What becomes of a request at `now`. No sample of it may lie so that it matters which of the newest samples were
    /// deleted: see `chooser`.
    pub(crate) fn judge(&self, samples: &[(Key, Value)], now: i64) -> Verdict {
        let mut verdict = Verdict::default();
        let oldest = self.newest().map(|newest| newest - WINDOW_MS);
        // The store takes one kind after the other.
        for kind in [Kind::Float, Kind::Histogram, Kind::Exemplar] {
            for (key, value) in samples.iter().filter(|(_, value)| value.kind() == kind) {
                if now + FUTURE_MS < key.1 || oldest.is_some_and(|oldest| key.1 < oldest) {
                    verdict.outside += 1;
                    continue;
                }
                match self.live.get(key).or(verdict.news.get(key)) {
                    None => _ = verdict.news.insert(*key, value.clone()),
                    Some(_) if self.live.contains_key(key) && !self.in_head.contains(key) => verdict.flushed += 1,
                    Some(known) if known == value => verdict.same += 1,
                    Some(_) => verdict.other += 1,
                }
            }
        }
        verdict
    }

    /// A request was acknowledged: what it added and what it repeated is durable.
    pub(crate) fn acknowledge(&mut self, samples: &[(Key, Value)], news: Contents) {
        self.in_head.extend(news.keys());
        self.live.extend(news);
        let repeated = samples.iter().filter(|(key, value)| self.live.get(key) == Some(value));
        self.durable.extend(repeated.map(|(key, _)| *key));
    }

    /// A request failed that would have added `news`: later reads find all of that, or nothing.
    pub(crate) fn suspend(&mut self, news: Contents) {
        self.pending.push(news);
    }

    /// The head may have gone to blocks.
    pub(crate) fn flushed(&mut self) {
        self.in_head.retain(|(.., exemplar)| *exemplar > 0);
    }

    /// A deletion begins: until it is done it may have reached everything or nothing.
    pub(crate) fn doom(&mut self, doomed: Doomed) {
        self.doubtful = Some(doomed);
    }

    /// The deletion is done.
    pub(crate) fn delete(&mut self) {
        let Some(doomed) = self.doubtful.take() else { return };
        self.live.retain(|key, _| !doomed.has(key));
        self.durable.retain(|key| !doomed.has(key));
        self.in_head.retain(|key| !doomed.has(key));
        self.pending.iter_mut().for_each(|news| news.retain(|key, _| !doomed.has(key)));
    }

    /// A read of everything `found` this.
    pub(crate) fn check(&mut self, found: Found) -> Result<(), String> {
        if self.live.iter().eq(found.iter().map(|(key, value)| (key, value))) {
            return Ok(());
        }
        let found: Contents = found.into_iter().collect();
        // The last request failed after it became visible.
        let visible = self.pending.last().into_iter().flatten().map(|(key, value)| (*key, value.clone()));
        let with: Contents = self.live.clone().into_iter().chain(visible).collect();
        if found != with {
            return Err(difference(&self.live, &found));
        }
        self.live = found;
        Ok(())
    }

    /// The store was opened again, and `found` is what it has from now on.
    pub(crate) fn settle(&mut self, found: Found) -> Result<(), String> {
        let mut found: Contents = found.into_iter().collect();
        let is_doubtful = |key: &Key| self.doubtful.is_some_and(|doomed| doomed.has(key));
        let spared = found.extract_if(.., |key, _| is_doubtful(key)).collect::<Contents>();
        for (key, value) in &spared {
            let mut known = self.live.get(key).into_iter().chain(self.pending.iter().filter_map(|news| news.get(key)));
            if !known.any(|known| known == value) {
                return Err(format!("{} was never written", show(key, value)));
            }
        }
        let durable = self.durable.iter().filter(|key| !is_doubtful(key));
        let kept = durable.map(|key| (*key, self.live[key].clone())).collect();
        let mut pending = self.pending.clone();
        pending.iter_mut().for_each(|news| news.retain(|key, _| !is_doubtful(key)));
        explain(kept, &pending, &found)?;
        self.live = found.into_iter().chain(spared).collect();
        self.durable = self.live.keys().copied().collect();
        self.in_head.retain(|key| self.live.contains_key(key));
        self.pending.clear();
        Ok(())
    }

    /// What a copy of the store must hold.
    pub(crate) fn is_live(&self, found: Found) -> Result<(), String> {
        // A copy has samples only.
        let samples: Contents = self.live.clone().into_iter().filter(|((.., exemplar), _)| *exemplar == 0).collect();
        let found = found.into_iter().collect();
        if samples == found { Ok(()) } else { Err(difference(&samples, &found)) }
    }
}

/// Finds out which of `pending` were taken, whole and in their order, to make `found` out of `kept`.
fn explain(kept: Contents, pending: &[Contents], found: &Contents) -> Result<(), String> {
    if kept == *found {
        return Ok(());
    }
    for (key, value) in &kept {
        if found.get(key) != Some(value) {
            return Err(format!("acknowledged: {}", difference(&kept, found)));
        }
    }
    let Some((first, rest)) = pending.split_first() else {
        return Err(format!("no subset of the requests that failed explains this: {}", difference(&kept, found)));
    };
    let mut with = kept.clone();
    for (key, value) in first {
        with.entry(*key).or_insert_with(|| value.clone());
    }
    if with.iter().all(|(key, value)| found.get(key) == Some(value)) && explain(with, rest, found).is_ok() {
        return Ok(());
    }
    explain(kept, rest, found)
}

fn difference(expected: &Contents, found: &Contents) -> String {
    let mut lines = vec![format!("{} expected, {} found", expected.len(), found.len())];
    let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (old, new) = (expected.get(key), found.get(key));
        if old != new {
            lines.push(format!("{}, found {new:?}", show(key, &old)));
        }
    }
    lines.truncate(12);
    lines.join("\n  ")
}

fn show((series, t, exemplar): &Key, value: &dyn std::fmt::Debug) -> String {
    let exemplar = if *exemplar > 0 { format!(" exemplar {exemplar}") } else { String::new() };
    format!("[{series}]{:+}{exemplar} = {value:?}", t - START)
}
