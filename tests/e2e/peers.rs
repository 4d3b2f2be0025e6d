//! Finding and running the peers' binaries: every process dies with its handle, every port is a free one.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The path of a peer's binary, from `PEERS_BIN` or the PATH.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("PEERS_BIN").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    given.into_iter().chain(std::env::split_paths(&path)).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The peers that a test needs, in the order asked, or nothing after saying which one is missing.
pub(crate) fn all<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let found = names.map(find);
    if let Some(missing) = names.iter().zip(&found).find(|(_, path)| path.is_none()).map(|(name, _)| name) {
        say_skipped(&format!("`{missing}` is neither in $PEERS_BIN nor on the PATH"));
        return None;
    }
    Some(found.map(|path| path.expect("checked above")))
}

/// Says why a test is skipped; written past the test runner, which would keep a passing test's words to itself.
pub(crate) fn say_skipped(why: &str) {
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let _ = writeln!(std::io::stderr(), "{test} is skipped: {why}");
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A process that is killed when its handle goes.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `program`; what it prints goes to `log`.
    pub(crate) fn start(program: &Path, args: &[&str], log: &Path) -> Running {
        let out = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", program.display()));
        Running { child, log: log.to_owned() }
    }

    /// Sends a signal by its name, such as `KILL` or `TERM`, waits for the end, and says whether it was a good one.
    pub(crate) fn end(&mut self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(sent.success());
        self.child.wait().unwrap().success()
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the process printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- {}\n{}", self.log.display(), &log[from..]);
        }
    }
}

/// Runs a tool to its end and returns what it printed; a failure fails the test.
#[track_caller]
pub(crate) fn run(program: &Path, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = Command::new(program).args(args).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{} {args:?}: {status}\n{out}\n{err}", program.display());
    out.into_owned()
}

/// The names of the blocks in a data directory; none if there is no such directory.
pub(crate) fn blocks(data: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(data) else { return Vec::new() };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 26 && name.bytes().all(|b| b.is_ascii_alphanumeric())).collect()
}

/// Asks again and again until `ready` has an answer; fails after `limit`.
#[track_caller]
pub(crate) fn wait_for<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ready() {
            return answer;
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
