//! The order of the head's series by labels, remembered: a large selection is sorted by numbers.

use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::series::Series;

/// Fewer series are sorted by their labels.
const MANY: usize = 256;
/// Newcomers get their ranks once they are one for so many that have one, so that giving them costs each only a little.
const RANKED_PER_NEWCOMER: usize = 16;

/// Which series comes before which.
///
/// Invariant: of two series that have a rank, the one with the lower rank has lesser labels, or the same ones: one of
/// the two has left the head. Ranks change under the lock only, and never the order between two of them.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// By rank. Those that left the head may be gone.
    ranked: RwLock<Vec<Weak<Series>>>,
}

impl Order {
    /// Sorts series, no two of which have the same labels, by their labels.
    pub(super) fn sort(&self, mut series: Vec<Arc<Series>>) -> Vec<Arc<Series>> {
        // Nobody waits while another one gives ranks.
        let all = if series.len() < MANY { None } else { self.ranked.try_read() };
        let Some(all) = all else {
            series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
            return series;
        };
        let (mut ranked, mut newcomers) = (Vec::with_capacity(series.len()), Vec::new());
        for series in series {
            match series.rank() {
                Some(rank) => ranked.push((rank, series)),
                None => newcomers.push(series),
            }
        }
        let are_many = all.len() < newcomers.len() * RANKED_PER_NEWCOMER;
        drop(all);
        newcomers.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        if are_many && let Some(mut all) = self.ranked.try_write() {
            give_ranks(&mut all, &newcomers);
        }
        ranked.sort_unstable_by_key(|(rank, _)| *rank);
        merge(ranked.into_iter().map(|(_, series)| series).collect(), newcomers)
    }

    /// Lets go of series that are in no hands any more.
    pub(super) fn forget_dropped(&self) {
        self.ranked.write().retain(|series| series.strong_count() > 0);
    }
}

/// Gives `newcomers`, which are sorted, their ranks among `all`, unless another one has done so meanwhile.
fn give_ranks(all: &mut Vec<Weak<Series>>, newcomers: &[Arc<Series>]) {
    let newcomers = newcomers.iter().filter(|series| series.rank().is_none()).cloned().collect();
    let merged = merge(all.iter().filter_map(Weak::upgrade).collect(), newcomers);
    for (rank, series) in (1..).zip(&merged) {
        series.set_rank(rank);
    }
    *all = merged.iter().map(Arc::downgrade).collect();
}

/// The series of two sorted lists, sorted.
fn merge(mut all: Vec<Arc<Series>>, mut others: Vec<Arc<Series>>) -> Vec<Arc<Series>> {
    if all.is_empty() || others.is_empty() {
        all.append(&mut others);
        return all;
    }
    all.append(&mut others);
    // Two runs, which this sort only merges.
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

#[cfg(test)]
mod tests {
    use model::Labels;

    use super::*;
    use crate::wal::SeriesRef;

    fn series(i: u32) -> Arc<Series> {
        let i = i.wrapping_mul(2_654_435_769);
        let pairs = [("a", (i % 10).to_string()), ("b", i.to_string())];
        let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())));
        Arc::new(Series::new(SeriesRef(0), 0, labels))
    }

    fn is_sorted(series: &[Arc<Series>]) -> bool {
        series.is_sorted_by(|a, b| a.labels < b.labels)
    }

    /// Series come, some at a time and many at a time, and leave, and one comes back; each selection is sorted.
    #[test]
    fn any_selection_comes_in_the_order_of_labels() {
        let (order, mut all, mut next) = (Order::default(), Vec::new(), 0);
        for (round, newcomers) in [300, 1, 40, 2000, 0, 100, 5].into_iter().enumerate() {
            all.extend((next..next + newcomers).map(series));
            next += newcomers;
            if round == 4 {
                all.truncate(1700);
                all[7] = Arc::new(Series::new(SeriesRef(1), 0, all[7].labels.clone()));
                order.forget_dropped();
                assert_eq!(order.ranked.read().len(), 1699, "the one that came back has no rank yet");
            }
            for every in [1, 2, 7, 100] {
                let selected: Vec<_> = all.iter().step_by(every).cloned().collect();
                let sorted = order.sort(selected.clone());
                assert_eq!(sorted.len(), selected.len());
                assert!(is_sorted(&sorted), "round {round}, one in {every}");
            }
        }
    }

    #[test]
    fn who_finds_ranks_being_given_sorts_alone() {
        let order = Order::default();
        let _held = order.ranked.write();
        assert!(is_sorted(&order.sort((0..1000).map(series).collect())));
    }
}
