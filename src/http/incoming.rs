//! The body of a request from the client, and the stream of an upgraded request.
//!
//! Both report the bytes that are read to the connection's count of unread bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::unread::Unread;

/// A request body that has not been read yet.
#[derive(Debug)]
pub(crate) struct Incoming {
    body: hyper::body::Incoming,
    /// Count of unread bytes of the connection; `None` over HTTP/1.1, where nothing is read ahead.
    unread: Option<Unread>,
}

/// A stream of an HTTP/2 connection after an upgrade.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    unread: Option<Unread>,
}

impl Incoming {
    /// Creates the body of a request on a connection with this count.
    #[must_use]
    pub(crate) fn new(body: hyper::body::Incoming, unread: Option<Unread>) -> Self {
        Self { body, unread }
    }

    /// Count of unread bytes of the connection.
    #[must_use]
    pub(crate) fn unread(&self) -> Option<Unread> {
        self.unread.clone()
    }
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self::new(body, None)
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(unread) = &this.unread
            && let Some(Ok(frame)) = &frame
        {
            unread.read(frame.data_ref().map_or(0, Bytes::len) as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Incoming {
    /// Counts the unread bytes that h2 drops together with the body as read.
    fn drop(&mut self) {
        if self.unread.is_none() {
            return;
        }
        let mut cx = Context::from_waker(Waker::noop());
        while !self.is_end_stream()
            && let Poll::Ready(Some(Ok(_))) = Pin::new(&mut *self).poll_frame(&mut cx)
        {}
    }
}

impl<S> Counted<S> {
    /// Creates the stream of an upgraded request on a connection with this count.
    #[must_use]
    pub(crate) fn new(stream: S, unread: Option<Unread>) -> Self {
        Self { stream, unread }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if let Some(unread) = &this.unread {
            unread.read((buf.filled().len() - before) as u64);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
