//! Directories of earlier versions are read as they were written.
//!
//! `tests/golden/v1` is a stopped server's directory with every kind of sample in a block, in the log and deleted, and
//! what it holds as text. It was written once and is never written again: a new format gets a directory beside it, by
//! `WRITE_GOLDEN=v2 cargo test -p cli --test e2e golden`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exchange::{copy, delete, flush, now_ms};
use crate::http::Http;
use crate::kinds::{STEP_MS, Sent, send};
use crate::peers;
use crate::promenade::Promenade;
use crate::tsdb::{assert_same_samples, dumped, tsdb_ok};

/// Steps in the block, and those in the log behind them. Staleness markers, NaN and infinities are among them.
const IN_BLOCK: std::ops::Range<i64> = 36..50;
const IN_LOG: std::ops::Range<i64> = 50..62;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden")
}

fn write(version: &str) {
    let tmp = tempfile::tempdir().unwrap();
    let mut promenade = Promenade::start(tmp.path());
    let token = promenade.project("golden");
    let writer = Http::new(&promenade.url, Some(&token));
    let (first, mut sent) = (now_ms().div_euclid(7_200_000) * 7_200_000 - 7_200_000, Sent::default());
    let own = ", project_id=\"golden\"";
    send(&writer, first, IN_BLOCK, true, own, &mut sent);
    flush(&promenade);
    send(&writer, first, IN_LOG, true, own, &mut sent);
    for (name, from, to) in [("k_histogram", 40, 42), ("k_gauge", 49, 53), ("k_mixed", 55, 58)] {
        delete(&promenade.http(), &mut sent, name, first + from * STEP_MS, first + to * STEP_MS);
    }
    assert!(promenade.end("TERM"), "{}", promenade.log());
    let to = golden().join(version);
    fs::create_dir_all(to.join("data")).unwrap();
    for entry in fs::read_dir(promenade.data()).unwrap().map(|entry| entry.unwrap()) {
        // The log, blocks and head chunk files: not the tokens.
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join("data").join(entry.file_name()));
        }
    }
    let mut text = String::new();
    for (labels, samples) in &sent.0 {
        samples.iter().for_each(|(t, value)| writeln!(text, "{labels} {value} {t}").unwrap());
    }
    fs::write(to.join("samples.txt"), text).unwrap();
}

#[test]
fn golden_directories_hold_what_was_written() {
    if let Ok(version) = std::env::var("WRITE_GOLDEN") {
        return write(&version);
    }
    for version in ["v1"] {
        let tmp = tempfile::tempdir().unwrap();
        let data = tmp.path().join("data");
        copy(&golden().join(version).join("data"), &data);
        let expected = dumped(&fs::read_to_string(golden().join(version).join("samples.txt")).unwrap());
        assert!(peers::blocks(&data).len() == 1 && 26 == expected.len());
        let data = data.to_str().unwrap();
        tsdb_ok(&["verify", data]);
        // Opened twice: the second time after the changes that a start makes.
        for _ in 0..2 {
            assert_same_samples(&dumped(&tsdb_ok(&["dump", data])), &expected);
        }
    }
}
