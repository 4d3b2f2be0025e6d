//! What the simulated disk may lose, what it never loses, and how its calls fail.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use super::*;
use crate::{DiskError, File};

/// What `look` finds after each of many crashes of the disk that `prepare` leaves.
fn outcomes<T: Ord>(prepare: impl Fn(&Dir), look: impl Fn(&Dir) -> T) -> BTreeSet<T> {
    let sim = Sim::new(1);
    prepare(&sim.root());
    let crashed = |seed| {
        let sim = sim.fork();
        sim.crash(seed);
        look(&sim.root())
    };
    (0..400).map(crashed).collect()
}

fn names(dir: &Dir) -> Vec<String> {
    dir.list().unwrap().into_iter().map(|entry| entry.name).collect()
}

fn text(dir: &Dir, name: &str) -> Option<String> {
    match dir.read(name) {
        Ok(bytes) => Some(String::from_utf8(bytes).unwrap()),
        Err(e) => {
            assert!(e.is_not_found(), "{e}");
            None
        }
    }
}

fn write(dir: &Dir, name: &str, bytes: &[u8]) -> File {
    let file = dir.create(name).unwrap();
    file.append(bytes).unwrap();
    file
}

fn rename(dir: &Dir, from: &str, to: &Path) {
    dir.system().rename(&dir.path().join(from), to).unwrap();
}

fn kind(result: Result<(), DiskError>) -> ErrorKind {
    result.unwrap_err().source.kind()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn live_reads_see_every_write_at_once() {
    let root = Sim::new(0).root();
    let sub = root.sub("a").unwrap().sub("b").unwrap();
    let file = write(&sub, "f", b"one ");
    let map = sub.map("f").unwrap();
    file.append(b"two").unwrap();
    assert_eq!((&*map, &*sub.map("f").unwrap()), (&b"one "[..], &b"one two"[..]));
    sub.truncate("f", 2).unwrap();
    assert_eq!(text(&sub, "f"), some("on"));
    sub.hard_link("f", &root, "g").unwrap();
    assert_eq!((names(&root), root.size_bytes().unwrap()), (vec!["a".to_owned(), "g".to_owned()], 4));
    root.remove("a").unwrap();
    root.remove("a").unwrap();
    assert_eq!((names(&root), text(&root, "g")), (vec!["g".to_owned()], some("on")));
}

#[test]
fn what_was_not_synced_may_vanish_or_stay() {
    let unsynced = |root: &Dir| {
        let file = write(root, "f", b"durable");
        file.sync().unwrap();
        root.sync().unwrap();
        file.append(b", lost").unwrap();
        write(root, "g", b"");
    };
    let found = outcomes(unsynced, |root| (text(root, "f").unwrap(), names(root).len()));
    let lens: BTreeSet<(usize, usize)> = found.iter().map(|(f, names)| (f.len(), *names)).collect();
    assert_eq!(lens, [(7, 1), (7, 2), (13, 1), (13, 2)].into());
    let texts: BTreeSet<&str> = found.iter().map(|(f, _)| f.as_str()).collect();
    // The length may arrive without the bytes.
    assert_eq!(texts, ["durable", "durable, lost", "durable\0\0\0\0\0\0"].into());
}

#[test]
fn what_was_synced_stays() {
    let synced = |root: &Dir| {
        let sub = root.sub("sub").unwrap();
        root.sync().unwrap();
        let file = write(&sub, "f", &[b'x'; 3000]);
        sub.sync().unwrap();
        file.sync().unwrap();
        sub.replace("g", b"old").unwrap();
        sub.replace("g", b"new").unwrap();
        sub.truncate("f", 5).unwrap();
    };
    let look = |root: &Dir| {
        let sub = root.sub("sub").unwrap();
        (names(&sub), text(&sub, "f"), text(&sub, "g"))
    };
    assert_eq!(outcomes(synced, look), [(vec!["f".to_owned(), "g".to_owned()], some("xxxxx"), some("new"))].into());
    // A file's own sync says nothing of its name.
    let nameless = |root: &Dir| write(root, "f", b"1").sync().unwrap();
    assert_eq!(outcomes(nameless, |root| text(root, "f")), [None, some("1")].into());
}

#[test]
fn any_sectors_of_a_write_may_be_missing() {
    let unsynced = |root: &Dir| {
        let file = write(root, "f", &[b'a'; 100]);
        file.sync().unwrap();
        root.sync().unwrap();
        file.append(&[b'b'; 1500]).unwrap();
    };
    // The first byte of each part that goes to another sector.
    let look = |root: &Dir| {
        let bytes = root.read("f").unwrap();
        assert_eq!(bytes[..100], [b'a'; 100]);
        assert!([100, 512, 1024, 1536, 1600].contains(&bytes.len()), "{}", bytes.len());
        let parts = [100..512, 512..1024, 1024..1536, 1536..1600].map(|part| bytes.get(part).map(<[u8]>::to_vec));
        parts.map(|part| {
            let part = part?;
            assert!(part.iter().all(|byte| *byte == part[0]), "a sector is torn");
            Some(char::from(part[0]))
        })
    };
    let found = outcomes(unsynced, look);
    for expected in [
        [None; 4],
        [Some('b'), None, None, None],
        [Some('\0'), Some('b'), None, None],
        [Some('b'), Some('\0'), Some('b'), None],
        [Some('b'); 4],
        [Some('\0'); 4],
    ] {
        assert!(found.contains(&expected), "{expected:?} is not among {found:?}");
    }
}

#[test]
fn a_cut_that_was_not_synced_may_come_back() {
    let unsynced = |root: &Dir| {
        let file = write(root, "f", b"123456");
        file.sync().unwrap();
        root.sync().unwrap();
        file.truncate(3).unwrap();
        file.append(b"ab").unwrap();
    };
    let found = outcomes(unsynced, |root| text(root, "f").unwrap());
    let legal = ["123456", "123\0\0\0", "123ab\0", "123", "12345", "123\0\0", "123ab"].map(str::to_owned);
    assert_eq!(found, legal.into());
}

#[test]
fn a_rename_is_kept_or_lost_but_whole() {
    let renamed = |root: &Dir| {
        root.replace("f", b"old").unwrap();
        let tmp = write(root, "f.tmp", b"new");
        tmp.sync().unwrap();
        rename(root, "f.tmp", &root.path().join("f"));
    };
    assert_eq!(outcomes(renamed, |root| text(root, "f")), [some("old"), some("new")].into());
    // Between two directories: in one of them, never in both or in none.
    let moved = |synced: fn(&Dir, &Dir)| {
        move |root: &Dir| {
            let (from, to) = (root.sub("from").unwrap(), root.sub("to").unwrap());
            root.sync().unwrap();
            from.replace("f", b"1").unwrap();
            rename(&from, "f", &to.path().join("f"));
            synced(&from, &to);
        }
    };
    let look = |root: &Dir| ["from", "to"].map(|dir| text(&root.sub(dir).unwrap(), "f").is_some());
    assert_eq!(outcomes(moved(|_, _| ()), look), [[true, false], [false, true]].into());
    assert_eq!(outcomes(moved(|from, _| from.sync().unwrap()), look), [[false, true]].into());
    assert_eq!(outcomes(moved(|_, to| to.sync().unwrap()), look), [[false, true]].into());
}

#[test]
fn names_are_lost_in_any_order() {
    let unsynced = |root: &Dir| {
        for name in ["a", "b"] {
            root.replace(name, b"").unwrap();
        }
        root.remove("a").unwrap();
        root.remove("b").unwrap();
        write(root, "c", b"");
    };
    let found = outcomes(unsynced, |root| names(root).concat());
    assert_eq!(found, ["", "a", "ab", "abc", "ac", "b", "bc", "c"].map(str::to_owned).into());
    // A directory may go before what is in it has gone, and the other way round.
    let removed = |root: &Dir| {
        root.sub("x.tmp").unwrap().replace("f", b"").unwrap();
        root.publish("x.tmp", "x").unwrap();
        root.remove("x").unwrap();
    };
    let look = |root: &Dir| (names(root).concat(), names(&root.sub("x").unwrap()).concat());
    let expected = [("", ""), ("x", ""), ("x", "f")].map(|(root, x)| (root.to_owned(), x.to_owned()));
    assert_eq!(outcomes(removed, look), expected.into());
}

/// Runs `prepare` and then `run`, whose every call fails once in each way, and hands each disk to `look`.
fn each_failure(prepare: impl Fn(&Dir), run: impl Fn(&Dir) -> Result<(), DiskError>, look: impl Fn(Fault, &Sim)) {
    let sim = Sim::new(1);
    prepare(&sim.root());
    let sound = sim.fork();
    run(&sound.root()).unwrap();
    assert!(sound.calls() > 3);
    for (n, call) in (0..).zip(sound.trace()) {
        for fault in call.op.faults().iter().chain(&[Fault::PowerCut]) {
            let sim = sim.fork();
            sim.fail(n, *fault);
            let failed = run(&sim.root()).unwrap_err();
            let expected = if matches!(fault, Fault::NoSpace | Fault::Short) { 28 } else { 5 };
            assert_eq!(failed.source.raw_os_error(), Some(expected), "{call}");
            look(*fault, &sim);
        }
    }
}

#[test]
fn composed_calls_can_fail_and_crash_at_each_step() {
    let old = |root: &Dir| root.replace("f", b"old").unwrap();
    each_failure(
        old,
        |root| root.replace("f", b"new"),
        |_, sim| {
            for seed in 0..30 {
                let sim = sim.fork();
                sim.crash(seed);
                let found = text(&sim.root(), "f").unwrap();
                assert!(["old", "new"].contains(&found.as_str()), "{found}");
                sim.root().replace("f", b"newer").unwrap();
            }
        },
    );
    let made = |root: &Dir| {
        let tmp = root.sub("x.tmp").unwrap();
        ["f", "g"].iter().for_each(|name| write(&tmp, name, b"12").sync().unwrap());
    };
    let publish = |root: &Dir| root.publish("x.tmp", "x");
    each_failure(made, publish, |_, sim| {
        for seed in 0..30 {
            let sim = sim.fork();
            sim.crash(seed);
            let root = sim.root();
            if names(&root).contains(&"x".to_owned()) {
                assert_eq!(root.sub("x").unwrap().size_bytes().unwrap(), 4);
            }
        }
    });
    let published = |root: &Dir| {
        made(root);
        publish(root).unwrap();
    };
    each_failure(
        published,
        |root| root.remove("x"),
        |fault, sim| {
            if fault != Fault::PowerCut {
                sim.root().remove("x").unwrap();
                assert_eq!(names(&sim.root()), [""; 0]);
            }
        },
    );
}

#[test]
fn a_short_write_leaves_a_prefix_and_a_dropped_sync_lies_later() {
    let sim = Sim::new(3);
    let root = sim.root();
    let file = write(&root, "f", b"");
    root.sync().unwrap();
    let mut prefixes = BTreeSet::new();
    for _ in 0..100 {
        sim.fail(sim.calls(), Fault::Short);
        assert_eq!(kind(file.append(b"123")), ErrorKind::StorageFull);
        prefixes.insert(text(&root, "f").unwrap());
        file.rewind().unwrap();
    }
    assert_eq!(prefixes, ["", "1", "12"].map(str::to_owned).into());

    let after_sync = |seed| {
        let sim = Sim::new(seed);
        let root = sim.root();
        let file = write(&root, "f", b"1");
        root.sync().unwrap();
        sim.fail(sim.calls(), Fault::Dropped);
        assert_eq!(kind(file.sync()), std::io::Error::from_raw_os_error(5).kind());
        file.sync().unwrap();
        assert_eq!(text(&root, "f").unwrap(), "1");
        sim.crash(seed);
        text(&sim.root(), "f").unwrap()
    };
    let found: BTreeSet<String> = (0..50).map(after_sync).collect();
    assert_eq!(found, ["", "\0", "1"].map(str::to_owned).into());
}

#[test]
fn a_full_disk_takes_what_fits_and_more_when_there_is_room() {
    let sim = Sim::new(0);
    let root = sim.root();
    let file = write(&root, "f", b"12345");
    sim.set_capacity(Some(8));
    assert_eq!(kind(file.append(b"67890")), ErrorKind::StorageFull);
    assert_eq!((text(&root, "f"), sim.used()), (some("12345678"), 8));
    assert_eq!(kind(root.create("g").map(drop)), ErrorKind::StorageFull);
    assert_eq!(kind(root.sub("d").map(drop)), ErrorKind::StorageFull);
    file.rewind().unwrap();
    root.hard_link("f", &root, "g").unwrap();
    write(&root, "h", b"678");
    root.remove("f").unwrap();
    assert_eq!(sim.used(), 8);
    root.remove("g").unwrap();
    assert_eq!(sim.used(), 3);
    // A file without a name takes no room.
    file.append(b"67890").unwrap();
    assert_eq!(sim.used(), 3);
    sim.set_capacity(None);
    write(&root, "i", &[0; 100]);
    assert_eq!(sim.used(), 103);
    root.sync().unwrap();
    sim.crash(0);
    assert_eq!(sim.used(), sim.root().size_bytes().unwrap());
}

#[test]
fn one_has_the_lock_until_it_is_dropped_or_the_power_goes() {
    let sim = Sim::new(0);
    let root = sim.root();
    let held = root.lock("lock").unwrap();
    assert!(root.lock("lock").unwrap_err().to_string().contains("another process"));
    drop(held);
    let held = root.lock("lock").unwrap();
    sim.crash(0);
    let new = sim.root().lock("lock").unwrap();
    drop(held);
    assert!(sim.root().lock("lock").is_err());
    drop(new);
    sim.root().lock("lock").unwrap();
}

#[test]
fn after_a_power_cut_nothing_answers_and_after_the_crash_old_handles_do_not() {
    let sim = Sim::new(0);
    let root = sim.root();
    let file = write(&root, "f", b"1");
    sim.fail(sim.calls(), Fault::PowerCut);
    file.append(b"2").unwrap_err();
    let calls = sim.calls();
    file.sync().unwrap_err();
    root.sync().unwrap_err();
    assert_eq!(sim.calls(), calls, "what is off counts nothing");
    sim.crash(7);
    file.append(b"3").unwrap_err();
    root.list().unwrap_err();
    sim.root().list().unwrap();
}

#[test]
fn a_seed_decides_everything() {
    let run = |seed| {
        let sim = Sim::new(seed);
        let file = write(&sim.root(), "f", &[7; 2000]);
        sim.root().sync().unwrap();
        sim.fail(sim.calls(), Fault::Dropped);
        file.sync().unwrap_err();
        file.append(&[8; 2000]).unwrap();
        sim.crash(seed);
        (sim.trace().iter().map(Call::to_string).collect::<Vec<_>>(), sim.root().read("f").unwrap())
    };
    assert_eq!(run(5), run(5));
    assert_eq!(run(5).0, ["Create /f", "Write /f", "SyncDir /", "Sync /f", "Write /f"]);
    assert!((0..20).any(|seed| run(seed).1 != run(5).1));
}
