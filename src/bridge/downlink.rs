//! From the target to the client: reads bytes, writes frames, and the control frames in between.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::bridge::boundary::Boundary;
use crate::bridge::codec::Codec;
use crate::bridge::outcome::End;
use crate::bridge::scratch::{self, Backlog, READ, Scratch};
use crate::websocket::HEADER_SPACE;

/// How many bytes of pongs wait for a client that sends pings and does not read. More are not answered,
/// which RFC 6455 §5.5.3 allows as long as the latest one is, or will be.
const WAITING_PONGS: usize = 4096;

#[derive(Debug)]
pub(super) struct Downlink {
    codec: Codec,
    boundary: Option<Boundary>,
    read_size: usize,
    frame_size: usize,
    waiting: Backlog,
    unflushed: bool,
    target_ended: bool,
    /// Bytes the target has sent.
    pub(super) bytes: u64,
}

impl Downlink {
    pub(super) fn new(codec: Codec, boundary: Option<Arc<[u8]>>, frame_size: usize) -> Self {
        Self {
            codec,
            boundary: boundary.map(Boundary::new),
            read_size: codec.read_size(frame_size).clamp(1, READ),
            frame_size,
            waiting: Backlog::default(),
            unflushed: false,
            target_ended: false,
            bytes: 0,
        }
    }

    /// Queues a whole control frame; frames are never interleaved with the pieces of another.
    pub(super) fn push_control(&mut self, frame: &[u8]) {
        if self.waiting.len() < WAITING_PONGS {
            self.waiting.push(frame);
        }
    }

    /// Queues the close frame, which nothing may follow.
    pub(super) fn push_close(&mut self, frame: &[u8]) {
        self.waiting.push(frame);
    }

    /// True once the target has sent its last byte.
    pub(super) fn target_ended(&self) -> bool {
        self.target_ended
    }

    /// Writes what waits. Ready when the client has all of it.
    pub(super) fn poll_write<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        C: AsyncWrite + Unpin,
    {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut *client).poll_write(cx, self.waiting.left()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.take(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(client).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Relays until one of the two has to be waited for, or the target ends.
    pub(super) fn poll<C, T>(
        &mut self,
        client: &mut C,
        target: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<End>
    where
        C: AsyncWrite + Unpin,
        T: AsyncRead + Unpin,
    {
        loop {
            // Nothing is read that could not be written: this is the back-pressure towards the target.
            while !self.waiting.is_empty() {
                match ready!(Pin::new(&mut *client).poll_write(cx, self.waiting.left())) {
                    Ok(0) => return Poll::Ready(End::ClientGone),
                    Ok(written) => self.waiting.take(written),
                    Err(error) => return Poll::Ready(End::ClientBroke(error)),
                }
                self.unflushed = true;
            }
            if self.target_ended {
                return Poll::Ready(End::TargetClosed);
            }
            let moved = scratch::with(|scratch| self.poll_move(client, target, scratch, cx));
            match moved {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => {
                    // All that is to be had now has been written: send it off.
                    if let Poll::Ready(Err(error)) = self.poll_write(client, cx) {
                        return Poll::Ready(End::ClientBroke(error));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// One read from the target, and as much of one write as the client takes.
    fn poll_move<C, T>(
        &mut self,
        client: &mut C,
        target: &mut T,
        scratch: &mut Scratch,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>>
    where
        C: AsyncWrite + Unpin,
        T: AsyncRead + Unpin,
    {
        let Scratch { raw, text } = scratch;
        let room = raw
            .get_mut(HEADER_SPACE..HEADER_SPACE + self.read_size)
            .unwrap_or_default();
        let mut buffer = ReadBuf::new(room);
        if let Err(error) = ready!(Pin::new(target).poll_read(cx, &mut buffer)) {
            return Poll::Ready(Err(End::TargetBroke(error)));
        }
        let length = buffer.filled().len();
        if length == 0 {
            self.target_ended = true;
            return Poll::Ready(Ok(()));
        }
        self.bytes += length as u64;
        if self.boundary.is_some() {
            let read = raw
                .get(HEADER_SPACE..HEADER_SPACE + length)
                .unwrap_or_default();
            return Poll::Ready(self.push_messages(read));
        }
        let frame = self.codec.frame(raw, length, text);
        self.unflushed = true;
        match Pin::new(client).poll_write(cx, frame) {
            Poll::Ready(Ok(written)) => self.waiting.push(frame.get(written..).unwrap_or_default()),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(End::ClientBroke(error))),
            Poll::Pending => self.waiting.push(frame),
        }
        Poll::Ready(Ok(()))
    }

    /// Frames the whole messages there are.
    fn push_messages(&mut self, read: &[u8]) -> Result<(), End> {
        let Some(boundary) = &mut self.boundary else {
            return Ok(());
        };
        let whole = boundary
            .whole(read)
            .map_err(|endless| End::NoBoundary(endless.0))?;
        let mut rest = whole.as_slice();
        while !rest.is_empty() {
            let cut = boundary.cut(rest, self.codec.read_size(self.frame_size));
            let (messages, others) = rest.split_at_checked(cut).unwrap_or((rest, &[]));
            self.waiting.push(&self.codec.frame_of(messages));
            rest = others;
        }
        Ok(())
    }
}
