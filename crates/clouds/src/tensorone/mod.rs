//! TensorOne's APIs: metrics of endpoints, and performance of the platform.
//!
//! Each follows the same path: parameters to an ask, the ask to needs, their values to the answer's JSON.

mod ask;
mod cold_starts;
mod costs;
mod csv;
mod exposition;
mod frame;
mod insights;
mod metrics;
pub mod monitoring;
mod needs;
mod numbers;
mod optimization;
mod parameters;
mod performance;
mod resources;
mod roll_up;
mod scaling;
mod summary;
mod tally;
mod usage;

pub use ask::{Format, MetricsAsk};
pub use csv::csv;
pub use exposition::exposition;
pub use frame::Frame;
pub use metrics::{basic, batch, metrics, sources};
pub use needs::needs;
pub use parameters::{Refusal, parse_time};

/// The label whose values are endpoints' ids.
pub const ENDPOINT_LABEL: &str = "endpoint_id";
