//! An established TLS stream that sends `close_notify` on every close (RFC 8446 §6.1).
//!
//! A peer that gets no `close_notify` cannot distinguish the end of a response from a cut by an attacker, and OpenSSL 3
//! reports it as an error. hyper shuts a stream down properly when a connection ends in order, but drops it when a
//! limit has passed; this type covers the second case.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::Stream;

/// An accepted stream with TLS on it.
#[derive(Debug)]
pub(crate) struct TlsStream(Box<tokio_rustls::server::TlsStream<Stream>>);

impl TlsStream {
    /// Wraps a stream, boxed: a TLS session is more than a kilobyte, and moving it between states and tasks would
    /// otherwise reserve that much in each of them.
    pub(super) fn new(inner: tokio_rustls::server::TlsStream<Stream>) -> Self {
        Self(Box::new(inner))
    }

    /// The accepted stream underneath.
    #[must_use]
    pub(crate) fn get_ref(&self) -> &Stream {
        self.0.get_ref().0
    }

    /// Ends TLS with `close_notify` and returns the accepted stream underneath.
    pub(crate) fn ended(&mut self) -> &mut Stream {
        self.send_close_notify();
        self.0.get_mut().0
    }

    fn send_close_notify(&mut self) {
        let (stream, session) = self.0.get_mut();
        // Does nothing if a shutdown has sent it before.
        session.send_close_notify();
        while session.wants_write() {
            // A full socket buffer means that the peer does not read; then it does not get the goodbye.
            match session.write_tls(&mut NonBlockingWriter(stream)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.get_mut().0).poll_read(cx, buf) {
            // A browser that closes its tab often sends no close_notify. Each protocol above us knows by
            // its own framing whether the message was complete, so this is an ordinary end.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Poll::Ready(Ok(()))
            }
            other => other,
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(cx)
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        self.send_close_notify();
    }
}

/// A writer that writes only what the kernel accepts at once.
struct NonBlockingWriter<'a>(&'a Stream);

impl Write for NonBlockingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
