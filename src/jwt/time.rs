//! When a token is good: `exp` and `nbf` (RFC 7519 §4.1.4, §4.1.5). Must not know what it is for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Number;

/// The times in a token: a number, possibly with a fraction (RFC 7519 §2).
#[derive(Clone, Copy, Debug)]
pub struct Period<'a> {
    /// `exp`: not at this time or after.
    pub until: Option<&'a Number>,
    /// `nbf`: not before.
    pub from: Option<&'a Number>,
}

/// Why a token is not good now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untimely {
    /// It is too late.
    Expired,
    /// It is too early.
    Early,
    /// Its times make no sense, or are not permitted.
    Invalid(&'static str),
}

impl Period<'_> {
    /// Whether now is in it, with this leeway; a period may end at most `longest` from now, and must have an end
    /// unless that is `None`. Gives the end, if there is one, in seconds since 1970 and without the leeway.
    ///
    /// # Errors
    /// [`Untimely`].
    pub fn check(
        self,
        leeway: Duration,
        longest: Option<Duration>,
        now: u64,
    ) -> Result<Option<u64>, Untimely> {
        let leeway = leeway.as_secs();
        let until = self.until.map(seconds).transpose()?;
        match (until, longest) {
            (None, Some(_)) => return Err(Untimely::Invalid("it has no end (exp)")),
            (Some(until), _) if now >= until.saturating_add(leeway) => {
                return Err(Untimely::Expired);
            }
            (Some(until), Some(longest))
                if until > now.saturating_add(longest.as_secs()).saturating_add(leeway) =>
            {
                return Err(Untimely::Invalid("its end (exp) is too far away"));
            }
            _ => {}
        }
        let from = self.from.map(seconds).transpose()?;
        if from.is_some_and(|from| from > now.saturating_add(leeway)) {
            return Err(Untimely::Early);
        }
        Ok(until)
    }
}

/// A time in whole seconds. The fraction is dropped, at most a second of the leeway.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked, and a fraction is dropped on purpose"
)]
fn seconds(number: &Number) -> Result<u64, Untimely> {
    if let Some(seconds) = number.as_u64() {
        return Ok(seconds);
    }
    // Beyond 2^53 a float is no exact number of seconds, and no time either.
    let seconds = number.as_f64().filter(|n| (0.0..9e15).contains(n));
    seconds
        .map(|seconds| seconds as u64)
        .ok_or(Untimely::Invalid("its exp or nbf is no time"))
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
