//! Fleet simulators, remote-write load and the comparison with the peers; nothing here serves requests.

pub mod clock;
mod compare;
pub mod demo_fleet;
pub mod fleet;
pub mod push;
mod rng;

pub use compare::{Options, Part, Report, run};
pub use rng::Rng;
