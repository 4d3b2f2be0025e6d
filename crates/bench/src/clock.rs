//! The clocks of the load generator: the wall clock for samples, none for durations (those use `Instant`).

use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;

/// Now, in milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "a load generator stamps its samples itself, as an agent does")]
pub fn now_ms() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::try_from(since.as_millis()).unwrap_or(Timestamp::MAX)
}
