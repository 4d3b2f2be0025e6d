//! The text of a monitoring token: made once, recognised by its checksum, kept only as a digest.

use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::ControlError;

/// The one form of a token, for secret scanners: prefix, key id, secret, checksum.
///
/// The checksum is the CRC-32 (IEEE) of everything before it, as six base-62 digits, most significant first; the
/// digits are `0-9A-Za-z` in this order.
pub const TOKEN_PATTERN: &str = "pm1_[0-9A-Za-z]{10}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}";

const PREFIX: &[u8] = b"pm1_";
const KEY_ID_LEN: usize = 10;
/// 43 base-62 digits hold 256 bits.
const SECRET_LEN: usize = 43;
/// 6 base-62 digits hold 32 bits.
const CHECKSUM_LEN: usize = 6;
const CHECKED_LEN: usize = PREFIX.len() + KEY_ID_LEN + 1 + SECRET_LEN;
const TOKEN_LEN: usize = CHECKED_LEN + CHECKSUM_LEN;

const _: () = assert!(TOKEN_LEN == 64);

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The public part of a token: names it in lists, logs and revocations.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; KEY_ID_LEN]);

impl KeyId {
    /// Reads ten base-62 digits.
    pub fn parse(text: &str) -> Option<KeyId> {
        let digits = <[u8; KEY_ID_LEN]>::try_from(text.as_bytes()).ok()?;
        digits.iter().all(u8::is_ascii_alphanumeric).then_some(KeyId(digits))
    }

    /// The key id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a key id is ASCII")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// SHA-256 of a secret: 256 random bits need no slower function.
pub(crate) type Digest = [u8; 32];

/// What a well-formed token tells: who it says it is, and the digest that must prove it.
pub(crate) struct Presented {
    pub(crate) key_id: KeyId,
    pub(crate) digest: Digest,
}

impl Presented {
    /// Takes a token apart; `None` if its form or its checksum is wrong, before anything is looked up.
    pub(crate) fn parse(text: &str) -> Option<Presented> {
        let bytes = <&[u8; TOKEN_LEN]>::try_from(text.as_bytes()).ok()?;
        let (checked, found) = bytes.split_at(CHECKED_LEN);
        let (key_id, secret) = checked.strip_prefix(PREFIX)?.split_at(KEY_ID_LEN);
        let secret = secret.strip_prefix(b"_")?;
        if !secret.iter().all(u8::is_ascii_alphanumeric) || checksum(checked) != found {
            return None;
        }
        let key_id = KeyId::parse(std::str::from_utf8(key_id).ok()?)?;
        Some(Presented { key_id, digest: Sha256::digest(secret).into() })
    }
}

/// A new token's text. It shows itself once, by [`TokenText::reveal`]; `Debug` and `Display` hide the secret.
pub struct TokenText(String);

impl TokenText {
    /// A token of fresh random digits, and what to keep of it.
    pub(crate) fn generate() -> Result<(TokenText, KeyId, Digest), ControlError> {
        let mut text = Vec::with_capacity(TOKEN_LEN);
        text.extend_from_slice(PREFIX);
        text.extend_from_slice(&random_digits::<KEY_ID_LEN>(DIGITS)?);
        text.push(b'_');
        text.extend_from_slice(&random_digits::<SECRET_LEN>(DIGITS)?);
        text.extend_from_slice(&checksum(&text));
        let text = String::from_utf8(text).expect("digits are ASCII");
        let Presented { key_id, digest } = Presented::parse(&text).expect("a new token has the form of a token");
        Ok((TokenText(text), key_id, digest))
    }

    /// The token itself, to be shown to its owner and to nobody else.
    pub fn reveal(self) -> String {
        self.0
    }
}

impl fmt::Display for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..PREFIX.len() + KEY_ID_LEN).unwrap_or_default();
        write!(f, "{shown}_[redacted]")
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `N` digits out of `alphabet`, each equally likely.
///
/// Q: Why are some random bytes thrown away? A: 256 is no multiple of the alphabet's length, so that taking every
/// byte by remainder would favour its first digits.
pub(crate) fn random_digits<const N: usize>(alphabet: &[u8]) -> Result<[u8; N], getrandom::Error> {
    let fair = 256 - 256 % alphabet.len();
    let mut digits = [0; N];
    let mut filled = 0;
    while filled < N {
        let mut random = [0; 64];
        getrandom::fill(&mut random)?;
        for byte in random.into_iter().map(usize::from).filter(|byte| *byte < fair).take(N - filled) {
            digits[filled] = alphabet[byte % alphabet.len()];
            filled += 1;
        }
    }
    Ok(digits)
}

fn checksum(checked: &[u8]) -> [u8; CHECKSUM_LEN] {
    let mut rest = crc32fast::hash(checked);
    let mut digits = [0; CHECKSUM_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[(rest % 62) as usize];
        rest /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_published_form_and_no_two_are_alike() {
        let pattern = model::Pattern::new(TOKEN_PATTERN).unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..200 {
            let (text, key_id, digest) = TokenText::generate().unwrap();
            let hidden = format!("{text} {text:?}");
            let text = text.reveal();
            assert_eq!(hidden, format!("pm1_{key_id}_[redacted] pm1_{key_id}_[redacted]"));
            assert!(pattern.matches(&text), "{text}");
            let presented = Presented::parse(&text).unwrap();
            assert_eq!((presented.key_id, presented.digest), (key_id, digest));
            assert!(seen.insert(text));
        }
    }

    #[test]
    fn every_typing_error_of_one_character_is_caught_by_the_checksum() {
        let text = TokenText::generate().unwrap().0.reveal();
        for at in 0..text.len() {
            for other in [b'0', b'z', b'_', b'-', 0] {
                let mut typo = text.clone().into_bytes();
                if typo[at] == other {
                    continue;
                }
                typo[at] = other;
                assert!(Presented::parse(std::str::from_utf8(&typo).unwrap()).is_none(), "at {at}");
            }
            assert!(Presented::parse(&text[..at]).is_none());
        }
        assert!(Presented::parse(&format!("{text}0")).is_none());
        assert!(Presented::parse(&text.replace("pm1_", "pm2_")).is_none());
        assert!(Presented::parse(&"\u{e9}".repeat(32)).is_none());
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        // The CRC-32 of "123456789" is 0xcbf43926 in every description of it; its base-62 digits were computed by another program.
        assert_eq!(&checksum(b"123456789"), b"3jZRME");
    }

    #[test]
    fn digits_are_drawn_evenly() {
        let mut counts = [0u32; 62];
        for _ in 0..500 {
            for digit in random_digits::<62>(DIGITS).unwrap() {
                counts[DIGITS.iter().position(|d| *d == digit).unwrap()] += 1;
            }
        }
        // 500 expected of each; six standard deviations are 134.
        assert!(counts.iter().all(|n| (366..=634).contains(n)), "{counts:?}");
    }
}
