//! The runtime that lapin needs, with our own TCP or TLS stream: lapin's own TLS would bring in a second stack of
//! old ciphers for key files that Noren does not read. Everything else is `async-rs` for tokio.

use std::future::Future;
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::Tokio;
use async_rs::traits::Reactor;
use async_rs::util::RuntimeParts;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt as _};

use super::nesting::Nesting;

/// The tokio runtime with our stream type.
pub(super) type Kit = RuntimeParts<Tokio, Streams>;

/// The part of a runtime that concerns sockets and timers.
#[derive(Clone, Debug)]
pub(super) struct Streams(Tokio);

/// The runtime for lapin, which uses the tokio runtime of the caller.
pub(super) fn kit() -> Kit {
    Kit::new(Tokio::current(), Streams(Tokio::current()))
}

/// The traits that a stream needs, as one trait object.
trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// A TCP or TLS stream, of which lapin reads nothing that it could not.
pub(super) struct Io {
    stream: Box<dyn Both>,
    nesting: Nesting,
}

impl Io {
    pub(super) fn new<T>(stream: T) -> Self
    where
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        Self {
            stream: Box::new(stream.compat()),
            nesting: Nesting::default(),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.get_mut(..count).unwrap_or_default();
        let passed = self.nesting.pass(read).map_err(io::Error::other);
        Poll::Ready(passed.map(|()| count))
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl Reactor for Streams {
    type TcpStream = Io;
    type Sleep = Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        // Nothing here has a descriptor to give away.
        Err::<Compat<TcpStream>, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, wait: Duration) -> Self::Sleep {
        self.0.sleep(wait)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        _: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        // lapin is handed its stream.
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
