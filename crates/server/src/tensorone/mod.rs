//! TensorOne's routes: parameters in, one batch over the store, the vendor's answer or error envelope out.

mod cache;
mod error;
mod metrics;

pub(crate) use cache::AnswerCache;
pub(crate) use error::{Envelope, VendorError};
pub(crate) use metrics::{endpoint, endpoints_of};
