//! Real agents against the built binary: node_exporter through vmagent and Prometheus, kill -9, and blocks read by promtool.
//!
//! The peers are found by `PEERS_BIN` or on the PATH; without them each test says that it is skipped, and why.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking, says why it is skipped, and lives in real time"
)]

mod acks;
mod agents;
mod blocks;
mod http;
mod peers;
mod promenade;
