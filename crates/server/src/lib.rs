//! The edge: HTTP, tokens, configuration, the clock and threads; what is asked is answered by the crates below.

mod absent;
mod admin;
mod answer;
mod auth;
mod batch;
mod body;
mod clock;
mod config;
mod cors;
mod dialect;
mod enabled;
mod endpoints;
mod error;
mod exemplars;
mod exposition;
mod features;
mod federate;
mod huggingface;
mod labels;
mod language;
mod limits;
mod listener;
mod maintenance;
mod mapping;
mod metadata;
mod metrics;
mod newcomers;
mod outflow;
mod pages;
mod params;
mod paths;
mod patience;
mod pool;
mod queries;
mod query;
mod rates;
mod read;
mod recorder;
mod reply;
mod routes;
mod search;
mod series;
mod serve;
mod state;
mod stats;
mod status;
mod store;
mod targets;
mod tensorone;
mod write;

pub use auth::Need;
pub use clock::now_ms;
pub use config::{
    BLOCK_LEN_MAX, BLOCK_LEN_MIN, Config, LATENCY_TARGET_MAX, LATENCY_TARGET_MIN, Limits, OUT_OF_ORDER_WINDOW_MAX,
    RATE_PER_HOUR_MAX, RETENTION_BYTES_MIN, RETENTION_MIN,
};
pub use dialect::Dialect;
pub use enabled::Features;
pub use error::ServeError;
pub use mapping::Mapping;
pub use rates::{Rate, Topic};
pub use recorder::RateCard;
pub use routes::{Route, routes};
pub use serve::{Server, control_path, open_control, serve};
