//! Drain of the hub: dismisses all subscribers, spread over time, so that they do not reconnect all at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::hub::Hub;
use crate::shutdown::Shutdown;

impl Hub {
    /// Dismisses all subscribers, spread over `window`, and returns when the last one has been notified. Later
    /// subscribers are dismissed at once: another process has the messages now, so none would arrive here.
    pub(crate) async fn dismiss(&self, window: Duration) {
        self.0.dismissed.store(true, Ordering::SeqCst);
        let mut listeners: Vec<_> = Vec::new();
        for (_, channel) in self.channels_now() {
            listeners.extend(channel.listeners());
        }
        let step = window / u32::try_from(listeners.len().max(1)).unwrap_or(u32::MAX);
        let started_at = tokio::time::Instant::now();
        for (count, listener) in (0..).zip(listeners) {
            listener.dismiss();
            let due = started_at + step * count;
            if due > tokio::time::Instant::now() {
                tokio::time::sleep_until(due).await;
            }
        }
    }

    /// Dismisses all subscribers once the server stops, over half of its grace period.
    pub(crate) async fn drain(self, shutdown: Shutdown, grace: impl Fn() -> Duration) {
        shutdown.requested().await;
        self.dismiss(grace() / 2).await;
    }
}
