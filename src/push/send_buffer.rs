//! Send buffer of a WebSocket: frames that the client has not taken yet. An empty one owns no memory.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Limit on buffers handed to one vectored write.
const PIECES: usize = 16;

/// Queued frames in order.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    frames: VecDeque<Bytes>,
    bytes: usize,
    unflushed: bool,
    /// A control frame to send between two others. A newer one replaces it, so that a client that pings and does
    /// not read cannot make the buffer grow (RFC 6455 §5.5.3).
    control: Option<Bytes>,
    /// Total bytes written.
    pub(super) sent: u64,
}

impl SendBuffer {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    pub(super) fn push_control(&mut self, frame: Vec<u8>) {
        self.control = Some(frame.into());
    }

    pub(super) fn is_over(&self, bytes: usize) -> bool {
        self.bytes > bytes
    }

    /// Writes all frames. Ready once the client's socket has taken them.
    pub(super) fn poll_write<C>(
        &mut self,
        client: &mut C,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        C: AsyncWrite + Unpin,
    {
        loop {
            while self.bytes > 0 {
                let written = ready!(self.poll_some(client, cx))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.take(written);
            }
            match self.control.take() {
                Some(frame) => self.push(frame),
                None => break,
            }
        }
        if self.unflushed {
            ready!(Pin::new(client).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_some<C>(&self, client: &mut C, cx: &mut Context<'_>) -> Poll<io::Result<usize>>
    where
        C: AsyncWrite + Unpin,
    {
        if let (1, Some(frame)) = (self.frames.len(), self.frames.front()) {
            return Pin::new(client).poll_write(cx, frame);
        }
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut count = 0;
        for (piece, frame) in pieces.iter_mut().zip(&self.frames) {
            *piece = IoSlice::new(frame);
            count += 1;
        }
        Pin::new(client).poll_write_vectored(cx, pieces.get(..count).unwrap_or_default())
    }

    fn take(&mut self, written: usize) {
        self.unflushed = true;
        self.sent += written as u64;
        self.bytes = self.bytes.saturating_sub(written);
        let mut left = written;
        while let Some(frame) = self.frames.front_mut() {
            if left < frame.len() {
                frame.advance(left);
                return;
            }
            left -= frame.len();
            self.frames.pop_front();
        }
        // All is sent: give the memory back.
        self.frames = VecDeque::new();
    }
}
