//! Fleet simulators, remote-write load and the comparison with the peers; nothing here serves requests.

pub mod clock;
pub mod demo_fleet;
pub mod fleet;
pub mod push;
mod rng;

pub use rng::Rng;
