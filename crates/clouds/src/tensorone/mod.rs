//! TensorOne's APIs: metrics of endpoints, and performance of the platform.
//!
//! Each follows the same path: parameters to an ask, the ask to needs, their values to the answer's JSON.

mod ask;
mod frame;
mod metrics;
mod needs;
mod numbers;
mod parameters;
mod summary;
mod tally;

pub use ask::{Format, MetricsAsk};
pub use frame::Frame;
pub use metrics::{basic, metrics, sources};
pub use needs::needs;
pub use parameters::{Refusal, parse_time};

/// The label whose values are endpoints' ids.
pub const ENDPOINT_LABEL: &str = "endpoint_id";
