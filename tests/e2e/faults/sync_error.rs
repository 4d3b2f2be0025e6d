//! A disk whose syncs fail now and then, made by a tracer that answers `fdatasync` in its place.

use std::process::Command;
use std::time::Duration;

use super::Stand;
use crate::peers::{say_skipped, wait_for};

/// Every thread's 30th sync fails, and each 60th after it.
const FAILURES: &str = "inject=fdatasync:error=EIO:when=30+60";

/// The tracer, beside the process rather than above it, so that the process is still our child.
fn strace(inject: &str) -> [&str; 11] {
    ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e", inject]
}

fn strace_works() -> bool {
    let [program, args @ ..] = strace(FAILURES);
    let probe = Command::new(program).args(args).arg("true").output();
    match probe {
        Ok(output) if output.status.success() => return true,
        Ok(output) => say_skipped(&format!("strace does not work: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(e) => say_skipped(&format!("strace: {e}")),
    }
    false
}

#[test]
fn a_failing_sync_loses_nothing_acknowledged() {
    if !strace_works() {
        return;
    }
    let tmp = tempfile::tempdir().unwrap();
    let mut stand = Stand::start(tmp.path());
    stand.promenade.end("TERM");
    stand.promenade.run_under(&strace(FAILURES));
    let failed = || stand.promenade.log().matches("Input/output error").count();
    wait_for("syncs fail", Duration::from_secs(20), || (2 <= failed()).then_some(()));
    // The log goes on in a new segment, without a restart.
    stand.wait_acked(10_000, Duration::from_secs(20));
    stand.assert_all_there();
    eprintln!("{} failed syncs told, {:?}", failed(), stand.acks.figures());
    stand.promenade.end("KILL");
    stand.promenade.run();
    stand.wait_acked(1000, Duration::from_secs(10));
    stand.acks.stop();
    stand.assert_all_there();
}
