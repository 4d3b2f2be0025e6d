//! Selections that many expressions share: equal matchers are looked up once, and their samples are decoded once as long
//! as they fit.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use model::{Budget, Columns, Labels, Matcher, Queryable, Selected, SeriesSet, StorageError, TimeRange};
use parking_lot::Mutex;

/// Bytes of samples that one batch keeps decoded; beyond, a series is decoded again by each expression that reads it.
/// A day of one endpoint at 15 s takes 20 MB; the query's own bound is far above.
const KEPT_BYTES_MAX: usize = 128 << 20;
/// Bytes of one sample: a time and a value.
const SAMPLE_BYTES: usize = 16;

/// A store that remembers what was planned to be read from it.
pub(crate) struct SharedReads<'a> {
    store: &'a dyn Queryable,
    planned: Mutex<Vec<Planned>>,
    kept_bytes: Arc<AtomicUsize>,
}

/// Matchers, the range that all their readers need together, and the series once they are looked up.
struct Planned {
    matchers: Vec<Matcher>,
    range: TimeRange,
    n_readers: usize,
    set: Option<Arc<SharedSet>>,
}

impl<'a> SharedReads<'a> {
    pub(crate) fn new(store: &'a dyn Queryable) -> SharedReads<'a> {
        SharedReads { store, planned: Mutex::default(), kept_bytes: Arc::default() }
    }

    /// Announces one reading of `matchers` in `range`.
    pub(crate) fn plan(&self, matchers: Vec<Matcher>, range: TimeRange) {
        let mut planned = self.planned.lock();
        match planned.iter_mut().find(|known| known.matchers == matchers) {
            Some(known) => {
                known.n_readers += 1;
                let joined =
                    TimeRange { mint: known.range.mint.min(range.mint), maxt: known.range.maxt.max(range.maxt) };
                if joined != known.range {
                    known.range = joined;
                    // What was read for an earlier round is too short now.
                    known.set = None;
                }
            }
            None => planned.push(Planned { matchers, range, n_readers: 1, set: None }),
        }
    }
}

impl Queryable for SharedReads<'_> {
    fn select(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Selected, StorageError> {
        let mut planned = self.planned.lock();
        let covers = |known: &&mut Planned| {
            known.matchers == matchers && known.range.mint <= range.mint && range.maxt <= known.range.maxt
        };
        let Some(known) = planned.iter_mut().find(covers) else {
            drop(planned);
            return self.store.select(matchers, range, budget);
        };
        let (set, warnings) = match &known.set {
            Some(set) => (set.clone(), Vec::new()),
            None => {
                let selected = self.store.select(matchers, known.range, budget)?;
                let columns = (0..selected.series.len()).map(|_| OnceLock::new()).collect();
                let set = Arc::new(SharedSet {
                    inner: selected.series,
                    columns,
                    is_kept: known.n_readers > 1,
                    kept_bytes: self.kept_bytes.clone(),
                });
                known.set = Some(set.clone());
                (set, selected.warnings)
            }
        };
        Ok(Selected { series: Box::new(Part { set, range }), warnings })
    }
}

/// Series with their samples, as far as they are kept.
struct SharedSet {
    inner: Box<dyn SeriesSet>,
    columns: Vec<OnceLock<Columns>>,
    is_kept: bool,
    kept_bytes: Arc<AtomicUsize>,
}

impl SharedSet {
    /// The samples of a series if they are kept, or can be; otherwise they are left in `scratch`.
    fn read<'a>(
        &'a self,
        series_idx: usize,
        scratch: &'a mut Columns,
        budget: &Budget,
    ) -> Result<Option<&'a Columns>, StorageError> {
        let cell = &self.columns[series_idx];
        if self.is_kept
            && let Some(columns) = cell.get()
        {
            return Ok(Some(columns));
        }
        self.inner.read(series_idx, scratch, budget)?;
        if !self.is_kept || !scratch.histograms.is_empty() {
            return Ok(None);
        }
        let bytes = scratch.timestamps.len() * SAMPLE_BYTES;
        if KEPT_BYTES_MAX < self.kept_bytes.fetch_add(bytes, Relaxed) + bytes || budget.charge(bytes).is_err() {
            self.kept_bytes.fetch_sub(bytes, Relaxed);
            return Ok(None);
        }
        let kept = Columns {
            timestamps: scratch.timestamps.as_slice().into(),
            values: scratch.values.as_slice().into(),
            starts: scratch.starts.clone(),
            ..Columns::default()
        };
        Ok(Some(cell.get_or_init(|| kept)))
    }
}

/// The samples of a shared set inside one reader's range.
struct Part {
    set: Arc<SharedSet>,
    range: TimeRange,
}

impl SeriesSet for Part {
    fn len(&self) -> usize {
        self.set.inner.len()
    }

    fn labels(&self, series_idx: usize) -> &Labels {
        self.set.inner.labels(series_idx)
    }

    fn read(&self, series_idx: usize, into: &mut Columns, budget: &Budget) -> Result<(), StorageError> {
        let mut scratch = std::mem::take(into);
        let kept = self.set.read(series_idx, &mut scratch, budget)?;
        if let Some(kept) = kept {
            let inside = self.range.positions(&kept.timestamps);
            let cut = (&kept.timestamps[inside.clone()], &kept.values[inside]);
            into.timestamps.extend_from_slice(cut.0);
            into.values.extend_from_slice(cut.1);
            into.starts.extend_from_slice(&kept.starts);
            return Ok(());
        }
        scratch.keep(self.range);
        *into = scratch;
        Ok(())
    }
}
