//! A disk without room: a small tmpfs in a namespace of its own, filled while the server is written to.
//!
//! The server's own log lies there too: a line that cannot be written must not cost an answer.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Stand;
use crate::peers::{say_skipped, wait_for};

const NAME: &str = "faults::full_disk::a_full_disk_refuses_writes_and_comes_back";
/// Set for the process inside the namespace: where the small disk is.
const DISK: &str = "PROMENADE_TEST_DISK";
const MOUNT: &str = "mount -t tmpfs -o size=48m tmpfs \"$PROMENADE_TEST_DISK\"";

/// Mounting needs a namespace, so the test runs itself in one.
#[test]
fn a_full_disk_refuses_writes_and_comes_back() {
    if let Some(disk) = std::env::var_os(DISK) {
        return fill_and_free(Path::new(&disk));
    }
    let tmp = tempfile::tempdir().unwrap();
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(NAME);
        command.env(DISK, tmp.path());
        command
    };
    match inside(MOUNT).output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            return say_skipped(&format!("no tmpfs of our own: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Err(e) => return say_skipped(&format!("unshare: {e}")),
    }
    let output = inside(&format!("{MOUNT} && exec \"$0\" --exact --nocapture \"$1\"")).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    eprint!("{err}");
}

fn fill_and_free(disk: &Path) {
    let mut stand = Stand::start(disk);
    stand.wait_acked(1000, Duration::from_secs(10));
    let filler = disk.join("filler");
    for round in 0..3 {
        fill(&filler);
        let before = stand.acks.figures().unavailable;
        wait_for("writes are refused", Duration::from_secs(20), || {
            fill(&filler);
            (before + 10 <= stand.acks.figures().unavailable).then_some(())
        });
        stand.assert_all_there();
        fs::remove_file(&filler).unwrap();
        let freed = Instant::now();
        stand.wait_acked(500, Duration::from_secs(5));
        eprintln!("round {round}: writes are taken again after {:.2?}", freed.elapsed());
        stand.assert_all_there();
    }
    let figures = stand.acks.figures();
    assert_eq!((figures.without_retry_after, figures.unanswered), (0, 0), "each request is told when to come back");
    stand.promenade.end("KILL");
    stand.promenade.run();
    stand.acks.stop();
    stand.assert_all_there();
}

/// Takes all the room that is left.
fn fill(filler: &Path) {
    let mut file = File::options().append(true).create(true).open(filler).unwrap();
    while file.write_all(&[1; 64 << 10]).is_ok() {}
    while file.write_all(&[1; 512]).is_ok() {}
}
