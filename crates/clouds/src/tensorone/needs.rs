//! Which expressions an endpoint's answer needs.

use super::MetricsAsk;
use crate::{Family, Need};

/// The needs of `ask`, each name once.
pub fn needs(ask: &MetricsAsk) -> Vec<Need> {
    let (end, window_ms) = (ask.frame.end, ask.frame.window_ms());
    let at = |name, family| Need::at(name, family, end, window_ms);
    vec![
        at("requests", Family::Requests),
        at("latency.sum", Family::LatencySum),
        at("latency.count", Family::LatencyCount),
        at("latency.quantiles", Family::LatencyQuantiles),
        at("queue.sum", Family::QueueSum),
        at("queue.count", Family::QueueCount),
        at("cold_starts", Family::ColdStarts),
        at("cost", Family::Cost),
        at("replicas", Family::ReplicasRunning),
    ]
}
