//! The end of a persistent connection when the server stops or another process takes over.
//!
//! A client may send its next request at the moment when an idle connection is closed, and cannot know if it was
//! handled (RFC 9112 §9.3.1). So an idle connection stays open for a while after the stop; the response to a request in
//! that time says `Connection: close` (§9.6), so the client sends no further request on the connection.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::http::activity::Activity;
use crate::shutdown::Shutdown;

/// Time after a stop in which an idle connection may still send a request, unless the drain is shorter. After that
/// the listeners are closed, and the client would get no response on another connection either.
const AFTER_STOP: Duration = Duration::from_secs(1);
/// Interval between two checks of a busy connection.
const LOOK: Duration = Duration::from_millis(200);

/// The rule for ending the connections of one server.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    shutdown: Shutdown,
    /// Time limit for a stop, and for idle connections after an upgrade.
    grace: Duration,
}

impl Drain {
    /// Creates the rule; `grace` is `server.drain`.
    #[must_use]
    pub(crate) fn new(shutdown: &Shutdown, grace: Duration) -> Self {
        Self {
            shutdown: shutdown.clone(),
            grace,
        }
    }

    /// Ready when an HTTP/1.1 connection may be closed: the server stops, no request is in progress or arriving,
    /// and there was time for one.
    pub(crate) async fn may_close(&self, activity: &Activity) {
        self.shutdown.requested().await;
        let asked = Instant::now();
        // The response under way promises more. A client that waits for its end, as that of an event stream, goes on
        // elsewhere as soon as the connection is closed.
        let promised = activity.is_busy();
        loop {
            let stops = self.shutdown.tunnels_have_to_end();
            let time = if stops || promised {
                self.after_stop()
            } else {
                self.grace
            };
            let quiet = activity.quiet().min(asked.elapsed());
            if quiet >= time && !activity.is_in_use() {
                return;
            }
            let wait = time.saturating_sub(quiet).max(LOOK).min(time.max(LOOK));
            tokio::select! {
                () = sleep(wait) => {}
                () = self.shutdown.tunnels_requested(), if !stops => {}
            }
        }
    }

    /// Ready when an incomplete handshake may be abandoned. After an upgrade it continues within its own limit.
    pub(crate) async fn may_give_up(&self) {
        self.shutdown.tunnels_requested().await;
        sleep(self.after_stop()).await;
    }

    fn after_stop(&self) -> Duration {
        AFTER_STOP.min(self.grace / 2)
    }
}
