//! The HTTP API as clients see it: a real server on a free port, every answer read strictly.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod admin;
mod answer;
mod auth;
mod bounds;
mod crusoe;
mod fuzz;
mod gotchas;
mod huggingface;
mod labels;
mod limits;
mod mapping;
mod openapi;
mod query;
mod reader;
mod remote_read;
mod remote_write;
mod stand;
mod status;
mod surface;
mod tensorone;
mod transport;
mod write;
