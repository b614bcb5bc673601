//! Dates and times in UTC, as the app of the demo writes them.

use std::time::SystemTime;

use time::UtcDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

/// A UTC time.
pub(super) struct Moment(UtcDateTime);

impl Moment {
    pub(super) fn now() -> Self {
        Self::of(SystemTime::now())
    }

    pub(super) fn of(time: SystemTime) -> Self {
        Self(time.into())
    }

    /// The time of day, as `18:21:59`.
    pub(super) fn clock(&self) -> String {
        self.text(format_description!(version = 2, "[hour]:[minute]:[second]"))
    }

    /// The time as `2026-11-23T18:21:59Z` (RFC 3339).
    pub(super) fn stamp(&self) -> String {
        self.text(format_description!(
            version = 2,
            "[year]-[month]-[day]T[hour]:[minute]:[second]Z"
        ))
    }

    /// The time as `Mon, 23 Nov 2026 18:21:59 GMT` (RFC 9110, section 5.6.7).
    pub(super) fn http(&self) -> String {
        self.text(format_description!(
            version = 2,
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        ))
    }

    fn text(&self, format: &[BorrowedFormatItem<'_>]) -> String {
        self.0.format(format).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_moment_is_written_in_the_forms_of_the_log_and_of_http() {
        let moment = Moment::of(UNIX_EPOCH + Duration::from_secs(1_795_458_119));
        assert_eq!(moment.clock(), "18:21:59");
        assert_eq!(moment.stamp(), "2026-11-23T18:21:59Z");
        assert_eq!(moment.http(), "Mon, 23 Nov 2026 18:21:59 GMT");
    }
}
