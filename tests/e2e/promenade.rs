//! The built binary as a child process: started, killed and started again on one data directory and one port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::http::Http;
use crate::peers::{Running, free_port, run, wait_for};

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_promenade");

/// A server of ours.
pub(crate) struct Promenade {
    running: Option<Running>,
    data: PathBuf,
    log: PathBuf,
    listen: String,
    /// More of the command line.
    flags: Vec<String>,
    /// Where it answers.
    pub(crate) url: String,
    /// Reads and administers everything.
    pub(crate) operator: String,
}

impl Promenade {
    /// Starts a server with its data and log below `dir`.
    pub(crate) fn start(dir: &Path) -> Promenade {
        Promenade::start_with(dir, &[])
    }

    /// The same with more on its command line.
    pub(crate) fn start_with(dir: &Path, flags: &[&str]) -> Promenade {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let listen = format!("127.0.0.1:{}", free_port());
        let data = dir.join("promenade");
        let operator = token(&data, &["--operator", "--scope", "read,write,delete,admin"]);
        let (log, url) = (dir.join("promenade.log"), format!("http://{listen}"));
        let mut server = Promenade { running: None, data, log, listen, flags, url, operator };
        server.run();
        server
    }

    /// Starts the process and waits until it is ready.
    pub(crate) fn run(&mut self) {
        self.run_under(&[]);
    }

    /// Starts the process by another program, such as a tracer that becomes it, and waits until it is ready.
    pub(crate) fn run_under(&mut self, wrapper: &[&str]) {
        self.launch(wrapper);
        self.wait_ready();
    }

    /// Starts the process and does not wait.
    pub(crate) fn launch(&mut self, wrapper: &[&str]) {
        let data = self.data.to_str().unwrap();
        let serve = [BINARY, "serve", "--data-dir", data, "--listen", &self.listen];
        let flags = self.flags.iter().map(String::as_str);
        let command: Vec<&str> = wrapper.iter().copied().chain(serve).chain(flags).collect();
        self.running = Some(Running::start(Path::new(command[0]), &command[1..], &self.log));
    }

    pub(crate) fn wait_ready(&self) {
        let http = self.http();
        wait_for("promenade is ready", Duration::from_secs(60), || {
            http.get("/-/ready", &[]).filter(|(status, _)| *status == 200)
        });
    }

    /// Ends the process by a signal and says whether it ended well.
    pub(crate) fn end(&mut self, signal: &str) -> bool {
        self.running.take().expect("the server runs").end(signal)
    }

    /// The process' number.
    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("the server runs").pid()
    }

    /// What the server logged, over all its starts.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A new project and a token of it that reads and writes.
    pub(crate) fn project(&self, id: &str) -> String {
        run(Path::new(BINARY), &["projects", "create", id, "--id", id, "--data-dir", self.data.to_str().unwrap()]);
        let token = token(&self.data, &["--project", id]);
        let answer = Http::new(&self.url, Some(&token)).get("/api/v1/labels", &[]);
        assert!(answer.as_ref().is_some_and(|(status, _)| *status == 200), "a new token works at once: {answer:?}");
        token
    }

    /// A client with the operator's token.
    pub(crate) fn http(&self) -> Http {
        Http::new(&self.url, Some(&self.operator))
    }

    /// The data directory.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }
}

fn token(data: &Path, args: &[&str]) -> String {
    let mut command = Command::new(BINARY);
    command.args(["monitoring", "tokens", "create", "--data-dir", data.to_str().unwrap()]).args(args);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(token.lines().count(), 1, "the token alone: {token:?}");
    token.trim().to_owned()
}
