//! A project's own limits: set, shown and unset in the registry, and followed by a server.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot be made fails the test")]

use std::path::PathBuf;

use control::{Control, Limit, LimitBook};
use model::ProjectId;

const NOW: i64 = 1_795_310_698_929;

struct Fixture {
    dir: tempfile::TempDir,
    control: Control,
    acme: ProjectId,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let control = Control::open(&dir.path().join("control.db")).unwrap();
        let acme = ProjectId::parse("acme").unwrap();
        control.create_project("Acme", Some(acme.clone()), NOW).unwrap();
        Fixture { dir, control, acme }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("control.db")
    }

    fn own(&self) -> Vec<(Limit, u64)> {
        self.control.limits(&self.acme).unwrap().iter().collect()
    }
}

#[test]
fn limits_are_set_again_and_unset() {
    let Fixture { control, acme, .. } = &Fixture::new();
    let own = || -> Vec<_> { control.limits(acme).unwrap().iter().collect() };
    assert_eq!(own(), []);
    control.set_limits(acme, &[(Limit::Series, 100), (Limit::LabelValue, 128)], NOW).unwrap();
    control.set_limits(acme, &[(Limit::Series, 200)], NOW + 1).unwrap();
    assert_eq!(own(), [(Limit::Series, 200), (Limit::LabelValue, 128)]);
    control.unset_limits(acme, &[Limit::Series, Limit::Future]).unwrap();
    assert_eq!(own(), [(Limit::LabelValue, 128)]);
}

#[test]
fn what_no_limit_may_be_is_refused_by_value_and_bound() {
    let fixture = Fixture::new();
    let Fixture { control, acme, .. } = &fixture;
    for (limit, value, told) in [
        (Limit::Series, 0, "series-max is 0, bounds 1 to 100000000"),
        (Limit::Exemplars, 10_000_001, "exemplars-max is 10000001, bounds 1 to 10000000"),
        (Limit::WriteSize, 65_535, "write-size-max is 65535B, bounds 64KiB to 256MiB"),
        (Limit::Labels, 7, "labels-max is 7, bounds 8 to 1024"),
        (Limit::LabelName, 1 << 20, "label-name-max is 1MiB, bounds 64B to 64KiB"),
        (Limit::LabelValue, u64::MAX, "label-value-max is 18446744073709551615B, bounds 64B to 64KiB"),
        (Limit::OutOfOrderWindow, 32 * 86_400_000, "out-of-order-window is 32d, bounds 0ms to 31d"),
        (Limit::Future, 86_400_001, "future-max is 86400001ms, bounds 0ms to 1d"),
    ] {
        // The good one in front of it is not set either.
        let refused = control.set_limits(acme, &[(Limit::Labels, 30), (limit, value)], NOW).unwrap_err();
        assert_eq!(refused.to_string(), told);
        for end in [*limit.bounds().start(), *limit.bounds().end()] {
            control.set_limits(acme, &[(limit, end)], NOW).unwrap();
        }
        control.unset_limits(acme, &Limit::ALL).unwrap();
        assert_eq!(fixture.own(), []);
    }
    let nobody = ProjectId::parse("nobody").unwrap();
    for refused in [
        control.set_limits(&nobody, &[(Limit::Series, 1)], NOW).unwrap_err(),
        control.unset_limits(&nobody, &[Limit::Series]).unwrap_err(),
        control.limits(&nobody).unwrap_err(),
    ] {
        assert_eq!(refused.to_string(), "no project nobody; create it first");
    }
    let refused = "series".parse::<Limit>().unwrap_err().to_string();
    assert!(refused.starts_with("no limit \"series\"; there are series-max, exemplars-max,"), "{refused}");
    for limit in Limit::ALL {
        assert_eq!(limit.name().parse::<Limit>().unwrap(), limit);
    }
}

#[test]
fn a_book_follows_what_another_connection_does() {
    let fixture = Fixture::new();
    let book = LimitBook::open(&fixture.path()).unwrap();
    assert!(book.all().is_empty());
    let elsewhere = Control::open(&fixture.path()).unwrap();
    elsewhere.set_limits(&fixture.acme, &[(Limit::Series, 5)], NOW).unwrap();
    assert!(book.all().is_empty(), "not read yet");
    assert!(book.refresh().unwrap());
    assert_eq!(book.all()[&fixture.acme].get(Limit::Series), Some(5));
    assert_eq!(book.all()[&fixture.acme].get(Limit::Labels), None);
    assert!(!book.refresh().unwrap(), "nothing changed");
    elsewhere.unset_limits(&fixture.acme, &[Limit::Series]).unwrap();
    assert!(book.refresh().unwrap());
    assert!(book.all().is_empty());
    assert!(LimitBook::open(&fixture.path()).unwrap().all().is_empty());
}

#[test]
fn a_row_that_no_version_wrote_limits_nobody_and_is_shown() {
    let fixture = Fixture::new();
    fixture.control.set_limits(&fixture.acme, &[(Limit::Series, 5), (Limit::Labels, 9)], NOW).unwrap();
    let database = rusqlite::Connection::open(fixture.path()).unwrap();
    for (name, value) in [("labels-max", 0), ("labels-max", -1), ("colour", 3)] {
        database
            .execute("UPDATE project_limits SET name = ?1, value = ?2 WHERE name <> 'series-max'", (name, value))
            .unwrap();
        let known = LimitBook::open(&fixture.path()).unwrap().all();
        assert_eq!(known[&fixture.acme].iter().collect::<Vec<_>>(), [(Limit::Series, 5)]);
        let told = fixture.control.limits(&fixture.acme).unwrap_err().to_string();
        assert!(told.contains("limit of project \"acme\": "), "{told}");
    }
}

/// A data directory of the first version keeps its projects and tokens, and can have limits from now on.
#[test]
fn a_file_of_the_first_version_is_brought_to_this_one() {
    let fixture = Fixture::new();
    let database = rusqlite::Connection::open(fixture.path()).unwrap();
    database.execute_batch("DROP TABLE endpoints; DROP TABLE project_limits; PRAGMA user_version = 1").unwrap();
    for _ in 0..2 {
        let control = Control::open(&fixture.path()).unwrap();
        assert_eq!(control.projects().unwrap().len(), 1);
        control.set_limits(&fixture.acme, &[(Limit::Series, 5)], NOW).unwrap();
        let version: i64 = database.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert!(2 <= version, "{version}");
    }
}
