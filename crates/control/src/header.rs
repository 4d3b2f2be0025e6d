//! The credential in an `Authorization` header: a bearer token, or the password of basic authentication.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::Denied;

/// A header beyond this holds no token of ours: it is refused unread.
const HEADER_BYTES_MAX: usize = 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The credential that `header` carries; the user name of basic authentication may be anything.
pub(crate) fn credential(header: &str) -> Result<Cow<'_, str>, Denied> {
    let header = header.trim_matches([' ', '\t']);
    if header.is_empty() {
        return Err(Denied::Missing);
    }
    if header.len() > HEADER_BYTES_MAX {
        return Err(Denied::Invalid);
    }
    let (scheme, rest) = header.split_once(' ').ok_or(Denied::Invalid)?;
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Cow::Borrowed(rest));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return password(rest).map(Cow::Owned).ok_or(Denied::Invalid);
    }
    Err(Denied::Invalid)
}

/// The credential that `header` carries, which may also be the token alone, without a scheme.
pub(crate) fn credential_or_bare(header: &str) -> Result<Cow<'_, str>, Denied> {
    let bare = header.trim_matches([' ', '\t']);
    let is_bare = !bare.is_empty() && bare.len() <= HEADER_BYTES_MAX && !bare.contains([' ', '\t']);
    if is_bare { Ok(Cow::Borrowed(bare)) } else { credential(header) }
}

fn password(encoded: &str) -> Option<String> {
    let pair = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    Some(pair.split_once(':')?.1.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_carry_a_credential_or_are_refused() {
        for (header, expected) in [
            ("Bearer abc", Ok("abc")),
            ("bearer   abc ", Ok("abc")),
            ("BEARER abc", Ok("abc")),
            // "user:abc", "user:a:b", ":abc" and "user:abc" without its padding.
            ("Basic dXNlcjphYmM=", Ok("abc")),
            ("basic dXNlcjphOmI=", Ok("a:b")),
            ("Basic OmFiYw==", Ok("abc")),
            ("Basic dXNlcjphYmM", Ok("abc")),
            ("", Err(Denied::Missing)),
            ("  ", Err(Denied::Missing)),
            ("Bearer", Err(Denied::Invalid)),
            ("abc", Err(Denied::Invalid)),
            ("Digest abc", Err(Denied::Invalid)),
            ("Basic !!!", Err(Denied::Invalid)),
            // "nocolon", and bytes that are no UTF-8.
            ("Basic bm9jb2xvbg==", Err(Denied::Invalid)),
            ("Basic /zr/", Err(Denied::Invalid)),
        ] {
            assert_eq!(credential(header), expected.map(Cow::Borrowed), "{header:?}");
        }
        assert_eq!(credential(&format!("Bearer {}", "a".repeat(2000))), Err(Denied::Invalid));
    }

    #[test]
    fn where_a_bare_key_will_do_the_schemes_still_do() {
        for (header, expected) in [
            ("abc", Ok("abc")),
            (" abc\t", Ok("abc")),
            ("Bearer abc", Ok("abc")),
            ("Basic dXNlcjphYmM=", Ok("abc")),
            ("", Err(Denied::Missing)),
            ("Digest abc", Err(Denied::Invalid)),
        ] {
            assert_eq!(credential_or_bare(header), expected.map(Cow::Borrowed), "{header:?}");
        }
        assert_eq!(credential_or_bare(&"a".repeat(2000)), Err(Denied::Invalid));
    }
}
