//! Renewal times: computes when a certificate is to be renewed. Pure functions without a clock of their own.

use std::hash::{DefaultHasher, Hasher as _};
use std::time::{Duration, SystemTime};

use instant_acme::RenewalInfo;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
/// Lifetime up to which a certificate counts as short: it has less time to spare for a wrong clock (RFC 9773
/// §4.3.2).
const SHORT: Duration = Duration::from_secs(10 * 24 * 60 * 60);

/// First wait after a failure. Let's Encrypt allows five failures an hour for a name, and this, doubled each time,
/// just stays within that.
const FIRST_WAIT: Duration = Duration::from_secs(2 * 60);
/// Upper bound of the wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(6 * 60 * 60);
/// Upper bound of the rest after a success.
const LONGEST_REST: Duration = Duration::from_secs(24 * 60 * 60);

/// A number between 0 and 1 that is fixed for a certificate and differs between certificates, so that those issued
/// at the same time are not all renewed at the same time.
pub(super) fn share(certificate: &[u8]) -> f64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(certificate);
    let upper = u32::try_from(hasher.finish() >> 32).unwrap_or_default();
    f64::from(upper) / f64::from(u32::MAX)
}

/// Renewal time of a certificate without a renewal window: after two thirds of its lifetime, or half of a short
/// one, minus up to a twentieth.
pub(super) fn by_age(begins: SystemTime, expires: SystemTime, share: f64) -> SystemTime {
    let life = expires.duration_since(begins).unwrap_or_default();
    let part = if life <= SHORT { 0.5 } else { 2.0 / 3.0 };
    begins + life.mul_f64(part - share / 20.0)
}

/// Renewal time of a certificate for which the authority suggests a window (RFC 9773 §4.2).
pub(super) fn by_window(info: &RenewalInfo, share: f64) -> SystemTime {
    let (start, end) = (&info.suggested_window.start, &info.suggested_window.end);
    let (start, end) = (SystemTime::from(*start), SystemTime::from(*end));
    start + end.duration_since(start).unwrap_or_default().mul_f64(share)
}

/// Wait after this many failures in a row.
pub(super) fn wait(failures: u32, rate_limited: bool) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let wait = FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT);
    if rate_limited { wait.max(HOUR) } else { wait }
}

/// Minimum time between issuing a certificate and its renewal. It holds regardless of the clock and the authority: a
/// clock that is years ahead, or a window in the past, would otherwise cause one order after another.
pub(super) fn renewal_pause(begins: SystemTime, expires: SystemTime) -> Duration {
    let life = expires.duration_since(begins).unwrap_or_default();
    (life / 10).clamp(Duration::from_secs(1), LONGEST_REST)
}

/// Time to sleep until a renewal is due. It is bounded, so that a jump of the wall clock is noticed.
pub(super) fn sleep(now: SystemTime, due: SystemTime) -> Duration {
    due.duration_since(now)
        .unwrap_or_default()
        .clamp(Duration::from_secs(1), 10 * MINUTE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_certificate_is_due_with_a_third_of_its_life_left_or_half_if_it_is_short() {
        let begins = SystemTime::UNIX_EPOCH + 1000 * DAY;
        let due = |days, share| {
            let due = by_age(begins, begins + days * DAY, share);
            (due.duration_since(begins).unwrap_or_default().as_secs() + 1) / 3600
        };
        assert_eq!(due(90, 0.0), 60 * 24);
        assert_eq!(due(90, 1.0), 60 * 24 - 108);
        assert_eq!(due(6, 0.0), 72);
        // One that ends before it begins is due at once.
        assert_eq!(by_age(begins, begins - DAY, 0.5), begins);
    }

    #[test]
    fn certificates_of_one_moment_are_due_at_several() {
        let shares: Vec<f64> = (0..100_u8).map(|number| share(&[number; 40])).collect();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)));
        let low = shares.iter().filter(|&&share| share < 0.5).count();
        assert!((25..75).contains(&low), "{low}");
        assert!((share(b"one") - share(b"one")).abs() < f64::EPSILON);
    }

    #[test]
    fn a_window_of_the_authority_is_kept_to() {
        let at = |seconds| time::OffsetDateTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let info = RenewalInfo {
            suggested_window: instant_acme::SuggestedWindow {
                start: at(1000),
                end: at(2000),
            },
            explanation_url: None,
        };
        let due = |share| {
            let due = by_window(&info, share).duration_since(SystemTime::UNIX_EPOCH);
            due.unwrap_or_default().as_secs()
        };
        assert_eq!((due(0.0), due(0.5), due(1.0)), (1000, 1500, 2000));
    }

    #[test]
    fn a_certificate_rests_for_a_tenth_of_its_life_or_a_day() {
        let begins = SystemTime::UNIX_EPOCH;
        let pause = |life| renewal_pause(begins, begins + life);
        assert_eq!(pause(90 * DAY), DAY);
        assert_eq!(pause(Duration::from_secs(100)), Duration::from_secs(10));
        assert_eq!(pause(Duration::ZERO), Duration::from_secs(1));
    }

    #[test]
    fn waits_grow_from_minutes_to_hours_and_the_clock_is_looked_at_before() {
        let minutes = |failures| wait(failures, false).as_secs() / 60;
        assert_eq!([1, 2, 3, 4, 5].map(minutes), [2, 4, 8, 16, 32]);
        assert_eq!(minutes(40), 360);
        assert_eq!(wait(1, true), HOUR);
        let now = SystemTime::UNIX_EPOCH + DAY;
        assert_eq!(sleep(now, now + DAY), 10 * MINUTE);
        assert_eq!(sleep(now, now + MINUTE), MINUTE);
        assert_eq!(sleep(now, now - DAY), Duration::from_secs(1));
    }
}
