//! Postings made anew from the series of an index whose own are damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Interrupt;
use roaring::RoaringBitmap;

use super::Index;
use super::layout::SERIES_ALIGN;
use super::series;

/// For each label pair the series that have it, in memory.
#[derive(Debug, Default)]
pub(super) struct Rebuilt {
    all: RoaringBitmap,
    pairs: BTreeMap<Arc<str>, BTreeMap<Arc<str>, RoaringBitmap>>,
}

impl Rebuilt {
    /// Reads all series of `index` whose checksums are right, wherever they start. Cost: one pass over them.
    pub(super) fn of(index: &Index) -> Rebuilt {
        let (mut rebuilt, mut texts, mut reader) = (Rebuilt::default(), BTreeSet::new(), index.series());
        let end = index.toc.label_indices.min(index.file.bytes().len() as u64).div_ceil(SERIES_ALIGN);
        let mut next = index.toc.series.div_ceil(SERIES_ALIGN);
        while next < end
            && let Ok(reference) = u32::try_from(next)
        {
            next += 1;
            if let Ok(series) = reader.read(reference) {
                rebuilt.add(reference, series.labels.iter(), &mut texts);
                next = series::entry_end(&index.file, reference).div_ceil(SERIES_ALIGN).max(next);
            }
        }
        rebuilt
    }

    /// Adds a series. `texts` has each name and value once, as the file does: one value may have many names.
    fn add<'l>(
        &mut self,
        reference: u32,
        labels: impl Iterator<Item = (&'l str, &'l str)>,
        texts: &mut BTreeSet<Arc<str>>,
    ) {
        self.all.insert(reference);
        for (name, value) in labels {
            if let Some(refs) = self.pairs.get_mut(name).and_then(|values| values.get_mut(value)) {
                refs.insert(reference);
                continue;
            }
            let [name, value] = [name, value].map(|text| shared(texts, text));
            self.pairs.entry(name).or_default().insert(value, RoaringBitmap::from([reference]));
        }
    }

    /// Every series.
    pub(super) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// Every label name, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs.keys().map(|name| &**name)
    }

    /// How many values `name` has.
    pub(super) fn values_count(&self, name: &str) -> usize {
        self.pairs.get(name).map_or(0, BTreeMap::len)
    }

    /// Every value of `name`, sorted, with the series that have it.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &RoaringBitmap)> {
        self.pairs.get(name).into_iter().flatten().map(|(value, refs)| (&**value, refs))
    }

    /// The series with `name="value"`, if there is one.
    pub(super) fn get(&self, name: &str, value: &str) -> Option<&RoaringBitmap> {
        self.pairs.get(name)?.get(value)
    }

    /// Unites the series with `name` and a value for which `accept` says so.
    pub(super) fn postings_where(
        &self,
        name: &str,
        accept: &mut dyn FnMut(&str) -> Result<bool, Interrupt>,
    ) -> Result<RoaringBitmap, Interrupt> {
        let mut set = RoaringBitmap::new();
        for (value, refs) in self.values(name) {
            if accept(value)? {
                set |= refs;
            }
        }
        Ok(set)
    }
}

/// The one copy of `text`.
fn shared(texts: &mut BTreeSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return known.clone();
    }
    let new: Arc<str> = text.into();
    texts.insert(new.clone());
    new
}
