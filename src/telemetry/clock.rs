//! Converts a monotonic start time to Unix milliseconds for display.
//!
//! Storing an `Instant` keeps ages right when the wall clock is set.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The Unix milliseconds of an instant; 0 for one before 1970.
#[must_use]
pub fn since(moment: Instant) -> u64 {
    let since = SystemTime::now()
        .checked_sub(moment.elapsed())
        .and_then(|since| since.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
