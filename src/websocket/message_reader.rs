//! The reading half of a client's WebSocket: whole messages, pings and the close. Must not know what a message means.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::websocket::{Event, FrameReader, Kind, Violation, inflate};

/// Bytes to read at a time.
const READ: usize = 4 * 1024;

/// The messages that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Text and binary messages.
    All,
    /// Text messages; a binary one is a violation.
    Text,
    /// Messages of all kinds, which are dropped.
    Nothing,
}

/// An event of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A ping, to be answered with the same payload.
    Ping(Vec<u8>),
    /// A close frame, with its code, if it has one.
    Close(Option<u16>),
}

/// Reasons why reading has failed.
#[derive(Debug)]
pub(crate) enum ReadFault {
    /// The connection broke.
    Broke(io::Error),
    /// The client has violated the protocol, or a limit.
    Violation(Violation),
}

/// Reads the messages of a client from its stream.
#[derive(Debug)]
pub(crate) struct MessageReader {
    frames: FrameReader,
    accepts: Accepts,
    /// Size limit of a message, and of what it is when it is decompressed.
    limit: usize,
    /// The part of the current message read so far; `unread` holds the bytes behind it.
    message: Vec<u8>,
    unread: Vec<u8>,
    heard: bool,
    bytes: u64,
}

impl MessageReader {
    /// Creates a reader for the start of a connection whose messages have at most `limit` bytes.
    #[must_use]
    pub(crate) fn new(accepts: Accepts, limit: usize) -> Self {
        Self {
            frames: FrameReader::new(),
            accepts,
            limit,
            message: Vec::new(),
            unread: Vec::new(),
            heard: false,
            bytes: 0,
        }
    }

    /// Permits compressed messages, if the handshake has agreed on them.
    #[must_use]
    pub(crate) fn with_deflate(mut self, deflates: bool) -> Self {
        self.frames = self.frames.with_deflate(deflates);
        self
    }

    /// Adds bytes that were read before the socket was set up.
    pub(crate) fn feed(&mut self, read: &[u8]) {
        self.unread = read.to_vec();
    }

    /// True if the client was heard since the last call.
    pub(crate) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Total bytes of messages.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// A [`ReadFault`] if the connection broke, or if the client violates the protocol.
    pub(crate) fn poll<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Received>, ReadFault>>
    where
        C: AsyncRead + Unpin,
    {
        loop {
            if !self.unread.is_empty() {
                let mut unread = std::mem::take(&mut self.unread);
                if let Some(received) = self.read(&mut unread).map_err(ReadFault::Violation)? {
                    return Poll::Ready(Ok(Some(received)));
                }
                continue;
            }
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut *client).poll_read(cx, &mut buffer)).map_err(ReadFault::Broke)?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(None));
            }
            let received = self.read(buffer.filled_mut());
            if let Some(received) = received.map_err(ReadFault::Violation)? {
                return Poll::Ready(Ok(Some(received)));
            }
        }
    }

    /// Reads frames until there is an event; keeps the bytes behind it.
    fn read(&mut self, bytes: &mut [u8]) -> Result<Option<Received>, Violation> {
        let mut at = 0;
        while let Some(event) = self.frames.next(bytes, &mut at)? {
            self.heard = true;
            let received = match event {
                Event::Data { kind, piece, last } => {
                    let piece = bytes.get(piece).unwrap_or_default();
                    self.collect(kind, piece, last)?
                }
                Event::Ping(payload) => Some(Received::Ping(payload)),
                Event::Pong => None,
                Event::Close(code) => Some(Received::Close(code)),
            };
            if received.is_some() {
                self.unread = bytes.get(at..).unwrap_or_default().to_vec();
                return Ok(received);
            }
        }
        Ok(None)
    }

    /// Adds a piece to the current message; returns the message with its last piece.
    fn collect(
        &mut self,
        kind: Kind,
        piece: &[u8],
        last: bool,
    ) -> Result<Option<Received>, Violation> {
        self.bytes += piece.len() as u64;
        match (self.accepts, kind) {
            (Accepts::Nothing, _) => return Ok(None),
            (Accepts::Text, Kind::Binary) => {
                return Err(Violation {
                    code: 1003,
                    reason: "messages to a channel are text",
                });
            }
            (Accepts::Text | Accepts::All, _) => {}
        }
        if self.message.len() + piece.len() > self.limit {
            return Err(Violation {
                code: 1009,
                reason: "the message is too large",
            });
        }
        self.message.extend_from_slice(piece);
        if !last {
            return Ok(None);
        }
        let mut message = std::mem::take(&mut self.message);
        if self.frames.is_compressed() {
            message = inflate(message, self.limit)?;
        }
        match kind {
            Kind::Binary => Ok(Some(Received::Binary(message))),
            Kind::Text => match String::from_utf8(message) {
                Ok(text) => Ok(Some(Received::Text(text))),
                Err(_) => Err(Violation {
                    code: 1007,
                    reason: "a text message is not UTF-8",
                }),
            },
        }
    }
}
