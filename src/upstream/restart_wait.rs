//! Waits for an app that is restarting, so that its visitors do not notice.
//!
//! When a connection is refused, nothing has been sent, so a request of any kind can wait for the next attempt. It
//! holds a worker permit meanwhile, and further requests wait in the queue, so no limits other than the queue's are
//! needed. If the app stays away longer than a restart takes, requests fail at once.

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::{info, warn};

use crate::net::ConnectError;
use crate::sync::lock;
use crate::tls::DialError;

/// Pause between two attempts, growing from the first to the second value.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The restart wait of an app, with the start of its current outage.
#[derive(Debug)]
pub(super) struct RestartWait {
    app: String,
    /// Longest time that a restart may take.
    limit: Duration,
    outage: Mutex<Option<Outage>>,
}

/// The wait of one request. It measures its own time too: the shared record of the outage is forgotten when two
/// attempts are further apart than the patience, as happens if that is shorter than a pause.
#[derive(Debug)]
pub(super) struct Wait {
    started_at: Option<Instant>,
    pause: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self {
            started_at: None,
            pause: FIRST_PAUSE,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    started_at: Instant,
    /// Time of the last failed attempt.
    last: Instant,
}

impl RestartWait {
    pub(super) fn new(app: &str, limit: Duration) -> Self {
        Self {
            app: app.to_owned(),
            limit,
            outage: Mutex::default(),
        }
    }

    /// Waits for the next attempt after a failed one.
    ///
    /// # Errors
    /// The same error, if something listens at the address, or the outage has lasted too long.
    pub(super) async fn pause(&self, wait: &mut Wait, error: DialError) -> Result<(), DialError> {
        if !is_not_listening(&error) {
            return Err(error);
        }
        let waited = wait.started_at.get_or_insert_with(Instant::now).elapsed();
        let left = self.limit.saturating_sub(waited);
        let left = self.time_left(&error).min(left);
        if left.is_zero() {
            return Err(error);
        }
        sleep(wait.pause.min(left)).await;
        wait.pause = (wait.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }

    /// Time that a request may still wait after a failed attempt.
    fn time_left(&self, error: &DialError) -> Duration {
        if self.limit.is_zero() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let mut outage = self.lock();
        // Between two visitors far apart the app may have been back, unseen.
        let known = outage.filter(|outage| now - outage.last <= self.limit);
        let started_at = known.map_or(now, |outage| outage.started_at);
        *outage = Some(Outage {
            started_at,
            last: now,
        });
        drop(outage);
        if known.is_none() {
            warn!(app = self.app, %error, "the app cannot be reached; requests wait until it is back");
        }
        self.limit.saturating_sub(now - started_at)
    }

    /// Records a successful attempt.
    pub(super) fn record_success(&self) {
        let outage = self.lock().take();
        if let Some(outage) = outage {
            let seconds = outage.started_at.elapsed().as_secs_f64();
            info!(app = self.app, seconds, "the app is back");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        lock(&self.outage)
    }
}

/// True if the error is one of an app that is just starting: nothing listens at its address.
pub(super) fn is_not_listening(error: &DialError) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, NotFound};
    match error {
        DialError::Connect(ConnectError::Refused { source, .. }) => matches!(
            source.kind(),
            ConnectionRefused | ConnectionReset | NotFound
        ),
        DialError::Connect(ConnectError::Slow { .. })
        | DialError::Handshake { .. }
        | DialError::Slow { .. } => false,
    }
}
