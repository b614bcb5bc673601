//! Reasons why a host does not let Noren in, in words for the operator, with the key to change. Does not know who is
//! let in.

use std::io;
use std::time::Duration;

use crate::config::RfbSecurity;
use crate::tls::{DialError, explain_alert};

/// The reason of a handshake that failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the handshake was not done within {0:?} (rfb.timeout)")]
    Slow(Duration),
    #[error("it does not speak RFB; it began with {0:?}")]
    NotRfb(String),
    #[error("it is a repeater, which waits for the name of a host; name the host itself")]
    Repeater,
    #[error("it speaks a version before 3.3")]
    Ancient,
    #[error("it refused the connection: {0}")]
    Refused(String),
    #[error("it offers {offered}, and nothing that is accepted; {remedy}")]
    NoMethod {
        offered: String,
        remedy: &'static str,
    },
    #[error(
        "it wants a password ({0}), and there is none; write rfb.password, or have the token source tell it"
    )]
    NoPassword(RfbSecurity),
    #[error("it requires a user and a password (x509-plain); write rfb.user and rfb.password")]
    NoUser,
    #[error("read the password {0}")]
    Password(String),
    #[error("it did not accept the password: {0}")]
    WrongPassword(String),
    #[error("it let nobody in: {0}")]
    Denied(String),
    #[error("{0}")]
    Certificate(String),
    #[error("it broke the protocol: {0}")]
    Violation(&'static str),
    #[error("it closed the connection during the handshake")]
    Closed,
    #[error(
        "it closed the connection behind TLS; it may want a client certificate: write rfb.tls.certificate and key"
    )]
    ClosedToAnyone,
    #[error(
        "it closed the connection behind TLS; it may not accept the certificate of rfb.tls.certificate"
    )]
    ClosedToCertificate,
    #[error("{0}")]
    Broke(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        if let Some(reason) = explain_alert(&error) {
            return Self::Certificate(reason);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Broke(error.to_string()),
        }
    }
}

impl From<DialError> for Fault {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Handshake { reason, .. } => Self::Certificate(reason),
            other => Self::Broke(other.to_string()),
        }
    }
}
