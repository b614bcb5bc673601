//! The pause before a source reconnects, and its one log line. Must not know protocols.

use tokio::time::{Instant, sleep};
use tracing::warn;

use super::sink::Sink;
use crate::net::{Backoff, LONGEST_PAUSE};
use crate::sources::stop::Stop;

/// The attempts of a source to connect.
#[derive(Default)]
pub(super) struct Retry {
    backoff: Backoff,
    told: bool,
}

impl Retry {
    /// Marks the source as down, and waits before the next attempt; false if the source was stopped meanwhile. `began`
    /// is the start of the attempt that led to the lost connection.
    pub(super) async fn pause(
        &mut self,
        sink: &Sink,
        began: Instant,
        lost: &(dyn std::fmt::Display + Sync),
        stop: &Stop,
    ) -> bool {
        sink.set_down_because(&lost);
        if began.elapsed() >= LONGEST_PAUSE {
            *self = Self::default();
        }
        // Each try may fail in the same way, until somebody starts the server or makes what is missing.
        if !std::mem::replace(&mut self.told, true) {
            warn!(
                channel = %sink.channel(),
                address = sink.address(),
                reason = %lost,
                "a source is not there; trying again until it is",
            );
        }
        tokio::select! {
            () = sleep(self.backoff.pause()) => true,
            () = stop.requested() => false,
        }
    }
}

/// Returns some time after the stop of a source: the time limit for acknowledgements. Without it a published message
/// would come again. It is as long as a store may take for its last messages.
pub(super) async fn ended_long_ago(stop: &Stop) {
    stop.requested().await;
    sleep(SETTLE_LIMIT).await;
}

const SETTLE_LIMIT: std::time::Duration = std::time::Duration::from_secs(5);
