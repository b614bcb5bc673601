//! Dates and times in UTC as text: the standard library counts seconds but has no calendar.

use std::time::{SystemTime, UNIX_EPOCH};

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A second of the civil calendar, UTC.
pub(super) struct Moment {
    year: u64,
    month: usize,
    day: u64,
    weekday: usize,
    second_of_day: u64,
}

impl Moment {
    pub(super) fn now() -> Moment {
        Moment::of(SystemTime::now())
    }

    /// A clock set before 1970 counts as 1970.
    pub(super) fn of(time: SystemTime) -> Moment {
        let seconds = time
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let days = seconds / 86_400;
        // Howard Hinnant's `civil_from_days`: years begin in March, so that the leap day is the last one of a year,
        // and 400 years (an era) always have 146,097 days.
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        Moment {
            year: era * 400 + year_of_era + u64::from(month <= 2),
            month: usize::try_from(month).unwrap_or(1),
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            weekday: usize::try_from(days % 7).unwrap_or(0),
            second_of_day: seconds % 86_400,
        }
    }

    /// `18:21:59`
    pub(super) fn clock(&self) -> String {
        let second = self.second_of_day;
        format!(
            "{:02}:{:02}:{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }

    /// `2026-11-23T18:21:59Z` (RFC 3339)
    pub(super) fn stamp(&self) -> String {
        format!(
            "{:04}-{:02}-{:02}T{}Z",
            self.year,
            self.month,
            self.day,
            self.clock()
        )
    }

    /// `Mon, 23 Nov 2026 18:21:59 GMT` (RFC 9110, section 5.6.7)
    pub(super) fn http(&self) -> String {
        let weekday = WEEKDAYS.get(self.weekday).unwrap_or(&"");
        let month = MONTHS.get(self.month.wrapping_sub(1)).unwrap_or(&"");
        format!(
            "{weekday}, {:02} {month} {:04} {} GMT",
            self.day,
            self.year,
            self.clock()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_calendar_is_right_on_leap_days_and_at_the_turn_of_a_year() {
        let text = |seconds| Moment::of(UNIX_EPOCH + Duration::from_secs(seconds)).http();
        assert_eq!(text(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(text(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(text(1_709_251_199), "Thu, 29 Feb 2024 23:59:59 GMT");
        assert_eq!(text(1_798_761_599), "Thu, 31 Dec 2026 23:59:59 GMT");
        assert_eq!(text(1_798_761_600), "Fri, 01 Jan 2027 00:00:00 GMT");
        assert_eq!(
            Moment::of(UNIX_EPOCH + Duration::from_secs(1_795_458_119)).stamp(),
            "2026-11-23T18:21:59Z"
        );
    }
}
