//! Hugging Face's APIs: an endpoint's metrics as text for scrapers, and as lines over time.

mod exposition;
mod lines;

pub use exposition::{EndpointMetrics, Exposition, needs, replica_needs};
pub use lines::{LinesAsk, METRICS, Metric};

/// The label whose values are replicas' ids.
pub const REPLICA_LABEL: &str = "replica_id";
