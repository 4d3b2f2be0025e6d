//! Which series the log means by a number: pages of neighbouring numbers, since a commit names its series in order.

use hashbrown::HashMap;

use crate::wal::SeriesRef;

/// Numbers on a page: few, so that a log with a hole after each number wastes little.
const PAGE_LEN: usize = 64;

/// What the log calls a series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Described {
    /// Its slot in the head's index.
    pub(super) slot: u32,
    /// The last segment that describes it; `None` for a checkpoint.
    pub(super) segment: Option<u64>,
}

/// Series by their numbers in the log.
#[derive(Default)]
pub(super) struct Refs {
    pages: Vec<[Option<Described>; PAGE_LEN]>,
    by_number: HashMap<u64, usize>,
    /// The page that was looked at last, and where it is.
    last: Option<(u64, usize)>,
}

impl Refs {
    pub(super) fn insert(&mut self, id: SeriesRef, described: Described) {
        let (number, at) = place(id);
        let page = *self.by_number.entry(number).or_insert_with(|| {
            self.pages.push([None; PAGE_LEN]);
            self.pages.len() - 1
        });
        self.pages[page][at] = Some(described);
    }

    #[inline]
    pub(super) fn get(&mut self, id: SeriesRef) -> Option<Described> {
        let (number, at) = place(id);
        let page = match self.last {
            Some((last, page)) if last == number => page,
            _ => {
                let page = *self.by_number.get(&number)?;
                self.last = Some((number, page));
                page
            }
        };
        self.pages[page][at]
    }

    /// The same without a note of the page.
    pub(super) fn find(&self, id: SeriesRef) -> Option<Described> {
        let (number, at) = place(id);
        self.pages[*self.by_number.get(&number)?][at]
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
        let numbers = [0, 1, 63, 64, 700, u64::MAX, u64::MAX - 1];
        for (slot, id) in (0..).zip(numbers) {
            refs.insert(SeriesRef(id), Described { slot, segment: Some(id) });
        }
        for (slot, id) in (0..).zip(numbers) {
            let expect = Some(Described { slot, segment: Some(id) });
            assert_eq!((refs.get(SeriesRef(id)), refs.find(SeriesRef(id))), (expect, expect));
        }
        for id in [2, 62, 65, 699, 1 << 40, u64::MAX - 2] {
            assert_eq!((refs.get(SeriesRef(id)), refs.find(SeriesRef(id))), (None, None), "{id}");
        }
    }
}
