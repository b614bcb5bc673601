//! Notifications for systemd (`sd_notify(3)`). Without systemd they have no effect.

use sd_notify::NotifyState;
use tracing::warn;

/// Reports that the sockets are open, or that a reload is complete.
pub(crate) fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Reports the start of a reload. With `Type=notify-reload` the time must be in the same message.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "no monotonic clock for systemd"),
    }
}

/// Reports that another process is the main process now; this one only ends what it has begun.
pub(crate) fn replaced_by(process: u32) {
    notify(&[NotifyState::MainPid(process)]);
}

/// Notifies systemd's watchdog at the interval it asks for, while `beat` completes each time. Never returns, and
/// does nothing without a watchdog.
pub(crate) async fn feed_watchdog<F: Future<Output = ()>>(beat: impl Fn() -> F) {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // As sd_watchdog_enabled(3) advises.
    let every = limit / 2;
    loop {
        tokio::time::sleep(every).await;
        // A beat that comes late is no beat: systemd ends the process then, and starts it again.
        if tokio::time::timeout(every, beat()).await.is_ok() {
            notify(&[NotifyState::Watchdog]);
        } else {
            warn!(
                ?every,
                "the event loop stalled, so the watchdog of systemd is not notified"
            );
        }
    }
}

/// Reports the start of the drain.
pub(crate) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be notified of the state");
    }
}
