//! Loops over columns for the registers of the CPU at hand: the binary has to run on those without the wide ones too.

use fearless_simd::{Level, Simd as _, dispatch};

/// Runs `work`, which is compiled once for each width of registers, as the widest that this CPU has.
///
/// Worth it for loops without a way out whose steps do not depend on each other.
#[inline(always)]
pub(crate) fn wide<R>(work: impl FnOnce() -> R) -> R {
    dispatch!(Level::new(), simd => simd.vectorize(work))
}
