//! Promenade, Prometheus and VictoriaMetrics as child processes on free loopback ports, each in a directory of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::compare::usage::{self, Memory};

/// How long a server may take to become ready.
const READY_MAX: Duration = Duration::from_secs(180);
const READY_POLL: Duration = Duration::from_millis(5);
/// How long a server may go on working after it was loaded.
const IDLE_MAX: Duration = Duration::from_secs(180);
/// Span over which a server must have used less than a twentieth of a CPU to be idle.
const IDLE_SPAN: Duration = Duration::from_secs(3);

/// A system under comparison; the order is that of the report's columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    /// Ours.
    Promenade,
    /// prometheus.io, as a remote-write receiver.
    Prometheus,
    /// The single-node version.
    VictoriaMetrics,
}

impl System {
    /// Every system.
    pub(crate) const ALL: [System; 3] = [System::Promenade, System::Prometheus, System::VictoriaMetrics];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            System::Promenade => "Promenade",
            System::Prometheus => "Prometheus",
            System::VictoriaMetrics => "VictoriaMetrics",
        }
    }

    /// Its binary's file name in the directory of the peers.
    pub(crate) fn binary(self) -> &'static str {
        match self {
            System::Promenade => "promenade",
            System::Prometheus => "prometheus",
            System::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// The first line its binary says about its version.
    pub(crate) fn version(self, binary: &Path) -> Result<String> {
        let out = Command::new(binary).arg("--version").output().with_context(|| binary.display().to_string())?;
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        // Debian's build of VictoriaMetrics says an empty line.
        let line = text.lines().find(|line| !line.trim().is_empty());
        Ok(line.map_or_else(|| format!("{} says no version", binary.display()), str::to_owned))
    }

    /// What its queries need beside the query: no cached answers.
    pub(crate) fn query_extra(self) -> &'static str {
        match self {
            System::Promenade | System::Prometheus => "",
            System::VictoriaMetrics => "&nocache=1",
        }
    }

    fn ready_path(self) -> &'static str {
        match self {
            System::Promenade | System::Prometheus => "/-/ready",
            System::VictoriaMetrics => "/health",
        }
    }

    fn arguments(self, dir: &Path, listen: &str) -> Vec<String> {
        let dir = dir.display();
        let all = match self {
            // What is sent is what is stored, as with the others.
            System::Promenade => {
                format!("--log warn serve --data-dir {dir}/data --listen {listen} --mapping off")
            }
            System::Prometheus => format!(
                "--config.file={dir}/prometheus.yml --storage.tsdb.path={dir}/data --web.listen-address={listen} \
                 --web.enable-remote-write-receiver --web.enable-admin-api --log.level=error"
            ),
            System::VictoriaMetrics => {
                format!("-storageDataPath={dir}/data -httpListenAddr={listen} -loggerLevel=ERROR")
            }
        };
        all.split(' ').map(str::to_owned).collect()
    }
}

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Restart {
    /// Until it said that it is ready.
    pub(crate) ready: Duration,
    /// CPU time until then.
    pub(crate) cpu: Duration,
    /// The most memory it was seen to use meanwhile, as far as no file backs it.
    pub(crate) anonymous_peak: u64,
}

/// Where a server's directory goes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Below this directory, removed with the server.
    Passing(&'a Path),
    /// In this directory, kept: a later run finds the data there.
    Kept(&'a Path),
}

/// A server's directory.
#[derive(Debug)]
enum Home {
    Passing(TempDir),
    Kept(PathBuf),
}

impl Home {
    fn at(place: Place<'_>, name: &str) -> Result<Home> {
        match place {
            Place::Passing(parent) => {
                Ok(Home::Passing(tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(parent)?))
            }
            Place::Kept(parent) => {
                // Servers run inside of it, so that relative paths would mean something else to them.
                std::fs::create_dir_all(parent.join(name))?;
                Ok(Home::Kept(parent.join(name).canonicalize()?))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            Home::Passing(dir) => dir.path(),
            Home::Kept(dir) => dir,
        }
    }
}

/// A running server; dropping it kills it and removes its data, unless that is kept.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Which it is.
    pub(crate) system: System,
    /// Its token, where it asks for one.
    pub(crate) token: Option<String>,
    binary: PathBuf,
    listen: String,
    dir: Home,
    child: Child,
}

impl Peer {
    /// Starts a server, on fresh data or on what an earlier run kept at `place`, and waits until it is ready.
    pub(crate) async fn start(system: System, binary: &Path, place: Place<'_>) -> Result<Peer> {
        let dir = Home::at(place, system.binary())?;
        let mut token = None;
        match system {
            System::Promenade => token = Some(create_operator(binary, &dir.path().join("data"))?),
            System::Prometheus => std::fs::write(
                dir.path().join("prometheus.yml"),
                "storage:\n  tsdb:\n    out_of_order_time_window: 30m\n",
            )?,
            System::VictoriaMetrics => {}
        }
        let listen = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.to_string();
        let child = spawn(system, binary, dir.path(), &listen)?;
        let mut peer = Peer { system, token, binary: binary.to_owned(), listen, dir, child };
        peer.wait_ready().await?;
        Ok(peer)
    }

    /// The URL its paths are below.
    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.listen)
    }

    /// Where it keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// CPU time it has used since its start.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        usage::cpu(self.child.id())
    }

    /// Memory it uses.
    pub(crate) fn memory(&self) -> Result<Memory> {
        usage::memory(self.child.id())
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Starts it on the data that it had when it was killed, and waits until it is ready.
    pub(crate) async fn restart(&mut self) -> Result<Restart> {
        let begun = Instant::now();
        self.child = spawn(self.system, &self.binary, self.dir.path(), &self.listen)?;
        let anonymous_peak = self.wait_ready().await?;
        Ok(Restart { ready: begun.elapsed(), cpu: self.cpu()?, anonymous_peak })
    }

    /// Waits until it has stopped working on what it was sent, or for three minutes.
    pub(crate) async fn wait_idle(&self) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < IDLE_MAX {
            let before = self.cpu()?;
            tokio::time::sleep(IDLE_SPAN).await;
            if self.cpu()? - before < IDLE_SPAN / 20 {
                break;
            }
        }
        Ok(())
    }

    /// Returns the most memory that was seen in use meanwhile and that no file backs.
    async fn wait_ready(&mut self) -> Result<u64> {
        let mut anonymous_peak = 0;
        let url = format!("{}{}", self.base(), self.system.ready_path());
        let client = reqwest::Client::builder().no_proxy().build()?;
        let begun = Instant::now();
        while begun.elapsed() < READY_MAX {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended while starting: {status}", self.system.name());
            }
            anonymous_peak = self.memory().map_or(anonymous_peak, |memory| memory.anonymous.max(anonymous_peak));
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(anonymous_peak);
            }
            tokio::time::sleep(READY_POLL).await;
        }
        bail!("{} is not ready after {READY_MAX:?}", self.system.name())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to kill and nothing to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(system: System, binary: &Path, dir: &Path, listen: &str) -> Result<Child> {
    Command::new(binary)
        .args(system.arguments(dir, listen))
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .with_context(|| binary.display().to_string())
}

/// An operator's token, made as a user makes one.
fn create_operator(binary: &Path, data_dir: &Path) -> Result<String> {
    let out = Command::new(binary)
        .args(["monitoring", "tokens", "create", "--operator", "--scope", "write,read,admin", "--data-dir"])
        .arg(data_dir)
        .output()?;
    if !out.status.success() {
        bail!("creating a token: {}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(String::from_utf8(out.stdout)?.trim().to_owned())
}
