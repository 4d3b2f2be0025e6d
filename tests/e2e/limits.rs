//! A project's own limits, from the command line to a running server.

use std::process::Command;
use std::time::{Duration, Instant};

use model::Sample;
use wire::remote_write::{WriteMessage, WriteRequestEncoder};

use crate::exchange::now_ms;
use crate::http::Http;
use crate::promenade::{BINARY, Promenade};

/// Runs `promenade projects limits`. Returns what it says, and whether it ended well.
fn limits(promenade: &Promenade, args: &[&str]) -> (bool, String) {
    let mut command = Command::new(BINARY);
    command.args(["projects", "limits"]).args(args).args(["--data-dir", promenade.data().to_str().unwrap()]);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// The line of a table that begins with `name`.
fn line<'t>(table: &'t str, name: &str) -> Vec<&'t str> {
    table
        .lines()
        .map(|line| line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>())
        .find(|cells| cells[0] == name)
        .unwrap_or_else(|| panic!("no {name} in {table}"))
}

#[test]
fn limits_set_on_the_command_line_hold_within_a_second() {
    let tmp = tempfile::tempdir().unwrap();
    let promenade = Promenade::start(tmp.path());
    let writer = Http::new(&promenade.url, Some(&promenade.project("acme")));
    let mut encoder = WriteRequestEncoder::new();
    for name in ["a", "b", "c"] {
        encoder.push([("__name__", name)], &[Sample { t: now_ms(), v: 1.0 }]);
    }
    let body = encoder.finish_compressed().unwrap();
    let (is_well, table) = limits(&promenade, &["set", "acme", "--series-max", "2", "--write-size-max", "1MiB"]);
    assert!(is_well, "{table}");
    let set = Instant::now();
    assert_eq!(line(&table, "series-max"), ["series-max", "2", "1 to 100000000"]);
    assert_eq!(line(&table, "write-size-max"), ["write-size-max", "1MiB", "64KiB to 256MiB"]);
    assert_eq!(line(&table, "future-max"), ["future-max", "the server's", "0ms to 1d"]);
    while set.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let refused = writer.write(WriteMessage::V1, body.clone()).unwrap();
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.retry_after.is_some() && refused.text.contains("series_limit 1"), "{}", refused.text);

    let (is_well, table) = limits(&promenade, &["unset", "acme", "series-max"]);
    assert!(is_well && line(&table, "series-max")[1] == "the server's", "{table}");
    assert_eq!(line(&limits(&promenade, &["show", "acme"]).1, "write-size-max")[1], "1MiB");
    let unset = Instant::now();
    while writer.write(WriteMessage::V1, body.clone()).unwrap().status != 204 {
        assert!(unset.elapsed() < Duration::from_secs(1), "the old limit still holds after a second");
    }
    for (args, told) in [
        (&["set", "acme", "--labels-max", "7"][..], "error: labels-max is 7, bounds 8 to 1024"),
        (&["set", "nobody", "--labels-max", "9"], "error: no project nobody; create it first"),
        (&["show", "No Body"], "error: project id \"No Body\""),
    ] {
        let (is_well, said) = limits(&promenade, args);
        assert!(!is_well && said.contains(told), "{args:?}: {said}");
    }
}
