//! The store: head, WAL, blocks, and one querier over all of them.

pub mod block;
mod cardinality;
pub mod chunk;
mod compact;
mod db;
mod error;
mod flush;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod gather;
mod head;
pub mod import;
mod index;
mod integrity;
mod merged;
mod options;
mod querier;
mod quotas;
mod select;
mod stats;
mod steps;
mod values;
mod verify;
mod wal;

pub use cardinality::Cardinality;
pub use db::{Db, Deleted};
pub use error::{AppendError, Rejection, TsdbError};
pub use head::{AppendBounds, AppendReport, Appender, Copies, Follower, Kind, Kinds, Refused, SeriesHandle, SeriesKey};
pub use integrity::Finding;
pub use options::Options;
pub use querier::Querier;
pub use quotas::{Quota, Quotas};
pub use stats::Stats;
pub use values::SeriesValues;
pub use verify::{Check, Problem, Report, verify};
pub use wal::ReplayProgress;
