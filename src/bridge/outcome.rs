//! The end of a tunnel: its reason, and the bytes it carried.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::rfb;
use crate::websocket::Violation;

/// Reasons why a tunnel ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the client closed it")]
    ClientClosed(Option<u16>),
    #[error("the client left without a close frame")]
    ClientGone,
    #[error("the connection to the client broke: {0}")]
    ClientBroke(io::Error),
    #[error("the target closed it")]
    TargetClosed,
    #[error("the connection to the target broke: {0}")]
    TargetBroke(io::Error),
    #[error("the client broke the protocol: {reason}")]
    Violation { code: u16, reason: &'static str },
    #[error("{}: {}", if .0.by_client { "the client broke RFB" } else { "the target broke RFB" }, .0.reason)]
    Rfb(rfb::ProtocolError),
    #[error("the target did not read, and {0} bytes had gathered for it")]
    Overflow(usize),
    #[error("the target sent {0} bytes without the end of a message")]
    NoBoundary(usize),
    #[error("nothing was sent for {0:?}")]
    Idle(Duration),
    #[error("two pings were not answered")]
    HeartbeatLost,
    #[error("the session ended")]
    SessionEnded,
    #[error("the recording cannot go on, and bridge.recording says that nothing goes unrecorded")]
    NotRecorded,
    #[error("closed by an administrator")]
    ByAdministrator,
    #[error("its token was removed")]
    TokenGone,
    #[error("the client fell behind by more than shared.lag")]
    Lagging,
    #[error("Noren is stopping")]
    Stopping,
}

impl End {
    /// The end by an error of the target's connection. The error may contain a violation of RFB by either side, or the
    /// end of a shared console.
    pub(super) fn of_target(error: io::Error) -> Self {
        let Some(inner) = error.get_ref() else {
            return Self::TargetBroke(error);
        };
        match (inner.downcast_ref(), inner.downcast_ref::<Ended>()) {
            (Some(broken), _) => Self::Rfb(*broken),
            (None, Some(ended)) => (*ended).into(),
            (None, None) => Self::TargetBroke(error),
        }
    }

    /// The close code for the client (RFC 6455 §7.4.1), and the text of the reason.
    pub(super) fn close(&self) -> (Option<u16>, &'static str) {
        match self {
            Self::ClientClosed(code) => (*code, ""),
            Self::ClientGone | Self::ClientBroke(_) | Self::HeartbeatLost => (Some(1001), ""),
            Self::TargetClosed => (Some(1000), "the target closed the connection"),
            Self::TargetBroke(_) => (Some(1011), "the connection to the target broke"),
            Self::Violation { code, reason } => (Some(*code), reason),
            Self::Rfb(broken) if broken.by_client => (Some(1008), broken.reason),
            Self::Rfb(broken) => (Some(1011), broken.reason),
            Self::Overflow(_) => (Some(1013), "the target does not read"),
            Self::NoBoundary(_) => (Some(1011), "the target sent no end of a message"),
            Self::Idle(_) => (Some(1001), "nothing was sent for too long"),
            // From the range for private use (RFC 6455 §7.4.2): the page should log in, not just come back.
            Self::SessionEnded => (Some(4401), "the session ended"),
            Self::NotRecorded => (Some(1011), "the recording cannot go on"),
            Self::ByAdministrator => (Some(4403), "closed by an administrator"),
            // Private too: coming back with this token is of no use.
            Self::TokenGone => (Some(4404), "the token is no longer known"),
            Self::Lagging => (Some(1013), "this connection is too slow for the console"),
            Self::Stopping => (Some(1001), "the server is stopping; connect again"),
        }
    }
}

/// Reasons why a shared console ends for a viewer; they are wrapped in an [`io::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Ended {
    /// The guest closed its end, or the last viewer has left.
    #[error("the guest closed it")]
    Closed,
    /// The connection to the guest broke.
    #[error("it could not be made again")]
    Broke,
    /// The viewer is too slow.
    #[error("the viewer is too slow")]
    Lagging,
    /// The recording has ended, and the console must not continue without it.
    #[error("the recording cannot go on")]
    NotRecorded,
    /// An administrator closed the console.
    #[error("closed by an administrator")]
    ByAdministrator,
}

/// The end of a viewer whose client does not read: such a client never gets to the end of the output, where the reason
/// is.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    token: CancellationToken,
    reason: Arc<OnceLock<Ended>>,
}

impl Cut {
    /// Ends the viewer; the first reason counts.
    pub(super) fn cut(&self, reason: Ended) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }

    /// Waits for the end.
    pub(super) async fn ended(&self) -> Ended {
        self.token.cancelled().await;
        self.reason.get().copied().unwrap_or(Ended::Closed)
    }
}

impl From<Ended> for End {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Closed => Self::TargetClosed,
            Ended::Broke => Self::TargetBroke(io::Error::other(ended)),
            Ended::Lagging => Self::Lagging,
            Ended::NotRecorded => Self::NotRecorded,
            Ended::ByAdministrator => Self::ByAdministrator,
        }
    }
}

impl From<Violation> for End {
    fn from(violation: Violation) -> Self {
        Self::Violation {
            code: violation.code,
            reason: violation.reason,
        }
    }
}

/// Result of a tunnel that has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// Bytes written to the target.
    pub(super) up: u64,
    /// Bytes received from the target.
    pub(super) down: u64,
}
