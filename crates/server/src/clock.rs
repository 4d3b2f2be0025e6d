//! The one place that reads the wall clock, and how times are shown; everything below the server takes time as an
//! argument.

use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Now, in milliseconds since the Unix epoch. A clock set before 1970 reads as 1970.
#[expect(clippy::disallowed_methods, reason = "this is the server's clock, the one source of time")]
pub fn now_ms() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since_epoch.as_millis()).unwrap_or(Timestamp::MAX)
}

/// A time as people and most clients read it.
pub(crate) fn rfc_3339(ms: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_string()
}
