//! The reading half of a client's WebSocket: whole messages, pings and the end. Does not know what a message means.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use crate::websocket::{Event, FrameReader, Kind, Violation};

use super::control::Message;
use super::item::MessageKind;

/// Size of a read.
const READ: usize = 4 * 1024;

/// An event of the client.
pub(super) enum Said {
    Message(Message),
    Ping(Vec<u8>),
    Close(Option<u16>),
}

/// Reasons why reading has failed.
pub(super) enum Fault {
    Broke(io::Error),
    Violation(Violation),
}

/// A client's stream and its unread bytes.
pub(super) struct Client<C> {
    stream: C,
    reader: FrameReader,
    message: Vec<u8>,
    unread: Vec<u8>,
    limit: usize,
    heard: bool,
    /// Total bytes of messages.
    pub(super) bytes: u64,
}

impl<C: AsyncRead + Unpin> Client<C> {
    /// A client whose messages have at most `limit` bytes.
    pub(super) fn new(stream: C, limit: usize) -> Self {
        Self {
            stream,
            reader: FrameReader::new(),
            message: Vec::new(),
            unread: Vec::new(),
            limit,
            heard: false,
            bytes: 0,
        }
    }

    /// The stream, to write.
    pub(super) fn stream(&mut self) -> &mut C {
        &mut self.stream
    }

    /// Adds bytes that were read before the socket was set up.
    pub(super) fn feed(&mut self, read: &[u8]) {
        self.unread = read.to_vec();
    }

    /// True if the client was heard since the last call.
    pub(super) fn take_heard(&mut self) -> bool {
        std::mem::take(&mut self.heard)
    }

    /// Returns the next event; `None` at the end of the stream.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Said>, Fault>> {
        loop {
            if !self.unread.is_empty() {
                let mut unread = std::mem::take(&mut self.unread);
                if let Some(said) = self.read(&mut unread).map_err(Fault::Violation)? {
                    return Poll::Ready(Ok(Some(said)));
                }
                continue;
            }
            let mut space = [MaybeUninit::uninit(); READ];
            let mut buffer = ReadBuf::uninit(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).map_err(Fault::Broke)?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(None));
            }
            if let Some(said) = self.read(buffer.filled_mut()).map_err(Fault::Violation)? {
                return Poll::Ready(Ok(Some(said)));
            }
        }
    }

    /// Reads frames until there is an event; keeps the bytes behind it.
    fn read(&mut self, bytes: &mut [u8]) -> Result<Option<Said>, Violation> {
        let mut at = 0;
        while let Some(event) = self.reader.next(bytes, &mut at)? {
            self.heard = true;
            let said = match event {
                Event::Data { kind, piece, last } => {
                    let piece = bytes.get(piece).unwrap_or_default();
                    self.collect(kind, piece, last)?
                }
                Event::Ping(payload) => Some(Said::Ping(payload)),
                Event::Pong => None,
                Event::Close(code) => Some(Said::Close(code)),
            };
            if said.is_some() {
                self.unread = bytes.get(at..).unwrap_or_default().to_vec();
                return Ok(said);
            }
        }
        Ok(None)
    }

    fn collect(&mut self, kind: Kind, piece: &[u8], last: bool) -> Result<Option<Said>, Violation> {
        self.bytes += piece.len() as u64;
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
        let content = std::mem::take(&mut self.message);
        let kind = match kind {
            Kind::Text if std::str::from_utf8(&content).is_err() => {
                return Err(Violation {
                    code: 1007,
                    reason: "a text message is not UTF-8",
                });
            }
            Kind::Text => MessageKind::Text,
            Kind::Binary => MessageKind::Binary,
        };
        let content = content.into();
        Ok(Some(Said::Message(Message { kind, content })))
    }
}
