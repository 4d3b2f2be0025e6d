//! Rates as the answers write them: a number and its unit.

use crate::tensorone::numbers::{round, to_i64};

/// Bits a second of `bytes` a second, in Gbps, or Mbps below a tenth of one.
pub(super) fn network(bytes: f64) -> String {
    let bits = 8.0 * bytes;
    if bits < 1e8 { format!("{:.1} Mbps", round(bits / 1e6, 1)) } else { format!("{:.1} Gbps", round(bits / 1e9, 1)) }
}

/// Bytes a second, in GB/s, or whole MB/s below one.
pub(super) fn storage(bytes: f64) -> String {
    if bytes < 1e9 { format!("{} MB/s", to_i64(bytes / 1e6)) } else { format!("{:.1} GB/s", round(bytes / 1e9, 1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_fit_the_size() {
        assert_eq!([287.5e6, 1e5, 0.0].map(network), ["2.3 Gbps", "0.8 Mbps", "0.0 Mbps"]);
        assert_eq!([850e6, 12.4e9, 0.0].map(storage), ["850 MB/s", "12.4 GB/s", "0 MB/s"]);
    }
}
