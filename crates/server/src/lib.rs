//! The edge: HTTP, tokens, configuration, the clock and threads; what is asked is answered by the crates below.

mod absent;
mod admin;
mod answer;
mod auth;
mod body;
mod clock;
mod config;
mod cors;
mod error;
mod exemplars;
mod exposition;
mod labels;
mod limits;
mod listener;
mod maintenance;
mod metadata;
mod metrics;
mod newcomers;
mod outflow;
mod pages;
mod params;
mod paths;
mod patience;
mod pool;
mod query;
mod read;
mod reply;
mod routes;
mod series;
mod serve;
mod state;
mod status;
mod store;
mod write;

pub use auth::Need;
pub use clock::now_ms;
pub use config::{
    BLOCK_LEN_MAX, BLOCK_LEN_MIN, Config, Limits, OUT_OF_ORDER_WINDOW_MAX, RETENTION_BYTES_MIN, RETENTION_MIN,
};
pub use error::ServeError;
pub use routes::{Route, routes};
pub use serve::{Server, control_path, open_control, serve};
