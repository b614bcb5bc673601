//! Signals, as control events.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A file would exceed the limit on its size. The same number on all architectures of Linux but those of MIPS.
const SIGXFSZ: i32 = 25;

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

/// Lets a write beyond the limit on file sizes (`LimitFSIZE=`, `ulimit -f`) fail as on a full disk, for the rest of the
/// process: without a handler the signal ends it.
pub(crate) fn survive_file_limit() -> io::Result<()> {
    signal(SignalKind::from_raw(SIGXFSZ)).map(drop)
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
