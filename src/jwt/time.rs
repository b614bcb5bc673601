//! Validity period of a token: `exp` and `nbf` (RFC 7519 §4.1.4, §4.1.5). Independent of its purpose.

use std::time::Duration;

use serde_json::Number;

/// The times in a token, each a number that may have a fraction (RFC 7519 §2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Period<'a> {
    /// `exp`: the token expires at this time.
    pub until: Option<&'a Number>,
    /// `nbf`: the token is not valid before this time.
    pub from: Option<&'a Number>,
}

/// Reasons why a token is not valid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Untimely {
    /// It has expired.
    Expired,
    /// It is not valid yet.
    Early,
    /// Its times are malformed, or not permitted.
    Invalid(&'static str),
}

impl Period<'_> {
    /// Checks that the current time is in the period, with this leeway. A period may end at most `longest` from
    /// now, and must have an end unless that is `None`. Returns the end, if there is one, in Unix seconds and
    /// without the leeway.
    ///
    /// # Errors
    /// [`Untimely`] says whether the token has expired, is not valid yet, or has malformed times.
    pub(crate) fn check(
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

/// A time in whole seconds. Dropping the fraction costs at most a second of the leeway.
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
