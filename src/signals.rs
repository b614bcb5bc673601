//! Signals, as control events.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The control event of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ControlEvent {
    /// Reload the configuration (SIGHUP).
    Reload,
    /// Start the program anew and hand over to it (SIGUSR2).
    Upgrade,
    /// Stop (SIGTERM or SIGINT, Ctrl-C).
    Stop,
}

/// The signal handlers of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    user: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Installs the handlers: these signals do not end the process by themselves any more.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined2())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next event.
    pub(crate) async fn next(&mut self) -> ControlEvent {
        tokio::select! {
            _ = self.hangup.recv() => ControlEvent::Reload,
            _ = self.user.recv() => ControlEvent::Upgrade,
            _ = self.interrupt.recv() => ControlEvent::Stop,
            _ = self.terminate.recv() => ControlEvent::Stop,
        }
    }

    /// Waits until a signal asks to stop.
    pub(crate) async fn stop(&mut self) {
        while self.next().await != ControlEvent::Stop {}
    }
}
