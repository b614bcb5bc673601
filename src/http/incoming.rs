//! The body of a request from the client, and the stream of an upgraded request.
//!
//! Both report the bytes that are read to the connection's count of unread bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::http::body::BoxError;
use crate::http::unread::Unread;
use crate::http2;

/// A request body that has not been read yet.
#[derive(Debug)]
pub(crate) struct Incoming(Kind);

#[derive(Debug)]
enum Kind {
    /// Over HTTP/1.1, where nothing is read ahead.
    Http1(hyper::body::Incoming),
    /// Over HTTP/2, with the count of unread bytes of the connection.
    Http2(http2::Body, Unread),
}

/// A stream of an HTTP/2 connection after an upgrade.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    unread: Unread,
}

impl Incoming {
    /// Creates the body of a request on an HTTP/2 connection with this count.
    #[must_use]
    pub(crate) fn http2(body: http2::Body, unread: Unread) -> Self {
        Self(Kind::Http2(body, unread))
    }

    /// The interim responses to the request, over HTTP/2.
    #[must_use]
    pub(crate) fn interim(&self) -> Option<&http2::Interim> {
        match &self.0 {
            Kind::Http1(_) => None,
            Kind::Http2(body, _) => Some(body.interim()),
        }
    }

    /// Prevents a `100 Continue` for a body that is only read to be discarded. Over HTTP/1.1 hyper sends it when the
    /// body is first read, whatever is said here.
    pub(crate) fn withhold_continue(&mut self) {
        if let Kind::Http2(body, _) = &mut self.0 {
            body.withhold_continue();
        }
    }

    /// Takes the upgrade of a CONNECT over HTTP/2, and the count of unread bytes of the connection.
    pub(crate) fn take_upgrade(&mut self) -> Option<(http2::Upgrade, Unread)> {
        match &mut self.0 {
            Kind::Http1(_) => None,
            Kind::Http2(body, unread) => Some((body.take_upgrade()?, unread.clone())),
        }
    }
}

impl From<hyper::body::Incoming> for Incoming {
    fn from(body: hyper::body::Incoming) -> Self {
        Self(Kind::Http1(body))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Kind::Http1(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Kind::Http2(body, unread) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                if let Some(Ok(frame)) = &frame {
                    unread.read(frame.data_ref().map_or(0, Bytes::len) as u64);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Http1(body) => body.is_end_stream(),
            Kind::Http2(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Http1(body) => body.size_hint(),
            Kind::Http2(body, _) => body.size_hint(),
        }
    }
}

impl Drop for Incoming {
    /// Counts the unread bytes that h2 drops together with the body as read.
    fn drop(&mut self) {
        if matches!(self.0, Kind::Http1(_)) {
            return;
        }
        self.withhold_continue();
        let mut cx = Context::from_waker(Waker::noop());
        while !self.is_end_stream()
            && let Poll::Ready(Some(Ok(_))) = Pin::new(&mut *self).poll_frame(&mut cx)
        {}
    }
}

impl<S> Counted<S> {
    /// Creates the stream of an upgraded request on a connection with this count.
    #[must_use]
    pub(crate) fn new(stream: S, unread: Unread) -> Self {
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
        this.unread.read((buf.filled().len() - before) as u64);
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
