//! Look-ups at a source of tokens in the network: how they went, and why the last one failed. Does not know tokens.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use serde::Serialize;
use tracing::{info, warn};

use crate::clock;
use crate::sync::lock;

/// The look-ups of one source since the configuration is in force.
#[derive(Debug)]
pub struct TokenSourceCounts {
    source: String,
    known: AtomicU64,
    unknown: AtomicU64,
    failed: AtomicU64,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    /// True after a look-up that failed, until one succeeds.
    is_down: bool,
    success: Option<Instant>,
    error: Option<(Instant, String)>,
}

/// A source of tokens, for the status.
#[derive(Clone, Debug, Serialize)]
pub struct TokenSourceStatus {
    /// Kind and address.
    pub source: String,
    /// False while the last look-up has failed. True before the first one.
    pub up: bool,
    /// Look-ups that found a target.
    pub known: u64,
    /// Look-ups of tokens that the source does not know.
    pub unknown: u64,
    /// Look-ups that failed.
    pub failed: u64,
    /// Unix milliseconds of the last look-up that did not fail.
    pub last_success: Option<u64>,
    /// Unix milliseconds of the last failure.
    pub last_error_at: Option<u64>,
    /// Reason of the last failure.
    pub last_error: Option<String>,
}

impl TokenSourceCounts {
    /// Counts nothing yet, for a source that is shown as this.
    #[must_use]
    pub fn new(source: String) -> Self {
        Self {
            source,
            known: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            last: Mutex::default(),
        }
    }

    /// Counts a look-up, which found the token or not, or failed. The log gets a line when the source fails after it
    /// has worked, and when it works again; each refusal has a line of its own.
    pub fn add(&self, looked_up: Result<bool, &String>) {
        let source = self.source.as_str();
        match looked_up {
            Ok(is_known) => {
                let count = if is_known { &self.known } else { &self.unknown };
                count.fetch_add(1, Relaxed);
                let mut last = lock(&self.last);
                last.success = Some(Instant::now());
                if std::mem::take(&mut last.is_down) {
                    info!(source, "a source of tokens can be queried again");
                }
            }
            Err(reason) => {
                self.failed.fetch_add(1, Relaxed);
                let mut last = lock(&self.last);
                last.error = Some((Instant::now(), reason.clone()));
                if !std::mem::replace(&mut last.is_down, true) {
                    warn!(source, reason, "a source of tokens cannot be queried");
                }
            }
        }
    }

    /// The counts now.
    #[must_use]
    pub fn status(&self) -> TokenSourceStatus {
        let last = lock(&self.last);
        let error = last.error.as_ref();
        TokenSourceStatus {
            source: self.source.clone(),
            up: !last.is_down,
            known: self.known.load(Relaxed),
            unknown: self.unknown.load(Relaxed),
            failed: self.failed.load(Relaxed),
            last_success: last.success.map(clock::since),
            last_error_at: error.map(|(at, _)| clock::since(*at)),
            last_error: error.map(|(_, reason)| reason.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_down_from_a_failure_to_the_next_look_up_that_works() {
        let counts = TokenSourceCounts::new("nova http://h".to_owned());
        assert!(counts.status().up);
        counts.add(Err(&"no answer".to_owned()));
        assert!(!counts.status().up);
        counts.add(Ok(false));
        counts.add(Ok(true));
        let status = counts.status();
        let numbers = (status.known, status.unknown, status.failed);
        assert_eq!((status.up, numbers), (true, (1, 1, 1)));
        assert_eq!(status.last_error.as_deref(), Some("no answer"));
    }
}
