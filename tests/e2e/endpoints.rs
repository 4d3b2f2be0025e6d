//! `promenade endpoints` and the flags beside it: what they print, and what they say about mistakes.

use std::path::Path;
use std::process::{Command, Output};

use crate::promenade::BINARY;

/// Runs the program and returns success, standard output and standard error.
fn promenade(args: &[&str]) -> (bool, String, String) {
    let Output { status, stdout, stderr } = Command::new(BINARY).args(args).output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn endpoints(data: &Path, args: &[&str]) -> (bool, String, String) {
    let all: Vec<&str> =
        ["endpoints"].iter().chain(args).copied().chain(["--data-dir", data.to_str().unwrap()]).collect();
    promenade(&all)
}

#[test]
fn endpoints_are_registered_changed_listed_and_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path();
    let dir = data.to_str().unwrap();
    assert!(promenade(&["projects", "create", "Acme", "--id", "acme", "--data-dir", dir]).0);
    let (ok, out, err) = endpoints(
        data,
        &[
            "set",
            "ep_1",
            "--project",
            "acme",
            "--slug",
            "acme/chat",
            "--gpu-model",
            "H100",
            "--gpus",
            "8",
            "--budget",
            "1500",
            "--on",
            "vm/vm-7,gpu/n1/0",
        ],
    );
    assert_eq!((ok, out.as_str(), err.as_str()), (true, "", "endpoint ep_1 of project acme is registered\n"));
    let (ok, _, err) = endpoints(data, &["set", "ep_1", "--project", "acme", "--model", "m", "--clear", "budget"]);
    assert_eq!((ok, err.as_str()), (true, "endpoint ep_1 of project acme is changed\n"));
    let (ok, out, _) = endpoints(data, &["list"]);
    let lines: Vec<Vec<&str>> =
        out.lines().map(|line| line.split("  ").map(str::trim).filter(|s| !s.is_empty()).collect()).collect();
    assert!(ok && lines.len() == 2, "{out}");
    assert_eq!(lines[0][..4], ["ID", "PROJECT", "SLUG", "MODEL"]);
    assert_eq!(lines[1], ["ep_1", "acme", "acme/chat", "m", "-", "-", "-", "8 x H100", "-", "-", "vm/vm-7 and 1 more"]);
    assert!(endpoints(data, &["remove", "ep_1", "--project", "acme"]).0);
    assert_eq!(endpoints(data, &["list", "--project", "acme"]).1.lines().count(), 1, "the header alone");
}

#[test]
fn mistakes_are_told_by_name() {
    let tmp = tempfile::tempdir().unwrap();
    let data = tmp.path();
    assert!(promenade(&["projects", "create", "Acme", "--id", "acme", "--data-dir", data.to_str().unwrap()]).0);
    for (args, expect) in [
        (&["set", "ep_1", "--project", "nobody"][..], "no project nobody; create it first"),
        (&["set", "ep/1", "--project", "acme"], "endpoint id \"ep/1\" must be 1 to 128 of a-z"),
        (&["set", "ep_1", "--project", "acme", "--slug", "chat"], "--slug \"chat\" must be NAMESPACE/NAME"),
        (&["set", "ep_1", "--project", "acme", "--gpus", "8"], "--gpus needs --gpu-model"),
        (
            &["set", "ep_1", "--project", "acme", "--on", "rack/7"],
            "place \"rack/7\" must be vm/ID, node/NAME or gpu/NODE/INDEX",
        ),
        (&["set", "ep_1", "--project", "acme", "--budget", "-1"], "budget"),
        (&["set", "ep_1", "--project", "acme", "--budget", "0"], "monthly budget is 0, bounds 0.01 to"),
        (&["remove", "ep_1", "--project", "acme"], "no endpoint \"ep_1\" is registered in project acme"),
    ] {
        let (ok, out, err) = endpoints(data, args);
        assert!(!ok && out.is_empty() && err.contains(expect), "{args:?}: {err}");
    }
}

#[test]
fn a_server_refuses_files_that_are_no_rate_card_or_mapping() {
    let tmp = tempfile::tempdir().unwrap();
    let file = tmp.path().join("file.yaml");
    std::fs::write(&file, "price: 3").unwrap();
    let (file, data) = (file.to_str().unwrap(), tmp.path().join("data"));
    for (flag, expect) in [
        ("--rate-card", "file.yaml: unknown field `price`"),
        ("--mapping", "file.yaml: unknown field `price`"),
        ("--catalog", "price"),
    ] {
        let args = ["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap(), flag, file];
        let (ok, _, err) = promenade(&args);
        assert!(!ok && err.contains(expect), "{flag}: {err}");
    }
    let (ok, _, err) = promenade(&["serve", "--listen", "127.0.0.1:0", "--rate-card", "/no/such/file"]);
    assert!(!ok && err.contains("read /no/such/file"), "{err}");
}
