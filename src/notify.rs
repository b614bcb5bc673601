//! What systemd is told (`sd_notify(3)`). Without systemd, nothing happens.

use sd_notify::NotifyState;
use tracing::warn;

/// The sockets are open, or a reload is over.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A reload begins. With `Type=notify-reload` the time must be in the same message.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "no monotonic clock for systemd"),
    }
}

/// The drain begins.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "systemd cannot be told the state");
    }
}
