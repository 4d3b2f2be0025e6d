//! Times at both ends of what a timestamp can be.

use std::collections::BTreeMap;

use disk::Dir;
use model::{Sample, Scope, TimeRange};
use tsdb::{Db, Options};

use crate::{Expected, HOUR_MS, append, labels, read, read_all};

const BLOCK_MS: i64 = 2 * HOUR_MS;

/// Both ends, zero, and the edges of blocks around them, ascending; the last possible time is refused.
fn times() -> Vec<i64> {
    let first_edge = (i64::MIN / BLOCK_MS) * BLOCK_MS;
    let last_edge = (i64::MAX / BLOCK_MS) * BLOCK_MS;
    let around = |t: i64| [t.saturating_sub(1), t, t.saturating_add(1)];
    let mut all: Vec<i64> =
        [i64::MIN, first_edge, i64::MIN + BLOCK_MS, first_edge + BLOCK_MS, -BLOCK_MS, 0, BLOCK_MS, last_edge, i64::MAX]
            .into_iter()
            .flat_map(around)
            .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn samples_at_the_ends_of_time_are_kept_or_refused() {
    let options = Options { out_of_order_window_ms: i64::MAX, future_ms: i64::MAX, ..Options::default() };
    for maintained in [false, true] {
        let tmp = tempfile::tempdir().unwrap();
        let open = || Db::open(Dir::open(tmp.path()).unwrap(), options.clone()).unwrap();
        let mut db = open();
        let (mut expected, mut newest) = (BTreeMap::new(), i64::MIN);
        let times = times();
        // Ascending, then each once more for another series, in a mixed order.
        let mixed = (0..times.len()).map(|i| (2, times[i * 7 % times.len()]));
        for (i, (series, t)) in times.iter().map(|t| (1, *t)).chain(mixed).enumerate() {
            let taken = t != i64::MAX && (newest == i64::MIN || t >= newest.saturating_sub(i64::MAX));
            let report = append(&db, 0, &[(series, Sample { t, v: 1.5 })]);
            assert_eq!((report.written.floats, report.refused_total()), (u64::from(taken), u64::from(!taken)), "{t}");
            if taken {
                let samples: &mut BTreeMap<i64, u64> = expected.entry(labels(series)).or_default();
                samples.insert(t, 1.5f64.to_bits());
                newest = newest.max(t);
            }
            if maintained {
                db.maintain(i64::MAX).unwrap();
                db.maintain(i64::MIN).unwrap();
            }
            if i % 16 == 15 {
                db.flush().unwrap();
                assert_eq!(read_all(&db), expected);
                drop(db);
                db = open();
            }
        }
        assert_eq!(read_all(&db), expected);
        db.flush().unwrap();
        drop(db);
        let db = open();
        assert_eq!(db.damages(), [""; 0]);
        assert_eq!(read_all(&db), expected);
        for t in times {
            let one: Expected = (expected.iter())
                .filter_map(|(labels, all)| Some((labels.clone(), [(t, *all.get(&t)?)].into())))
                .collect();
            assert_eq!(read(&db, Scope::All, &[], TimeRange { mint: t, maxt: t }), one, "{t}");
        }
    }
}
