//! An accepted stream with or without TLS. Does not know the protocol on it.

use crate::net::Stream;
use crate::tls::TlsStream;

/// A stream with or without TLS.
#[derive(Debug)]
pub(super) enum Layered {
    Plain(Stream),
    Tls(TlsStream),
    /// No stream: it was handed over to be closed.
    Gone(tokio::io::Empty),
}

impl Layered {
    /// The accepted stream, on which nothing more is written.
    pub(super) fn ended(&mut self) -> Option<&mut Stream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(stream) => Some(stream.ended()),
            Self::Gone(_) => None,
        }
    }
}
