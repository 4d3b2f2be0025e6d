//! A damaged log: whatever was done to its bytes, the store opens, the rest is there, and what is missing is told.

use std::fs;
use std::path::{Path, PathBuf};

use model::Sample;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::{Expected, START, append, labels, open, read_all};

const PAGE_BYTES: usize = 32 << 10;

/// Two segments of several pages each.
fn fill(path: &Path) -> Expected {
    let mut expected = Expected::new();
    for part in 0..2 {
        let db = open(path);
        for commit in 0..50 {
            let t = START + part * 1_000_000 + commit * 1000;
            let samples: Vec<_> =
                (0..200).map(|i| (i % 20, Sample { t: t + i64::from(i / 20), v: f64::from(i) })).collect();
            assert_eq!(append(&db, t, &samples).written.floats, 200);
            for (series, sample) in samples {
                expected.entry(labels(series)).or_default().insert(sample.t, sample.v.to_bits());
            }
        }
    }
    expected
}

fn segments(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut names: Vec<PathBuf> = fs::read_dir(root.join("wal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.file_name().is_some_and(|name| name != "store"));
    names.sort();
    let inside = |path: PathBuf| (path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
    names.into_iter().map(inside).collect()
}

/// Changes `bytes` somewhere. Returns the pages touched.
fn damage(bytes: &mut Vec<u8>, rng: &mut StdRng) -> std::ops::Range<usize> {
    let at = rng.random_range(0..bytes.len());
    let page = at / PAGE_BYTES;
    match rng.random_range(0..5) {
        0 => {
            let pages = bytes.len().div_ceil(PAGE_BYTES);
            bytes.truncate(at);
            page..pages
        }
        1 => {
            let end = bytes.len().min((page + 1) * PAGE_BYTES);
            bytes[page * PAGE_BYTES..end].fill(0);
            page..page + 1
        }
        2 => {
            let end = bytes.len().min(at + rng.random_range(1..5000));
            rng.fill(&mut bytes[at..end]);
            page..end.div_ceil(PAGE_BYTES)
        }
        _ => {
            bytes[at] ^= 1 << rng.random_range(0..8);
            page..page + 1
        }
    }
}

fn len(samples: &Expected) -> usize {
    samples.values().map(|samples| samples.len()).sum()
}

#[test]
fn damage_anywhere_costs_its_pages_and_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let expected = fill(&tmp.path().join("sound"));
    let sound = segments(&tmp.path().join("sound"));
    assert_eq!(sound.len(), 2);
    assert!(sound.iter().all(|(_, bytes)| bytes.len() > 3 * PAGE_BYTES), "{}", sound[0].1.len());
    let mut rng = StdRng::seed_from_u64(5);
    for case in 0..40 {
        let root = tmp.path().join(format!("case-{case}"));
        fs::create_dir_all(root.join("wal")).unwrap();
        fs::copy(tmp.path().join("sound/wal/store"), root.join("wal/store")).unwrap();
        let mut files = sound.clone();
        let segment = rng.random_range(0..2);
        let pages = damage(&mut files[segment].1, &mut rng);
        for (path, bytes) in &files {
            fs::write(root.join(path), bytes).unwrap();
        }
        let db = open(&root);
        let found = read_all(&db);
        for (labels, samples) in &found {
            for (t, bits) in samples {
                assert_eq!(expected[labels].get(t), Some(bits), "case {case}: {labels} at {t} was never written");
            }
        }
        let missing = len(&expected) - len(&found);
        // The first page describes the series of its segment.
        let described = if pages.start == 0 { PAGE_BYTES * 5 } else { 0 };
        let most = (pages.len() + 1) * PAGE_BYTES + described;
        assert!(missing * 11 <= most, "case {case}: {missing} samples missing, pages {pages:?} of segment {segment}");
        // Only the end of the last segment may go silently: that is how a crash looks.
        let told = !db.damages().is_empty();
        let at_end = segment == 1 && pages.end >= sound[1].1.len() / PAGE_BYTES;
        let cut_between_records = files[segment].1.len() < sound[segment].1.len();
        assert!(
            missing == 0 || told || at_end || cut_between_records,
            "case {case}: {missing} samples missing, none told"
        );
        drop(db);
        assert_eq!(read_all(&open(&root)), found, "case {case}: second open");
    }
}

#[test]
fn damage_at_the_end_of_a_segment_that_others_follow_is_told_and_not_cut_off() {
    let tmp = tempfile::tempdir().unwrap();
    fill(tmp.path());
    let (path, mut bytes) = segments(tmp.path()).swap_remove(0);
    let end = bytes.len() - 3;
    bytes[end] ^= 1;
    fs::write(tmp.path().join(&path), &bytes).unwrap();
    for round in 0..2 {
        let damages = open(tmp.path()).damages();
        assert!(matches!(&*damages, [one] if one.contains("checksum")), "open {round}: {damages:?}");
        assert_eq!(fs::read(tmp.path().join(&path)).unwrap(), bytes);
    }
}
