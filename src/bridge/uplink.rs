//! The direction from the client to the target: decodes frames in the buffers of the thread, and writes their payload.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bridge::base64_reader::{Base64Reader, Decoded};
use crate::bridge::codec::Codec;
use crate::bridge::outcome::End;
use crate::bridge::recorder::Tap;
use crate::bridge::scratch::{self, Backlog, Scratch};
use crate::http::Stall;
use crate::websocket::{Event, FrameReader, Violation};

/// Time limit for a full backlog without progress over HTTP/2. The stream is not read meanwhile; see below.
const FULL_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Uplink {
    codec: Codec,
    frames: FrameReader,
    /// The incomplete base64 message.
    text: Base64Reader,
    waiting: Backlog,
    /// Limit on the backlog while the client is still read, over HTTP/2.
    upload: Option<usize>,
    /// True if the client has sent anything since this was last reset.
    pub(super) heard: bool,
    /// True while the client is not read because the target does not accept its bytes.
    pub(super) stalled: bool,
    /// Bytes written to the target.
    pub(super) bytes: u64,
    /// Payload of the latest ping that awaits a pong.
    pub(super) ping: Option<Vec<u8>>,
    /// True if bytes were written since the last flush; TLS may still hold them.
    unflushed: bool,
    /// True once the target accepts no more bytes; its own output may still be on the way to the client.
    closed: bool,
    /// Stall timer of a full backlog, over HTTP/2.
    full: Stall,
    /// Recorder of the client's bytes.
    pub(super) tap: Option<Tap>,
}

impl Uplink {
    pub(super) fn new(codec: Codec, upload: Option<usize>) -> Self {
        Self {
            codec,
            frames: FrameReader::new(),
            text: Base64Reader::default(),
            waiting: Backlog::default(),
            upload,
            heard: false,
            stalled: false,
            bytes: 0,
            ping: None,
            unflushed: false,
            closed: false,
            full: Stall::new(FULL_LIMIT),
            tap: None,
        }
    }

    /// Decodes bytes that were read before the relay began.
    pub(super) fn feed(&mut self, mut read: Vec<u8>) -> Result<(), End> {
        let mut text = vec![0; read.len()];
        let (payload, end) = self.decode(&mut read, &mut text);
        self.record(payload);
        self.waiting.push(payload);
        end.map_or(Ok(()), Err)
    }

    /// Writes the backlog to the target. Ready when it is empty.
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

    /// Stops writing. A target that has closed may have sent data before, which the other direction still delivers
    /// to the client.
    fn close(&mut self) -> Poll<io::Result<()>> {
        self.closed = true;
        self.unflushed = false;
        self.waiting = Backlog::default();
        Poll::Ready(Ok(()))
    }

    /// Relays until either side blocks, or the client ends the tunnel.
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
                Poll::Ready(Err(error)) => return Poll::Ready(End::of_target(error)),
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

    /// Performs one read from the client, decodes it in place, and writes as much as the target accepts at once.
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
            let Scratch { raw, text } = scratch;
            let mut buffer = ReadBuf::new(raw);
            let mut ended = false;
            // A TLS stream hands out one record at a time, and one write of several is cheaper than several.
            while buffer.remaining() > 0 && !ended {
                let before = buffer.filled().len();
                match Pin::new(&mut *client).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) => ended = buffer.filled().len() == before,
                    Poll::Ready(Err(error)) if before == 0 => {
                        return Poll::Ready(Err(End::ClientBroke(error)));
                    }
                    Poll::Pending if before == 0 => {
                        self.text.rest();
                        return Poll::Pending;
                    }
                    // Comes again with the next read, after what there is has been passed on.
                    Poll::Ready(Err(_)) | Poll::Pending => break,
                }
            }
            let read = buffer.filled_mut();
            if read.is_empty() {
                return Poll::Ready(Err(End::ClientGone));
            }
            self.heard = true;
            let (payload, end) = self.decode(read, text);
            self.record(payload);
            self.pass(payload, target, cx)?;
            Poll::Ready(end.map_or(Ok(()), Err))
        })
    }

    /// Decodes the frames in `bytes`, and returns the payload of their messages: moved together at the front of
    /// `bytes`, or of `text` if it was base64. An end is returned beside the payload before it.
    fn decode<'a>(&mut self, bytes: &'a mut [u8], text: &'a mut [u8]) -> (&'a [u8], Option<End>) {
        let (mut at, mut length) = (0, 0);
        let end = loop {
            let event = match self.frames.next(bytes, &mut at) {
                Ok(Some(event)) => event,
                Ok(None) => break None,
                Err(violation) => break Some(violation.into()),
            };
            match event {
                Event::Data { kind, piece, last } => {
                    if let Err(violation) = self.codec.accepts(kind) {
                        break Some(violation.into());
                    }
                    if self.codec != Codec::Base64 {
                        let size = piece.len();
                        bytes.copy_within(piece, length);
                        length += size;
                        continue;
                    }
                    let piece = bytes.get(piece).unwrap_or_default();
                    if let Err(violation) = self.decode_text(piece, last, text, &mut length) {
                        break Some(violation.into());
                    }
                }
                Event::Ping(payload) => self.ping = Some(payload),
                Event::Pong => {}
                Event::Close(code) => break Some(End::ClientClosed(code)),
            }
        };
        let payload: &[u8] = if self.codec == Codec::Base64 {
            text
        } else {
            bytes
        };
        (payload.get(..length).unwrap_or_default(), end)
    }

    /// Decodes a piece of a base64 message to `decoded`, behind the `length` bytes of earlier messages.
    fn decode_text(
        &mut self,
        piece: &[u8],
        last: bool,
        decoded: &mut [u8],
        length: &mut usize,
    ) -> Result<(), Violation> {
        let room = decoded.get_mut(*length..).unwrap_or_default();
        match self.text.piece(piece, last, room)? {
            Decoded::Nothing => {}
            Decoded::Bytes(size) => *length += size,
            Decoded::Long(message) => {
                let before = decoded.get(..std::mem::take(length)).unwrap_or_default();
                for payload in [before, &message] {
                    self.record(payload);
                    self.waiting.push(payload);
                }
            }
        }
        Ok(())
    }

    fn record(&self, payload: &[u8]) {
        if let Some(tap) = &self.tap {
            tap.input(payload);
        }
    }

    /// Writes payload behind the backlog.
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
                Poll::Ready(Err(error)) => return Err(End::of_target(error)),
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
