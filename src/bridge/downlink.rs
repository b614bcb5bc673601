//! The direction from the target to the client: reads bytes, writes frames, with control frames in between.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracing::debug;

use crate::bridge::boundary::Boundary;
use crate::bridge::codec::Codec;
use crate::bridge::outcome::End;
use crate::bridge::recorder::Tap;
use crate::bridge::scratch::{self, Backlog, READ, Scratch};
use crate::websocket::{HEADER_SPACE, Opcode, control_frame};

#[derive(Debug)]
pub(super) struct Downlink {
    codec: Codec,
    boundary: Option<Boundary>,
    read_size: usize,
    frame_size: usize,
    waiting: Backlog,
    pong: Option<Vec<u8>>,
    ping: bool,
    took: bool,
    unflushed: bool,
    target_ended: bool,
    /// Bytes received from the target.
    pub(super) bytes: u64,
    /// Recorder of the target's bytes.
    pub(super) tap: Option<Tap>,
}

impl Downlink {
    pub(super) fn new(codec: Codec, boundary: Option<Arc<[u8]>>, frame_size: usize) -> Self {
        Self {
            codec,
            boundary: boundary.map(Boundary::new),
            // The header counts: a TLS stream takes 64 KiB at a time, and ten bytes more would cost a record
            // and a system call of their own.
            read_size: codec.read_size(frame_size - HEADER_SPACE).clamp(1, READ),
            frame_size,
            waiting: Backlog::default(),
            pong: None,
            ping: false,
            took: false,
            unflushed: false,
            target_ended: false,
            bytes: 0,
            tap: None,
        }
    }

    /// Queues a pong in place of an older unsent one: only the latest is due (RFC 6455 §5.5.3), so a client that
    /// pings and does not read cannot make memory grow.
    pub(super) fn answer_ping(&mut self, payload: &[u8]) {
        self.pong = Some(control_frame(Opcode::Pong, payload));
    }

    /// Queues a ping. False if the last one is still unsent and so cannot have been answered.
    pub(super) fn ping(&mut self) -> bool {
        !std::mem::replace(&mut self.ping, true)
    }

    /// True if the client has accepted any bytes since the last call.
    pub(super) fn client_took(&mut self) -> bool {
        std::mem::take(&mut self.took)
    }

    /// Writes queued bytes, and then control frames, which go between two frames and never into one.
    fn poll_waiting<C>(&mut self, client: &mut C, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        C: AsyncWrite + Unpin,
    {
        // That the system takes a ping says nothing of the client.
        let mut counts = true;
        loop {
            let before = self.waiting.len();
            let written = self.waiting.poll_to(client, cx);
            let taken = self.waiting.len() < before;
            self.took |= taken && counts;
            self.unflushed |= taken;
            ready!(written)?;
            counts = false;
            if let Some(pong) = self.pong.take() {
                self.waiting.push(&pong);
            }
            if std::mem::take(&mut self.ping) {
                self.waiting.push(&control_frame(Opcode::Ping, b""));
            }
            if self.waiting.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Queues the close frame, which must be the last frame.
    pub(super) fn push_close(&mut self, frame: &[u8]) {
        self.waiting.push(frame);
    }

    /// True once the target has sent its last byte.
    pub(super) fn target_ended(&self) -> bool {
        self.target_ended
    }

    /// Writes queued bytes. Ready when the client's socket has all of them.
    pub(super) fn poll_write<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        C: AsyncWrite + Unpin,
    {
        ready!(self.poll_waiting(client, cx))?;
        if self.unflushed {
            ready!(Pin::new(client).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Relays until either side blocks, or the target ends.
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
            if let Err(error) = ready!(self.poll_waiting(client, cx)) {
                return Poll::Ready(End::ClientBroke(error));
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

    /// Performs one read from the target, and writes as much as the client accepts at once.
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
            return Poll::Ready(Err(End::of_target(error)));
        }
        let length = buffer.filled().len();
        if length == 0 {
            self.target_ended = true;
            if let Some(length) = self
                .boundary
                .as_ref()
                .map(Boundary::partial_length)
                .filter(|length| *length > 0)
            {
                debug!(
                    bytes = length,
                    "the target ended in the middle of a message, which is dropped"
                );
            }
            return Poll::Ready(Ok(()));
        }
        self.bytes += length as u64;
        if let Some(tap) = &self.tap {
            let read = raw.get(HEADER_SPACE..HEADER_SPACE + length);
            tap.output(read.unwrap_or_default());
        }
        if self.boundary.is_some() {
            let read = raw
                .get(HEADER_SPACE..HEADER_SPACE + length)
                .unwrap_or_default();
            return Poll::Ready(self.push_messages(read));
        }
        let frame = self.codec.frame(raw, length, text);
        self.unflushed = true;
        match Pin::new(client).poll_write(cx, frame) {
            Poll::Ready(Ok(written)) => {
                self.took = true;
                self.waiting.push(frame.get(written..).unwrap_or_default());
            }
            Poll::Ready(Err(error)) => return Poll::Ready(Err(End::ClientBroke(error))),
            Poll::Pending => self.waiting.push(frame),
        }
        Poll::Ready(Ok(()))
    }

    /// Frames the messages that are complete.
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
