//! Whether the app could be reached when that was last tried.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long the last try is believed.
const BELIEVED: Duration = Duration::from_secs(5);

/// The last try.
#[derive(Debug, Default)]
pub(super) struct Reached(Mutex<Option<(Instant, bool)>>);

impl Reached {
    /// It was tried just now.
    pub(super) fn note(&self, reached: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), reached));
    }

    /// What came of the last try, unless it is too long ago to say anything.
    pub(super) fn recently(&self) -> Option<bool> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(tried, _)| tried.elapsed() < BELIEVED)
            .map(|(_, reached)| reached)
    }
}
