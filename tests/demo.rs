//! The demo and the comparison as a new user meets them: curl lines are pasted, Ctrl-C leaves nothing behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The binary under test.
const PROMENADE: &str = env!("CARGO_BIN_EXE_promenade");

/// A demo that is killed when the test ends before it does.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn have_curl() -> bool {
    Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

#[test]
fn printed_curl_lines_work_and_ctrl_c_leaves_nothing() {
    if !have_curl() {
        println!("skipped: no curl on the PATH");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let mut demo = Demo(
        Command::new(PROMENADE)
            .args(["demo", "--nodes", "2", "--hours", "0.4", "--listen", "127.0.0.1:0", "--log", "warn"])
            .env("TMPDIR", scratch.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut guide = BufReader::new(demo.0.stdout.take().unwrap());
    let (mut lines, mut line) = (Vec::new(), String::new());
    while !line.contains("Ctrl-C") {
        line.clear();
        assert_ne!(guide.read_line(&mut line).unwrap(), 0, "the demo ended after {lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    let curl: Vec<&String> = lines.iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(curl.len(), 3, "{lines:?}");
    for line in curl {
        let out = Command::new("sh").arg("-c").arg(format!("{line} --silent --noproxy '*'")).output().unwrap();
        let answer: serde_json::Value =
            serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{line}: {error}: {out:?}"));
        assert_eq!(answer["status"], "success", "{line}: {answer}");
        assert_ne!(answer["data"]["result"].as_array().unwrap().len(), 0, "{line}: {answer}");
        assert!(!answer.to_string().contains("NaN"), "{line}: {answer}");
    }
    assert_eq!(entries(scratch.path()), 1, "the data lies in one temporary directory");

    let pid = demo.0.id().to_string();
    assert!(Command::new("sh").args(["-c", &format!("kill -INT {pid}")]).status().unwrap().success());
    let status = demo.0.wait().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(entries(scratch.path()), 0, "the data is removed");
    let mut rest = String::new();
    guide.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

fn entries(dir: &Path) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_demo_wants_an_empty_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "data").unwrap();
    let out = Command::new(PROMENADE)
        .args(["demo", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!out.status.success());
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(told.contains("is not empty"), "{told}");
    assert_eq!(entries(dir.path()), 1, "nothing was added");
}

#[test]
fn the_comparison_loses_no_sample_of_ours() {
    let scratch = tempfile::tempdir().unwrap();
    let out = Command::new(PROMENADE)
        .args(["bench", "--quick", "--only", "live,clouds", "--log", "warn", "--scratch"])
        .arg(scratch.path())
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let table = String::from_utf8(out.stdout).unwrap();
    assert!(table.contains("| live, % kept after kill -9 | 100 |"), "{table}");
    assert!(table.starts_with("- Promenade: promenade "), "{table}");
    for row in ["full TensorOne answer of 24h at 15m", "batch of 4 endpoints, everything", "Hugging Face scrape"] {
        assert!(table.contains(&format!("| clouds, {row}, wall ms | ")), "{row}: {table}");
    }
    assert_eq!(entries(scratch.path()), 0, "the servers' data is removed");
}
