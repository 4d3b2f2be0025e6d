//! Malformed bytes by the ten thousand for every decoder of what comes from a network, a file or a disk: no panic, and
//! never more memory than the bytes can stand for.
//!
//! The same decoders are targets of `cargo fuzz` in `targets/`. `FUZZ_CASES=1000000` makes the run longer;
//! `FUZZ_CORPUS=DIR` writes what is damaged here to `DIR/TARGET/`, where `cargo fuzz` begins with it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bodies;
mod bounded;
mod damage;
mod files;
