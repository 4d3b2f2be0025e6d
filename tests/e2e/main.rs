//! The built binary as a process: real agents writing to it, kill -9, failing disks, and its files read by promtool.
//!
//! The peers are found by `PEERS_BIN` or on the PATH; without them each test says that it is skipped, and why.
//! `KILLS=200 cargo test -p cli --test e2e kill_9` is the long run of the one that kills the server, ten times unless told;
//! `DIFF_QUERIES=10000 cargo test -p cli --test e2e random_queries` that of the one that compares answers, 500 unless told.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, says why it is skipped, and lives in real time"
)]

mod acks;
mod agents;
mod clients;
mod differ;
mod documents;
mod endpoints;
mod exchange;
mod faults;
mod golden;
mod hostile;
mod http;
mod huggingface;
mod kinds;
mod limits;
mod peers;
mod promenade;
mod prometheus;
mod stats;
mod tsdb;
