//! The house rules that no compiler checks: crate directions, file headers, names, and what may not be used where.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates each crate may depend on. A new edge is a decision: make it here, in view.
///
/// `cli` uses `bench` for the fleet behind `promenade demo` and for `promenade bench`; `promqltest` runs the
/// scripts over `tsdb` and `server` too, since it is for tests only.
const DIRECTIONS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("disk", &[]),
    ("tsdb", &["disk", "model"]),
    ("promql", &["model"]),
    ("wire", &["model"]),
    ("control", &["model"]),
    ("clouds", &["model", "promql"]),
    ("promqltest", &["model", "promql"]),
    ("server", &["clouds", "control", "disk", "model", "promql", "tsdb", "wire"]),
    ("bench", &["model", "wire"]),
    ("cli", &["bench", "control", "disk", "model", "promql", "server", "tsdb", "wire"]),
];

/// Names that say nothing about what is inside.
const BANNED_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];

/// What crates below `server` must not mention, and why.
const EDGE_ONLY: &[(&str, &str)] = &[
    ("tokio::", "tokio only at the edge"),
    ("axum::", "HTTP only at the edge"),
    ("reqwest::", "HTTP only at the edge"),
    ("SystemTime::now", "time is an argument below the server"),
    ("Instant::now", "time is an argument below the server"),
    ("std::env", "the environment is read at the edge"),
];

/// Where something of that is mentioned all the same, and why.
const EDGE_EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "crates/tsdb/src/head/hold.rs",
        "Instant::now",
        "work lets go of the commit lock after a millisecond, and says how long it held it",
    ),
    (
        "crates/model/src/breath.rs",
        "Instant::now",
        "a thread lets others run every now and then; no answer hangs on it",
    ),
    (
        "crates/promql/src/functions/interrupts.rs",
        "Instant::now",
        "it is all tests: they measure how soon a query that was ended lets go",
    ),
];

/// The crates below `server`.
const BELOW: &[&str] = &["model", "disk", "tsdb", "promql", "wire", "control", "clouds"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file below `dir` with the given extension, as path from the root and text.
fn files(dir: &str, extension: &str) -> Vec<(String, String)> {
    let (root, mut found) = (root(), Vec::new());
    let mut dirs = vec![root.join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // `cargo fuzz` builds beside its targets, and npm installs beside a client's script.
                if !path.ends_with("target") && !path.ends_with("node_modules") {
                    dirs.push(path);
                }
            } else if path.extension().is_some_and(|e| e == extension) {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {extension} files below {dir}");
    found
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// The part of a source file that is built into the product.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

#[test]
fn crates_depend_downwards_only() {
    let ours: Vec<&str> = DIRECTIONS.iter().map(|(name, _)| *name).collect();
    let mut problems = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let manifest = fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        let Some((_, allowed)) = DIRECTIONS.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("crate {name} is not in the table of directions"));
            continue;
        };
        let section = manifest.split("\n[dependencies]").nth(1).unwrap_or("");
        let section = section.split("\n[").next().unwrap_or("");
        for line in section.lines().filter(|line| line.contains('=')) {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or("");
            if ours.contains(&dependency) && !allowed.contains(&dependency) {
                problems.push(format!("crate {name} may not depend on {dependency}"));
            }
            if !line.contains("workspace = true") {
                problems.push(format!("crate {name}: `{line}` gives a version outside [workspace.dependencies]"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn every_file_says_what_lives_in_it() {
    let mut problems = Vec::new();
    for (path, text) in files("crates", "rs").into_iter().chain(files("tests", "rs")) {
        let first = text.lines().next().unwrap_or("");
        if !first.starts_with("//! ") || !text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.contains('.')) {
            problems.push(format!("{path}: must open with `//!` and one sentence"));
        }
    }
    complain(&problems);
}

#[test]
fn names_say_what_is_inside() {
    let mut problems = Vec::new();
    for (path, text) in files("crates", "rs") {
        let stem = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        let folder = Path::new(&path).parent().unwrap().file_name().unwrap().to_str().unwrap();
        if BANNED_NAMES.contains(&stem) || BANNED_NAMES.contains(&folder) {
            problems.push(format!("{path}: this name says nothing"));
        }
        if folder == stem {
            problems.push(format!("{path}: a module inside a folder of its own name"));
        }
        for line in text.lines().filter(|line| line.trim_start().starts_with("mod ")) {
            let name = line.trim_start()["mod ".len()..].trim_end_matches([';', ' ', '{']);
            if BANNED_NAMES.contains(&name) {
                problems.push(format!("{path}: `mod {name}` says nothing"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn the_edge_stays_at_the_edge() {
    let mut problems = Vec::new();
    for name in BELOW {
        for (path, text) in files(&format!("crates/{name}/src"), "rs") {
            if path.contains("/tests") {
                continue;
            }
            for (needle, why) in EDGE_ONLY {
                let is_excepted = EDGE_EXCEPTIONS.iter().any(|(file, word, _)| *file == path && word == needle);
                if production(&text).contains(needle) && !is_excepted {
                    problems.push(format!("{path}: `{needle}`: {why}"));
                }
            }
        }
    }
    complain(&problems);
}

#[test]
fn the_vocabulary_is_not_a_wire_format() {
    for (path, text) in files("crates/model/src", "rs") {
        assert!(!text.contains("Serialize"), "{path}: model derives no Serialize");
    }
}

#[test]
fn unsafe_code_lives_in_one_file() {
    let opened: Vec<String> = files("crates", "rs")
        .into_iter()
        .filter(|(_, text)| text.lines().any(|line| line.starts_with("#![expect(unsafe_code")))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(opened, ["crates/disk/src/mmap.rs"]);
}

#[test]
fn nothing_is_left_open() {
    let mut problems = Vec::new();
    for (path, text) in files("crates", "rs") {
        for (number, line) in text.lines().enumerate() {
            for word in ["TODO", "FIXME", "XXX", "todo!(", "unimplemented!(", "#[ignore", "#[allow(", "#![allow("] {
                if line.contains(word) {
                    problems.push(format!("{path}:{}: {word}", number + 1));
                }
            }
        }
        if !production(&text).is_ascii() && !path.contains("test") {
            problems.push(format!("{path}: plain ASCII in code"));
        }
    }
    complain(&problems);
}
