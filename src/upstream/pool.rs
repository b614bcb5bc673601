//! Pool of idle connections to the app, which are closed before the app closes them. Must not connect, and does not
//! know requests.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sync::lock;
use crate::upstream::connection::Connection;

/// Idle time up to which a connection may carry a request that must not be sent twice. The app may close an idle
/// connection at the moment when it is used, and then it is unknown if the app has seen the request. Right after an
/// exchange this is unlikely, even for an app that keeps connections for less than a second.
const FRESH: Duration = Duration::from_millis(200);

/// Idle connections, latest last.
#[derive(Debug)]
pub(super) struct Pool {
    keep: Duration,
    idle: Mutex<Vec<Connection>>,
}

impl Pool {
    pub(super) fn new(keep: Duration) -> Self {
        Self {
            keep,
            idle: Mutex::default(),
        }
    }

    /// Takes an open connection; only a fresh one if the request is not `repeatable`.
    pub(super) fn take(&self, repeatable: bool) -> Option<Connection> {
        let oldest = if repeatable {
            self.keep
        } else {
            self.keep.min(FRESH)
        };
        loop {
            let mut connection = {
                let mut idle = self.lock();
                // The latest first: the others then grow old, and as few as are needed stay open.
                let connection = idle.pop()?;
                if connection.idle_since().elapsed() > oldest {
                    // Closed, and replaced by the one that is opened now: where each worker of the app is
                    // bound to a connection, one more than there are workers would wait for all of them.
                    return None;
                }
                connection
            };
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Stores a connection after its exchange, if it can be used again.
    pub(super) fn put(&self, mut connection: Connection, now: Instant) {
        if !self.keep.is_zero() && connection.is_idle() {
            connection.set_idle(now);
            self.lock().push(connection);
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn close_old(&self) {
        let Some(earliest) = Instant::now().checked_sub(self.keep) else {
            return;
        };
        let old: Vec<Connection> = {
            let mut idle = self.lock();
            let fresh_from = idle.partition_point(|connection| connection.idle_since() < earliest);
            idle.drain(..fresh_from).collect()
        };
        // Closed here, after the lock is released.
        drop(old);
    }

    /// Closes all idle connections.
    pub(super) fn close_all(&self) {
        let idle = std::mem::take(&mut *self.lock());
        // Closed here, after the lock is released.
        drop(idle);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        lock(&self.idle)
    }
}
