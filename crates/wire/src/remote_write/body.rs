//! The snappy block around a message: how large it will be is checked before anything is allocated for it.

use super::BodyLimits;
use crate::WireError;
use crate::field::Cursor;

/// A byte of snappy yields less than this many: the densest element takes 3 bytes and yields 64.
const EXPANSION_MAX: u64 = 64;
/// Bytes any body may grow by besides.
const EXPANSION_SLACK: u64 = 1024;

/// Replaces `into` by the decompressed `body`.
///
/// Pass the same `into` for request after request, without clearing it: its memory is reused as it is.
/// Errors: a declared size beyond `limits`, or beyond what so few bytes can yield, before it is allocated; a block
/// that is cut short, or followed by other bytes.
pub fn decompress(body: &[u8], limits: &BodyLimits, into: &mut Vec<u8>) -> Result<(), WireError> {
    let declared = Cursor::new(body).varint().ok_or_else(|| snappy("no length in front"))?;
    let limit = limits.decompressed_bytes_max as u64;
    if declared > limit {
        return Err(WireError::TooLarge { declared, limit });
    }
    let yield_max = EXPANSION_MAX * body.len() as u64 + EXPANSION_SLACK;
    if declared > yield_max {
        return Err(snappy(format!("{declared} bytes declared, but {} bytes hold at most {yield_max}", body.len())));
    }
    let len = usize::try_from(declared).map_err(|_| WireError::TooLarge { declared, limit })?;
    if into.capacity() < len {
        *into = vec![0; len];
    } else if into.len() < len {
        into.resize(len, 0);
    }
    into.truncate(len);
    let n = snap::raw::Decoder::new().decompress(body, into).map_err(|e| snappy(e.to_string()))?;
    if n == len { Ok(()) } else { Err(snappy(format!("{n} bytes found, {len} declared"))) }
}

/// One snappy block of `message`.
pub fn compress(message: &[u8]) -> Result<Vec<u8>, WireError> {
    snap::raw::Encoder::new().compress_vec(message).map_err(|e| snappy(e.to_string()))
}

fn snappy(reason: impl Into<String>) -> WireError {
    WireError::Snappy { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_back_and_the_buffer_is_reused() {
        let limits = BodyLimits::default();
        let mut into = Vec::new();
        for message in [vec![7; 100_000], b"short".to_vec(), vec![], (0..=255).collect::<Vec<u8>>()] {
            decompress(&compress(&message).unwrap(), &limits, &mut into).unwrap();
            assert_eq!(into, message);
        }
        assert_eq!(into.capacity(), 100_000);
    }

    #[test]
    fn a_declared_size_is_refused_before_it_is_allocated() {
        let limits = BodyLimits { decompressed_bytes_max: 1 << 20, ..BodyLimits::default() };
        let mut into = Vec::new();
        let bomb = compress(&vec![0; 2 << 20]).unwrap();
        let too_large = WireError::TooLarge { declared: 2 << 20, limit: 1 << 20 };
        assert_eq!(decompress(&bomb, &limits, &mut into), Err(too_large));
        // 1 MiB declared by a body of four bytes.
        let liar = [0x80, 0x80, 0x40, 0x00];
        assert!(matches!(decompress(&liar, &limits, &mut into), Err(WireError::Snappy { .. })));
        assert_eq!(into.capacity(), 0);
    }

    #[test]
    fn bodies_that_are_no_whole_block_are_refused() {
        let whole = compress(b"a message that repeats, a message that repeats").unwrap();
        let limits = BodyLimits::default();
        let mut into = Vec::new();
        let mut longer = whole.clone();
        longer.extend_from_slice(b"tail");
        for body in [&whole[..whole.len() - 1], &whole[..1], &longer, b"", &[0xff; 12], b"0nonsense"] {
            let refused = decompress(body, &limits, &mut into);
            assert!(matches!(refused, Err(WireError::Snappy { .. })), "{body:?}: {refused:?}");
        }
    }
}
