//! The stream below h2, which is asked only for what it may have.
//!
//! For each request that it returns, h2 reads and flushes once more. All requests of one read come in one poll of the
//! connection, and after the first of them there is nothing to read, and seldom anything to flush.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream below h2.
pub(super) struct Io<T> {
    stream: T,
    traffic: Arc<Traffic>,
    /// True once a flush is complete, until something is written.
    is_flushed: bool,
}

/// True while the stream below is not read, because there is no room for what the client sends. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadPause(Arc<AtomicBool>);

impl ReadPause {
    /// Sets whether the stream is not read.
    pub(crate) fn set(&self, is_paused: bool) {
        self.0.store(is_paused, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Facts about the reads of a connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// True if bytes, or the end, came since the last question.
    has_come: AtomicBool,
    /// True if there was nothing more to read in this poll of the connection, whose waker waits for more then.
    is_drained: AtomicBool,
    pause: ReadPause,
}

impl Traffic {
    pub(super) fn new(pause: ReadPause) -> Self {
        Self {
            pause,
            ..Self::default()
        }
    }

    /// True if nothing is known about the client, because it is not read.
    pub(super) fn is_paused(&self) -> bool {
        self.pause.is_set()
    }

    /// True if bytes came since the last call.
    pub(super) fn has_come(&self) -> bool {
        self.has_come.swap(false, Ordering::Relaxed)
    }

    /// Begins a poll of the connection.
    pub(super) fn begin(&self) {
        self.is_drained.store(false, Ordering::Relaxed);
    }
}

impl<T> Io<T> {
    pub(super) fn new(stream: T, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            traffic,
            is_flushed: false,
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.traffic.is_drained.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let fact = match &read {
            Poll::Ready(_) => &this.traffic.has_come,
            Poll::Pending => &this.traffic.is_drained,
        };
        fact.store(true, Ordering::Relaxed);
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Io<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_flushed = false;
        Pin::new(&mut this.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.is_flushed = false;
        Pin::new(&mut this.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.is_flushed {
            ready!(Pin::new(&mut this.stream).poll_flush(cx))?;
            this.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
