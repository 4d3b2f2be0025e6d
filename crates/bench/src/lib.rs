//! Fleet simulators, remote-write load and the comparisons with the peers; nothing here serves requests.

pub mod clock;
mod compare;
pub mod demo_fleet;
mod differ;
pub mod fleet;
pub mod push;
mod rng;

pub use compare::{Options, Part, Report, run};
pub use differ::{DiffOptions, DiffReport, diff};
pub use rng::Rng;
