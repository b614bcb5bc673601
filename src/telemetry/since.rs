//! When something began, for who looks: kept by the clock that no one sets, told by the machine's clock as it is now.
//!
//! Kept by the machine's clock it would have begun ten days ago once that clock is put ahead by ten days.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment in milliseconds since 1970; 0 before.
#[must_use]
pub fn since(moment: Instant) -> u64 {
    let since = SystemTime::now()
        .checked_sub(moment.elapsed())
        .and_then(|since| since.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
