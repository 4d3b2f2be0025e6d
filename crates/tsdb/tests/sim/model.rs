//! What the store must hold: samples that were acknowledged, and requests that may have been taken or not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use model::SampleValue;

use crate::store::Report;
use crate::{HOUR_MS, MINUTE_MS, START};

/// The out-of-order window of the store under test.
pub(crate) const WINDOW_MS: i64 = 24 * HOUR_MS;

/// How far ahead of the clock a sample may be.
pub(crate) const FUTURE_MS: i64 = 10 * MINUTE_MS;

/// A series' number and a sample's time.
pub(crate) type Key = (u32, i64);

/// A sample's value, compared by its bits.
#[derive(Clone)]
pub(crate) struct Value(pub(crate) SampleValue);

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.0.same_bits(&other.0)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            SampleValue::Float(v) if v.is_nan() => write!(f, "NaN({:x})", v.to_bits()),
            SampleValue::Float(v) => write!(f, "{v}"),
            SampleValue::Histogram(h) => write!(f, "int histogram {} {}", h.count, h.sum),
            SampleValue::FloatHistogram(h) => write!(f, "float histogram {} {}", h.count, h.sum),
        }
    }
}

pub(crate) type Contents = BTreeMap<Key, Value>;

/// What a read found, ascending by its keys.
pub(crate) type Found = Vec<(Key, Value)>;

/// What a store must report of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Verdict {
    /// What the request adds.
    pub(crate) news: Contents,
    /// Samples that are there already, with this value or another one. Once they left the head the store may take
    /// them again; a read then finds the first.
    pub(crate) known: u64,
    /// Samples that are too old or too far ahead.
    pub(crate) outside: u64,
}

impl Verdict {
    /// Whether a report says the same, as far as a report can.
    pub(crate) fn check(&self, report: &Report) -> Result<(), String> {
        let news = self.news.len() as u64;
        let written = news..=news + self.known;
        let refused = self.outside..=self.outside + self.known;
        let all = report.written + report.duplicates + report.refused == news + self.known + self.outside;
        if all && written.contains(&report.written) && refused.contains(&report.refused) {
            return Ok(());
        }
        let Verdict { known, outside, .. } = self;
        Err(format!("expected {news} new, {known} known, {outside} outside the window: {report:?}"))
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    /// What a read finds.
    live: Contents,
    /// Of that, what a crash must spare.
    durable: BTreeSet<Key>,
    /// What requests that were not acknowledged would add, in their order.
    pending: Vec<Contents>,
}

impl Model {
    /// The time of the newest sample.
    pub(crate) fn newest(&self) -> Option<i64> {
        self.live.keys().map(|(_, t)| *t).max()
    }

    /// What becomes of `samples` at `now`.
    pub(crate) fn judge(&self, samples: &[(Key, Value)], now: i64) -> Verdict {
        let mut verdict = Verdict::default();
        let mut newest = self.newest();
        for (key, value) in samples {
            if now + FUTURE_MS < key.1 || newest.is_some_and(|newest| key.1 < newest - WINDOW_MS) {
                verdict.outside += 1;
            } else if self.live.contains_key(key) || verdict.news.contains_key(key) {
                verdict.known += 1;
            } else {
                verdict.news.insert(*key, value.clone());
                newest = newest.max(Some(key.1));
            }
        }
        verdict
    }

    /// A request was acknowledged: what it added and what it repeated is durable.
    pub(crate) fn acknowledge(&mut self, samples: &[(Key, Value)], news: Contents) {
        self.live.extend(news);
        let repeated = samples.iter().filter(|(key, value)| self.live.get(key) == Some(value));
        self.durable.extend(repeated.map(|(key, _)| *key));
    }

    /// A request failed that would have added `news`: later reads find all of that, or nothing.
    pub(crate) fn suspend(&mut self, news: Contents) {
        self.pending.push(news);
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
        let found: Contents = found.into_iter().collect();
        let kept = self.durable.iter().map(|key| (*key, self.live[key].clone())).collect();
        explain(kept, &self.pending, &found)?;
        self.durable = found.keys().copied().collect();
        self.live = found;
        self.pending.clear();
        Ok(())
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
    let mut lines = vec![format!("{} samples expected, {} found", expected.len(), found.len())];
    let keys: BTreeSet<&Key> = expected.keys().chain(found.keys()).collect();
    for key in keys {
        let (old, new) = (expected.get(key), found.get(key));
        if old != new {
            lines.push(format!("[{}]{:+}: expected {old:?}, found {new:?}", key.0, key.1 - START));
        }
    }
    lines.truncate(12);
    lines.join("\n  ")
}
