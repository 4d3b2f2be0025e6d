//! The ways in which bytes go wrong: flips, cuts, splices with other bytes, and lengths at their extremes.

use rand::rngs::StdRng;
use rand::{Rng, RngExt};

/// Damages `bytes` in one to four places; `other` is valid too, and parts of it get in.
pub(crate) fn damage(bytes: &mut Vec<u8>, other: &[u8], rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=bytes.len());
        let end = (at + rng.random_range(0..=16)).min(bytes.len());
        match rng.random_range(0..9) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            2 if at < bytes.len() => bytes[at] = rng.random(),
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            6 => {
                let from = rng.random_range(0..=other.len());
                let part = other[from..].iter().take(rng.random_range(0..64)).copied();
                bytes.splice(at..end, part);
            }
            7 => {
                let len = varint(extreme(rng));
                bytes.splice(at..(at + 1).min(bytes.len()), len);
            }
            _ => {
                // A length of fixed width, as frames and sections have it, in either order of bytes.
                let len = [extreme(rng).to_be_bytes(), extreme(rng).to_le_bytes()][rng.random_range(0..2)];
                let width = [2, 4, 8][rng.random_range(0..3)];
                let len = if rng.random() { &len[..width] } else { &len[8 - width..] };
                bytes.iter_mut().skip(at).zip(len).for_each(|(byte, new)| *byte = *new);
            }
        }
    }
}

/// A number that lengths are not meant to be: at the ends of widths, or anything.
fn extreme(rng: &mut impl Rng) -> u64 {
    let power = 1_u64 << rng.random_range(0..64);
    match rng.random_range(0..4) {
        0 => power,
        1 => power - 1,
        2 => u64::MAX - rng.random_range(0..16),
        _ => rng.random::<u64>() >> rng.random_range(0..64),
    }
}

/// A number in 7 bits a byte, the lowest first.
pub(crate) fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while 0x80 <= number {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
    bytes
}
