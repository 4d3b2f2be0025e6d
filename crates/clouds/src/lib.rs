//! The vendor APIs as pure projections: a request becomes named expressions, their values become the vendor's answer.
//!
//! `catalog` says which expression measures what over which real metrics; `batch` evaluates all expressions of one
//! answer with shared selections; each vendor's module reads its parameters, names what it needs and renders.
//! Nothing here does IO, reads a clock or touches a raw sample.

mod batch;
mod catalog;
mod error;
mod facts;
mod family;
mod found;
pub mod huggingface;
mod need;
mod shared;
mod subject;
pub mod tensorone;

pub use batch::Batch;
pub use catalog::{Alternate, Catalog};
pub use error::CatalogError;
pub use facts::{EndpointFacts, GpuPrice, RateCard, facts_from_labels};
pub use family::Family;
pub use found::{Found, Row, View};
pub use need::{Need, Over, When};
pub use subject::Subject;
