//! Chunks of native histograms, with whole or with float counts.
//!
//! ```text
//! | samples u16 | reset u8 | layout | first sample | sample ... | zero bits to a byte |
//!
//! reset   the two highest bits: 00 unknown, 10 a counter was reset before the chunk, 01 it was not, 11 gauges
//! layout  zero threshold, schema, positive spans, negative spans, custom bounds if the schema has them
//! sample  time, count, zero count, sum, positive buckets, negative buckets
//! ```
//!
//! All histograms of a chunk have one layout. A sample with more buckets has the chunk encoded again, wider; one that
//! lacks some gets them, empty. Whatever else changes needs a new chunk, and so does a counter that was reset.
//! A staleness marker counts nothing and has no buckets; only others may follow it.
//!
//! Source: Prometheus `tsdb/chunkenc/histogram.go`, `float_histogram.go`, `histogram_meta.go` of version 3.5.

mod append;
mod count;
mod decode;
mod fit;
mod layout;
mod union;
mod varbit;

pub(super) use append::HistogramAppender;
pub(super) use count::Whole;
pub(super) use decode::decode;

use model::ResetHint;

use super::ChunkError;

/// Bytes before the layout.
const HEADER_BYTES: usize = 3;

/// Buckets that a histogram may have on both sides together; also the spans, and the custom bounds.
///
/// Exponential histograms of the finest schema need 524,288 buckets for all floats there are, but senders limit theirs
/// to some hundreds. Bytes that claim more are damaged.
pub(crate) const BUCKETS_MAX: u64 = 65_536;

/// The bits of the header that tell of a reset before the chunk.
fn reset_bits(reset: ResetHint) -> u8 {
    match reset {
        ResetHint::Unknown => 0b00 << 6,
        ResetHint::NoReset => 0b01 << 6,
        ResetHint::Reset => 0b10 << 6,
        ResetHint::Gauge => 0b11 << 6,
    }
}

/// What the bits of the header tell.
fn reset_of(header: u8) -> ResetHint {
    match header >> 6 {
        0b00 => ResetHint::Unknown,
        0b01 => ResetHint::NoReset,
        0b10 => ResetHint::Reset,
        _ => ResetHint::Gauge,
    }
}

fn corrupt(what: &'static str) -> ChunkError {
    ChunkError::Corrupt { what }
}

#[cfg(test)]
mod tests;
