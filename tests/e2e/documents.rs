//! The client code of the vendor's documents, in Python and in JavaScript, over a demo: each function's result equals what
//! was measured, and another fleet has other results.
//!
//! The functions and their checks are in `tests/clients`. They need nothing but `python3` and `node`; what is not on the
//! machine is said to be skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::exchange::now_ms;
use crate::http::Http;
use crate::peers::{self, Running, free_port, wait_for};
use crate::promenade::BINARY;

/// The project whose endpoints are looked at.
const PROJECT: &str = "acme-chat";
/// The interpreters with the programs that check, and what they are started with.
const CHECKS: [(&str, &[&str], &str); 2] = [("python3", &["-B"], "check_python.py"), ("node", &[], "check_node.mjs")];
/// A minute until recording begins, and an hour to be made up for.
const RECORDED: Duration = Duration::from_secs(300);

/// A demo's fleet, at rest: a server on its data, and a token of the project.
struct Rest {
    _serving: Running,
    url: String,
    token: String,
}

impl Rest {
    /// Runs a demo of that seed and so many nodes until the costs of its history are recorded, and a server on what it leaves.
    fn of_demo(dir: &Path, seed: &str, nodes: &str) -> Rest {
        let (data, listen) = (dir.join("data"), format!("127.0.0.1:{}", free_port()));
        let (data, url) = (data.to_str().unwrap(), format!("http://{listen}"));
        let log = dir.join("demo.log");
        let args = ["demo", "--hours", "1", "--seed", seed, "--nodes", nodes, "--data-dir", data, "--listen", &listen];
        let mut demo = Running::start(Path::new(BINARY), &args, &log);
        let told =
            wait_for("the demo has its history", RECORDED, || Some(demo.log()).filter(|log| log.contains("Ctrl-C")));
        let since_s = now_ms() / 1000;
        let line = told.lines().find(|line| line.starts_with("project ") && line.contains(PROJECT)).unwrap();
        let token = line.split_whitespace().last().unwrap().to_owned();
        let http = Http::new(&url, Some(&token));
        wait_for("costs are recorded", RECORDED, || {
            let newest = http.vector("max(timestamp(inference_cost_usd_total))", &format!("{}", now_ms() / 1000), &[]);
            newest.first().filter(|(_, t)| (since_s - 60) as f64 <= *t).map(|_| ())
        });
        assert!(demo.end("INT"), "{}", demo.log());
        let args = ["serve", "--data-dir", data, "--listen", &listen];
        let serving = Running::start(Path::new(BINARY), &args, &dir.join("serve.log"));
        wait_for("the data is served", Duration::from_secs(60), || {
            http.get("/-/ready", &[]).filter(|(status, _)| *status == 200)
        });
        Rest { _serving: serving, url, token }
    }

    /// What the program prints: a figure for each function.
    fn check(&self, interpreter: &Path, flags: &[&str], program: &str) -> BTreeMap<String, Value> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/clients").join(program);
        let output =
            Command::new(interpreter).args(flags).arg(&program).args([&self.url, &self.token]).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}: {out}\n{err}", program.display());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{}: {error}: {out}", program.display()))
    }
}

#[test]
fn the_documents_clients_run_against_the_demo() {
    let present = CHECKS.map(|(name, flags, program)| (peers::find(name), name, flags, program));
    for (_, name, ..) in present.iter().filter(|(found, ..)| found.is_none()) {
        peers::say_skipped(&format!("`{name}` is not on the PATH, so its half is left out"));
    }
    let present: Vec<(PathBuf, &[&str], &str)> =
        present.into_iter().filter_map(|(found, _, flags, program)| Some((found?, flags, program))).collect();
    if present.is_empty() {
        return;
    }
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [one, other] = std::thread::scope(|scope| {
        let fleets = [(&dirs[0], "1", "2"), (&dirs[1], "2", "4")].map(|(dir, seed, nodes)| {
            let present = &present;
            scope.spawn(move || {
                let rest = Rest::of_demo(dir.path(), seed, nodes);
                present.iter().map(|(found, flags, program)| rest.check(found, flags, program)).collect::<Vec<_>>()
            })
        });
        fleets.map(|fleet| fleet.join().unwrap())
    });
    for (one, other) in one.iter().zip(&other) {
        assert!(!one.is_empty() && one.keys().eq(other.keys()), "{one:?} {other:?}");
        for (name, figure) in one {
            assert_ne!(figure, &other[name], "{name} says the same of another fleet");
        }
    }
}
