//! From the client to the target: reads frames in place, writes their payload.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bridge::codec::{self, Codec, LONGEST_TEXT};
use crate::bridge::outcome::End;
use crate::bridge::scratch::{self, Backlog};
use crate::http::Stall;
use crate::websocket::{Event, FrameReader, Violation};

/// How long a full backlog may stand still over HTTP/2. In this time the stream is not read; see below.
const FULL_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Uplink {
    codec: Codec,
    frames: FrameReader,
    /// A base64 message whose end has not come.
    text: Vec<u8>,
    waiting: Backlog,
    /// Over HTTP/2: how much may wait for the target while the client is still read.
    upload: Option<usize>,
    /// Something came from the client since this was last set to false.
    pub(super) heard: bool,
    /// The target does not take what the client has sent, so the client is not read.
    pub(super) stalled: bool,
    /// Bytes the target was given.
    pub(super) bytes: u64,
    /// The payload of the latest ping, to be answered.
    pub(super) ping: Option<Vec<u8>>,
    /// Something was written since the target was last flushed, which TLS may still hold.
    unflushed: bool,
    /// The target takes nothing any more; what it has sent may still be on its way to the client.
    closed: bool,
    /// Over HTTP/2: how long the target takes nothing of a full backlog.
    full: Stall,
}

impl Uplink {
    pub(super) fn new(codec: Codec, upload: Option<usize>) -> Self {
        Self {
            codec,
            frames: FrameReader::new(),
            text: Vec::new(),
            waiting: Backlog::default(),
            upload,
            heard: false,
            stalled: false,
            bytes: 0,
            ping: None,
            unflushed: false,
            closed: false,
            full: Stall::new(FULL_LIMIT),
        }
    }

    /// Takes bytes that were read before the relay began.
    pub(super) fn feed(&mut self, read: &[u8]) -> Result<(), End> {
        let mut read = read.to_vec();
        let (length, end) = self.decode(&mut read);
        self.waiting.push(read.get(..length).unwrap_or_default());
        end.map_or(Ok(()), Err)
    }

    /// Gives the target what waits for it. Ready when it has all.
    pub(super) fn poll_write<T>(
        &mut self,
        target: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        T: AsyncWrite + Unpin,
    {
        let before = self.waiting.len();
        let given = self.waiting.poll_to(target, cx);
        let taken = before - self.waiting.len();
        self.bytes += taken as u64;
        if taken > 0 {
            self.full.progressed();
            self.unflushed = true;
        }
        match given {
            Poll::Ready(Ok(())) if self.unflushed && !self.closed => {}
            Poll::Ready(Err(error)) if is_closed(&error) => return self.close(),
            given => return given,
        }
        match Pin::new(target).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) if is_closed(&error) => self.close(),
            flushed => flushed,
        }
    }

    /// A target that has closed may have said something before, which the other direction still brings to the
    /// client; so this one only stops giving.
    fn close(&mut self) -> Poll<io::Result<()>> {
        self.closed = true;
        self.unflushed = false;
        self.waiting = Backlog::default();
        Poll::Ready(Ok(()))
    }

    /// Relays until one of the two has to be waited for, or the client ends it.
    pub(super) fn poll<C, T>(
        &mut self,
        client: &mut C,
        target: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<End>
    where
        C: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        loop {
            match self.poll_write(target, cx) {
                Poll::Ready(Ok(())) => self.stalled = false,
                Poll::Ready(Err(error)) => return Poll::Ready(End::TargetBroke(error)),
                Poll::Pending => match self.upload {
                    // Over HTTP/1.1 the client is not read any more, and TCP tells it to wait.
                    None => {
                        self.stalled = true;
                        return Poll::Pending;
                    }
                    // An HTTP/2 stream must be read even so: small frames that nobody reads use up a budget
                    // of the whole connection, and the end of that budget ends all its streams.
                    // With a full backlog it has to wait all the same, but not for long.
                    Some(limit) if self.waiting.len() > limit => {
                        if self.full.waited(cx) {
                            return Poll::Ready(End::Overflow(self.waiting.len()));
                        }
                        return Poll::Pending;
                    }
                    Some(_) => {}
                },
            }
            if let Err(end) = ready!(self.poll_read(client, target, cx)) {
                return Poll::Ready(end);
            }
        }
    }

    /// One read from the client, decoded in place, and as much of one write as the target takes.
    fn poll_read<C, T>(
        &mut self,
        client: &mut C,
        target: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>>
    where
        C: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        scratch::with(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch.raw);
            let mut ended = false;
            // A TLS stream hands out one record at a time, and one write of several is cheaper than several.
            while buffer.remaining() > 0 && !ended {
                let before = buffer.filled().len();
                match Pin::new(&mut *client).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => ended = buffer.filled().len() == before,
                    Poll::Ready(Err(error)) if before == 0 => {
                        return Poll::Ready(Err(End::ClientBroke(error)));
                    }
                    Poll::Pending if before == 0 => return Poll::Pending,
                    // Comes again with the next read, after what there is has been passed on.
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
            let read = buffer.filled_mut();
            if read.is_empty() {
                return Poll::Ready(Err(End::ClientGone));
            }
            self.heard = true;
            let (length, end) = self.decode(read);
            self.pass(read.get(..length).unwrap_or_default(), target, cx)?;
            Poll::Ready(end.map_or(Ok(()), Err))
        })
    }

    /// Takes the frames in `bytes` apart. The payload of binary messages is moved together at the front, and
    /// its length returned; base64 messages go to what waits. An end is returned beside what came before it.
    fn decode(&mut self, bytes: &mut [u8]) -> (usize, Option<End>) {
        let (mut at, mut length) = (0, 0);
        loop {
            let event = match self.frames.next(bytes, &mut at) {
                Ok(Some(event)) => event,
                Ok(None) => return (length, None),
                Err(violation) => return (length, Some(violation.into())),
            };
            match event {
                Event::Data { kind, piece, last } => {
                    if let Err(violation) = self.codec.accepts(kind) {
                        return (length, Some(violation.into()));
                    }
                    if self.codec == Codec::Binary {
                        let size = piece.len();
                        bytes.copy_within(piece, length);
                        length += size;
                    } else if let Err(violation) =
                        self.text_piece(bytes.get(piece).unwrap_or_default(), last)
                    {
                        return (length, Some(violation.into()));
                    }
                }
                Event::Ping(payload) => self.ping = Some(payload),
                Event::Pong => {}
                Event::Close(code) => return (length, Some(End::ClientClosed(code))),
            }
        }
    }

    /// Collects a base64 message; nothing of it may reach the target before all of it is known to be valid.
    fn text_piece(&mut self, piece: &[u8], last: bool) -> Result<(), Violation> {
        if self.text.len() + piece.len() > LONGEST_TEXT {
            return Err(Violation {
                code: 1009,
                reason: "a base64 message is longer than 1 MiB",
            });
        }
        if !last {
            self.text.extend_from_slice(piece);
            return Ok(());
        }
        if self.text.is_empty() {
            self.waiting.push(&codec::decode(piece)?);
        } else {
            self.text.extend_from_slice(piece);
            self.waiting
                .push(&codec::decode(&std::mem::take(&mut self.text))?);
        }
        Ok(())
    }

    /// Writes payload, after what waits already.
    fn pass<T>(&mut self, payload: &[u8], target: &mut T, cx: &mut Context<'_>) -> Result<(), End>
    where
        T: AsyncWrite + Unpin,
    {
        if self.closed {
            self.waiting = Backlog::default();
            return Ok(());
        }
        let mut written = 0;
        if self.waiting.is_empty() && !payload.is_empty() {
            match Pin::new(target).poll_write(cx, payload) {
                Poll::Ready(Ok(count)) => {
                    written = count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) if is_closed(&error) => {
                    self.closed = true;
                    return Ok(());
                }
                Poll::Ready(Err(error)) => return Err(End::TargetBroke(error)),
                Poll::Pending => {}
            }
        }
        self.bytes += written as u64;
        self.waiting
            .push(payload.get(written..).unwrap_or_default());
        Ok(())
    }
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}
