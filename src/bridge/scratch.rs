//! One large buffer for each thread, in place of one for each tunnel.
//!
//! A tunnel is idle nearly all of the time, and reads take at most one poll; what the other side does not
//! take at once is copied to a buffer of the tunnel's own, which lives until it is drained.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::websocket::HEADER_SPACE;

/// What one read takes at most. Reading at least 16 KiB is what makes bulk transfer cheap; a UNIX socket
/// hands out what two or three writes of its peer put in.
pub(super) const READ: usize = 64 * 1024;

/// A base64 text is a third larger than what was read.
const ENCODED: usize = READ.div_ceil(3) * 4;

/// The buffers of a thread.
pub(super) struct Scratch {
    /// Space for a frame header, followed by what was read.
    pub(super) raw: Box<[u8]>,
    /// Space for a frame header, followed by the text of it.
    pub(super) text: Box<[u8]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        raw: vec![0; HEADER_SPACE + READ].into_boxed_slice(),
        text: vec![0; HEADER_SPACE + ENCODED].into_boxed_slice(),
    });
}

/// Lends the buffers for the time of one poll.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}

/// Bytes that one side has to take yet. Empty ones own no memory.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    taken: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// What is left.
    fn left(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Marks the first `count` bytes as taken, and gives the memory back with the last of them.
    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        } else if self.taken > READ {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Writes what is left. Ready when `writer` has all of it.
    pub(super) fn poll_to<W>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        W: AsyncWrite + Unpin,
    {
        while !self.is_empty() {
            match ready!(Pin::new(&mut *writer).poll_write(cx, self.left()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.take(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}
