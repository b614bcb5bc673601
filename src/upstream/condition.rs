//! The condition of an app: the outcome of its last exchange, the time since which it has been the same, and the last
//! error.
//!
//! Requests record it as they end, so it costs no extra request. An app without visitors is known by the last attempt
//! to connect to it. It outlives a reload.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use crate::clock;
use crate::sync::lock;

/// Interval in milliseconds within which only one success is recorded: otherwise every request of every thread would
/// write.
const FRESH: u64 = 1_000;
/// The same for bytes, in milliseconds: shorter, because an address is judged by a silence of one second.
const FRESH_BYTES: u64 = 100;

/// The outcome of the last exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No exchange was tried since the start.
    Unknown,
    /// The app responds, or accepts connections.
    Up,
    /// The app cannot be connected to.
    Down,
    /// The app did not respond in time.
    Silent,
    /// The app broke the exchange off.
    Broken,
    /// The health check (`health-path`) fails.
    Unhealthy,
}

impl State {
    /// The name of the state, as the status shows it.
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Down => "down",
            Self::Silent => "silent",
            Self::Broken => "broken",
            Self::Unhealthy => "unwell",
        }
    }
}

/// Condition of an app, for people and programs. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// The current state.
    pub state: State,
    /// Time since which the app has been in this state.
    pub state_since: Option<u64>,
    /// Time of the last response.
    pub last_success: Option<u64>,
    /// The last error.
    pub last_error: Option<String>,
    /// Time of the last error.
    pub last_error_at: Option<u64>,
}

/// Records the outcomes of exchanges.
#[derive(Debug)]
pub(super) struct Watch {
    started_at: Instant,
    /// A [`State`].
    state: AtomicU8,
    /// Milliseconds since `started_at`, plus one; 0 means never.
    success: AtomicU64,
    /// The same for bytes in the middle of an exchange.
    bytes: AtomicU64,
    rest: Mutex<Rest>,
}

#[derive(Clone, Debug, Default)]
struct Rest {
    since: Option<Instant>,
    error: Option<(String, Instant)>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            started_at: Instant::now(),
            state: AtomicU8::new(State::Unknown as u8),
            success: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            rest: Mutex::default(),
        }
    }
}

impl Watch {
    /// Records a response.
    pub(super) fn record_response(&self, now: Instant) {
        self.record(&self.success, now, FRESH);
        self.set_state(State::Up, now);
    }

    /// Records bytes in the middle of an exchange: a piece of a response has come, or one of a request was taken.
    pub(super) fn record_bytes(&self, now: Instant) {
        self.record(&self.bytes, now, FRESH_BYTES);
    }

    fn record(&self, cell: &AtomicU64, now: Instant, interval: u64) {
        let moment = self.moment(now);
        let before = cell.load(Ordering::Relaxed);
        if before == 0 || moment.saturating_sub(before) > interval {
            cell.store(moment, Ordering::Relaxed);
        }
    }

    /// Time of the last response, or up to a second before it.
    pub(super) fn last_response(&self) -> Option<Instant> {
        self.recorded(&self.success)
    }

    /// Time of the last bytes in the middle of an exchange, or up to a tenth of a second before it.
    pub(super) fn last_bytes(&self) -> Option<Instant> {
        self.recorded(&self.bytes)
    }

    fn recorded(&self, cell: &AtomicU64) -> Option<Instant> {
        let moment = cell.load(Ordering::Relaxed).checked_sub(1)?;
        self.started_at
            .checked_add(std::time::Duration::from_millis(moment))
    }

    /// Records a connection. It does not show that an app responds which accepts connections and was silent.
    pub(super) fn record_connection(&self, now: Instant) {
        if matches!(self.state(), State::Unknown | State::Down) {
            self.set_state(State::Up, now);
        }
    }

    /// Records a failure.
    pub(super) fn record_failure(&self, state: State, error: String, now: Instant) {
        self.set_state(state, now);
        self.lock().error = Some((error, now));
    }

    /// The current condition.
    pub(super) fn condition(&self) -> Condition {
        let rest = self.lock().clone();
        let success = self.success.load(Ordering::Relaxed);
        let success = success
            .checked_sub(1)
            .map(|after| clock::since(self.started_at + std::time::Duration::from_millis(after)));
        let (last_error, at) = rest.error.unzip();
        Condition {
            state: self.state(),
            state_since: rest.since.map(clock::since),
            last_success: success,
            last_error,
            last_error_at: at.map(clock::since),
        }
    }

    fn set_state(&self, state: State, now: Instant) {
        if self.state.load(Ordering::Relaxed) == state as u8 {
            return;
        }
        let mut rest = self.lock();
        // Another thread may have been quicker.
        if self.state.swap(state as u8, Ordering::Relaxed) != state as u8 {
            rest.since = Some(now);
        }
    }

    fn state(&self) -> State {
        let now = self.state.load(Ordering::Relaxed);
        let states = [
            State::Up,
            State::Down,
            State::Silent,
            State::Broken,
            State::Unhealthy,
        ];
        let found = states.into_iter().find(|state| *state as u8 == now);
        found.unwrap_or(State::Unknown)
    }

    fn moment(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.started_at).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Rest> {
        lock(&self.rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_heals_what_could_not_be_connected_to_and_nothing_else() {
        let watch = Watch::default();
        let now = Instant::now();
        assert_eq!(watch.condition().state, State::Unknown);
        watch.record_failure(State::Down, "refused".to_owned(), now);
        let condition = watch.condition();
        assert_eq!(condition.state, State::Down);
        assert!(condition.state_since.is_some() && condition.last_success.is_none());
        watch.record_connection(now);
        assert_eq!(watch.condition().state, State::Up);
        assert_eq!(watch.condition().last_success, None, "it has not answered");
        watch.record_failure(State::Silent, "no answer".to_owned(), now);
        watch.record_connection(now);
        assert_eq!(watch.condition().state, State::Silent);
        watch.record_response(now);
        let condition = watch.condition();
        assert_eq!(condition.state, State::Up);
        assert!(condition.last_success.is_some());
        assert_eq!(condition.last_error.as_deref(), Some("no answer"));
    }
}
