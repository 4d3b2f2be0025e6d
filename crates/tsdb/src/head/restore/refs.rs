//! Which series the log means by a number: pages of neighbouring numbers, since a commit names its series in order.

use std::num::NonZeroU32;

use hashbrown::HashMap;

use super::queue::PART_LEN;
use crate::wal::SeriesRef;

/// Numbers on a page: few, so that a log with a hole after each number wastes little.
const PAGE_LEN: usize = 64;

/// So many numbers in a row are remembered, 16 bytes each.
const REMEMBERED_MAX: usize = 1 << 18;
/// The slot of a series that nothing is known of.
pub(super) const NOWHERE: u32 = u32::MAX;

/// What the log calls a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Described {
    /// Its slot in the head's index.
    pub(super) slot: u32,
    /// The last file that describes it, counted from 1 in the order in which they are read.
    pub(super) file: NonZeroU32,
}

/// Whose some samples are that follow each other in a record.
#[derive(Debug, PartialEq)]
pub(super) struct Runs {
    /// Slots in a row: the first one or [`NOWHERE`], and how many. No run is of two parts.
    pub(super) slots: Vec<(u32, u32)>,
    /// One of them is described by an earlier file only.
    pub(super) leaning: bool,
    /// The highest number that is not described at all.
    pub(super) unknown: Option<SeriesRef>,
}

/// Series by their numbers in the log.
#[derive(Default)]
pub(super) struct Refs {
    pages: Vec<[Option<Described>; PAGE_LEN]>,
    by_number: HashMap<u64, usize>,
    /// What was asked for since the last description: agents send the same series again and again.
    remembered: HashMap<Box<[(SeriesRef, u32)]>, Runs>,
    remembered_of: Option<NonZeroU32>,
    /// Numbers in a row in its keys.
    remembered_len: usize,
}

impl Refs {
    pub(super) fn insert(&mut self, id: SeriesRef, described: Described) {
        let (number, at) = place(id);
        let page = *self.by_number.entry(number).or_insert_with(|| {
            self.pages.push([None; PAGE_LEN]);
            self.pages.len() - 1
        });
        self.pages[page][at] = Some(described);
        if !self.remembered.is_empty() {
            self.forget();
        }
    }

    /// What is known of a number.
    pub(super) fn get(&self, id: SeriesRef) -> Option<Described> {
        let (number, at) = place(id);
        self.pages[*self.by_number.get(&number)?][at]
    }

    /// Whose the samples of a record are that names `series`, numbers in a row and how many, in file `file`. Cost: one
    /// lookup if another record of the file did so since the last description.
    pub(super) fn runs(&mut self, series: &[(SeriesRef, u32)], file: NonZeroU32) -> &Runs {
        if self.remembered_of != Some(file) || REMEMBERED_MAX < self.remembered_len + series.len() {
            self.forget();
            self.remembered_of = Some(file);
        }
        let (pages, by_number, remembered_len) = (&self.pages, &self.by_number, &mut self.remembered_len);
        self.remembered.entry_ref(series).or_insert_with(|| {
            let mut runs = Runs { slots: Vec::new(), leaning: false, unknown: None };
            for (first, len) in series {
                for id in (0..u64::from(*len)).map(|i| SeriesRef(first.0.wrapping_add(i))) {
                    let (number, at) = place(id);
                    let described = by_number.get(&number).and_then(|page| pages[*page][at]);
                    match described {
                        Some(described) => runs.leaning |= described.file != file,
                        None => runs.unknown = runs.unknown.max(Some(id)),
                    }
                    runs.push(described.map_or(NOWHERE, |described| described.slot));
                }
            }
            *remembered_len += series.len();
            runs
        })
    }

    fn forget(&mut self) {
        self.remembered.clear();
        self.remembered_len = 0;
    }
}

impl Runs {
    fn push(&mut self, slot: u32) {
        match self.slots.last_mut() {
            Some((NOWHERE, len)) if slot == NOWHERE => *len += 1,
            Some((first, len)) if Some(slot) == first.checked_add(*len) && !slot.is_multiple_of(PART_LEN) => *len += 1,
            _ => self.slots.push((slot, 1)),
        }
    }
}

/// The page of a number, and where on it.
#[inline]
fn place(id: SeriesRef) -> (u64, usize) {
    let len = PAGE_LEN as u64;
    (id.0 / len, usize::try_from(id.0 % len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_near_and_far_are_found_and_others_are_not() {
        let mut refs = Refs::default();
        let file = |slot: u32| NonZeroU32::MIN.saturating_add(slot);
        let numbers = [0, 1, 63, 64, 700, u64::MAX, u64::MAX - 1];
        for (slot, id) in (0..).zip(numbers) {
            refs.insert(SeriesRef(id), Described { slot, file: file(slot) });
        }
        for (slot, id) in (0..).zip(numbers) {
            let expect = Some(Described { slot, file: file(slot) });
            assert_eq!(refs.get(SeriesRef(id)), expect);
        }
        let rows = [(SeriesRef(u64::MAX - 2), 70), (SeriesRef(u64::MAX - 1), 1), (SeriesRef(u64::MAX), 1)];
        for _ in 0..2 {
            let expected = [(NOWHERE, 1), (6, 1), (5, 1), (0, 2), (NOWHERE, 61), (2, 2), (NOWHERE, 2), (6, 1), (5, 1)];
            let expected = Runs { slots: expected.to_vec(), leaning: true, unknown: Some(SeriesRef(u64::MAX - 2)) };
            assert_eq!(*refs.runs(&rows, file(3)), expected);
        }
        let mut slots = |rows: &[(u64, u32)], described: &[(u64, u32)]| {
            for (id, slot) in described {
                refs.insert(SeriesRef(*id), Described { slot: *slot, file: file(3) });
            }
            let rows: Vec<_> = rows.iter().map(|(first, len)| (SeriesRef(*first), *len)).collect();
            let Runs { slots, leaning, unknown } = refs.runs(&rows, file(3));
            (slots.clone(), *leaning, *unknown)
        };
        // Numbers need not follow each other where slots do.
        assert_eq!(slots(&[(64, 1), (700, 1)], &[]), (vec![(3, 2)], true, None));
        assert_eq!(slots(&[(64, 1), (700, 1)], &[(64, 8), (700, 10)]), (vec![(8, 1), (10, 1)], false, None));
        assert_eq!(slots(&[(64, 2)], &[(64, PART_LEN - 1), (65, PART_LEN)]).0, [(PART_LEN - 1, 1), (PART_LEN, 1)]);
        for id in [2, 62, 66, 699, 1 << 40, u64::MAX - 2] {
            assert_eq!(refs.get(SeriesRef(id)), None, "{id}");
        }
    }
}
