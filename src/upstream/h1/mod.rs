//! The messages of HTTP/1.1 to and from an app (RFC 9112), as bytes: writes request heads, and reads response heads and
//! bodies. Independent of sockets; [`connection`](super::connection) moves the bytes.

mod chunked;
mod framing;
mod request_head;
mod response_head;

pub(super) use framing::{Framing, Piece, persists};
pub(super) use request_head::write_head;
pub(super) use response_head::{ResponseHead, read_head};

/// Reasons why a response cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The bytes are no response head.
    #[error("its response is not HTTP: {0}")]
    Head(httparse::Error),
    /// The head is larger than [`response_head::LARGEST`].
    #[error("the head of its response is too large")]
    TooLarge,
    /// A header field is invalid.
    #[error("its response has an invalid header field")]
    Field,
    /// A length is invalid, or several lengths differ.
    #[error("its response has an invalid Content-Length")]
    Length,
    /// The response has a transfer coding in HTTP/1.0, which has none (RFC 9112 §6.1).
    #[error("its HTTP/1.0 response has a Transfer-Encoding")]
    Coding,
    /// The chunks of the body are invalid.
    #[error("its response has an invalid chunk")]
    Chunk,
    /// The connection ended before the body was complete.
    #[error("the connection ended before its response did")]
    Short,
}
