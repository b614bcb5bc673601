//! Conversions between the clocks: the wall clock as Unix time, and the monotonic clock.
//!
//! People and files get Unix time. Ages are measured with an [`Instant`], which stays right when the wall clock is set.
//! Must not know the meaning of a time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The Unix time of a moment; zero for one before 1970.
#[must_use]
pub fn unix_time(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The Unix time of a moment, in milliseconds.
#[must_use]
pub fn unix_milliseconds(moment: SystemTime) -> u64 {
    u64::try_from(unix_time(moment).as_millis()).unwrap_or(u64::MAX)
}

/// The Unix time of now, in milliseconds.
#[must_use]
pub fn now_milliseconds() -> u64 {
    unix_milliseconds(SystemTime::now())
}

/// The Unix time of now, in seconds.
#[must_use]
pub fn now_seconds() -> u64 {
    unix_time(SystemTime::now()).as_secs()
}

/// The moment of this Unix time in seconds. One before 1970 becomes 1970.
#[must_use]
pub fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// The Unix time of an instant, in milliseconds: of the start of something, to be shown.
#[must_use]
pub fn since(instant: Instant) -> u64 {
    let moment = SystemTime::now().checked_sub(instant.elapsed());
    moment.map_or(0, unix_milliseconds)
}

/// Age of a message published at this Unix time in milliseconds. A time in the future, possible after the clock was
/// set back, counts as now.
#[must_use]
pub fn age_of(time: u64) -> Duration {
    Duration::from_millis(now_milliseconds().saturating_sub(time))
}

/// The instant this long ago. A time before the start of the clock counts as now.
#[must_use]
pub fn came_before(age: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(age).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_1970() {
        let early = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(unix_milliseconds(early), 0);
        assert_eq!(moment(-1), UNIX_EPOCH);
        assert_eq!(unix_time(moment(86_400)), Duration::from_secs(86_400));
    }

    #[test]
    fn an_instant_has_the_unix_time_of_its_age() {
        let hour = Duration::from_secs(3600);
        let started_at = since(came_before(hour));
        assert!(age_of(started_at) >= hour, "{started_at}");
        assert_eq!(age_of(u64::MAX), Duration::ZERO);
    }
}
