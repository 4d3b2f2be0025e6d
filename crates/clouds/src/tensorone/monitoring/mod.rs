//! TensorOne's performance of the platform: clusters and endpoints, the whole, alerts, and what could be better.

mod alerts;
mod ask;
mod optimization;
mod overall;
mod performance;
mod platform;
mod resource;
mod units;

pub use ask::{OptimizationAsk, PerformanceAsk};
pub use optimization::optimization;
pub use performance::performance;

use promql::EvalError;

use crate::tensorone::Refusal;

/// Why there is no answer.
#[derive(Debug)]
pub enum Failure {
    /// The request asks for more than one answer can hold.
    Refused(Refusal),
    /// The expressions could not be evaluated.
    Eval(EvalError),
}

impl From<EvalError> for Failure {
    fn from(error: EvalError) -> Failure {
        Failure::Eval(error)
    }
}

/// What operators want of their platform.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// Seconds that 95 % of requests should take at most.
    pub latency_s: f64,
}

impl Default for Targets {
    fn default() -> Targets {
        Targets { latency_s: 1.0 }
    }
}
