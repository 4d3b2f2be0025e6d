//! The HTTP API as clients see it: a real server on a free port, every answer read strictly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod answer;
mod auth;
mod fuzz;
mod labels;
mod limits;
mod query;
mod reader;
mod remote_read;
mod remote_write;
mod stand;
mod status;
mod transport;
mod write;
