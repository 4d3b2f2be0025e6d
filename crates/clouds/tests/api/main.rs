//! The vendors' answers over a small fleet in memory: their shapes, their values, and what must add up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod fleet;
mod huggingface;
mod identities;
mod money;
mod rates;
mod sections;
mod shapes;
mod sources;
mod truth;
mod values;
