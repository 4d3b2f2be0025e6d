//! Real agents against the built binary: node_exporter through vmagent and Prometheus, kill -9, and blocks read by promtool.
//!
//! The peers are found by `PEERS_BIN` or on the PATH; without them each test says that it is skipped, and why.

mod acks;
mod agents;
mod blocks;
mod http;
mod peers;
mod promenade;
