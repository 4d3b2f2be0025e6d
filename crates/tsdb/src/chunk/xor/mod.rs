//! Float chunks: timestamps as differences of differences, values as differing bits of neighbours.
//!
//! ```text
//! | count u16 | t0 varint | v0 8 bytes | t1-t0 uvarint | xor1 | dod2 xor2 | dod3 xor3 | ... | zero bits to a byte |
//!
//! dod  0: same distance   10+14   110+17   1110+20   1111+64 bits of the distance's change
//!      n bits hold -(2^(n-1)-1) to 2^(n-1): one more at the top than two's complement, one less at the bottom
//! xor  0: same value      10: the bits inside the last window   11: 5 bits leading zeros, 6 bits length, the bits
//! ```
//!
//! Source: Prometheus `tsdb/docs/format/chunks.md`; the ideas are those of Facebook's Gorilla.

mod append;
mod decode;
mod value;

pub use append::XorAppender;
pub(crate) use append::XorState;
pub use decode::decode;
pub(super) use value::XorValue;

#[cfg(test)]
mod tests;
