//! Sizes as people type them: `500GB`, `64GiB`, `1048576`.

/// What a unit stands for; without one, bytes.
const UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

/// Reads a whole number of bytes of at least one, with a unit.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let refuse = || "not a size such as 500GB, 64GiB or a number of bytes".to_owned();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim())).map(|(_, factor)| *factor);
    let bytes = digits.parse::<u64>().ok().zip(factor).and_then(|(n, factor)| n.checked_mul(factor));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(refuse)
}

/// Reads a size that must fit in memory.
pub(crate) fn parse_memory_size(text: &str) -> Result<usize, String> {
    usize::try_from(parse_size(text)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_typed() {
        for (text, bytes) in [
            ("1048576", 1_048_576),
            ("7B", 7),
            ("10GB", 10_000_000_000),
            ("10 gb", 10_000_000_000),
            ("512MiB", 512 << 20),
            ("64KiB", 64 << 10),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GB", "-1GB", "1.5GB", "1PB", "1 G B", "99999999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }
}
