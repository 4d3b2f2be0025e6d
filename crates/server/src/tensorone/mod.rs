//! TensorOne's routes: parameters in, one batch over the store, the vendor's answer or error envelope out.

mod answer;
mod cache;
mod error;
mod metrics;
mod monitoring;

pub(crate) use cache::AnswerCache;
pub(crate) use error::VendorError;
pub(crate) use metrics::{batch, endpoint};
pub(crate) use monitoring::{optimization, performance};
