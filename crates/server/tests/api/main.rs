//! The HTTP API as clients see it: a real server on a free port, every answer read strictly.

mod answer;
mod auth;
mod fuzz;
mod labels;
mod query;
mod reader;
mod status;
mod stand;
mod transport;
mod write;
