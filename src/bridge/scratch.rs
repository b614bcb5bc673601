//! Per-thread buffers, in place of a buffer for each tunnel.
//!
//! A tunnel is idle nearly all of the time, and reads are limited to one poll; bytes that the other side does not
//! accept at once are copied to the tunnel's own backlog, which is freed when it is drained.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::websocket::HEADER_SPACE;

/// Size of a read. At least 16 KiB make bulk transfer cheap; a UNIX socket returns the data of two or three writes
/// of its peer.
pub(super) const READ: usize = 64 * 1024;

/// Size of the base64 text of one read, a third larger.
const ENCODED: usize = READ.div_ceil(3) * 4;

/// The buffers of a thread.
pub(super) struct Scratch {
    /// Room for a frame header, followed by the bytes read.
    pub(super) raw: Box<[u8]>,
    /// Room for a frame header, followed by their base64 text.
    pub(super) text: Box<[u8]>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        raw: vec![0; HEADER_SPACE + READ].into_boxed_slice(),
        text: vec![0; HEADER_SPACE + ENCODED].into_boxed_slice(),
    });
}

/// Lends the buffers for one poll.
pub(super) fn with<R>(work: impl FnOnce(&mut Scratch) -> R) -> R {
    SCRATCH.with_borrow_mut(work)
}

/// Bytes that one side has not accepted yet. An empty backlog owns no memory.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    bytes: Vec<u8>,
    taken: usize,
}

impl Backlog {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The bytes that are left.
    fn left(&self) -> &[u8] {
        self.bytes.get(self.taken..).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.bytes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Removes the first `count` bytes, and frees the memory when it becomes empty.
    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.bytes.len() {
            *self = Self::default();
        } else if self.taken > READ {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
    }

    /// Writes the backlog. Ready when `writer` has all of it.
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
