//! A connected socket (TCP or UNIX), and an accepted socket with its connection permit.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use crate::net::{ConnectionPermit, Peer};

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A TCP socket with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A UNIX socket.
    Unix(UnixStream),
}

impl Socket {
    /// Turns on TCP keep-alive: the kernel probes the other end after this silence, and again after each further third
    /// of it, until it gives up the connection. A UNIX socket needs no probes.
    pub(crate) fn keep_alive(&self, silence: Duration) {
        if let Self::Tcp(stream) = self {
            let settings = TcpKeepalive::new()
                .with_time(silence)
                .with_interval(silence / 3);
            // Without it a lost connection is noticed at the next write.
            let _ = SockRef::from(stream).set_tcp_keepalive(&settings);
        }
    }

    /// Makes dropping the socket send a reset, so that the very next write of the other end fails.
    pub(crate) fn reset_on_drop(&self) {
        if let Self::Tcp(stream) = self {
            // Without it the end is an ordinary one, which is noticed a little later.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Shuts down the reading half: the other end can write no more, and the bytes that it has written can still be
    /// read, followed by the end of the stream.
    ///
    /// # Errors
    /// The error of the system.
    pub(crate) fn end_reading(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream).shutdown(Shutdown::Read),
            Self::Unix(stream) => SockRef::from(stream).shutdown(Shutdown::Read),
        }
    }

    /// Writes as much as the kernel accepts at once, without waiting; for final bytes on a connection that is
    /// being dropped.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel's buffer is full, or the error of the write.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// An accepted socket. It holds its [`ConnectionPermit`] until it is closed, also when it is moved to another task.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    peer: Peer,
    _permit: ConnectionPermit,
}

impl Stream {
    /// Combines a socket with its connection permit.
    #[must_use]
    pub(crate) fn new(socket: Socket, peer: Peer, permit: ConnectionPermit) -> Self {
        Self {
            socket,
            peer,
            _permit: permit,
        }
    }

    /// The peer of the connection.
    #[must_use]
    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    /// Waits for the first byte of the client without consuming it. `None` if the client closed first, and always on a
    /// UNIX socket, whose clients are programs that know the protocol.
    ///
    /// # Errors
    /// The error of the read.
    pub(crate) async fn peek_byte(&self) -> io::Result<Option<u8>> {
        let mut first = [0];
        match &self.socket {
            Socket::Tcp(stream) => Ok((stream.peek(&mut first).await? == 1).then_some(first[0])),
            Socket::Unix(_) => Ok(None),
        }
    }

    /// Writes as much as the kernel accepts at once: see [`Socket::try_write`].
    ///
    /// # Errors
    /// As for [`Socket::try_write`].
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.try_write(bytes)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
