//! Reasons why a WebSocket ends, and the close frames that tell its client. Does not write to the connection.

use std::fmt;
use std::io;

use crate::hub::End;
use crate::websocket::ReadFault;

/// Reasons why a socket ends.
#[derive(Debug)]
pub(super) enum Cause {
    /// The app or the client has closed, with this code, and both know it.
    Closed(Option<u16>, String),
    /// The client has vanished.
    Gone,
    Broke(io::Error),
    Violation(u16, &'static str),
    /// The app's response is invalid.
    App(String),
    Ended(End),
    Stopping,
    ByAdministrator,
    HeartbeatLost,
}

impl Cause {
    /// The code and the reason in the close frame; `None` if the client is gone.
    pub(super) fn close_frame(&self) -> Option<(Option<u16>, &str)> {
        Some(match self {
            Self::Gone | Self::Broke(_) => return None,
            Self::Closed(code, reason) => (code.map(sound), reason.as_str()),
            Self::Violation(code, reason) => (Some(*code), *reason),
            Self::App(_) => (Some(1011), "the application does not answer"),
            Self::Ended(End::Slow) => (Some(1013), "too slow"),
            Self::Ended(End::SessionEnded) => (Some(4401), "the session has ended"),
            Self::Ended(End::Expired) => (Some(4401), "the token has expired"),
            Self::Ended(End::Refused | End::ByAdministrator) | Self::ByAdministrator => {
                (Some(4403), "closed by an administrator")
            }
            Self::Ended(End::Stopping) | Self::Stopping => (Some(1001), "the server stops"),
            Self::HeartbeatLost => (Some(1001), "no answer to pings"),
        })
    }
}

/// A code that may be sent: some libraries use 0 for no code.
fn sound(code: u16) -> u16 {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => code,
        _ => 1000,
    }
}

impl From<ReadFault> for Cause {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Broke(error) => Self::Broke(error),
            ReadFault::Violation(violation) => Self::Violation(violation.code, violation.reason),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(..) => f.write_str("closed"),
            Self::Gone => f.write_str("the client is gone"),
            Self::Broke(error) => write!(f, "the client broke: {error}"),
            Self::Violation(_, reason) => write!(f, "protocol violation: {reason}"),
            Self::App(reason) => write!(f, "the app: {reason}"),
            Self::Ended(end) => f.write_str(end.reason()),
            Self::Stopping => f.write_str("Noren is stopping"),
            Self::ByAdministrator => f.write_str("closed by an administrator"),
            Self::HeartbeatLost => f.write_str("no answer to pings"),
        }
    }
}
