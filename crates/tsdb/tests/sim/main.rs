//! The store on a simulated disk: every call fails once in every way, and seeded random operations with crashes,
//! failures and a full disk, against a model of what was acknowledged.
//!
//! After each crash every acknowledged sample must be there with its value, each request that was not acknowledged
//! whole or not at all, and nothing else. A failing seed prints its operations and the command that runs it alone.
//!
//! The long mode: `SIM_SEEDS=100000 cargo test --release -p tsdb --test sim`, which also tries every pair of failures
//! in `exhaustive`. One seed: `SIM_SEED=42 cargo test -p tsdb --test sim random`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod exhaustive;
mod model;
mod random;
mod run;
mod step;
mod store;
mod stories;
mod value;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// 2026-01-01, a block boundary.
const START: i64 = 1_767_225_600_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How many seeds the long mode was asked for.
fn long_seeds() -> Option<u64> {
    Some(std::env::var("SIM_SEEDS").ok()?.parse().expect("SIM_SEEDS is a number"))
}

/// Makes an error of a panic.
fn attempt<T>(act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|panicked| {
        let text = panicked.downcast_ref::<String>().cloned();
        Err(text.or(panicked.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or("panic".to_owned()))
    })
}
