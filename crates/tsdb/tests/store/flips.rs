//! Every file of a store, a byte of it changed, a part cut off, or gone: the store opens, what it returns is right, what
//! it lost is what the bytes were for, and that is told and set aside.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use disk::{Dir, Sim};
use model::{Labels, Matcher, SampleValue, Scope, TimeRange};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tsdb::{Db, Options};

use crate::kinds::{
    Shown, Values, append_exemplars, append_values, exemplar, of_each_kind, read_matching, read_values,
};
use crate::{HOUR_MS, MINUTE_MS, START, key, labels};

/// Set for all bytes of all files, which takes minutes, or of those whose path begins with what it is set to, such as
/// `wal`; otherwise it is so many of each file.
const ALL: &str = "FLIPS_ALL";
const FLIPS_PER_FILE: usize = 60;
const HOURS: i64 = 11;
const END: i64 = START + HOURS * HOUR_MS;
const CHUNK_SAMPLES_MAX: usize = 120;
/// The log's pages.
const PAGE_BYTES: usize = 32 << 10;

type Ids = BTreeSet<(Labels, i64)>;

/// What was written to the log at once.
struct Commit {
    file: String,
    from: usize,
    to: usize,
    samples: Ids,
}

/// A store on a simulated disk, and all there is to know of it.
struct Store {
    disk: Sim,
    files: BTreeMap<String, Vec<u8>>,
    blocks: BTreeMap<String, TimeRange>,
    expected: Values,
    /// The same with what was deleted.
    written: Values,
    commits: Vec<Commit>,
}

fn open(disk: &Sim) -> Db {
    Db::open(disk.root(), Options { head_chunk_file_bytes: 64, ..Options::default() }).unwrap()
}

/// All files below `dir` by their paths.
fn files(dir: &Dir, prefix: &str, into: &mut BTreeMap<String, Vec<u8>>) {
    for entry in dir.list().unwrap() {
        let path = format!("{prefix}{}", entry.name);
        match entry.is_dir {
            true => files(&dir.sub(&entry.name).unwrap(), &format!("{path}/"), into),
            false => drop(into.insert(path, dir.read(&entry.name).unwrap())),
        }
    }
}

fn log_lens(disk: &Sim) -> BTreeMap<String, usize> {
    let wal = disk.root().sub("wal").unwrap();
    let entries = wal.list().unwrap().into_iter().filter(|entry| !entry.is_dir && entry.name != "store");
    entries.map(|entry| (format!("wal/{}", entry.name), usize::try_from(entry.len).unwrap())).collect()
}

impl Store {
    /// Runs `write` and notes where in the log it went.
    fn logged(&mut self, samples: Ids, write: impl FnOnce()) {
        let before = log_lens(&self.disk);
        write();
        for (file, to) in log_lens(&self.disk) {
            let from = before.get(&file).copied().unwrap_or(0);
            if from < to {
                self.commits.push(Commit { file, from, to, samples: samples.clone() });
            }
        }
    }

    fn append(&mut self, db: &Db, samples: &[(u32, i64, SampleValue)]) {
        let ids = samples.iter().map(|(series, t, _)| (labels(*series), *t)).collect();
        for (series, t, value) in samples {
            self.written.entry(labels(*series)).or_default().insert(*t, Shown::from(value));
        }
        let now = samples.iter().map(|(_, t, _)| *t).max().unwrap();
        self.logged(ids, || assert_eq!(append_values(db, now, samples).refused_total(), 0));
    }

    /// A store of all kinds of samples, late ones too: merged blocks and others, a checkpoint and several segments.
    fn build() -> Store {
        let mut store = Store {
            disk: Sim::new(1),
            files: BTreeMap::new(),
            blocks: BTreeMap::new(),
            expected: Values::new(),
            written: Values::new(),
            commits: Vec::new(),
        };
        let mut db = open(&store.disk);
        for step in 0..HOURS * 4 {
            let (t, n) = (START + step * 15 * MINUTE_MS, u32::try_from(step).unwrap());
            let mut samples: Vec<_> = (0..).zip(of_each_kind(n)).map(|(series, value)| (series, t, value)).collect();
            samples.push((10, t, of_each_kind(n).swap_remove(usize::try_from(step).unwrap() % 10)));
            samples.push((11, t - 20 * MINUTE_MS, SampleValue::Float(0.25)));
            store.append(&db, &samples);
            if step % 7 == 0 {
                let some = [(1, exemplar(t, n)), (3, exemplar(t - 5, n))];
                store.logged(Ids::new(), || assert_eq!(append_exemplars(&db, t, &some).refused_total(), 0));
                store.logged(Ids::new(), || {
                    let mut appender = db.appender();
                    let handle = appender.series(key(1), &labels(1));
                    appender.start(&handle, t, t - 7);
                    appender.commit(t).unwrap();
                });
            }
            if step % 4 == 3 {
                db.maintain(t).unwrap();
            }
            if step == 36 || step == 40 {
                drop(db);
                db = open(&store.disk);
            }
        }
        let part = TimeRange { mint: START + 3 * HOUR_MS, maxt: END - HOUR_MS };
        store.logged(Ids::new(), || {
            assert!(db.delete(&Scope::All, &[vec![Matcher::equal("instance", "node-6")]], part).unwrap().blocks > 0);
        });
        store.append(&db, &[(0, END, SampleValue::Float(1.0))]);
        store.expected = read_values(&db);
        store.blocks = db.block_list().iter().map(|(m, _)| (m.ulid.to_string(), m.range().closed())).collect();
        drop(db);
        files(&store.disk.root(), "", &mut store.files);
        store
    }

    /// What the loss of the bytes of `path` at `at` may cost; of the whole file without `at`.
    fn may_lose(&self, path: &str, at: Option<usize>, lost: &Ids) -> bool {
        if path.starts_with("wal/0") {
            return lost.iter().all(|id| self.in_log(path, at).contains(id));
        }
        let (place, file) = path.split_once('/').unwrap_or((path, ""));
        let Some(range) = self.blocks.get(place) else { return lost.is_empty() };
        let one_series = lost.iter().map(|(labels, _)| labels).collect::<BTreeSet<_>>().len() <= 1;
        let bytes = &self.files[path];
        // Header's version and symbols: without them no series has a name.
        let symbols_end = || 5 + 4 + u32::from_be_bytes(*bytes[5..].first_chunk().unwrap()) as usize + 4;
        lost.iter().all(|(_, t)| range.contains(*t))
            && match (file, at) {
                ("index", Some(at)) => one_series || (4..symbols_end()).contains(&at),
                ("index", None) => true,
                ("meta.json", _) => lost.is_empty(),
                ("tombstones", at) => lost.is_empty() || at == Some(4),
                (_, Some(at)) => one_series && lost.len() <= CHUNK_SAMPLES_MAX || at == 4,
                (_, None) => true,
            }
    }

    /// The samples whose commit, or the description of whose series, is in the log at this place, or behind it in its page.
    fn in_log(&self, path: &str, at: Option<usize>) -> Ids {
        let (mut ids, mut described, mut hit) = (Ids::new(), BTreeSet::new(), BTreeSet::new());
        for commit in self.commits.iter().filter(|commit| commit.file == path) {
            // Reading goes on with the next page.
            let in_page = |at: usize| at < commit.to && commit.from / PAGE_BYTES <= at / PAGE_BYTES;
            let touched = at.is_none_or(in_page);
            for (labels, t) in &commit.samples {
                if described.insert(labels.clone()) && touched {
                    hit.insert(labels.clone());
                }
                if touched || hit.contains(labels) {
                    ids.insert((labels.clone(), *t));
                }
            }
        }
        ids
    }

    /// Whether nobody can know that something is missing: the last commit is what a crash cuts off.
    fn may_be_quiet(&self, path: &str, at: Option<usize>) -> bool {
        let last = self.commits.last().filter(|last| last.file == path);
        path.starts_with("wal/0") && at.is_none_or(|at| last.is_some_and(|last| last.from <= at))
    }

    /// Opens the store with `path` changed to `bytes` or gone, and checks everything.
    fn check(&self, path: &str, at: Option<usize>, bytes: Option<&[u8]>) {
        let disk = self.disk.fork();
        let (mut dir, mut name) = (disk.root(), path);
        while let Some((sub, rest)) = name.split_once('/') {
            (dir, name) = (dir.sub(sub).unwrap(), rest);
        }
        match bytes {
            Some(bytes) => dir.replace(name, bytes).unwrap(),
            None => dir.remove(name).unwrap(),
        }
        dir.sync().unwrap();
        let db = open(&disk);
        let (found, warnings) = read_matching(&db, &[]);
        let (lost, back) = self.compare(&found);
        assert!(self.may_lose(path, at, &lost), "lost {lost:?}");
        let findings = db.integrity();
        let in_block = self.blocks.contains_key(path.split('/').next().unwrap());
        assert!(lost.is_empty() || !findings.is_empty() || self.may_be_quiet(path, at), "not told: {lost:?}");
        assert!(lost.is_empty() || !in_block || !warnings.is_empty(), "no warning: {findings:?}");
        assert!(back.is_empty() || in_block || path.starts_with("wal/"), "deleted samples are back: {back:?}");
        for (labels, samples) in &found {
            let instance = Matcher::equal("instance", labels.get("instance").unwrap());
            assert_eq!(read_matching(&db, &[instance]).0, [(labels.clone(), samples.clone())].into(), "{labels}");
        }
        db.maintain(END).unwrap();
        db.maintain(END).unwrap();
        assert!(read_matching(&db, &[]).0 == found, "after maintenance");
        let unread = db.integrity().into_iter().find(|finding| finding.quarantined.is_none());
        let newer = unread.as_ref().is_some_and(|finding| finding.what.contains("not supported"));
        assert!(unread.is_none() || newer, "not set aside: {unread:?}");
        drop(db);
        let db = open(&disk);
        assert!(read_matching(&db, &[]).0 == found, "after a restart");
        assert!(newer || !in_block || db.integrity().is_empty(), "{:?}", db.integrity());
    }

    /// What is missing in `found`, and what is there though it was deleted. Panics if something was never written.
    fn compare(&self, found: &Values) -> (Ids, Ids) {
        let ids = |values: &Values, other: &Values| -> Ids {
            let missing = |labels: &Labels, t: &i64| other.get(labels).is_none_or(|samples| !samples.contains_key(t));
            let all = values.iter().flat_map(|(labels, samples)| samples.keys().map(move |t| (labels, t)));
            all.filter(|(labels, t)| missing(labels, t)).map(|(labels, t)| (labels.clone(), *t)).collect()
        };
        for (labels, samples) in found {
            for (t, value) in samples {
                assert_eq!(self.written[labels].get(t), Some(value), "{labels} at {t}");
            }
        }
        (ids(&self.expected, found), ids(found, &self.expected))
    }
}

fn checked(case: &str, check: impl FnOnce()) {
    assert!(catch_unwind(AssertUnwindSafe(check)).is_ok(), "{case}");
}

#[test]
fn a_changed_byte_costs_what_it_touches() {
    let store = Store::build();
    let all = std::env::var(ALL).ok();
    let chosen = |path: &str| all.as_deref().is_none_or(|all| all == "1" || path.starts_with(all));
    let mut rng = StdRng::seed_from_u64(3);
    for (path, bytes) in store.files.iter().filter(|(path, bytes)| !bytes.is_empty() && chosen(path)) {
        let places: BTreeSet<usize> = match all.is_some() || bytes.len() <= FLIPS_PER_FILE {
            true => (0..bytes.len()).collect(),
            false => (0..FLIPS_PER_FILE).map(|_| rng.random_range(0..bytes.len())).chain(0..8).collect(),
        };
        for at in places {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << rng.random_range(0..8);
            checked(&format!("byte {at} of {path}, {} for {}", changed[at], bytes[at]), || {
                store.check(path, Some(at), Some(&changed));
            });
        }
    }
}

#[test]
fn a_file_that_is_cut_or_gone_costs_what_it_held() {
    let store = Store::build();
    for kind in ["wal/0", "wal/checkpoint", "wal/store", "/index", "/meta.json", "/chunks/0", "/tombstones"] {
        assert!(store.files.keys().any(|path| path.contains(kind)), "{kind} in {:?}", store.files.keys());
    }
    assert!(store.blocks.len() > 1 && store.files.keys().any(|path| path.starts_with("chunks_head/")));
    for (path, bytes) in store.files.iter().filter(|(path, _)| *path != "lock") {
        checked(&format!("{path} gone"), || store.check(path, None, None));
        for part in 0..4 {
            let len = bytes.len() * part / 4;
            checked(&format!("{len} bytes of {path}"), || store.check(path, None, Some(&bytes[..len])));
        }
    }
}
